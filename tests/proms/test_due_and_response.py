"""Response rates with their denominator, due lists, and the files made of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fhir.resources.R4B.task import Task

from pipelines.indicators.definitions import OutcomeSet, load_outcome_set
from pipelines.indicators.evaluation import evaluate
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments
from pipelines.proms.tables import PromTables, prom_tables
from pipelines.proms.tasks import COLUMNS, due_tasks, write_due

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
INSTRUMENTS = load_instruments(MAPPINGS / "proms")
INDEX = date(2024, 3, 1)
ROLES = load_table_roles(MAPPINGS / "table_roles.yaml")


def outcome_set() -> OutcomeSet:
    return load_outcome_set(MAPPINGS / "outcome_sets" / "knie-heupartrose", MAPPINGS / "codes", INSTRUMENTS, ROLES)


class Story:
    """Patients of one hospital, each with a hip operation, and their HOOS-PS scores."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(
            """CREATE TABLE zib_patient (
                institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, gender VARCHAR,
                birth_date_text VARCHAR, deceased BOOLEAN, death_date_text VARCHAR);
            CREATE TABLE zib_procedure (
                institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, status VARCHAR,
                laterality_snomed_code VARCHAR, start_text VARCHAR, end_text VARCHAR, procedure_codings_id VARCHAR);
            CREATE TABLE zib_coding (
                institution VARCHAR, codings_id VARCHAR, position BIGINT, system VARCHAR, code VARCHAR);
            INSERT INTO zib_coding VALUES ('H1', 'hip', 0, 'http://snomed.info/sct', '52734007');
            CREATE TABLE prom_score (
                institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, questionnaire VARCHAR,
                instrument VARCHAR, instrument_version VARCHAR, score VARCHAR, direction VARCHAR, scored_date DATE,
                raw DOUBLE, value DOUBLE, se DOUBLE, complete_items INTEGER, items INTEGER, missing_rule VARCHAR,
                missing_reason VARCHAR, status VARCHAR, answered_by VARCHAR, scored_by VARCHAR);"""
        )

    def operated(self, patient: str, on: date = INDEX, *, status: str = "completed", died: date | None = None) -> None:
        self.connection.execute(
            "INSERT INTO zib_patient VALUES ('H1', ?, ?, NULL, NULL, ?, ?)", [patient, patient, bool(died), died]
        )
        self.connection.execute(
            "INSERT INTO zib_procedure VALUES ('H1', ?, ?, ?, NULL, ?, NULL, 'hip')",
            [f"op-{patient}", patient, status, on],
        )

    def answered(
        self, patient: str, day: int, value: float | None = 20.0, reason: str | None = None, by: str = "patient"
    ) -> None:
        self.connection.execute(
            """INSERT INTO prom_score VALUES (
                'H1', ?, ?, 'q', 'hoos-ps', '1.0', 'score', 'higher_is_worse', ?, 1, ?, NULL, 5, 5, NULL, ?,
                'completed', ?, 'uitkomststroom')""",
            [patient, f"r-{patient}-{day}", INDEX + timedelta(days=day), value, reason, by],
        )

    def tables(self, as_of: date) -> PromTables:
        evaluate(self.connection, outcome_set(), ROLES, as_of)
        return prom_tables(self.connection, outcome_set(), INSTRUMENTS, as_of)

    def rate(self, moment: str, as_of: date) -> Mapping[str, Any]:
        rows = self.tables(as_of).prom_response_rate.to_pylist()
        (row,) = [r for r in rows if (r["instrument"], r["moment"]) == ("hoos-ps", moment)]
        return row

    def due(self, as_of: date, instrument: str = "hoos-ps") -> dict[tuple[str, str], str]:
        rows = self.tables(as_of).prom_due.to_pylist()
        return {(r["patient_key"], r["moment"]): r["state"] for r in rows if r["instrument"] == instrument}


def test_the_denominator_is_every_closed_window_and_the_counts_add_up() -> None:
    story = Story()
    for patient in ("scored", "no score", "unfinished", "late", "nothing", "dead"):
        story.operated(patient, died=INDEX + timedelta(days=40) if patient == "dead" else None)
    story.operated("recent", INDEX + timedelta(days=300))
    story.answered("scored", 91)
    story.answered("no score", 91, None, "item missing")
    story.answered("unfinished", 91, None, "response not finished")
    story.answered("late", 120)
    row = story.rate("3m", INDEX + timedelta(days=350))
    counts = {name: row[name] for name in row if isinstance(row[name], int)}
    assert counts == {
        "index_events": 7, "window_open": 1, "denominator": 6, "scored": 1, "not_scorable": 1, "proxy_refused": 0,
        "unfinished": 1, "late": 1, "no_response": 2, "deceased": 1,
    }  # fmt: skip
    kinds = ("scored", "not_scorable", "proxy_refused", "unfinished", "late", "no_response")
    assert sum(row[kind] for kind in kinds) == row["denominator"]
    assert (row["response_rate"], row["scored_rate"]) == (pytest.approx(2 / 6), pytest.approx(1 / 6))


def test_without_a_closed_window_there_is_no_rate() -> None:
    story = Story()
    story.operated("p")
    row = story.rate("12m", INDEX + timedelta(days=10))
    assert (row["denominator"], row["response_rate"]) == (0, None)


@pytest.mark.parametrize(
    ("days", "state"), [(10, "upcoming"), (62, "upcoming"), (63, "open"), (110, "open"), (111, None)]
)
def test_a_patient_is_due_until_the_window_closes(days: int, state: str | None) -> None:
    story = Story()
    story.operated("p")
    assert story.due(INDEX + timedelta(days=days)).get(("p", "3m")) == state


@pytest.mark.parametrize(
    ("value", "reason", "by", "state"),
    [
        (20.0, None, "patient", None),
        (None, "item missing", "patient", None),  # answered, though it cannot be scored
        (None, "response not finished", "patient", "started"),
        (None, "entered in error", "patient", "open"),
        (20.0, None, "proxy", None),  # the set takes a proxy as last choice
    ],
)
def test_an_answer_in_the_window_ends_it(value: float | None, reason: str | None, by: str, state: str | None) -> None:
    story = Story()
    story.operated("p")
    story.answered("p", 70, value, reason, by)
    assert story.due(INDEX + timedelta(days=80)).get(("p", "3m")) == state


def test_the_dead_are_not_asked() -> None:
    story = Story()
    story.operated("p", died=INDEX + timedelta(days=20))
    assert story.due(INDEX + timedelta(days=30)) == {}


def test_before_a_planned_operation_only_the_first_questionnaires_are_due() -> None:
    story = Story()
    story.operated("p", INDEX, status="preparation")
    assert story.due(INDEX - timedelta(days=20)) == {("p", "pre"): "open"}
    assert story.due(INDEX - timedelta(days=200)) == {("p", "pre"): "upcoming"}
    assert story.due(INDEX + timedelta(days=1)) == {}


def test_a_due_row_tells_from_when_until_when() -> None:
    story = Story()
    story.operated("p")
    row = next(
        r for r in story.tables(INDEX).prom_due.to_pylist() if (r["instrument"], r["moment"]) == ("eq-5d-5l", "3m")
    )
    assert row == {
        "outcome_set": "knie-heupartrose", "institution": "H1", "patient_key": "p", "cohort": "hip",
        "index_key": "op-p", "index_date": INDEX, "planned": False, "instrument": "eq-5d-5l",
        "instrument_version": "NL-2016", "questionnaire": "http://uitkomststroom.nl/fhir/Questionnaire/eq-5d-5l|1.0",
        "moment": "3m", "due_from": date(2024, 5, 3), "due_until": date(2024, 6, 19), "target_date": date(2024, 5, 31),
        "state": "upcoming", "as_of": INDEX,
    }  # fmt: skip


def test_scores_carry_their_moment_and_every_score_is_there_once() -> None:
    story = Story()
    story.operated("p")
    story.operated("stranger to the set", INDEX, status="entered-in-error")
    story.answered("p", -3)
    story.answered("p", 91, None, "item missing")
    story.answered("p", 200)
    story.answered("stranger to the set", 10)
    rows = story.tables(date(2025, 12, 31)).prom_score.to_pylist()
    found = [(r["patient_key"], r["moment"], r["place"], r["days_from_index"], r["missing_reason"]) for r in rows]
    assert sorted(found, key=str) == sorted(
        [
            ("p", "pre", "chosen", -3, None),
            ("p", "3m", "no score", 91, "item missing"),
            ("p", "3m", "too late", 200, None),
            ("stranger to the set", None, None, None, None),
        ],
        key=str,
    )


def test_due_lists_are_written_as_csv_and_as_valid_fhir_tasks(tmp_path: Path) -> None:
    story = Story()
    story.operated("p")
    story.answered("p", 70, None, "response not finished")
    rows = story.tables(INDEX + timedelta(days=80)).prom_due.to_pylist()
    table, tasks = write_due(rows, tmp_path / "due", "H1")
    with table.open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert tuple(listed[0]) == COLUMNS
    assert len(listed) == len(rows) == 6  # three questionnaires, after 3 and after 12 months
    written = [json.loads(line) for line in tasks.read_text(encoding="utf-8").splitlines()]
    for task in written:
        valid = Task.model_validate(task)
        assert valid.intent == "order"
    first = next(t for t in written if "hoos-ps" in t["instantiatesCanonical"] and t["status"] == "in-progress")
    assert first["for"]["identifier"]["value"] == "p"
    assert first["restriction"]["period"] == {"start": "2024-05-03", "end": "2024-06-19"}
    assert len({t["id"] for t in written}) == 6
    assert [t["id"] for t in due_tasks(rows)] == [t["id"] for t in written]
    assert list((tmp_path / "due").glob("*.aside")) == []
