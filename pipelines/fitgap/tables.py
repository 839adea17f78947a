"""The current rows of the lake as the fit-gap measures them: with their value sets, their patient and their delay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import duckdb

from pipelines.fitgap.members import CODINGS, Asked, asked_columns, mark_members
from pipelines.indicators.elements import Requirement, tables_of
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.definition_rows import insert_rows
from pipelines.sqlonfhir.values import quote

CODING_TABLE = "zib_coding"
_PARTS = ("code", "system", "codings", "status", "date", "date_text", "laterality", "deceased", "patient")

_CODE_TABLES = """
CREATE OR REPLACE TEMP TABLE fit_code AS
SELECT system, code, list(DISTINCT value_set) AS sets FROM fit_code_member GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE fit_absent (
    institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, landed_at TIMESTAMPTZ);
"""

# The codings of a row: the first, those in columns of their own, and all in zib_coding where the lake has it.
_ROWS = """
CREATE OR REPLACE TEMP TABLE {name} AS
WITH first_seen AS (
    SELECT institution, resource_key, min(landed_at) AS landed_at FROM {history} GROUP BY ALL
), row AS (
    SELECT source.institution, source.resource_key, {columns},
           first_seen.landed_at = opening.landed_at AS is_backlog, first_seen.landed_at::DATE AS available
    FROM {table} AS source
    JOIN first_seen USING (institution, resource_key)
    JOIN fit_opening AS opening USING (institution)
), coding AS (
    SELECT institution, resource_key, place, list_distinct(flatten(list(sets))) AS sets,
           list_distinct(list(system)) AS systems
    FROM (
        SELECT found.institution, found.resource_key, found.place, found.system, coalesce(fit_code.sets, []) AS sets
        FROM ({codings}) AS found
        LEFT JOIN fit_code USING (system, code)
        WHERE found.code IS NOT NULL AND found.system IS NOT NULL
    )
    GROUP BY ALL
)
SELECT row.*, {coded}, known.patient_key IS NOT NULL AS is_linked
FROM row
{joins}
LEFT JOIN ({patients}) AS known ON known.institution = row.institution AND known.patient_key = row.patient
"""

_JOIN = (
    "LEFT JOIN coding AS {alias} ON {alias}.institution = row.institution AND {alias}.resource_key = row.resource_key"
    " AND {alias}.place = {place}"
)

_TYPES = {"date": "DATE", "deceased": "BOOLEAN"}


def prepare_rows(
    connection: duckdb.DuckDBPyConnection,
    requirements: Sequence[Requirement],
    roles: Mapping[str, TableRoles],
    value_sets: Mapping[str, ValueSet],
    as_of: date,
) -> list[str]:
    """Make table `fit_<table>` for every table that a requirement names; an absent table gives no rows.

    Columns: `institution`, `resource_key`, one per part of `TableRoles` and `in_<column>` for every other column that
    is asked (null when the lake lacks it; `bound_<column>` is the comparator of a value), `sets` and `systems` (value
    sets and code systems of all its codings; `sets_<column>` and `systems_<column>` for other coded columns),
    `is_linked` (its patient is in `zib_patient`), `is_backlog` (came with the first export of the institution),
    `available` (the day it first came in), and those of `mark_members`.

    Returns:
        the institutions that have a row in any of these tables, sorted.
    """
    names = sorted({table for requirement in requirements for table in tables_of(requirement)})
    present = {
        name: columns for name in [*names, "zib_patient", CODING_TABLE] if (columns := columns_of(connection, name))
    }
    connection.execute("CREATE OR REPLACE TEMP TABLE fit_code_member (value_set VARCHAR, system VARCHAR, code VARCHAR)")
    members = [(name, code.system, code.code) for name, each in value_sets.items() for code in each.codes]
    insert_rows(connection, "fit_code_member", members)
    connection.execute(_CODE_TABLES)
    _prepare_opening(connection, [name for name in present if name != CODING_TABLE])
    asked = asked_columns(requirements)
    for name in names:
        connection.execute(_rows_sql(name, roles[name], present, asked.get(name, Asked())))
    mark_members(connection, requirements, value_sets, as_of)
    found = connection.sql("SELECT institution FROM fit_opening ORDER BY ALL").fetchall()
    return [str(institution) for (institution,) in found]


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """The columns of a table or view; empty when there is none."""
    rows = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall()
    return {name for (name,) in rows}


def _prepare_opening(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """`fit_opening`: the moment of the first export of each institution, over all tables."""
    landed = [f"SELECT institution, min(landed_at) AS landed_at FROM {table}_history GROUP BY ALL" for table in tables]
    nothing = "SELECT NULL::VARCHAR AS institution, NULL::TIMESTAMPTZ AS landed_at WHERE false"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE fit_opening AS SELECT institution, min(landed_at) AS landed_at"
        f" FROM ({' UNION ALL '.join([nothing, *landed])}) GROUP BY ALL"
    )


def _rows_sql(table: str, roles: TableRoles, present: Mapping[str, set[str]], asked: Asked) -> str:
    own = present.get(table, set())
    also = [name for name in roles.also_code if name in own]
    columns = [_as(getattr(roles, part), part, own, _TYPES.get(part, "VARCHAR")) for part in _PARTS]
    columns += [_as(name, f"in_{name}", own) for name in sorted(asked.columns)]
    columns += [_as(roles.comparators.get(name), f"bound_{name}", own) for name in sorted(asked.values)]
    columns += [f"source.{name} AS also_{name}" for name in also]
    codings = [*_codings("", "code", "system", "codings", CODING_TABLE in present)]
    codings += [_coding("", f"also_{name}", quote(roles.also_code[name])) for name in also]
    for name in sorted(asked.coded):
        stem = name.removesuffix(CODINGS)
        columns += [_as(f"{stem}_{part}", f"{part}_{stem}", own) for part in ("code", "system")]
        codings += _codings(name, f"code_{stem}", f"system_{stem}", f"in_{name}", CODING_TABLE in present)
    places = {"": "coding_0"} | {name: f"coding_{number}" for number, name in enumerate(sorted(asked.coded), start=1)}
    return _ROWS.format(
        name=f"fit_{table}",
        table=table if own else "fit_absent",
        history=f"{table}_history" if own else "fit_absent",
        columns=", ".join(columns),
        codings=" UNION ALL ".join(codings),
        coded=", ".join(
            f"coalesce({alias}.{kind}, []::VARCHAR[]) AS {'_'.join(filter(None, (kind, place)))}"
            for place, alias in places.items()
            for kind in ("sets", "systems")
        ),
        joins="\n".join(_JOIN.format(alias=alias, place=quote(place)) for place, alias in places.items()),
        patients="SELECT DISTINCT institution, patient_key FROM "
        + ("zib_patient" if "zib_patient" in present else "fit_absent"),
    )


def _as(name: str | None, alias: str, own: set[str], type_: str | None = None) -> str:
    """A column under another name; null when the lake lacks it."""
    if name not in own:
        return f"NULL::{type_ or 'VARCHAR'} AS {alias}"
    return f"source.{name}{f'::{type_}' if type_ else ''} AS {alias}"


def _codings(place: str, code: str, system: str, codings: str, listed: bool) -> Iterator[str]:
    """The first coding of a coded column, and all that the lake lists."""
    yield _coding(place, code, system)
    if listed:
        yield (
            f"SELECT row.institution, row.resource_key, {quote(place)}, listed.system, listed.code FROM row"
            f" JOIN {CODING_TABLE} AS listed ON listed.institution = row.institution"
            f" AND listed.codings_id = row.{codings}"
        )


def _coding(place: str, code: str, system: str) -> str:
    return f"SELECT institution, resource_key, {quote(place)} AS place, {system} AS system, {code} AS code FROM row"
