"""Every made-up patient of every outcome set comes out as its file says, and the runner notices when one does not."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

import pytest
import yaml
from outcome_sets import ROLES, SETS, instruments, outcome_set

from pipelines.errors import TerminalError
from pipelines.indicators.cases import Case, CaseFile, CaseResult, load_cases, run_cases
from pipelines.indicators.definitions import windows_of

NAMES = sorted(path.parent.name for path in SETS.glob("*/set.yaml"))


def _numbered() -> list[tuple[str, str, int]]:
    return [
        (name, path.stem, number)
        for name in NAMES
        for path in sorted((SETS / name / "cases").glob("*.yaml"))
        for number in range(len(yaml.safe_load(path.read_text(encoding="utf-8"))["cases"]))
    ]


@cache
def results(name: str) -> dict[str, list[CaseResult]]:
    files = [load_cases(SETS / name, indicator.id) for indicator in outcome_set(name).indicators]
    return run_cases(outcome_set(name), files, ROLES, instruments(), SETS / name)


@pytest.mark.parametrize(("name", "indicator", "number"), _numbered())
def test_case(name: str, indicator: str, number: int) -> None:
    result = results(name)[indicator][number]
    assert result.holds, f"{result.case.promise_nl}: expected {result.case.expected}, found {result.found}"


@pytest.mark.parametrize("name", NAMES)
def test_every_indicator_shows_who_is_in_who_is_out_and_who_waits(name: str) -> None:
    for indicator in outcome_set(name).indicators:
        cases = load_cases(SETS / name, indicator.id).cases
        assert len(cases) >= 6
        assert (
            indicator.measure.shape == "time_to_event"
            or any(case.place == "pending" for case in cases)
            or not any(hasattr(indicator.measure, part) for part in ("window", "moments", "after"))
            or all(window.to_day <= 0 and window.to_point == "start" for window in windows_of(indicator))
        ), indicator.id


OPERATION = {"day": 0, "event": "primary-hip", "side": "left"}


def run(story: list[dict[str, Any]], expect: Any = "no", indicator: str = "hip-revision-1y", **more: Any) -> CaseResult:
    case = {"promise_nl": "p", "place": "out", "story": story, "expect": expect, **more}
    file = CaseFile.model_construct(indicator=indicator, cases=[Case.model_validate(case)])
    return run_cases(outcome_set(), [file], ROLES, instruments(), SETS / "knie-heupartrose")[indicator][0]


def test_a_case_that_comes_out_otherwise_does_not_hold() -> None:
    assert run([OPERATION]).holds
    assert not run([OPERATION], "yes").holds
    assert not run([OPERATION], ["no", "no"]).holds
    assert not run([OPERATION], "excluded: patient unknown").holds
    assert not run([], "no").holds
    assert run([], []).holds


def test_a_status_needs_its_reason_and_pending_does_not() -> None:
    undated = [OPERATION, {"day": None, "event": "hip-revision"}]
    assert run(undated, "missing: event date incomplete").holds
    assert not run(undated, "missing").holds
    assert not run(undated, "missing: no value").holds
    assert run([OPERATION], "pending", today=10).holds
    assert run([OPERATION], "pending: follow-up not complete", today="2024-02-01").holds


def test_a_partial_date_takes_nobodys_place() -> None:
    """2024-02 can be 1 February, and its key comes first; the operation of that day counts all the same."""
    story = [{**OPERATION, "day": "2024-02"}, {**OPERATION, "day": "2024-02-01"}]
    assert run(story, ["no", "excluded: index date incomplete"]).holds


def test_columns_links_and_moments_of_a_line_reach_the_row() -> None:
    assert run([{**OPERATION, "but": {"patient_key": None}}], "excluded: patient unknown").holds
    assert run([{**OPERATION, "but": {"status": "entered-in-error"}}], []).holds
    revision = {
        "at": "2025-01-14T23:30:00Z",
        "event": "hip-revision",
        "side": "left",
    }  # 15 January in Amsterdam: day 366
    assert run([OPERATION, revision], "no").holds
    assert run([OPERATION, {**revision, "at": "2025-01-14T22:30:00Z"}], "yes").rows[0]["evidence"][1] == {
        "role": "measure", "event": "hip-revision", "resource_key": "hip-revision-1y.001-02",
        "moment": "2025-01-14T22:30:00Z",
    }  # fmt: skip


def test_a_case_says_who_the_patient_is() -> None:
    found = run([OPERATION], "missing: no patient record", "hip-mortality-30d", patient={"record": "none"})
    assert found.holds
    assert found.rows[0]["index_date"] == date(2024, 1, 15)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"day": 0, "event": "shoulder"}, "no event shoulder; it has primary-hip"),
        ({"day": 0, "event": "died", "but": {"colour": "red"}}, "no column colour"),
        ({"day": 0, "event": "primary-hip", "value": 3}, "has no value"),
        ({"day": 0, "event": "primary-hip", "links": {"performer_key": "died-twice"}}, "a link goes to an event"),
    ],
)
def test_a_line_that_cannot_be_told_names_its_file(line: dict[str, Any], what: str) -> None:
    with pytest.raises(TerminalError, match=what) as caught:
        run([line])
    assert caught.value.code == "OUTCOME-CASES"
    assert "cases/hip-revision-1y.yaml:" in caught.value.where
