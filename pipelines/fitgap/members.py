"""Which rows of a table belong to which selection, as columns: each condition is evaluated once, however often used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from pipelines.indicators.elements import Detail, Link, Requirement, Role, all_rows_in, selections_in
from pipelines.indicators.selections import Rows, Selection
from pipelines.indicators.value_sets import ValueSet
from pipelines.sqlonfhir.values import quote

CODINGS = "_codings_id"
"""How a column ends that stands for all codings of a coded element."""

_WITH_COLUMN = (
    Role.LINK, Role.DETAIL, Role.VALUE, Role.END, Role.INSTANT, Role.BIRTH_DATE, Role.SEX, Role.COMORBIDITY,
)  # fmt: skip
_ERROR = "entered-in-error"


@dataclass(slots=True)
class Asked:
    """The columns of a table that are asked beside its parts; those with a value, and those with codings, apart."""

    columns: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    coded: set[str] = field(default_factory=set)


def asked_columns(requirements: Iterable[Requirement]) -> dict[str, Asked]:
    """The columns that requirements look at, by table."""
    found: dict[str, Asked] = {}
    for need in requirements:
        own = found.setdefault(need.table, Asked())
        if need.role in _WITH_COLUMN:
            own.columns |= set(need.columns)
        if need.role == Role.VALUE:
            own.values |= set(need.columns)
        if isinstance(need.scope, Detail) and need.scope.column.endswith(CODINGS):
            own.coded.add(need.scope.column)
        for rows in all_rows_in(selections_in(need.scope)):
            own = found.setdefault(rows.table, Asked())
            details = {name for each in rows.where for name, _ in each}
            own.coded |= {name for name in details if name.endswith(CODINGS)}
            own.columns |= details | {name for name, _ in rows.linked}
            own.columns |= {rows.lasts[0]} if rows.lasts else set()
            if rows.value:
                own.columns.add(rows.value.column)
                own.values.add(rows.value.column)
    return found


def member_columns(requirements: Iterable[Requirement]) -> dict[Rows, str]:
    """The BOOLEAN column of `fit_<table>` that says whether a row is one of these."""
    rows = {each for need in requirements for each in selections_in(need.scope)}
    ordered = sorted(rows, key=lambda each: (each.table, each.label))
    return {each: f"member_{number}" for number, each in enumerate(ordered)}


def link_column(link: Link) -> str:
    """The BOOLEAN column that says whether what a row refers to is there."""
    return f"leads_{link.column}_{'_'.join(link.tables)}"


def mark_members(
    connection: duckdb.DuckDBPyConnection,
    requirements: Sequence[Requirement],
    value_sets: Mapping[str, ValueSet],
    as_of: date,
) -> None:
    """Add the columns of `member_columns` and `link_column` to the tables of `prepare_rows`."""
    columns: dict[str, dict[str, str]] = {}
    conditions = _Conditions(value_sets, as_of)
    for rows, name in member_columns(requirements).items():
        columns.setdefault(rows.table, {})[name] = conditions.of(rows, "source")
    for need in requirements:
        if isinstance(need.scope, Link):
            columns[need.table][link_column(need.scope)] = _leads(need.scope)
    for table, each in columns.items():
        selected = ", ".join(f"{condition} AS {name}" for name, condition in each.items())
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE fit_{table} AS SELECT source.*, {selected} FROM fit_{table} AS source"
        )


@dataclass(frozen=True, slots=True)
class _Conditions:
    """The SQL conditions of selections, over the columns of `fit_<table>`."""

    value_sets: Mapping[str, ValueSet]
    as_of: date

    def of(self, rows: Rows, source: str, depth: int = 0) -> str:
        """The condition of the rows, for the table under the name `source`."""
        conditions = [f"list_contains({source}.sets, {quote(rows.codes)})"] if rows.codes else []
        if rows.status:
            conditions.append(f"coalesce({source}.status IN ({', '.join(map(quote, rows.status))}), false)")
        else:
            conditions.append(f"coalesce({source}.status <> {quote(_ERROR)}, true)")
        if rows.where:
            alternatives = [" AND ".join(self._holds(*pair, source) for pair in each) for each in rows.where]
            conditions.append(f"({' OR '.join(f'({each})' for each in alternatives)})")
        conditions += [self._linked(name, selection, source, depth) for name, selection in rows.linked]
        if rows.value:
            number = f"try_cast({source}.in_{rows.value.column} AS DOUBLE)"
            conditions += [f"coalesce({number} {sign} {bound!r}, false)" for sign, bound in rows.value.bounds]
            conditions.append(f"{source}.bound_{rows.value.column} IS NULL")
        if rows.lasts:
            today, text = f"DATE {quote(self.as_of.isoformat())}", f"{source}.in_{rows.lasts[0]}"
            end = f"CASE WHEN {text} IS NULL THEN {today} ELSE least(try_cast(left({text}, 10) AS DATE), {today}) END"
            conditions.append(f"coalesce({end} - {source}.date >= {rows.lasts[1]}, false)")
        return " AND ".join(conditions)

    def _holds(self, name: str, codes: str, source: str) -> str:
        if name.endswith(CODINGS):
            return f"list_contains({source}.sets_{name}, {quote(codes)})"
        members = ", ".join(quote(code.code) for code in self.value_sets[codes].codes)
        return f"coalesce({source}.in_{name}::VARCHAR IN ({members}), false)"

    def _linked(self, name: str, selection: Selection, source: str, depth: int) -> str:
        alternatives = [
            f"EXISTS (SELECT 1 FROM fit_{rows.table} AS linked_{depth} WHERE linked_{depth}.institution ="
            f" {source}.institution AND linked_{depth}.resource_key = {source}.in_{name}"
            f" AND {self.of(rows, f'linked_{depth}', depth + 1)})"
            for rows in selection
        ]
        return f"({' OR '.join(alternatives) or 'false'})"


def _leads(link: Link) -> str:
    there = [
        f"EXISTS (SELECT 1 FROM fit_{table} AS target WHERE target.institution = source.institution"
        f" AND target.resource_key = source.in_{link.column})"
        for table in link.tables
    ]
    return f"({' OR '.join(there) or 'false'})"
