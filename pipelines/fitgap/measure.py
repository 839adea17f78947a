"""Measuring data elements on the lake: one aggregation per table, all institutions and elements at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import assert_never

import duckdb

from pipelines.fitgap.aside import measure_accepted
from pipelines.fitgap.linked import indexes_of, measure_moments, patients_sql, prepare_linked
from pipelines.fitgap.members import link_column, member_columns
from pipelines.fitgap.tables import prepare_rows
from pipelines.indicators.elements import (
    LATERALITY,
    AllRows,
    AnyTable,
    AtMoment,
    Check,
    Deceased,
    Detail,
    IndexPatients,
    Link,
    Requirement,
    Responses,
    Role,
    Selected,
    tables_of,
)
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.instruments import Instrument
from pipelines.sqlonfhir.values import quote

_DEAD = "(coalesce(deceased, false) OR date_text IS NOT NULL)"
_FILLED = {Role.CODE: "(code IS NOT NULL OR len(systems) > 0)", Role.LATERALITY: "laterality IS NOT NULL"}
_COMPLETE_DATE = "length({column}::VARCHAR) >= 10"
_INSTANT = r"regexp_matches({column}::VARCHAR, '^\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$')"
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
    institutions = prepare_rows(connection, requirements, definitions.roles, definitions.value_sets, as_of)
    prepare_linked(connection, requirements, member_columns(requirements), definitions.instruments)
    tables = sorted({table for need in requirements for table in tables_of(need)})
    accepted = list(measure_accepted(connection, tables, definitions.roles, quarantine))
    institutions = sorted({*institutions, *(institution for institution, *_ in accepted)})
    found: Measurements = {(name, need.element): Measured() for name in institutions for need in requirements}
    by_source: dict[str, dict[tuple[str, Check], _Expression]] = defaultdict(dict)
    for expression in _Conditions(requirements, definitions).expressions():
        by_source[expression.source][expression.element, expression.check] = expression
    for source, expressions in by_source.items():
        _aggregate(connection, source, list(expressions.values()), found)
    for institution, element, check, part, whole in measure_moments(connection, requirements, as_of):
        found[institution, element].counts[check] = Count(part, whole)
    by_table = {(institution, table): Count(part, whole) for institution, table, part, whole in accepted}
    for need in _once(requirements):
        for institution in institutions:
            counts = found[institution, need.element].counts
            if Check.ACCEPTED in need.checks:
                counts[Check.ACCEPTED] = by_table.get((institution, need.table), Count(0, 0))
            for check in need.checks:
                counts.setdefault(check, Count(0, 0))
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
            before = measured.counts.get(each.check, Count(0, 0))  # an element may stand in several tables
            part, whole = int(next(values)), int(next(values))
            measured.counts[each.check] = Count(before.part + part, before.whole + whole)
            if each.check == Check.TIMELY:
                measured.median_days, measured.p90_days = next(values), next(values)


def _once(requirements: Iterable[Requirement]) -> list[Requirement]:
    """A requirement for each element and checks."""
    return list({(need.element, need.checks): need for need in requirements}.values())


class _Conditions:
    """The SQL conditions of every check that is about rows."""

    def __init__(self, requirements: Sequence[Requirement], definitions: Definitions) -> None:
        self._requirements = requirements
        self._definitions = definitions
        self._members = member_columns(requirements)
        self._systems: dict[str, list[str]] = {}

    def expressions(self) -> Iterator[_Expression]:
        """What to measure; moments are about index events, and accepting about what is not in a table."""
        for need in _once(self._requirements):
            if isinstance(need.scope, AtMoment):
                continue
            for source, rows in self._sources(need):
                for check in need.checks:
                    if check != Check.ACCEPTED:
                        part, whole = self._condition(check, need, rows)
                        yield _Expression(need.element, check, source, f"({part})", f"({whole})")

    def _sources(self, need: Requirement) -> Iterator[tuple[str, str]]:
        """The tables with the rows that the requirement is about, and the condition that picks them."""
        match need.scope:
            case AllRows():
                yield f"fit_{need.table}", "true"
            case AnyTable(tables):
                yield from ((f"fit_{table}", "true") for table in tables)
            case Selected(selection):
                for table in sorted({rows.table for rows in selection}):
                    own = [self._members[rows] for rows in selection if rows.table == table]
                    yield f"fit_{table}", f"({' OR '.join(own)})"
            case Detail(rows=rows) | Link(rows=rows):
                yield f"fit_{need.table}", self._members[rows]
            case IndexPatients(index):
                yield "fit_patient", patients_sql(index)
            case Deceased():
                yield "fit_patient", _DEAD
            case Responses(instruments, None):
                yield "fit_response", f"list_contains({_list(instruments)}, instrument) IS TRUE"
            case Responses(instruments, score):
                yield (
                    "prom_score",
                    f"instrument IN ({', '.join(map(quote, instruments))}) AND score = {quote(str(score))}",
                )
            case AtMoment():
                raise AssertionError("index events are measured by measure_moments")
            case never:
                assert_never(never)

    def _condition(self, check: Check, need: Requirement, rows: str) -> tuple[str, str]:
        """What has to hold, and for which rows of the source."""
        match check:
            case Check.PRESENT:
                return "true", "true"
            case Check.FOUND | Check.RECOGNISED:
                return rows, "true"
            case Check.RECORDED:
                return _DEAD, rows
            case Check.FILLED:
                return _filled(need), rows
            case Check.DETAILED:
                return f"in_{need.columns[0]} IS NOT NULL", rows
            case Check.RESOLVED if isinstance(need.scope, Link):
                return link_column(need.scope), f"{rows} AND in_{need.columns[0]} IS NOT NULL"
            case Check.ENDED | Check.CLOSED:
                return f"coalesce({_COMPLETE_DATE.format(column=f'in_{need.columns[0]}')}, false)", rows
            case Check.PRECISE:
                return f"coalesce({_INSTANT.format(column=f'in_{need.columns[0]}')}, false)", rows
            case Check.CODED:
                return "len(systems) > 0", _FILLED[Role.CODE]
            case Check.SYSTEM:
                return self._system(need, rows)
            case Check.VALUE_SET:
                codes = [code.code for code in self._definitions.value_sets[LATERALITY].codes]
                return f"list_contains({_list(codes)}, laterality)", f"{rows} AND laterality IS NOT NULL"
            case Check.TIMELY:
                limit = self._definitions.timely_days[need.role]
                return f"{_DELAY} <= {limit}", f"{rows} AND date IS NOT NULL AND NOT is_backlog"
            case Check.LINKABLE:
                return "is_linked", rows
            case Check.INDEX_PATIENT:
                instruments = need.scope.instruments if isinstance(need.scope, Responses) else ()
                return f"list_has_any(index_of, {_list(indexes_of(self._requirements, instruments))})", rows
            case Check.COMPLETE:
                return "value IS NOT NULL", rows
            case _:
                raise AssertionError(f"{check} is not about rows of a table")

    def _system(self, need: Requirement, rows: str) -> tuple[str, str]:
        """A coding in a system that value sets use: those of the column, or all that select rows of the table."""
        if isinstance(need.scope, Detail):
            place = f"systems_{need.scope.column}"
            systems = _list(self._systems_of({need.scope.value_set}))
            return f"list_has_any({place}, {systems})", f"{rows} AND len({place}) > 0"
        systems = _list(self._of_table(need.table))
        return f"list_has_any(systems, {systems})", "len(systems) > 0"

    def _of_table(self, table: str) -> list[str]:
        if table not in self._systems:
            names = {rows.codes for rows in self._members if rows.table == table and rows.codes is not None}
            self._systems[table] = self._systems_of(names)
        return self._systems[table]

    def _systems_of(self, names: Collection[str]) -> list[str]:
        return sorted({code.system for name in names for code in self._definitions.value_sets[name].codes})


def _filled(need: Requirement) -> str:
    """Whether the column has a value that can be used."""
    name = f"in_{need.columns[0]}"
    match need.role:
        case Role.CODE | Role.LATERALITY:
            return _FILLED[need.role]
        case Role.VALUE:
            return f"{name} IS NOT NULL AND bound_{need.columns[0]} IS NULL"
        case Role.BIRTH_DATE:
            return f"{name} IS NOT NULL"
        case Role.SEX:
            return f"coalesce({name}::VARCHAR <> 'unknown', false)"
        case _:
            return "date IS NOT NULL"


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quote, texts))}]::VARCHAR[]"
