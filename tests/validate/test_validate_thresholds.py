"""Stored counts judged again: the verdict follows the thresholds of today, and nothing to check is never "passed"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from contract_tables import EXPECTATIONS, SUITES, checks_content, table_of
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import TerminalError
from pipelines.settings import settings
from pipelines.validate.checks import Check
from pipelines.validate.command import judge_batches
from pipelines.validate.rules import load_reference_rules
from pipelines.validate.thresholds import load_thresholds


def thresholds(folder: Path, share: float) -> Path:
    """A copy of the expectations in which every rule accepts this share."""
    copy = folder / f"expectations-{share}"
    copy.mkdir()
    for path in EXPECTATIONS.glob("*.yaml"):
        (copy / path.name).write_bytes(path.read_bytes())
    entry = {"accepted_share": share, "reason": "a test"}
    content = {"default": {"error": entry, "warning": entry}}
    (copy / "thresholds.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return copy


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one validated batch: one body weight of four has a status that does not exist."""
    rows = [{"resource_key": str(n), "patient_key": "p1", "status": "klaar" if n == 1 else "final"} for n in range(4)]
    patient = [{"patient_key": "p1", "deceased": None, "death_date": None, "death_date_text": None}]
    tables = {"zib_body_weight": table_of("zib_body_weight", rows), "zib_patient": table_of("zib_patient", patient)}
    folder = tmp_path / "home" / "batches" / "ziekenhuis-a" / "b1"
    folder.mkdir(parents=True)
    (folder / "checks.json").write_text(json.dumps(checks_content(tables, tmp_path)), encoding="utf-8")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("checked", "failed", "verdict"),
    [
        (0, 0, "not_applicable"),
        (100, 0, "passed"),
        (100, 1, "within_threshold"),
        (100, 2, "exceeded"),
    ],
)
def test_a_verdict_follows_the_share_of_failures(checked: int, failed: int, verdict: str) -> None:
    check = Check("zib_body_weight", "BODY-WEIGHT-STATUS-UNKNOWN", "error", checked, checked, failed)
    assert load_thresholds(EXPECTATIONS).judge(check) == verdict


def test_the_same_counts_are_judged_by_the_thresholds_of_today(home: Path, tmp_path: Path) -> None:
    def verdicts(expectations: Path) -> dict[str, str]:
        judge_batches(home, expectations, tmp_path / "out", institution="ziekenhuis-a", batch_id="b")
        report = json.loads((tmp_path / "out/ziekenhuis-a/b1/validation.json").read_bytes())
        return {each["rule_id"]: each["verdict"] for each in report["checks"]}

    strict, lenient = verdicts(thresholds(tmp_path, 0.1)), verdicts(thresholds(tmp_path, 0.25))
    assert strict["BODY-WEIGHT-STATUS-UNKNOWN"] == "exceeded"
    assert lenient["BODY-WEIGHT-STATUS-UNKNOWN"] == "within_threshold"
    assert strict["BODY-WEIGHT-CLOTHING-NOT-IN-VALUE-SET"] == "not_applicable"


def test_the_command_says_by_its_exit_code_whether_a_threshold_is_exceeded(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exit_code(share: float) -> int:
        monkeypatch.setenv("UITKOMST_EXPECTATIONS", str(thresholds(tmp_path, share)))
        settings.cache_clear()
        return CliRunner().invoke(app, ["validation", "--home", str(home)]).exit_code

    try:
        assert exit_code(0.1) == 1
        assert exit_code(1) == 0
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_a_batch_that_does_not_exist_is_named_as_an_error(home: Path) -> None:
    with pytest.raises(TerminalError, match="BATCH-UNKNOWN"):
        judge_batches(home, EXPECTATIONS, None, institution="ziekenhuis-b", batch_id=None)


def test_every_threshold_names_a_rule_that_exists_and_a_reason() -> None:
    known = {rule.rule_id for suite in SUITES.values() for rule in suite.rules}
    known |= {reference.rule.rule_id for reference in load_reference_rules(EXPECTATIONS)}
    found = load_thresholds(EXPECTATIONS)
    assert set(found.rules) <= known
    assert all(each.reason for each in [*found.rules.values(), *found.default.values()])
