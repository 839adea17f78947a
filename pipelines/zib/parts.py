"""Table parts on disk: one Parquet file per table and input file, merged into one file per table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sqlonfhir.reading import parquet_relation


class Parts:
    """Parquet parts below `folder`; the parts of an input file can be dropped when reading it fails.

    Rows are finished and written in the background, a batch at a time, while the next batch is read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parts")
        self._pending: list[Future[None]] = []
        self._open: dict[str, pq.ParquetWriter] = {}
        self._done: dict[str, list[Path]] = {}
        self._number = 0

    def write(self, finish: Callable[[], Mapping[str, pa.Table]]) -> None:
        """Append the rows, by table, that `finish` gives to the current parts, once the batch before is written.

        What `finish` uses may not change before `keep` or `discard`.
        """
        self._settle()
        self._pending = [self._background.submit(self._append, finish)]

    def _append(self, finish: Callable[[], Mapping[str, pa.Table]]) -> None:
        for table, rows in finish().items():
            if rows.num_rows and table not in self._open:
                self._open[table] = _writer(self._path(table), rows.schema)
            if rows.num_rows:
                self._open[table].write_table(rows)

    def _settle(self) -> None:
        """Wait for the background; an error there is raised here."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def write_empty(self, table: str, rows: pa.Table) -> None:
        """Make the only part of a table that got no row, so that the table has its columns."""
        path = self._path(table)
        pq.write_table(rows, path)
        self._done[table] = [path]

    def remove(self, table: str) -> None:
        """Remove the finished parts of a table."""
        for path in self._done.pop(table, []):
            path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Finish the current parts: their input was read to the end."""
        self._settle()
        for table, writer in self._open.items():
            writer.close()
            self._done.setdefault(table, []).append(self._path(table))
        self._open.clear()
        self._number += 1

    def discard(self) -> None:
        """Throw the current parts away: their input could not be read to the end."""
        self._settle()
        for table, writer in self._open.items():
            writer.close()
            self._path(table).unlink()
        self._open.clear()

    def paths(self, table: str) -> list[Path]:
        """The finished parts of a table."""
        return self._done.get(table, [])

    def merge(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        target: Path,
        dropped: pa.Table,
        change: Callable[[pa.Table], pa.Table] | None,
    ) -> int:
        """Write the table's rows, without the lines in `dropped` and after `change`, to `target`; its row count."""
        paths = self.paths(table)
        if len(paths) == 1 and not dropped.num_rows and change is None:
            shutil.move(paths[0], target)
            return int(pq.read_metadata(target).num_rows)
        connection.register("dropped_lines", dropped)
        kept = connection.sql(
            f"SELECT * FROM {parquet_relation(paths)} ANTI JOIN dropped_lines USING (source_file, source_line)"
        )
        schema = pq.read_schema(paths[0])
        with pq.ParquetWriter(target, schema) as writer:
            for batch in kept.to_arrow_reader(100_000):
                rows = pa.Table.from_batches([batch]).cast(schema)
                writer.write_table(change(rows) if change else rows)
        connection.unregister("dropped_lines")
        self.remove(table)
        return int(pq.read_metadata(target).num_rows)

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}-{self._number}.parquet"


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer that spends nothing on keys and hashes: random data gains from no dictionary or compression."""
    random = {name for name in schema.names if name.endswith(("_key", "_hash"))}
    plain = [name for name in schema.names if name not in random]
    return pq.ParquetWriter(
        path,
        schema,
        use_dictionary=[name for name in plain if name != "source_line"],
        write_statistics=plain,
        compression={name: "NONE" if name in random else "SNAPPY" for name in schema.names},
    )
