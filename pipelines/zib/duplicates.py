"""Resources that occur more than once in one export.

- The same content twice: the first stays, the others are skipped as `DUPLICATE-IDENTICAL`.
- Versions of one resource that all carry `meta.lastUpdated`, one of which is the newest: it stays, the others
  are skipped as `SUPERSEDED`.
- Anything else, and always when two patients share one id: all are quarantined as `DUPLICATE-CONFLICT`,
  for nobody can tell which one is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.sqlonfhir.reading import parquet_relation
from pipelines.sqlonfhir.values import Schema, quote

INDEX = "_index"
_SQL = """
WITH index AS (SELECT * FROM {index}),
repeated AS (
    SELECT resource_type, id_hash, max(updated) AS newest FROM index GROUP BY ALL HAVING count(*) > 1
),
groups AS (
    SELECT resource_type, id_hash, newest,
           count(DISTINCT content_hash) AS contents,
           count(DISTINCT identity_hash) = 1
               AND count(DISTINCT content_hash) FILTER (updated = newest) = 1
               AND count(updated) = count(*) AS ordered
    FROM index JOIN repeated USING (resource_type, id_hash) GROUP BY ALL
),
judged AS (
    SELECT source_file, source_line, resource_type,
           row_number() OVER (
               PARTITION BY resource_type, id_hash, content_hash, contents > 1 AND updated = newest
               ORDER BY source_file, source_line) AS copy,
           contents, ordered, updated = newest AS is_newest
    FROM index JOIN groups USING (resource_type, id_hash)
)
SELECT source_file, source_line, resource_type,
       CASE WHEN contents > 1 AND NOT ordered THEN 'DUPLICATE-CONFLICT'
            WHEN contents > 1 AND NOT is_newest THEN 'SUPERSEDED'
            ELSE 'DUPLICATE-IDENTICAL' END AS code
FROM judged
WHERE (contents > 1 AND NOT ordered) OR (contents > 1 AND NOT is_newest) OR copy > 1
ORDER BY source_file, source_line
"""


def index_columns(resource_type: str, schema: Schema) -> dict[str, str]:
    """SQL by column of the index row of a resource: hashes of its id, its content and who it is about."""
    names = sorted(element.name for element, _ in schema if element.name not in ("id", "meta"))
    content = ", ".join(f'"_r_{name}"' for name in names) or "0"
    persons = [name for name in ("identifier", "birthDate") if name in names and resource_type == "Patient"]
    identity = ", ".join(f'"_r_{name}"' for name in persons) or "0"
    return {
        "resource_type": quote(resource_type),
        "id_hash": 'hash("_r_id")',
        "content_hash": f"hash({content})",
        "identity_hash": f"hash({identity})",
        "updated": 'TRY_CAST("_r_meta"."lastUpdated" AS TIMESTAMPTZ)',
    }


def find_duplicates(connection: duckdb.DuckDBPyConnection, index: Sequence[Path]) -> pa.Table:
    """The lines to drop: `source_file`, `source_line`, `resource_type` and `code`."""
    if not index:
        return pa.table({"source_file": pa.array([], pa.string()), "source_line": pa.array([], pa.int64())})
    return connection.sql(_SQL.format(index=parquet_relation(index))).to_arrow_table()
