"""Codes and units that say nothing are found, counted, priced and shown with a place to look, and nothing else is."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from pipelines.database.session import transaction
from pipelines.database.store import BatchCounts, record_batch
from pipelines.database.terminology import read_unmapped, replace_unmapped
from pipelines.settings import PROJECT
from pipelines.terminology.cost import Readers
from pipelines.terminology.unmapped import UNMAPPED_CODE_SCHEMA, Terminology, find_unmapped
from pipelines.zib.codings import CODING_SCHEMA

LABORATORY = "zib_laboratory_test_result"
UITKOMST = Path(sys.executable).parent / "uitkomst"
KEY = "k" * 32
LOINC, SNOMED, LOCAL, UCUM = "http://loinc.org", "http://snomed.info/sct", "urn:local", "http://unitsofmeasure.org"
Coding = tuple[str | None, str | None, str | None, int | None]
"""System, code, display, mapped_from."""
LISTS: dict[str, list[Coding]] = {
    "member": [(LOINC, "1-1", "known", None)],
    "mapped": [(LOCAL, "A", "mapped", None), (LOINC, "1-1", "known", 0)],
    "local": [(LOCAL, "B", "patient 123456789", None)],
    "outside": [(LOINC, "9-9", "not in the set", None)],
    "mapped outside": [(LOCAL, "C", None, None), (LOINC, "9-9", None, 0)],
    "no system": [(None, "D", None, None)],
    "wanted": [(LOCAL, "W", None, None)],
    "other known": [(SNOMED, "1", None, None)],
}
TERMINOLOGY = Terminology(
    bindings={LABORATORY: {"test": "vs"}},
    members=pa.table({"url": ["vs", "vs2"], "system": [LOINC, SNOMED], "code": pa.array(["1-1", None], pa.string())}),
    systems=(),
    readers=Readers(
        {
            ("zib_laboratory_test_result", "test"): frozenset("ab"),
            ("zib_laboratory_test_result", "value"): frozenset("c"),
        },
        pa.table({"element": ["zib_laboratory_test_result.test"], "system": [LOCAL], "code": ["W"]}),
    ),
)


def found(folder: Path, test: list[str], unbound: list[str], units: list[tuple[str | None, str | None]]) -> Any:
    width = max(len(test), len(unbound), len(units))

    def padded(values: list[Any]) -> list[Any]:
        return values + [None] * (width - len(values))

    table = pa.table(
        {
            "source_file": ["x.ndjson"] * width,
            "source_line": pa.array(range(1, width + 1), pa.int64()),
            "test_codings_id": pa.array(padded(test), pa.string()),
            "interpretation_codings_id": pa.array(padded(unbound), pa.string()),
            "value_unit": pa.array(padded([unit for unit, _ in units]), pa.string()),
            "value_ucum_code": pa.array(padded([code for _, code in units]), pa.string()),
        }
    )
    codings = [
        {"institution": "a", "codings_id": id_, "position": position, "system": system, "version": None, "code": code,
         "display": display, "mapped_from": mapped_from}
        for id_, codings in LISTS.items()
        for position, (system, code, display, mapped_from) in enumerate(codings)
    ]  # fmt: skip
    pq.write_table(table, folder / "zib_laboratory_test_result.parquet")
    pq.write_table(pa.Table.from_pylist(codings, CODING_SCHEMA), folder / "zib_coding.parquet")
    return find_unmapped(folder, "a", TERMINOLOGY, work=folder).to_pylist()


def test_codes_of_a_bound_element_are_unmapped_or_unknown(tmp_path: Path) -> None:
    rows = found(tmp_path, [*LISTS, "local", "local"], [], [])
    seen = [(r["kind"], r["system"], r["code"], r["count"], r["cost"], r["example_line"]) for r in rows]
    assert seen == [
        ("unmapped", LOCAL, "B", 3, 6, 3),
        ("unknown", LOINC, "9-9", 1, 2, 4),
        ("unknown", SNOMED, "1", 1, 2, 8),
        ("unknown", LOCAL, "C", 1, 2, 5),
        ("unmapped", None, "D", 1, 2, 6),
        ("unmapped", LOCAL, "W", 1, 0, 7),
    ]
    assert {r["code"]: r["display"] for r in rows}["B"] == "patient #"


def test_of_an_element_without_a_value_set_only_local_codes_are_reported(tmp_path: Path) -> None:
    rows = found(tmp_path, [], list(LISTS), [])
    assert {(r["kind"], r["code"]) for r in rows} == {("unmapped", "B"), ("unmapped", "D"), ("unmapped", "W")}
    assert {r["cost"] for r in rows} == {0}


def test_units_that_are_no_ucum_are_reported(tmp_path: Path) -> None:
    units = [("mg/L", "mg/L"), ("pond", "pond"), ("per 12345678 stuks", None), (None, None), ("pond", "pond")]
    rows = found(tmp_path, [], [], units)
    assert [(r["kind"], r["system"], r["code"], r["count"], r["cost"]) for r in rows] == [
        ("unknown", UCUM, "pond", 2, 2), ("unmapped", None, "per # stuks", 1, 1)
    ]  # fmt: skip


def uitkomst(*arguments: object, mappings: Path) -> subprocess.CompletedProcess[str]:
    settings = {"UITKOMST_PSEUDONYM_KEY": KEY, "UITKOMST_MAPPINGS": str(mappings)}
    command_line = [str(UITKOMST), *map(str, arguments)]
    return subprocess.run(command_line, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


@pytest.fixture
def mappings(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT / "mappings", tmp_path / "mappings"))


def test_a_batch_of_csv_lists_its_codes_and_a_concept_map_brings_rows_back(mappings: Path, tmp_path: Path) -> None:
    drop, home = tmp_path / "drop" / "noord", tmp_path / "home"
    drop.mkdir(parents=True)
    (drop / "patient.csv").write_text(
        "Patientnummer;BSN;Geslacht;Geboortedatum;Overlijdensdatum;Bijzonder\nP1;999911120;X;03-02-1950;;x\n"
        "P2;;V;04-02-1950;;\n",
        encoding="utf-8",
    )
    (drop / "diagnose.csv").write_text(
        "Diagnosenummer;Patientnummer;ICD10;Omschrijving;Lokalecode;Status;Begindatum;Einddatum;Registratiedatum\n"
        "D1;P1;;;KNIE1;A;01-03-2024;;\nD2;P2;M17.1;Gonartrose;;A;01-03-2024;;\n",
        encoding="utf-8",
    )
    ran = uitkomst("run", tmp_path / "drop", "--home", home, "--as-of", "2025-12-31", mappings=mappings)
    assert ran.returncode == 0, ran.stderr
    assert "noord/patient.csv: no mapping names column Bijzonder" in ran.stderr
    listed = uitkomst("terminology", "--home", home, "--format", "json", mappings=mappings)
    rows = {row["code"]: row for row in json.loads(listed.stdout)}
    assert rows["KNIE1"]["kind"] == "unmapped"
    assert rows["KNIE1"]["example"] == "noord/diagnose.csv:2"
    (artefact,) = (home / "batches").glob("noord/*/unmapped_code.parquet")
    assert "KNIE1" in pq.read_table(artefact)["code"].to_pylist()
    assert "KNIE1" in uitkomst("terminology", "--home", home, "--institution", "noord", mappings=mappings).stdout
    assert uitkomst("terminology", "--home", home, "--format", "csv", mappings=mappings).stdout.startswith(
        "kind,system"
    )
    maps = mappings / "codes" / "concept_maps" / "hix-example.csv"
    gender = (
        "urn:uitkomststroom:example:hix:geslacht,X,http://hl7.org/fhir/administrative-gender,other,Other,invented\n"
    )
    maps.write_text(maps.read_text(encoding="utf-8") + gender, encoding="utf-8")
    retried = uitkomst("quarantine", "retry", "--home", home, "--rule", "CSV-CODE", mappings=mappings)
    assert retried.returncode == 0, retried.stderr
    assert "2 rows came back, 0 remain" in retried.stdout
    assert (
        json.loads(uitkomst("quarantine", "show", "--home", home, "--format", "json", mappings=mappings).stdout) == []
    )


def test_the_codes_of_a_batch_are_replaced_and_the_dearest_come_first(engine: sa.Engine, tmp_path: Path) -> None:
    counts = BatchCounts(files=1, lines=1, accepted=1, quarantined=0, skipped=0)
    rows = pa.Table.from_pylist(found(tmp_path, list(LISTS), [], [("pond", "pond")]), UNMAPPED_CODE_SCHEMA)
    with transaction(engine) as connection:
        for batch_id in ("b1", "b2"):
            record_batch(
                connection, batch_id=batch_id, institution="a", landed_at=datetime(2026, 3, 1, tzinfo=UTC),
                counts=counts, state="loaded", quarantine=[],
            )  # fmt: skip
            replace_unmapped(connection, batch_id, rows)
        replace_unmapped(connection, "b1", rows)
        stored = read_unmapped(connection, None)
        replace_unmapped(connection, "b1", rows.slice(0, 0))
        half = read_unmapped(connection, "a", limit=1)
    costs = [row["cost"] for row in stored]
    assert costs == sorted((2 * row["cost"] for row in rows.to_pylist()), reverse=True)
    twice = {(r["kind"], r["system"], r["code"], r["element"]): 2 * r["count"] for r in rows.to_pylist()}
    assert {(r["kind"], r["system"], r["code"], r["element"]): r["count"] for r in stored} == twice
    ties = [(r["kind"], r["system"] or "", r["code"]) for r in stored if (r["cost"], r["count"]) == (4, 2)]
    assert ties == sorted(ties), "a code without a system comes first on every database"
    assert "" in {system for _, system, _ in ties}
    assert (half[0]["cost"], half[0]["example"]) == (stored[0]["cost"] // 2, stored[0]["example"])
