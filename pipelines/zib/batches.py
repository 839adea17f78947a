"""Clean NDJSON read by DuckDB in Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sqlonfhir.values import quote

_NOT_CLEAN = (duckdb.InvalidInputException, duckdb.ConversionException)


class Misread(Exception):
    """The file is not clean NDJSON of one resource type; it has to be read record by record."""


def read_clean(
    connection: duckdb.DuckDBPyConnection, resource_type: str, columns: Mapping[str, str], relation: str, rows: int
) -> Iterator[pa.Table]:
    """The `columns` (SQL by name) of a relation of resources in batches of `rows`, in file order.

    Raises:
        Misread: when a line is broken, does not fit its elements, has another type or no id.
    """
    selected = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    fits = f'(_type IS NOT DISTINCT FROM {quote(resource_type)} AND "_r_id" IS NOT NULL) AS _fits'
    try:
        with connection.cursor() as cursor:
            reader = cursor.sql(f"SELECT {fits}, {selected} FROM {relation}").to_arrow_reader(rows)
            for table in gathered(reader, rows):
                if not pc.all(table["_fits"], min_count=0).as_py():
                    raise Misread
                yield table.drop_columns(["_fits"])
    except _NOT_CLEAN:
        raise Misread from None
    except OSError as error:  # how Arrow passes on an error of DuckDB while streaming
        if str(error).startswith(("Invalid Input Error", "Conversion Error")):
            raise Misread from None
        raise


def gathered(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    """Tables of `rows` rows; the last one may have fewer."""
    batches: list[pa.RecordBatch] = []
    width = 0
    for batch in reader:
        batches.append(batch)
        width += batch.num_rows
        while width >= rows:
            table = pa.Table.from_batches(batches)
            yield table.slice(0, rows)
            batches, width = table.slice(rows).to_batches(), width - rows
    if width:
        yield pa.Table.from_batches(batches)


def measure_lines(path: Path, maximum_line_bytes: int) -> tuple[int, bool]:
    """The number of lines in a file (a last line without a line end counts), and whether one is too long."""
    lines, begun, too_long = 0, 0, False
    with path.open("rb") as file:
        # A line that lies within one block cannot be too long: only those that cross blocks are measured.
        while block := file.read(min(1 << 22, maximum_line_bytes)):
            first = block.find(b"\n")
            begun += len(block) if first < 0 else first + 1
            too_long = too_long or begun > maximum_line_bytes
            if first >= 0:
                begun = len(block) - 1 - block.rfind(b"\n")
                lines += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
    return lines + (begun > 0), too_long


class RawLines:
    """The lines of a file by their number, in rising order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._next = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def at(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """The lines with these numbers (1-based), which rise from call to call."""
        if self._file is None:
            self._file = self._path.open("rb")
        for number in numbers:
            while self._next < number:
                self._file.readline()
                self._next += 1
            self._next += 1
            yield self._file.readline()
