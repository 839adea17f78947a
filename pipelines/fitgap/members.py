"""Which rows of a table belong to which selection, as columns: each condition is evaluated once, however often used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from pipelines.indicators.elements import Detail, Link, Requirement, Role, all_rows_in, selections_in
from pipelines.indicators.selections import Rows
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
    connection: duckdb.DuckDBPyConnection, requirements: Sequence[Requirement], value_sets: Mapping[str, ValueSet]
) -> None:
    """Add the columns of `member_columns` and `link_column` to the tables of `prepare_rows`."""
    columns: dict[str, dict[str, str]] = {}
    for rows, name in member_columns(requirements).items():
        columns.setdefault(rows.table, {})[name] = _condition(rows, "source", value_sets)
    for need in requirements:
        if isinstance(need.scope, Link):
            columns[need.table][link_column(need.scope)] = _leads(need.scope)
    for table, each in columns.items():
        selected = ", ".join(f"{condition} AS {name}" for name, condition in each.items())
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE fit_{table} AS SELECT source.*, {selected} FROM fit_{table} AS source"
        )


def _condition(rows: Rows, source: str, value_sets: Mapping[str, ValueSet], depth: int = 0) -> str:
    """The SQL condition of the rows, over the columns of `fit_<table>`."""
    conditions = [f"list_contains({source}.sets, {quote(rows.codes)})"] if rows.codes else []
    if rows.status:
        conditions.append(f"coalesce({source}.status IN ({', '.join(map(quote, rows.status))}), false)")
    else:
        conditions.append(f"coalesce({source}.status <> {quote(_ERROR)}, true)")
    if rows.where:
        alternatives = [
            " AND ".join(_holds(name, codes, source, value_sets) for name, codes in each) for each in rows.where
        ]
        conditions.append(f"({' OR '.join(f'({each})' for each in alternatives)})")
    for name, selection in rows.linked:
        alternatives = [
            f"EXISTS (SELECT 1 FROM fit_{other.table} AS linked_{depth} WHERE linked_{depth}.institution ="
            f" {source}.institution AND linked_{depth}.resource_key = {source}.in_{name}"
            f" AND {_condition(other, f'linked_{depth}', value_sets, depth + 1)})"
            for other in selection
        ]
        conditions.append(f"({' OR '.join(alternatives) or 'false'})")
    if rows.value:
        number = f"try_cast({source}.in_{rows.value.column} AS DOUBLE)"
        conditions += [f"coalesce({number} {sign} {bound!r}, false)" for sign, bound in rows.value.bounds]
        conditions.append(f"{source}.bound_{rows.value.column} IS NULL")
    return " AND ".join(conditions)


def _holds(name: str, codes: str, source: str, value_sets: Mapping[str, ValueSet]) -> str:
    if name.endswith(CODINGS):
        return f"list_contains({source}.sets_{name}, {quote(codes)})"
    members = ", ".join(quote(code.code) for code in value_sets[codes].codes)
    return f"coalesce({source}.in_{name}::VARCHAR IN ({members}), false)"


def _leads(link: Link) -> str:
    there = [
        f"EXISTS (SELECT 1 FROM fit_{table} AS target WHERE target.institution = source.institution"
        f" AND target.resource_key = source.in_{link.column})"
        for table in link.tables
    ]
    return f"({' OR '.join(there) or 'false'})"
