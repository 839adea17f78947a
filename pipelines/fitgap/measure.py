"""Measuring data elements on the lake: one aggregation per table, all institutions and elements at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import assert_never

import duckdb

from pipelines.fitgap.aside import measure_accepted
from pipelines.fitgap.linked import indexes_of, measure_moments, patients_sql, prepare_linked, rows_sql
from pipelines.fitgap.tables import prepare_rows
from pipelines.indicators.requirements import (
    LATERALITY,
    AllRows,
    AtMoment,
    Check,
    CodedRows,
    Deceased,
    IndexPatients,
    Requirement,
    Responses,
    Role,
)
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.instruments import Instrument
from pipelines.sqlonfhir.values import quote

_DEAD = "(coalesce(deceased, false) OR date_text IS NOT NULL)"
_FILLED = {Role.CODE: "(code IS NOT NULL OR len(systems) > 0)", Role.LATERALITY: "laterality IS NOT NULL"}
_DELAY = "date_diff('day', date, available)"


@dataclass(frozen=True, slots=True)
class Count:
    """How many of `whole` cases pass a check."""

    part: int
    whole: int

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None without cases."""
        return self.part / self.whole if self.whole else None


@dataclass(slots=True)
class Measured:
    """What was measured of one element at one institution; `median_days` and `p90_days` of its delay, if it has one."""

    counts: dict[Check, Count] = field(default_factory=dict)
    median_days: float | None = None
    p90_days: float | None = None


Measurements = dict[tuple[str, str], Measured]
"""By institution and element."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """What is read beside the lake: value sets by name, instruments, columns, and limits in days by role."""

    value_sets: Mapping[str, ValueSet]
    instruments: Sequence[Instrument]
    roles: Mapping[str, TableRoles]
    timely_days: Mapping[Role, int]


def measure(
    connection: duckdb.DuckDBPyConnection,
    requirements: Sequence[Requirement],
    definitions: Definitions,
    as_of: date,
    quarantine: Sequence[Path] = (),
) -> tuple[list[str], Measurements]:
    """Measure every element on the tables that `Lake.attach` gave the connection.

    Args:
        requirements: of any number of outcome sets; equal elements are measured once.
        as_of: a window that has not passed by then says nothing yet.
        quarantine: the `quarantine.ndjson` of every batch.

    Returns:
        the institutions that have rows or a quarantine, and what was measured; every element has every check that
        a requirement asks for, with 0 of 0 where there was nothing to look at.
    """
    institutions = prepare_rows(connection, requirements, definitions.roles, definitions.value_sets)
    prepare_linked(connection, requirements, definitions.instruments)
    accepted = list(measure_accepted(connection, _tables(requirements), definitions.roles, quarantine))
    institutions = sorted({*institutions, *(institution for institution, *_ in accepted)})
    found: Measurements = {(name, need.element): Measured() for name in institutions for need in requirements}
    by_source: dict[str, dict[tuple[str, Check], _Expression]] = defaultdict(dict)
    for expression in _expressions(requirements, definitions):
        by_source[expression.source][expression.element, expression.check] = expression
    for source, expressions in by_source.items():
        _aggregate(connection, source, list(expressions.values()), found)
    for institution, element, check, part, whole in measure_moments(connection, requirements, as_of):
        found[institution, element].counts[check] = Count(part, whole)
    for institution, table, part, whole in accepted:
        for need in requirements:
            if need.table == table and Check.ACCEPTED in need.checks:
                found[institution, need.element].counts[Check.ACCEPTED] = Count(part, whole)
    for need in requirements:
        for institution in institutions:
            for check in need.checks:
                found[institution, need.element].counts.setdefault(check, Count(0, 0))
    return institutions, found


@dataclass(frozen=True, slots=True)
class _Expression:
    """SQL conditions over the rows of `source`: of the rows that are `whole`, which are `part`."""

    element: str
    check: Check
    source: str
    part: str
    whole: str


def _aggregate(
    connection: duckdb.DuckDBPyConnection, source: str, expressions: Sequence[_Expression], found: Measurements
) -> None:
    columns = []
    for each in expressions:
        columns += [f"count(*) FILTER ({each.whole} AND {each.part})", f"count(*) FILTER ({each.whole})"]
        if each.check == Check.TIMELY:
            columns += [f"quantile_cont({_DELAY}, {at}) FILTER ({each.whole})" for at in (0.5, 0.9)]
    rows = connection.sql(f"SELECT institution, {', '.join(columns)} FROM {source} GROUP BY institution").fetchall()
    for institution, *row in rows:
        values = iter(row)
        for each in expressions:
            measured = found[str(institution), each.element]
            measured.counts[each.check] = Count(int(next(values)), int(next(values)))
            if each.check == Check.TIMELY:
                measured.median_days, measured.p90_days = next(values), next(values)


def _expressions(requirements: Sequence[Requirement], definitions: Definitions) -> Iterator[_Expression]:
    for need in requirements:
        if isinstance(need.scope, AtMoment):
            continue  # measured by `measure_moments`: it is about index events, not about rows of a table
        source, rows = _source(need)
        for check in need.checks:
            if check == Check.ACCEPTED:
                continue  # measured by `measure_accepted`: it is about what is not in the table
            part, whole = _condition(check, need, rows, requirements, definitions)
            yield _Expression(need.element, check, source, f"({part})", f"({whole})")


def _source(need: Requirement) -> tuple[str, str]:
    """The table with the rows that the requirement is about, and the condition that picks them."""
    match need.scope:
        case AllRows():
            return f"fit_{need.table}", "true"
        case CodedRows() as rows:
            return f"fit_{need.table}", rows_sql(rows)
        case IndexPatients() as patients:
            return "fit_patient", patients_sql(patients)
        case Deceased():
            return "fit_patient", _DEAD
        case Responses(instrument, None):
            return "fit_response", f"coalesce(instrument = {quote(instrument)}, false)"
        case Responses(instrument, score):
            return "prom_score", f"instrument = {quote(instrument)} AND score = {quote(str(score))}"
        case AtMoment():
            raise AssertionError("index events are measured by measure_moments")
        case never:
            assert_never(never)


def _condition(
    check: Check, need: Requirement, rows: str, requirements: Sequence[Requirement], definitions: Definitions
) -> tuple[str, str]:
    """What has to hold, and for which rows of the source."""
    match check:
        case Check.PRESENT:
            return "true", "true"
        case Check.FOUND | Check.RECOGNISED:
            return rows, "true"
        case Check.RECORDED:
            return _DEAD, rows
        case Check.FILLED:
            return _FILLED.get(need.role, "date IS NOT NULL"), rows
        case Check.CODED:
            return "len(systems) > 0", _FILLED[Role.CODE]
        case Check.SYSTEM:
            return (
                f"list_has_any(systems, {_list(_systems(need.table, requirements, definitions))})",
                "len(systems) > 0",
            )
        case Check.VALUE_SET:
            codes = [code.code for code in definitions.value_sets[need.value_set or LATERALITY].codes]
            return f"list_contains({_list(codes)}, laterality)", f"{rows} AND laterality IS NOT NULL"
        case Check.TIMELY:
            limit = definitions.timely_days[need.role]
            return f"{_DELAY} <= {limit}", f"{rows} AND date IS NOT NULL AND NOT is_backlog"
        case Check.LINKABLE:
            return "is_linked", rows
        case Check.INDEX_PATIENT:
            instrument = need.scope.instrument if isinstance(need.scope, Responses) else ""
            return f"list_has_any(index_of, {_list(indexes_of(requirements, instrument))})", rows
        case Check.COMPLETE:
            return "value IS NOT NULL", rows
        case Check.ACCEPTED | Check.FOLLOWED | Check.ANSWERED | Check.MOMENT:
            raise AssertionError(f"{check} is not about rows of a table")
        case never:
            assert_never(never)


def _tables(requirements: Sequence[Requirement]) -> list[str]:
    return sorted({need.table for need in requirements})


def _systems(table: str, requirements: Sequence[Requirement], definitions: Definitions) -> list[str]:
    """The code systems of all value sets that select rows of the table."""
    names = {need.scope.value_set for need in requirements if need.table == table and isinstance(need.scope, CodedRows)}
    return sorted({code.system for name in names for code in definitions.value_sets[name].codes})


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quote, texts))}]::VARCHAR[]"
