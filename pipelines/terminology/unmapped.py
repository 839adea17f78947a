"""Codes and units of a batch that say nothing to this pipeline, with what that may cost.

- *unmapped*: the code is of a local system (or of none), and no concept map gives it another;
- *unknown*: the system is known, but the code is not in the value set of the element, or it is no UCUM unit.

Looked at is the first coding of an element, when none of its codings (those of concept maps included) will do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.exports import masked
from pipelines.sqlonfhir.reading import open_duckdb, parquet_relation
from pipelines.sqlonfhir.units import UCUM, is_unit
from pipelines.sqlonfhir.values import quote
from pipelines.terminology.cost import Readers
from pipelines.zib.codings import CODING_TABLE

UNMAPPED_CODE_SCHEMA = pa.schema(
    {
        "institution": pa.string(),
        "kind": pa.string(),
        "system": pa.string(),
        "code": pa.string(),
        "display": pa.string(),
        "zib_table": pa.string(),
        "element": pa.string(),
        "count": pa.int64(),
        "example_file": pa.string(),
        "example_line": pa.int64(),
        "cost": pa.int64(),
    }
)
_CODINGS_ID, _UCUM_CODE = "_codings_id", "_ucum_code"

# `counted`: how often each list of codings occurs, and where first. `fits`: those with a coding that will do.
_CODES = """
WITH counted AS (
    SELECT "{column}" AS codings_id, count(*) AS n, arg_min(source_file, (source_file, source_line)) AS file,
           arg_min(source_line, (source_file, source_line)) AS line
    FROM {rows} WHERE "{column}" IS NOT NULL GROUP BY ALL
),
fits AS (SELECT DISTINCT codings_id FROM codings WHERE {fit}),
read AS (SELECT DISTINCT codings_id FROM codings JOIN wanted USING (system, code) WHERE wanted.element = {element}),
firsts AS (
    SELECT codings_id, system, code, display,
           system IN (SELECT system FROM known_systems)
               OR codings_id IN (SELECT codings_id FROM codings WHERE mapped_from = 0) AS known
    FROM codings WHERE position = 0
)
SELECT CASE WHEN known THEN 'unknown' ELSE 'unmapped' END AS kind, system, code, any_value(display) AS display,
       sum(n)::BIGINT AS n, arg_min(file, (file, line)) AS file, arg_min(line, (file, line)) AS line,
       sum(CASE WHEN codings_id IN (FROM read) THEN 0 ELSE n END)::BIGINT AS unread
FROM counted JOIN firsts USING (codings_id)
WHERE codings_id NOT IN (FROM fits) GROUP BY ALL
"""
_BOUND = """EXISTS (
    FROM value_set_members AS m
    WHERE m.url = {url} AND m.system = codings.system AND coalesce(m.code, codings.code) = codings.code
)"""
_UNBOUND = "system IN (SELECT system FROM known_systems)"
_UNITS = """
SELECT "{code}" AS code, {unit} AS unit, count(*) AS n, arg_min(source_file, (source_file, source_line)) AS file,
       arg_min(source_line, (source_file, source_line)) AS line
FROM {rows} WHERE "{code}" IS NOT NULL OR {unit} IS NOT NULL GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class Terminology:
    """What codes are held against.

    Attributes:
        bindings: per table, the url of the value set by coded element.
        members: rows `url`, `system` and `code` of value sets; a null code stands for the whole system.
        systems: code systems that are known besides those of the value sets.
        readers: which indicators read which element.
    """

    bindings: Mapping[str, Mapping[str, str]]
    members: pa.Table
    systems: Collection[str]
    readers: Readers


def find_unmapped(mapped: Path, institution: str, terminology: Terminology, *, work: Path) -> pa.Table:
    """The codes and units of the mapped tables in a folder (`UNMAPPED_CODE_SCHEMA`), the dearest first.

    `display` is as it came, with long numbers masked.
    """
    found: list[dict[str, object]] = []
    with open_duckdb(work) as connection:
        connection.register("value_set_members", terminology.members)
        systems = sorted({*terminology.systems, UCUM})
        connection.register("other_systems", pa.table({"system": pa.array(systems, pa.string())}))
        connection.register("wanted", terminology.readers.codes)
        connection.execute(f"CREATE VIEW codings AS FROM {parquet_relation([mapped / f'{CODING_TABLE}.parquet'])}")
        connection.execute(
            "CREATE TABLE known_systems AS SELECT DISTINCT system FROM value_set_members WHERE system IS NOT NULL"
            " UNION FROM other_systems"
        )
        for path in sorted(mapped.glob("*.parquet")):
            columns = pq.read_schema(path).names
            if path.stem != CODING_TABLE and pq.read_metadata(path).num_rows:
                found += _codes(connection, path, columns, terminology)
                found += _units(connection, path, columns, terminology.readers)
    rows = [{"institution": institution, **row} for row in found]
    table = pa.Table.from_pylist(rows, UNMAPPED_CODE_SCHEMA)
    order = [("cost", "descending"), ("count", "descending"), ("zib_table", "ascending"), ("element", "ascending")]
    return table.sort_by([*order, ("system", "ascending"), ("code", "ascending")])


def _codes(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str], terminology: Terminology
) -> Iterator[dict[str, object]]:
    bindings = terminology.bindings.get(path.stem, {})
    for column in columns:
        if not column.endswith(_CODINGS_ID):
            continue
        element = column.removesuffix(_CODINGS_ID)
        url = bindings.get(element)
        fit = _UNBOUND if url is None else _BOUND.format(url=quote(url))
        query = _CODES.format(
            column=column, rows=parquet_relation([path]), fit=fit, element=quote(f"{path.stem}.{element}")
        )
        cursor = connection.sql(query)
        for kind, system, code, display, count, file, line, unread in cursor.fetchall():
            yield _row(
                path.stem, element, kind, (system, code, display), (count, file, line),
                unread * terminology.readers.indicators(path.stem, element),
            )  # fmt: skip


def _units(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str], readers: Readers
) -> Iterator[dict[str, object]]:
    for column in columns:
        if not column.endswith(_UCUM_CODE):
            continue
        element = column.removesuffix(_UCUM_CODE)
        unit = f'"{element}_unit"' if f"{element}_unit" in columns else "NULL::VARCHAR"
        query = _UNITS.format(code=column, unit=unit, rows=parquet_relation([path]))
        for code, text, count, file, line in connection.sql(query).fetchall():
            if code is not None and is_unit(code):
                continue
            kind, system = ("unmapped", None) if code is None else ("unknown", UCUM)
            cost = count * readers.indicators(path.stem, element)
            shown = code if code is not None else masked(text)
            yield _row(path.stem, element, kind, (system, shown, text), (count, file, line), cost)


def _row(
    table: str,
    element: str,
    kind: str,
    coding: tuple[str | None, str | None, str | None],
    seen: tuple[int, str, int],
    cost: int,
) -> dict[str, object]:
    system, code, display = coding
    count, file, line = seen
    return {
        "kind": kind,
        "system": system,
        "code": code,
        "display": None if display is None else masked(display),
        "zib_table": table,
        "element": element,
        "count": count,
        "example_file": file,
        "example_line": line,
        "cost": cost,
    }
