"""Patients, operations and scores of a test case, and the tables of docs/tables.md made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date
from functools import cache
from pathlib import Path

import duckdb

from pipelines.indicators.definitions import OutcomeSet, load_outcome_set
from pipelines.proms.instruments import load_instruments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
SNOMED = "http://snomed.info/sct"
LEFT, RIGHT, BOTH = "7771000", "24028007", "51440002"


@dataclass(frozen=True)
class Patient:
    """A row of zib_patient."""

    institution: str
    resource_key: str
    patient_key: str
    deceased: bool | None = None
    death_date: date | None = None


@dataclass(frozen=True)
class Procedure:
    """A row of zib_procedure; `more_codes` are codings after the first, as (system, code)."""

    institution: str
    resource_key: str
    patient_key: str | None
    system: str
    code: str
    start_date: date | None
    laterality: str | None = None
    status: str = "completed"
    more_codes: tuple[tuple[str, str], ...] = ()

    @property
    def codings(self) -> tuple[tuple[str, str], ...]:
        return ((self.system, self.code), *self.more_codes)


@dataclass(frozen=True)
class Score:
    """A row of prom_score."""

    institution: str
    resource_key: str
    patient_key: str | None
    instrument: str
    score: str
    scored_date: date | None
    value: float | None

    @property
    def direction(self) -> str:
        return "higher_is_better" if self.instrument == "eq-5d-5l" else "higher_is_worse"


@dataclass(frozen=True)
class Record:
    """All there is about some patients."""

    patients: Sequence[Patient] = ()
    procedures: Sequence[Procedure] = ()
    scores: Sequence[Score] = ()


@cache
def knie_heupartrose() -> OutcomeSet:
    """The outcome set as it is in mappings/."""
    instruments = load_instruments(MAPPINGS / "proms")
    return load_outcome_set(MAPPINGS / "outcome_sets" / "knie-heupartrose", MAPPINGS / "codes", instruments)


_TABLES = """
CREATE OR REPLACE TABLE zib_patient (
    institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, deceased BOOLEAN, death_date DATE);
CREATE OR REPLACE TABLE zib_procedure (
    institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, status VARCHAR, procedure_codings_id VARCHAR,
    laterality_snomed_code VARCHAR, start_date DATE);
CREATE OR REPLACE TABLE zib_coding (
    institution VARCHAR, codings_id VARCHAR, position BIGINT, system VARCHAR, code VARCHAR,
    PRIMARY KEY (institution, codings_id, position));
CREATE OR REPLACE TABLE prom_score (
    institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, instrument VARCHAR, instrument_version VARCHAR,
    score VARCHAR, direction VARCHAR, scored_date DATE, value DOUBLE, missing_reason VARCHAR, status VARCHAR,
    answered_by VARCHAR, scored_by VARCHAR);
"""


def fill_tables(connection: duckdb.DuckDBPyConnection, record: Record) -> None:
    """Create the tables that an outcome set is computed from."""
    connection.execute(_TABLES)
    for patient in record.patients:
        connection.execute("INSERT INTO zib_patient VALUES (?, ?, ?, ?, ?)", astuple(patient))
    for p in record.procedures:
        codings_id = repr(p.codings)
        connection.execute(
            "INSERT INTO zib_procedure VALUES (?, ?, ?, ?, ?, ?, ?)",
            (p.institution, p.resource_key, p.patient_key, p.status, codings_id, p.laterality, p.start_date),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO zib_coding VALUES (?, ?, ?, ?, ?)",
            [(p.institution, codings_id, position, *coding) for position, coding in enumerate(p.codings)],
        )
    for s in record.scores:
        connection.execute(
            "INSERT INTO prom_score VALUES (?, ?, ?, ?, '1', ?, ?, ?, ?, ?, 'completed', 'patient', 'uitkomststroom')",
            (s.institution, s.patient_key, s.resource_key, s.instrument, s.score, s.direction, s.scored_date, s.value,
             "item missing" if s.value is None else None),
        )  # fmt: skip
