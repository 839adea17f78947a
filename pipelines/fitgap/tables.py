"""The current rows of the lake as the fit-gap measures them: with their value sets, their patient and their delay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb

from pipelines.indicators.requirements import Requirement
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.definition_rows import insert_rows
from pipelines.sqlonfhir.values import quote

CODING_TABLE = "zib_coding"
_PARTS = ("code", "system", "codings", "status", "date", "date_text", "laterality", "deceased", "patient")

_CODE_TABLES = """
CREATE OR REPLACE TEMP TABLE fit_code AS
SELECT system, code, list(DISTINCT value_set) AS sets FROM fit_code_member GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE fit_no_patient (institution VARCHAR, patient_key VARCHAR);
"""

# The codings of a row: the first, those in columns of their own, and all in zib_coding where the lake has it.
_ROWS = """
CREATE OR REPLACE TEMP TABLE {name} AS
WITH first_seen AS (
    SELECT institution, resource_key, min(landed_at) AS landed_at FROM {table}_history GROUP BY ALL
), row AS (
    SELECT source.institution, source.resource_key, {columns},
           first_seen.landed_at = opening.landed_at AS is_backlog, first_seen.landed_at::DATE AS available
    FROM {table} AS source
    JOIN first_seen USING (institution, resource_key)
    JOIN fit_opening AS opening USING (institution)
), coding AS (
    SELECT institution, resource_key, list_distinct(flatten(list(sets))) AS sets, list_distinct(list(system)) AS systems
    FROM (
        SELECT found.institution, found.resource_key, found.system, coalesce(fit_code.sets, []) AS sets
        FROM ({codings}) AS found
        LEFT JOIN fit_code USING (system, code)
        WHERE found.code IS NOT NULL AND found.system IS NOT NULL
    )
    GROUP BY ALL
)
SELECT row.*, coalesce(coding.sets, []) AS sets, coalesce(coding.systems, []) AS systems,
       known.patient_key IS NOT NULL AS is_linked
FROM row
LEFT JOIN coding USING (institution, resource_key)
LEFT JOIN ({patients}) AS known ON known.institution = row.institution AND known.patient_key = row.patient
"""

_EMPTY = """
CREATE OR REPLACE TEMP TABLE {name} (
    institution VARCHAR, resource_key VARCHAR, code VARCHAR, system VARCHAR, codings VARCHAR, status VARCHAR,
    date DATE, date_text VARCHAR, laterality VARCHAR, deceased BOOLEAN, patient VARCHAR, is_backlog BOOLEAN,
    available DATE, sets VARCHAR[], systems VARCHAR[], is_linked BOOLEAN)
"""

_TYPES = {"date": "DATE", "deceased": "BOOLEAN"}


def prepare_rows(
    connection: duckdb.DuckDBPyConnection,
    requirements: Iterable[Requirement],
    roles: Mapping[str, TableRoles],
    value_sets: Mapping[str, ValueSet],
) -> list[str]:
    """Make table `fit_<table>` for every table that a requirement names; an absent table gives no rows.

    Columns: `institution`, `resource_key`, one per part of `TableRoles` (null when the lake lacks it), `sets` and
    `systems` (value sets and code systems of all its codings), `is_linked` (its patient is in `zib_patient`),
    `is_backlog` (came with the first export of the institution) and `available` (the day it first came in).

    Returns:
        the institutions that have a row in any of these tables, sorted.
    """
    names = sorted({requirement.table for requirement in requirements})
    present = {
        name: columns for name in [*names, "zib_patient", CODING_TABLE] if (columns := columns_of(connection, name))
    }
    connection.execute("CREATE OR REPLACE TEMP TABLE fit_code_member (value_set VARCHAR, system VARCHAR, code VARCHAR)")
    members = [(name, code.system, code.code) for name, each in value_sets.items() for code in each.codes]
    insert_rows(connection, "fit_code_member", members)
    connection.execute(_CODE_TABLES)
    _prepare_opening(connection, [name for name in present if name != CODING_TABLE])
    for name in names:
        if name in present:
            connection.execute(_rows_sql(name, roles[name], present))
        else:
            connection.execute(_EMPTY.format(name=f"fit_{name}"))
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


def _rows_sql(table: str, roles: TableRoles, present: Mapping[str, set[str]]) -> str:
    own = present[table]

    def selected(part: str) -> str:
        name, type_ = getattr(roles, part), _TYPES.get(part, "VARCHAR")
        return f"source.{name}::{type_} AS {part}" if name in own else f"NULL::{type_} AS {part}"

    also = [name for name in roles.also_code if name in own]
    columns = ", ".join([*map(selected, _PARTS), *(f"source.{name} AS also_{name}" for name in also)])
    coded = "" if roles.system in own else " WHERE false"  # without a system there is nothing to look up
    codings = [f"SELECT institution, resource_key, system, code FROM row{coded}"]
    codings += [
        f"SELECT institution, resource_key, {quote(roles.also_code[name])}, also_{name} FROM row" for name in also
    ]
    if roles.codings in own and CODING_TABLE in present:
        codings.append(
            f"SELECT row.institution, row.resource_key, coding.system, coding.code FROM row JOIN {CODING_TABLE}"
            " AS coding ON coding.institution = row.institution AND coding.codings_id = row.codings"
        )
    patients = "zib_patient" if "zib_patient" in present else "fit_no_patient"
    return _ROWS.format(
        name=f"fit_{table}",
        table=table,
        columns=columns,
        codings=" UNION ALL ".join(codings),
        patients=f"SELECT DISTINCT institution, patient_key FROM {patients}",
    )
