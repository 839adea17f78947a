"""A retry after a fix gives what a fresh run of the fixed files gives; without a fix it changes nothing."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable
from serving_databases import Databases, slow_on_postgres

from pipelines.chain import Chain
from pipelines.database.quarantine import QuarantineChange, QuarantineFilter, read_rows
from pipelines.database.session import transaction
from pipelines.errors import TerminalError, TransientError
from pipelines.retry import RetryResult, retry
from pipelines.settings import PROJECT, Settings, settings
from pipelines.synthetic.export import synthesise

pytestmark = slow_on_postgres
AS_OF = date(2025, 12, 31)
NOW = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
KEY = "k" * 32
UITKOMST = Path(sys.executable).parent / "uitkomst"


def quiet(done: int, total: int) -> None:
    """No progress."""


@dataclass
class Rules:
    """Mappings and expectations of one's own, to be spoilt and mended."""

    mappings: Path
    expectations: Path
    databases: Databases

    @classmethod
    def copied(cls, folder: Path, databases: Databases) -> "Rules":
        rules = cls(folder / "mappings", folder / "expectations", databases)
        shutil.copytree(PROJECT / "mappings", rules.mappings)
        shutil.copytree(PROJECT / "expectations", rules.expectations)
        return rules

    def chain(self, home: Path) -> Chain:
        home.mkdir(exist_ok=True)
        return Chain(
            home,
            Settings(
                mappings=self.mappings,
                expectations=self.expectations,
                pseudonym_key=KEY,
                database_url=self.databases.of(home),
            ),
        )


@pytest.fixture(autouse=True)
def _one_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UITKOMST_PSEUDONYM_KEY", KEY)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three deliveries of two hospitals: the third holds patients that resources of the first miss."""
    whole = tmp_path_factory.mktemp("whole") / "exports"
    synthesise(whole, hospitals=2, patients=8, seed=11, as_of=AS_OF, defect_share=0.03)
    late = tmp_path_factory.mktemp("late") / "exports"
    hospital = sorted(p.name for p in whole.iterdir() if p.is_dir())[0]
    patients = next((whole / hospital).glob("**/Patient.ndjson"))
    lines = patients.read_text(encoding="utf-8").splitlines(keepends=True)
    (late / hospital).mkdir(parents=True)
    (late / hospital / "Patient.ndjson").write_text("".join(lines[: len(lines) // 3]), encoding="utf-8")
    patients.write_text("".join(lines[len(lines) // 3 :]), encoding="utf-8")
    return [whole, late]


def load(rules: Rules, home: Path, exports: list[Path]) -> None:
    for number, folder in enumerate(exports):
        rules.chain(home).run(folder, as_of=AS_OF, now=NOW + timedelta(days=number), on_progress=quiet)


def contents(rules: Rules, home: Path) -> dict[str, Any]:
    """Everything in a home that rests on the rules: lake, counts, quarantine, results, checks."""
    found: dict[str, Any] = {}
    for path in sorted((home / "lake").iterdir()):
        rows = DeltaTable(str(path)).to_pyarrow_table().to_pylist()
        found[path.name] = sorted(map(repr, rows))
    engine = rules.chain(home).engine
    queries = {
        "batch": "SELECT * FROM batch",
        "quarantine": "SELECT batch_id, source_file, source_line, resource_key, rule_id, reason, step FROM quarantine"
        " WHERE state IN ('open', 'still_failing')",
        "results": "SELECT * FROM indicator_result",
        "patients": "SELECT institution, indicator, patient_key, index_key, status, value FROM outcome_patient",
    }
    with engine.connect() as connection:
        for name, query in queries.items():
            found[name] = sorted(map(repr, connection.exec_driver_sql(query).fetchall()))
    engine.dispose()
    for path in sorted(home.glob("batches/*/*/*.json")):
        content = json.loads(path.read_bytes())
        content.pop("rules", None)  # a batch without matching rows is left as it was
        found[path.relative_to(home).as_posix()] = content
    return found


def edit_suite(rules: Rules, table: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = rules.expectations / f"{table}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def too_heavy(rules: Rules) -> str:
    def change(content: dict[str, Any]) -> None:
        for each in content["expectations"]:
            if each["meta"]["rule_id"] == "BODY-WEIGHT-RANGE":
                each["kwargs"]["max_value"] = 75

    edit_suite(rules, "zib_body_weight", change)
    return "BODY-WEIGHT-RANGE"


def no_men(rules: Rules) -> str:
    """Sets patients aside, and with them everything that refers to them."""

    def change(content: dict[str, Any]) -> None:
        for each in content["expectations"]:
            if each["meta"]["rule_id"] == "PATIENT-GENDER-UNKNOWN":
                each["kwargs"]["value_set"] = ["female"]

    edit_suite(rules, "zib_patient", change)
    return "PATIENT-GENDER-UNKNOWN"


def status_unmapped(rules: Rules) -> str:
    path = rules.mappings / "zib" / "2020" / "zib_procedure.json"
    text = path.read_text(encoding="utf-8")
    assert text.count('"path": "status"') == 1
    path.write_text(text.replace('"path": "status"', '"path": "language"'), encoding="utf-8")
    return "PROCEDURE-STATUS-MISSING"


@contextmanager
def spoilt(rules: Rules, spoil: Callable[[Rules], str]) -> Iterator[str]:
    """Rules that are wrong as long as the context lasts."""
    kept = rules.mappings.parent / "kept"
    shutil.copytree(rules.mappings.parent, kept, ignore=shutil.ignore_patterns("kept"))
    yield spoil(rules)
    for folder in (rules.mappings, rules.expectations):
        shutil.rmtree(folder)
        shutil.move(kept / folder.name, folder)
    kept.rmdir()


def try_again(rules: Rules, home: Path, **selected: str) -> RetryResult:
    return retry(rules.chain(home), QuarantineFilter(**selected), quiet)


@pytest.mark.parametrize("spoil", [too_heavy, status_unmapped])
def test_a_retry_after_a_fix_equals_a_fresh_run_of_the_fixed_rules(
    spoil: Callable[[Rules], str], databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    with spoilt(rules, spoil) as rule:
        load(rules, tmp_path / "retried", exports[:1])
    broken = contents(rules, tmp_path / "retried")
    result = try_again(rules, tmp_path / "retried", rule=rule)
    load(rules, tmp_path / "fresh", exports[:1])
    assert result.total.back > 0
    same(contents(rules, tmp_path / "retried"), contents(rules, tmp_path / "fresh"))
    assert contents(rules, tmp_path / "retried") != broken


@pytest.mark.slow
def test_patients_that_come_back_take_the_resources_of_other_batches_along(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    backwards = exports[::-1]  # patients first, then a delivery that refers to them
    with spoilt(rules, no_men) as rule:
        load(rules, tmp_path / "retried", backwards)
    try_again(rules, tmp_path / "retried", rule=rule)
    load(rules, tmp_path / "fresh", backwards)
    same(contents(rules, tmp_path / "retried"), contents(rules, tmp_path / "fresh"))


def same(retried: dict[str, Any], fresh: dict[str, Any]) -> None:
    assert retried.keys() == fresh.keys()
    for name in fresh:
        assert retried[name] == fresh[name], name


def test_a_retry_without_a_fix_changes_nothing(databases: Databases, exports: list[Path], tmp_path: Path) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    load(rules, tmp_path / "home", exports[:1])
    before = contents(rules, tmp_path / "home")
    result = try_again(rules, tmp_path / "home", rule="LINE-NOT-JSON")
    assert (result.total.back, result.total.new, result.total.skipped) == (0, 0, 0)
    assert result.total.remaining > 0
    assert contents(rules, tmp_path / "home") == before


def test_a_patient_that_comes_later_brings_its_resources_back(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    load(rules, tmp_path / "home", exports)
    result = try_again(rules, tmp_path / "home", rule="REFERENCE-PATIENT-MISSING")
    assert result.total.back > 50
    first = try_again(rules, tmp_path / "home", rule="REFERENCE-PATIENT-MISSING")
    assert first.total.back == 0


@pytest.mark.slow
def test_only_batches_that_hold_matching_rows_are_touched(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    load(rules, tmp_path / "home", exports[:1])
    with transaction(rules.chain(tmp_path / "home").engine) as connection:
        row = read_rows(connection, QuarantineFilter())[-1]
    hospital = row["institution"]
    result = try_again(rules, tmp_path / "home", institution=hospital, rule=row["rule_id"])
    assert {institution for institution, _ in result.batches} == {hospital}
    with pytest.raises(TerminalError, match="QUARANTINE-NO-MATCH"):
        try_again(rules, tmp_path / "home", rule="NO-SUCH-RULE")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["map", "validate", "load_again"])
def test_an_interrupted_retry_goes_on_where_it_was(
    step: str, databases: Databases, exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    with spoilt(rules, no_men) as rule:
        load(rules, tmp_path / "home", exports[:1])
    load(rules, tmp_path / "fresh", exports[:1])
    done: list[str] = []
    real = getattr(Chain, step)

    def second_fails(chain: Chain, batch: Any) -> Any:
        done.append(batch.batch_id)
        if len(done) == 2:
            if step == "load_again":  # in the middle of the tables
                monkeypatch.setattr("pipelines.lake.tables.write_deltalake", _no_disk)
                return real(chain, batch)
            raise KeyboardInterrupt
        return real(chain, batch)

    monkeypatch.setattr(Chain, step, second_fails)
    with pytest.raises((KeyboardInterrupt, TransientError)):
        try_again(rules, tmp_path / "home", rule=rule)
    monkeypatch.undo()
    result = try_again(rules, tmp_path / "home", rule=rule)
    assert len(result.batches) == 2
    assert result.total.back > 0
    assert contents(rules, tmp_path / "home") == contents(rules, tmp_path / "fresh")
    assert not (tmp_path / "home" / "retry.json").exists()


def _no_disk(path: str, *_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_a_run_after_an_interrupted_load_reads_whole_batches(
    databases: Databases, exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    with spoilt(rules, no_men) as rule:
        load(rules, tmp_path / "home", exports[:1])
    load(rules, tmp_path / "fresh", exports[:1])
    from pipelines.lake import tables

    real, written = tables.write_deltalake, []

    def third_fails(path: str, *arguments: Any, **options: Any) -> None:
        written.append(path)
        if len(written) == 3:
            _no_disk(path)
        real(path, *arguments, **options)

    monkeypatch.setattr(tables, "write_deltalake", third_fails)
    with pytest.raises(TransientError, match="DISK-FULL"):
        try_again(rules, tmp_path / "home", rule=rule)
    monkeypatch.setattr(tables, "write_deltalake", real)
    rules.chain(tmp_path / "home").evaluate(AS_OF)
    assert not list((tmp_path / "home").glob("batches/*/*/loading.json"))
    result = try_again(rules, tmp_path / "home", rule=rule)
    assert len(result.batches) == 2
    assert contents(rules, tmp_path / "home") == contents(rules, tmp_path / "fresh")


@pytest.mark.slow
def test_a_purged_batch_is_named_and_the_others_are_tried(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules = Rules.copied(tmp_path / "rules", databases)
    with spoilt(rules, too_heavy) as rule:
        load(rules, tmp_path / "home", exports[:1])
    gone = sorted((tmp_path / "home" / "landing").glob("*/batches/*.json"))[0]
    gone.unlink()
    result = try_again(rules, tmp_path / "home", rule=rule)
    assert result.purged == [(gone.parents[1].name, gone.stem)]
    assert len(result.batches) == 1
    assert result.total.back > 0


def uitkomst(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(UITKOMST), "quarantine", *map(str, arguments)]
    environment = {**os.environ, "UITKOMST_PSEUDONYM_KEY": KEY, "UITKOMST_DATABASE_URL": url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_commands_say_what_is_there_and_what_to_do(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    rules, home = Rules.copied(tmp_path / "rules", databases), tmp_path / "home"
    url = databases.of(home)
    with spoilt(rules, too_heavy):
        load(rules, home, exports[:1])
    counts = json.loads(uitkomst(url, "list", "--home", home, "--format", "json").stdout)
    heavy = next(count for count in counts if count["rule_id"] == "BODY-WEIGHT-RANGE")
    assert heavy["open"] > 0
    assert heavy["example"].startswith("ziekenhuis-")
    rows = json.loads(
        uitkomst(url, "show", "--home", home, "--rule", "BODY-WEIGHT-RANGE", "--format", "json", "--limit", 1000).stdout
    )
    assert len(rows) == heavy["open"]
    assert all(row["sentence_nl"] and row["remedy"] and ":" in row["place"] for row in rows)
    assert uitkomst(url, "list", "--home", home, "--format", "csv").stdout.startswith("rule_id,open,")
    assert "BODY-WEIGHT-RANGE" in uitkomst(url, "list", "--home", home).stdout
    shown = uitkomst(url, "show", "--home", home, "--rule", "BODY-WEIGHT-RANGE", "--limit", 3).stdout
    assert "Ask the hospital" in shown
    retried = uitkomst(url, "retry", "--home", home, "--rule", "BODY-WEIGHT-RANGE")
    assert retried.returncode == 0, retried.stderr
    left = {c["rule_id"]: c for c in json.loads(uitkomst(url, "list", "--home", home, "--format", "json").stdout)}
    failing = left["BODY-WEIGHT-RANGE"]["open"] + left["BODY-WEIGHT-RANGE"]["still_failing"]
    assert failing == 0, "nothing fails the mended rule"
    assert "rows came back" in retried.stdout
    assert " 0 rows came back" not in retried.stdout
    for path in (home / "landing").glob("*/batches/*.json"):
        path.unlink()
    purged = uitkomst(url, "retry", "--home", home)
    assert purged.returncode == 2
    assert purged.stderr.startswith("LANDING-PURGED: ")
    with (home / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = uitkomst(url, "retry", "--home", home)
    assert (busy.returncode, busy.stderr[:9]) == (75, "HOME-BUSY")


def test_a_step_of_the_dag_and_a_retry_keep_out_of_each_others_way(
    databases: Databases, exports: list[Path], tmp_path: Path
) -> None:
    chain = Rules.copied(tmp_path / "rules", databases).chain(tmp_path / "home")
    with chain.alone(shared=True), chain.alone(shared=True), pytest.raises(TransientError, match="HOME-BUSY"):
        retry(chain, QuarantineFilter(), quiet)
    with chain.alone(), pytest.raises(TransientError, match="HOME-BUSY"), chain.alone(shared=True):
        raise AssertionError
    assert QuarantineChange(back=1) + QuarantineChange(back=2, new=1) == QuarantineChange(back=3, new=1)
