"""Made-up patients as rows: a line of a story is a row that satisfies an event as it is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.events import Comparison, RowEvent, ScoreEvent
from pipelines.indicators.measures.sql import BOTH_SIDES
from pipelines.indicators.references import PATIENT_TABLE
from pipelines.indicators.table_roles import TableRoles
from pipelines.proms.instruments import Instrument

DAY_0 = date(2024, 1, 15)
INSTITUTION = "voorbeeld"
SIDES = {"left": "7771000", "right": "24028007", "both": BOTH_SIDES, "unknown": None}
"""Nictiz LateraliteitCodelijst 2.16.840.1.113883.2.4.3.11.60.40.2.20.7.2."""

Row = dict[str, Any]

_CODINGS = ["institution", "codings_id", "position", "system", "code"]
_SCORE = ["institution", "patient_key", "resource_key", "instrument", "instrument_version", "score", "direction",
          "scored_date", "value", "missing_reason", "status", "answered_by", "scored_by"]  # fmt: skip
_PATIENT = ["gender", "birth_date_text"]
_PROBLEM = ["recorded_date_text"]


class StoryError(ValueError):
    """A line that cannot be told, in words for its author."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happens. `moment` and `until` as they would be written; `changes` are columns to override.

    Either `event` or `score` (instrument, score) says what it is.
    """

    moment: str | None
    event: str | None = None
    score: tuple[str, str] | None = None
    until: str | None = None
    value: float | None = None
    side: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str | None] = field(default_factory=dict)


def written(day: int | str | None) -> str | None:
    """A day of a story as it would be written; a text stays as it is."""
    return (DAY_0 + timedelta(days=day)).isoformat() if isinstance(day, int) else day


def columns_read(outcome_set: OutcomeSet, roles: Mapping[str, TableRoles]) -> dict[str, dict[str, str]]:
    """Per table the columns that measuring this set reads, with their DuckDB type."""
    tables: dict[str, dict[str, str]] = {PATIENT_TABLE: dict.fromkeys(_PATIENT, "VARCHAR")}
    for event in outcome_set.events.values():
        if isinstance(event, RowEvent):
            named = [column for one in event.where or [] for column in one] + list(event.linked)
            tables.setdefault(event.table, {}).update(dict.fromkeys(named, "VARCHAR"))
            if event.value_column is not None:
                tables[event.table][event.value_column] = "DOUBLE"
    if outcome_set.charlson is not None:
        tables.setdefault("zib_problem", {}).update(dict.fromkeys(_PROBLEM, "VARCHAR"))
    for table, columns in tables.items():
        role = roles[table]
        parts = role.patient, role.codings, role.status, role.start_text, role.end_text, role.laterality
        texts = ("institution", "resource_key", *parts, *role.comparators.values())
        columns.update({name: "VARCHAR" for name in texts if name is not None})
        columns.update({name: "DOUBLE" for name in (role.value, *role.comparators) if name is not None})
        if role.deceased is not None:
            columns[role.deceased] = "BOOLEAN"
    return tables


class StoryTables:
    """Collects the rows of stories, and fills the tables that an outcome set is measured from."""

    def __init__(
        self, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], instruments: Sequence[Instrument]
    ) -> None:
        self._set, self._roles = outcome_set, roles
        self._columns = columns_read(outcome_set, roles)
        self._directions = {(i.id, rule.score): rule.direction for i in instruments for rule in i.scores}
        self._rows: dict[str, list[Row]] = {table: [] for table in self._columns}
        self._codings: dict[str, Sequence[tuple[str, str]]] = {}
        self._scores: list[Row] = []

    def tell(self, patient: str, record: Mapping[str, Any] | None, story: Sequence[Line]) -> None:
        """Add a patient: `record` holds the columns of `zib_patient` (None: no record). Line n has key `patient-n`.

        Raises:
            StoryError: a line cannot be a row.
        """
        person: Row = {"resource_key": f"{patient}-00", "patient_key": patient, **(record or {})}
        for number, line in enumerate(story, start=1):
            key = f"{patient}-{number:02}"
            if line.score is not None:
                self._add_score(patient, key, *line.score, line)
            elif line.event is not None and line.event in self._set.events:
                self._add_event(patient, key, line, person)
            else:
                raise StoryError(f"the set has no event {line.event}; it has {', '.join(self._set.events)}")
        if record is not None:
            self._add(PATIENT_TABLE, person, {})

    def _add_event(self, patient: str, key: str, line: Line, person: Row) -> None:
        event = self._set.events[str(line.event)]
        match event:
            case RowEvent(table=table) if table == PATIENT_TABLE:
                role = self._roles[table]
                self._check_columns(table, line.changes)
                person.update({str(role.deceased): True, str(role.start_text): line.moment, **line.changes})
            case RowEvent():
                self._add_row(patient, key, event, line)
            case ScoreEvent():
                self._add_score(patient, key, event.instrument, event.score, line, event.value)
            case _:
                raise StoryError(f"event {line.event} is made of others: tell those")

    def _add_row(self, patient: str, key: str, event: RowEvent, line: Line) -> None:
        role = self._roles[event.table]
        row: Row = {"resource_key": key}
        if role.patient:
            row[role.patient] = patient
        if role.status and event.status:
            row[role.status] = event.status[0]
        self._add_codes(row, event, role)
        self._add_moments(row, event, role, line)
        column = event.value_column or role.value
        value = line.value if line.value is not None or event.value is None else inside(event.value)
        if value is not None:
            if column is None:
                raise StoryError(f"event {line.event} has no value")
            row[column] = value
        if line.side is not None:
            if role.laterality is None:
                raise StoryError(f"event {line.event} has no side")
            row[role.laterality] = SIDES[line.side]
        for place, (column_of_link, target) in enumerate({**event.linked, **line.links}.items(), start=1):
            row[column_of_link] = None if target is None else self._add_linked(patient, f"{key}.{place}", target, line)
        self._add(event.table, row, line.changes)

    def _add_linked(self, patient: str, key: str, target: str, line: Line) -> str:
        event = self._set.events.get(target)
        if not isinstance(event, RowEvent):
            raise StoryError(f"a link goes to an event on rows of a table; {target} is none")
        self._add_row(patient, key, event, Line(line.moment, target))
        return key

    def _add_codes(self, row: Row, event: RowEvent, role: TableRoles) -> None:
        codings: dict[str, list[tuple[str, str]]] = {}
        wanted = [(role.codings, event.codes)] if role.codings and event.codes else []
        for column, value_set in [*wanted, *(event.where[0].items() if event.where else [])]:
            code = self._set.value_sets[str(value_set)].codes[0]
            if column.endswith("_codings_id"):
                codings.setdefault(column, []).append((code.system, code.code))
            else:
                row[column] = code.code
        for column, found in codings.items():
            row[column] = "+".join(f"{system}|{code}" for system, code in found)
            self._codings[row[column]] = found

    @staticmethod
    def _add_moments(row: Row, event: RowEvent, role: TableRoles, line: Line) -> None:
        if role.start_text:
            row[role.start_text] = line.moment
        until = line.moment if event.at == "end" and line.until is None else line.until
        if until is not None:
            if role.end_text is None:
                raise StoryError(f"event {line.event} has no end")
            row[role.end_text] = until

    def _add_score(
        self, patient: str, key: str, instrument: str, score: str, line: Line, must_be: Comparison | None = None
    ) -> None:
        if (instrument, score) not in self._directions:
            raise StoryError(f"no instrument gives {instrument}/{score}")
        value = line.value if line.value is not None or must_be is None else inside(must_be)
        row: Row = {
            "institution": INSTITUTION, "patient_key": patient, "resource_key": key, "instrument": instrument,
            "instrument_version": "1", "score": score, "direction": self._directions[instrument, score],
            "scored_date": line.moment, "value": value, "missing_reason": "item missing" if value is None else None,
            "status": "completed", "answered_by": "patient", "scored_by": "uitkomststroom",
        }  # fmt: skip
        if unknown := set(line.changes) - set(_SCORE):
            raise StoryError(f"prom_score has no column {', '.join(sorted(unknown))}; it has {', '.join(_SCORE)}")
        self._scores.append({**row, **line.changes})

    def _add(self, table: str, row: Row, changes: Mapping[str, Any]) -> None:
        self._check_columns(table, changes)
        self._rows[table].append({"institution": INSTITUTION, **row, **changes})

    def _check_columns(self, table: str, changes: Mapping[str, Any]) -> None:
        if unknown := set(changes) - set(self._columns[table]):
            known = ", ".join(sorted(self._columns[table]))
            raise StoryError(f"of {table} no column {', '.join(sorted(unknown))} is read; those that are: {known}")

    def fill(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the tables in the connection."""
        for table, columns in self._columns.items():
            _create(connection, table, columns, self._rows[table])
        codings = [
            dict(zip(_CODINGS, (INSTITUTION, name, position, *coding), strict=True))
            for name, found in self._codings.items()
            for position, coding in enumerate(found)
        ]
        _create(connection, "zib_coding", {c: "BIGINT" if c == "position" else "VARCHAR" for c in _CODINGS}, codings)
        types = {"scored_date": "DATE", "value": "DOUBLE"}
        _create(connection, "prom_score", {c: types.get(c, "VARCHAR") for c in _SCORE}, self._scores)


def inside(comparison: Comparison) -> float:
    """A number in the range: its edge when that belongs to it."""
    for bound in (comparison.at_least, comparison.at_most):
        if bound is not None:
            return bound
    low, high = comparison.more_than, comparison.less_than
    if low is not None and high is not None:
        return (low + high) / 2
    return low + 1 if low is not None else (high or 0.0) - 1


def _create(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    texts = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in columns}
    staged = pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})
    connection.register("staged_rows", staged)
    typed = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {typed} FROM staged_rows")
    connection.unregister("staged_rows")
