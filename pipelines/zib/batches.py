"""Clean NDJSON read by DuckDB, and the lines it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import duckdb
import numpy as np

from pipelines.errors import TransientError
from pipelines.sqlonfhir.values import quote

_NOT_CLEAN = (duckdb.InvalidInputException, duckdb.ConversionException)


class Misread(Exception):
    """The file is not clean NDJSON of one resource type; it has to be read record by record."""


@contextmanager
def parsed_once(
    connection: duckdb.DuckDBPyConnection,
    resource_type: str,
    relation: str,
    table: str,
    more: Mapping[str, str],
    *,
    absent: Sequence[str],
) -> Iterator[int]:
    """A relation of resources as `table` of `connection`, in file order by `rowid`; how many there are.

    The table has `more` columns too, as SQL by name. No resource may have an element of `absent`. The fewer columns it
    has, the better: DuckDB sets memory apart per column, and parses on one core when that is too much.

    Raises:
        Misread: when a line is broken, does not fit its elements, has another type, no id, or an element of `absent`.
        TransientError: `DISK-FULL`.
    """
    fits = f'_type IS NOT DISTINCT FROM {quote(resource_type)} AND "_r_id" IS NOT NULL'
    fits += "".join(f' AND "_r_{name}" IS NULL' for name in absent)
    try:
        left_out = ", ".join(["_type", *(f'"_r_{name}"' for name in absent)])
        columns = "".join(f", {sql} AS {name}" for name, sql in {**more, "_fits": fits}.items())
        connection.execute(f"CREATE TABLE {table} AS SELECT * EXCLUDE ({left_out}){columns} FROM {relation}")
        (total, fitting) = connection.sql(f"SELECT count(*), count(*) FILTER (_fits) FROM {table}").fetchall()[0]
        if fitting < total:
            raise Misread
        yield total
    except _NOT_CLEAN:
        raise Misread from None
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise TransientError(
            "DISK-FULL", "a file does not fit beside its export", where=table, remedy="Free disk space and run again."
        ) from None
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {table}")


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
