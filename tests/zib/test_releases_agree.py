"""One made-up patient, written by hand in R4 and in STU3, gives the same tables."""

import csv
import importlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from zib_exports import MAPPINGS, Mapped, catalogue, map_files, ndjson

from pipelines.sqlonfhir.views import CompiledView
from pipelines.synthetic.export import synthesise
from pipelines.synthetic.fhir_stu3 import as_stu3

FIXTURES = Path(__file__).parent / "two_releases"
VIEWS_2017 = MAPPINGS.parent / "2017"
PACKAGES = {"r4": "fhir.resources.R4B", "stu3": "fhir.resources.STU3"}
Row = dict[str, Any]


def listed(name: str) -> set[tuple[str, str]]:
    """(table, column) of the rows of a file beside the views of 2017; every row has a reason."""
    with (VIEWS_2017 / name).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert all(row["reason"] for row in rows)
    return {(row["table"], row["column"]) for row in rows}


OMISSIONS, DIFFERENCES = listed("omissions.csv"), listed("differences.csv")
ABSENT = {table for table, column in OMISSIONS if column == "*"}
CATALOGUE = catalogue()
TABLES = sorted(table.name for table in CATALOGUE.tables if table.name not in ABSENT)


def fixtures(release: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((FIXTURES / release).glob("*.json"))}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapped, Mapped]:
    """What the patient gives in R4 and in STU3."""
    folders = [tmp_path_factory.mktemp(release) for release in PACKAGES]
    r4, stu3_ = (map_files(folder, fixtures(release)) for folder, release in zip(folders, PACKAGES, strict=True))
    return r4, stu3_


def test_a_synthetic_hospital_gives_the_same_rows_in_both_releases(tmp_path: Path) -> None:
    """A generated hospital, as it is and as the generator would write it in STU3."""
    for release in PACKAGES:
        (tmp_path / release).mkdir()
    synthesise(tmp_path / "exports", hospitals=1, patients=12, seed=5, as_of=date(2025, 6, 30))
    r4_files = {path.name: path for path in (tmp_path / "exports" / "ziekenhuis-01").iterdir()}
    lines = {name: [json.loads(line) for line in path.open(encoding="utf-8")] for name, path in r4_files.items()}
    r4 = map_files(tmp_path / "r4", {name: ndjson(*found) for name, found in lines.items()})
    stu3_ = map_files(tmp_path / "stu3", {name: ndjson(*map(as_stu3, found)) for name, found in lines.items()})
    assert r4.quarantine == stu3_.quarantine == []
    filled = {table for table in TABLES if r4.tables[table] or stu3_.tables[table]}
    assert {"zib_patient", "zib_problem", "zib_procedure", "prom_answer", "prom_question"} <= filled
    for table in filled:
        assert comparable(r4, table) == comparable(stu3_, table), table


def comparable(mapped: Mapped, table: str) -> list[Row]:
    """The rows of a table without the columns that cannot be equal, in a fixed order."""
    left_out = {column for of, column in OMISSIONS | DIFFERENCES if of == table}
    rows = [{name: value for name, value in row.items() if name not in left_out} for row in mapped.rows(table)]
    return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))


@pytest.mark.parametrize("release", PACKAGES)
def test_the_fixtures_are_valid(release: str) -> None:
    model_of: Callable[[str], Any] = importlib.import_module(PACKAGES[release]).get_fhir_model_class
    for content in fixtures(release).values():
        resource = json.loads(content)
        assert model_of(resource["resourceType"]).model_validate(resource)


def test_every_resource_is_mapped(both: tuple[Mapped, Mapped]) -> None:
    for mapped in both:
        assert mapped.quarantine == []
        assert mapped.codes() == {"NOTHING-MAPPED": 1}  # the insurance company: a payer, no healthcare provider


@pytest.mark.parametrize("table", TABLES)
def test_both_releases_give_the_same_rows(both: tuple[Mapped, Mapped], table: str) -> None:
    r4, stu3_ = (comparable(mapped, table) for mapped in both)
    assert r4 == stu3_


@pytest.mark.parametrize("table", TABLES)
def test_the_patient_fills_every_column_that_both_releases_have(both: tuple[Mapped, Mapped], table: str) -> None:
    for mapped in both:
        rows = comparable(mapped, table)
        assert rows
        assert [name for name in rows[0] if all(row[name] is None for row in rows)] == []


def test_a_column_that_cannot_be_equal_has_a_value_in_both_releases_or_none_in_stu3(
    both: tuple[Mapped, Mapped],
) -> None:
    r4, stu3_ = both
    for table, column in DIFFERENCES:
        assert any(row[column] is not None for row in r4.tables[table]), column
    for table, column in OMISSIONS:
        assert column == "*" or all(row[column] is None for row in stu3_.tables[table]), column


def test_codings_are_the_same_where_their_ids_are(both: tuple[Mapped, Mapped]) -> None:
    r4, stu3_ = ({(row["codings_id"], row["position"]): row for row in mapped.codings} for mapped in both)
    shared = r4.keys() & stu3_.keys()
    assert len(shared) > 50
    assert all(r4[key] == stu3_[key] for key in shared)


def outputs(view: CompiledView) -> list[tuple[str, str, str]]:
    return [(column.name, column.type, column.kind) for column in view.outputs]


def test_every_table_has_the_same_columns_in_the_same_order_or_is_listed() -> None:
    for table in CATALOGUE.tables:
        assert set(table.views) == {"r4", "stu3"} - ({"stu3"} if table.name in ABSENT else set()), table.name
        if len(table.views) == 2:
            assert outputs(table.views["r4"]) == outputs(table.views["stu3"]), table.name


def test_every_listed_column_is_one() -> None:
    columns = {(table.name, name) for table in CATALOGUE.tables for name, _, _ in outputs(table.view)}
    assert {(table, column) for table, column in OMISSIONS | DIFFERENCES if column != "*"} <= columns
    assert {table for table, _ in columns} >= ABSENT
    assert not OMISSIONS & DIFFERENCES
