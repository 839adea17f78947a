"""The tables of a batch under judgement, in DuckDB: Parquet files as views, and which of their rows are set aside.

Nothing is held in memory but what DuckDB keeps below its limit, so a batch may be larger than memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sqlonfhir.reading import literal_path
from pipelines.sqlonfhir.values import quote

ROW = "_row"
"""The position of a row in its Parquet file; with the name of the table it identifies a row of the batch."""

_BATCH_ROWS = 50_000
_ASSOCIATED = """
    INSERT INTO set_aside
    SELECT {name}, rows.{row}, failed.priority, failed.rule_id, true
    FROM "{table}" AS rows
    JOIN (
        SELECT institution, resource_key, arg_min(priority, _row) AS priority, arg_min(rule_id, _row) AS rule_id
        FROM "{table}" JOIN set_aside USING ({row})
        WHERE set_aside.table_name = {name} AND resource_key IS NOT NULL
        GROUP BY ALL
    ) AS failed USING (institution, resource_key)
    ANTI JOIN (SELECT {row} FROM set_aside WHERE table_name = {name}) AS known USING ({row})
"""
_PLACES = """
    SELECT institution, source_file, source_line, resource_key, first.rule_id, first.associated
    FROM "{table}"
    JOIN (
        SELECT {row}, arg_min(rule_id, priority) AS rule_id, arg_min(associated, priority) AS associated
        FROM set_aside WHERE table_name = {name} GROUP BY ALL
    ) AS first USING ({row})
    ORDER BY {row}
"""


class Workspace:
    """The tables and what became of their rows. `connection` is for questions over them.

    Args:
        connection: an empty DuckDB.
        tables: Parquet file by table name, with the columns of `docs/tables.md`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path]) -> None:
        self.connection = connection
        self._paths = dict(tables)
        self.columns = {name: pq.read_schema(path).names for name, path in tables.items()}
        self.rows = {name: int(pq.read_metadata(path).num_rows) for name, path in tables.items()}
        self._filled: set[str] = set()
        connection.execute(
            "CREATE TABLE set_aside (table_name VARCHAR, _row BIGINT, priority INTEGER, rule_id VARCHAR,"
            " associated BOOLEAN)"
        )
        for name, path in tables.items():
            relation = f"read_parquet({literal_path(path)}, file_row_number = true, hive_partitioning = false)"
            connection.execute(
                f'CREATE VIEW "{name}" AS SELECT * EXCLUDE (file_row_number), file_row_number AS {ROW} FROM {relation}'
            )

    def hold(self, name: str, rows: pa.Table) -> None:
        """Make rows a table that every question can name."""
        self.connection.register("incoming", rows)
        self.connection.execute(f'CREATE TABLE "{name}" AS FROM incoming')
        self.connection.unregister("incoming")

    def accepted(self, table: str) -> str:
        """SQL of the rows of a table that are still accepted."""
        if table not in self._filled:
            return f'(FROM "{table}")'
        known = f"(SELECT {ROW} FROM set_aside WHERE table_name = {quote(table)})"
        return f'(SELECT kept.* FROM "{table}" AS kept ANTI JOIN {known} AS known USING ({ROW}))'

    def stream(self, sql: str, rows: int) -> Iterator[pa.Table]:
        """The result of a query in tables of about `rows` rows, all in one schema."""
        with self.connection.cursor() as cursor:
            waiting: list[pa.RecordBatch] = []
            for batch in cursor.sql(sql).to_arrow_reader(min(rows, _BATCH_ROWS)):
                waiting.append(batch)
                if sum(each.num_rows for each in waiting) >= rows:
                    yield pa.Table.from_batches(waiting)
                    waiting = []
            if waiting:
                yield pa.Table.from_batches(waiting)

    def set_aside(self, table: str, rule_id: str, priority: int, rows: Sequence[Any]) -> None:
        """Set rows aside for a rule. Of several rules, the lowest priority is the one a row is set aside for."""
        if not rows:
            return
        width = len(rows)
        found = pa.table(
            {
                "table_name": pa.repeat(pa.scalar(table), width),
                ROW: pa.array(rows, pa.int64()),
                "priority": pa.repeat(pa.scalar(priority, pa.int32()), width),
                "rule_id": pa.repeat(pa.scalar(rule_id), width),
                "associated": pa.repeat(pa.scalar(False), width),
            }
        )
        self.connection.register("found", found)
        self.connection.execute("INSERT INTO set_aside FROM found")
        self.connection.unregister("found")
        self._filled.add(table)

    def set_aside_whole_resources(self, table: str) -> None:
        """Set aside the other rows of each resource of which a row is set aside, for the same rule."""
        if table in self._filled:
            self.connection.execute(_ASSOCIATED.format(table=table, name=quote(table), row=ROW))

    def set_aside_places(self, rule_id: str, places: Iterable[tuple[str, int]]) -> None:
        """Set aside every row of these files and lines, in all tables, before any other rule."""
        columns = list(zip(*places, strict=True))
        if not columns:
            return
        files, lines = columns
        self.hold(
            "invalid_places",
            pa.table({"source_file": pa.array(files, pa.string()), "source_line": pa.array(lines, pa.int64())}),
        )
        for table, own in self.columns.items():
            if "source_file" in own:
                rows = self.connection.execute(
                    f'SELECT {ROW} FROM "{table}" SEMI JOIN invalid_places USING (source_file, source_line)'
                ).fetchnumpy()[ROW]
                self.set_aside(table, rule_id, -1, rows.tolist())

    def places_set_aside(self, table: str) -> list[tuple[Any, ...]]:
        """(institution, source_file, source_line, resource_key, rule_id, by association) per row, in row order."""
        if table not in self._filled:
            return []
        return self.connection.execute(_PLACES.format(table=table, name=quote(table), row=ROW)).fetchall()

    def places(self, table: str, rows: Sequence[int]) -> list[tuple[str, int | None]]:
        """File and line of some rows, in row order."""
        if not rows:
            return []
        found = ", ".join(str(int(row)) for row in rows)
        return self.connection.execute(
            f'SELECT source_file, source_line FROM "{table}" WHERE {ROW} IN ({found}) ORDER BY {ROW}'
        ).fetchall()

    def write_accepted(self, table: str, path: Path) -> int:
        """Write the accepted rows, in their original order and schema; gives how many."""
        if table not in self._filled:
            shutil.copyfile(self._paths[table], path)
            return self.rows[table]
        kept = np.ones(self.rows[table], dtype=bool)
        kept[
            self.connection.execute(
                f"SELECT DISTINCT {ROW} FROM set_aside WHERE table_name = {quote(table)}"
            ).fetchnumpy()[ROW]
        ] = False
        start = 0
        with pq.ParquetFile(self._paths[table]) as source, pq.ParquetWriter(path, source.schema_arrow) as target:
            for batch in source.iter_batches(_BATCH_ROWS):
                target.write_batch(batch.filter(pa.array(kept[start : start + batch.num_rows])))
                start += batch.num_rows
        return int(kept.sum())
