"""Clean NDJSON read by DuckDB in Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc


class Misread(Exception):
    """The file is not clean NDJSON of one resource type; it has to be read record by record."""


def read_clean(
    connection: duckdb.DuckDBPyConnection, resource_type: str, relation: str, rows: int
) -> Iterator[pa.Table]:
    """The relation in batches of about `rows`, in file order. Blank lines are left out.

    Raises:
        Misread: when a line is broken, does not fit its elements or has another type.
    """
    try:
        with connection.cursor() as cursor:
            reader = cursor.sql(f"SELECT * FROM {relation}").to_arrow_reader(rows)
            for table in _gathered(reader, rows):
                if not pc.all(pc.equal(table["_type"], resource_type), skip_nulls=False, min_count=0).as_py():
                    raise Misread
                yield table.drop_columns(["_type"])
    except duckdb.Error:
        raise Misread from None
    except OSError as error:  # how Arrow passes on an error of DuckDB while streaming
        if error.errno is None:
            raise Misread from None
        raise


def _gathered(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(b.num_rows for b in batches) >= rows:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def count_lines(path: Path) -> int:
    """The number of lines in a file; a last line without a line end counts."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
