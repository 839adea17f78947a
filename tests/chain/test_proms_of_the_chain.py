"""PROMs through the whole chain: scores with their moment, response and due lists, as stored and as written."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fhir.resources.R4B.task import Task
from serving_databases import Databases, slow_on_postgres
from typer.testing import CliRunner

from pipelines.chain import Chain
from pipelines.cli import app
from pipelines.database.session import transaction
from pipelines.settings import settings
from pipelines.synthetic.export import synthesise

pytestmark = slow_on_postgres
AS_OF = date(2025, 12, 31)
NOW = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("proms")
    synthesise(folder / "exports", hospitals=2, patients=60, seed=11, as_of=AS_OF, defect_share=0.0)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("UITKOMST_DATABASE_URL", databases.of(folder / "home"))
        settings.cache_clear()
        Chain.at(folder / "home").run(folder / "exports", as_of=AS_OF, now=NOW, on_progress=lambda done, total: None)
        yield folder / "home"
    settings.cache_clear()


def rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    with transaction(Chain.at(home).engine) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def test_the_response_table_has_the_denominator_of_the_response_indicators(home: Path) -> None:
    for joint, instrument in (("hip", "hoos-ps"), ("knee", "koos-ps")):
        for moment in ("3m", "12m"):
            indicator = f"{joint}-prom-response-{moment}"
            stored = rows(
                home,
                f"SELECT institution, denominator FROM indicator_result WHERE indicator = '{indicator}'"
                " AND period = 'total' ORDER BY institution",
            )
            found = rows(
                home,
                "SELECT institution, denominator FROM prom_response_rate"
                f" WHERE cohort = '{joint}' AND instrument = '{instrument}' AND moment = '{moment}' AND denominator > 0"
                " ORDER BY institution",
            )
            assert stored == found


def test_every_response_of_the_lake_has_its_scores_in_the_database(home: Path) -> None:
    ((responses, scores, chosen),) = rows(
        home,
        "SELECT count(DISTINCT resource_key), count(*),"
        " count(DISTINCT CASE WHEN place = 'chosen' THEN resource_key END)"
        " FROM prom_score",
    )
    assert 0 < int(str(chosen)) <= int(str(responses)) < int(str(scores))
    ((without,),) = rows(home, "SELECT count(*) FROM prom_score WHERE (value IS NULL) = (missing_reason IS NULL)")
    assert without == 0, "a score, or a reason why there is none"


def test_due_lists_and_response_rates_are_written_by_the_commands(home: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    due = runner.invoke(app, ["prom-due", "--home", str(home), "--out", str(tmp_path / "due"), "--until", "2026-03-31"])
    assert due.exception is None
    names = sorted(path.name for path in (tmp_path / "due").iterdir())
    assert names == [f"ziekenhuis-{n}.{kind}" for n in ("01", "02") for kind in ("csv", "ndjson")]
    for name in ("ziekenhuis-01", "ziekenhuis-02"):
        with (tmp_path / "due" / f"{name}.csv").open(encoding="utf-8") as file:
            listed = list(csv.DictReader(file))
        assert listed
        assert all(row["due_from"] <= "2026-03-31" and row["due_until"] >= "2025-12-31" for row in listed)
        lines = (tmp_path / "due" / f"{name}.ndjson").read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(listed)
        Task.model_validate(json.loads(lines[0]))
    rates = runner.invoke(app, ["prom-response", "--home", str(home), "--out", str(tmp_path / "rates.csv")])
    assert rates.exception is None
    with (tmp_path / "rates.csv").open(encoding="utf-8") as file:
        assert {row["instrument"] for row in csv.DictReader(file)} == {"hoos-ps", "koos-ps", "eq-5d-5l", "nrs-pain"}
