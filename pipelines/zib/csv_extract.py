"""CSV extracts read into rows of the ZIB tables, as if they had come as FHIR resources."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.errors import TerminalError
from pipelines.extract.csv_records import CsvDialect, CsvRecords, read_csv_records
from pipelines.extract.exports import ExportFile, masked
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.extract.records import Flaw
from pipelines.sqlonfhir.reading import literal_path, open_duckdb
from pipelines.sqlonfhir.units import register_units
from pipelines.sqlonfhir.values import Schema, quote
from pipelines.zib.catalogue import Catalogue
from pipelines.zib.csv_mapping import CsvMappings, MappedFile
from pipelines.zib.csv_rows import TEXTS, RowsQuery, TableSql
from pipelines.zib.duplicates import index_columns
from pipelines.zib.mapping import ExtractBatch

BATCH_ROWS = 50_000
INDEX = tuple(index_columns("", Schema()))
_LINE_BYTES, _LINES_IN_BUFFER = 1 << 20, 16
_HEADER = re.compile(r"(?!.*\d.*\d.*\d.*\d)[^\W\d_][\w .()/%-]{0,39}")
"""What the name of a column looks like: it starts with a letter, is short and has at most three digits
(operationalisation). Anything else may be a value."""
_CODECS = {"utf-8": "utf-8", "utf-8-bom": "utf-8", "windows-1252": "cp1252"}


class CsvExtracts:
    """Reads the CSV files of one institution's export.

    Args:
        work: private folder for what is written aside.

    Attributes:
        columns_not_mapped: per file, the names of columns that its mapping does not name.
        columns_missing: per file, the names of columns that its mapping names and it does not have.
        files_not_mapped: the names of CSV files that no mapping is about.
    """

    def __init__(
        self,
        mappings: CsvMappings,
        catalogue: Catalogue,
        pseudonyms: Pseudonyms,
        *,
        work: Path,
        maximum_line_bytes: int,
    ) -> None:
        self._mappings = mappings
        self._catalogue = catalogue
        self._pseudonyms = pseudonyms
        self._work = work
        self._maximum_line_bytes = maximum_line_bytes
        self.columns_not_mapped: dict[str, list[str]] = {}
        self.columns_missing: dict[str, list[str]] = {}
        self.files_not_mapped: list[str] = []

    def read(self, file: ExportFile) -> Iterator[ExtractBatch] | None:
        """The rows and flaws of a file; None when no mapping is about it.

        Raises:
            TerminalError: `CSV-MAPPING-AMBIGUOUS`.
        """
        mapped = self._mappings.of_file(self._pseudonyms.institution, file.name, masked(file.original or file.name))
        if mapped is None and file.is_csv:
            self.files_not_mapped.append(file.name)
        return None if mapped is None else self._read(file, mapped)

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "csv_columns_not_mapped": self.columns_not_mapped,
            "csv_columns_missing": self.columns_missing,
            "csv_files_not_mapped": self.files_not_mapped,
        }

    def _read(self, file: ExportFile, mapped: MappedFile) -> Iterator[ExtractBatch]:
        format_ = mapped.format
        quote_mark = "" if format_.quote == "none" else format_.quote
        dialect = CsvDialect(format_.delimiter, quote_mark, _CODECS[format_.encoding])
        with tempfile.TemporaryDirectory(prefix="csv-", dir=self._work) as aside:
            work = Path(aside)
            records = read_csv_records(file.path, dialect, work=work, maximum_line_bytes=self._maximum_line_bytes)
            if (flaw := self._flaw_of_header(file, records, mapped)) is not None:
                yield _only_flaws([flaw])
                return
            yield _only_flaws([*records.flaws, *_skipped(records)])
            if records.lines.size:
                with closing(open_duckdb(work)) as connection:
                    self._pseudonyms.register(connection)
                    register_units(connection)
                    yield from self._rows(connection, records, mapped)

    def _flaw_of_header(self, file: ExportFile, records: CsvRecords, mapped: MappedFile) -> Flaw | None:
        """What keeps the file as a whole from being read; otherwise its columns that nobody names are noted."""
        if not records.header:
            return records.flaws[0] if records.flaws else Flaw(None, "FILE-EMPTY", "the file is empty", skipped=True)
        named = mapped.rows.reads
        missing = [name for name in named if name not in records.header]
        twice = [name for name in named if records.header.count(name) > 1]
        if missing or twice:
            self.columns_missing[file.name] = missing or twice
            what = f"the header has no column {', '.join(missing)}" if missing else f"column {twice[0]} stands twice"
            return Flaw(None, "CSV-COLUMN-MISSING", f"{what}, which {mapped.mapping.name} reads")
        # Only a header that holds what the mapping names is certain to be one, and may be shown.
        known = {*named, *mapped.rows.ignore}
        unknown = [
            name if _HEADER.fullmatch(name) else f"column {number}"
            for number, name in enumerate(records.header, start=1)
            if name and name not in known
        ]
        if unknown:
            self.columns_not_mapped[file.name] = unknown
        return None

    def _rows(
        self, connection: duckdb.DuckDBPyConnection, records: CsvRecords, mapped: MappedFile
    ) -> Iterator[ExtractBatch]:
        tables = {table.name: table for table in self._catalogue.tables}
        columns = {name: f'"c{records.header.index(name)}"' for name in mapped.rows.reads}
        queries = [
            RowsQuery(rows, tables[rows.table], columns, mapped.format, self._catalogue).build()
            for rows in mapped.rows.tables
        ]
        done = 0
        with connection.cursor() as cursor:
            for batch in _gathered(cursor.sql(_relation(records, mapped)).to_arrow_reader(BATCH_ROWS), BATCH_ROWS):
                lines = records.lines[done : done + batch.num_rows]
                done += batch.num_rows
                numbered = batch.append_column("_row", pa.array(np.arange(batch.num_rows, dtype=np.int64)))
                connection.register(TEXTS, numbered)
                yield _mapped_batch(connection, queries, lines)
                connection.unregister(TEXTS)
        if done != records.lines.size:
            raise TerminalError(
                "CSV-MISREAD",
                f"{done} of its {records.lines.size} records were read",
                where=mapped.rows.file,
                remedy="Report it with this code: nothing of the file was used.",
            )


def _relation(records: CsvRecords, mapped: MappedFile) -> str:
    """SQL of the records as text: each field trimmed, an empty one null."""
    names = [f"c{number}" for number in range(len(records.header))]
    declared = ", ".join(f"{quote(name)}: 'VARCHAR'" for name in names)
    read = {records.header.index(name) for name in mapped.rows.reads}
    selected = ", ".join(f"nullif(trim({name}), '') AS {name}" for number, name in enumerate(names) if number in read)
    mark, longest = quote(records.quote), max(records.longest + 2, _LINE_BYTES)
    return (
        f"SELECT {selected} FROM read_csv({literal_path(records.path)}, auto_detect = false, header = false,"
        f" skip = {records.skip}, delim = {quote(mapped.format.delimiter)}, quote = {mark}, escape = {mark},"
        f" columns = {{{declared}}}, max_line_size = {longest}, buffer_size = {_LINES_IN_BUFFER * longest},"
        f" null_padding = false, hive_partitioning = false, parallel = {str(not records.quoted_breaks).lower()})"
    )


def _mapped_batch(
    connection: duckdb.DuckDBPyConnection, queries: list[TableSql], lines: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> ExtractBatch:
    """The rows of every table for a batch of lines; a line with a flaw gives no row in any of them."""
    flaws: dict[int, Flaw] = {}
    rows: dict[str, pa.Table] = {}
    for query in queries:
        found = connection.sql(query.sql).to_arrow_table()
        flawed = found.filter(found["_flaw"].is_valid())
        for number, text in zip(flawed["_row"].to_pylist(), flawed["_flaw"].to_pylist(), strict=True):
            code, _, reason = text.partition("|")
            flaws.setdefault(number, Flaw(int(lines[number]), code, reason))
        rows[query.table] = pa.concat_tables([rows[query.table], found]) if query.table in rows else found
    sound = np.ones(lines.size, np.bool_)
    sound[list(flaws)] = False
    number_of = np.cumsum(sound) - 1  # flawed lines fall out, so the others are numbered again
    index = []
    for table, found in rows.items():
        kept = found.filter(pa.array(sound[found["_row"].to_numpy()]))
        kept = kept.set_column(0, "_row", pa.array(number_of[kept["_row"].to_numpy()], pa.int64()))
        index.append(kept.select(["_row", *INDEX]))
        rows[table] = kept.drop_columns([*INDEX, "_flaw"])
    return ExtractBatch(lines[sound], rows, pa.concat_tables(index), tuple(flaws.values()))


def _skipped(records: CsvRecords) -> Iterator[Flaw]:
    """The lines that are no record: header, blank lines, and lines that go on with the one before."""
    if records.header:
        yield Flaw(1, "CSV-HEADER", "the names of the columns", skipped=True)
    for _ in range(records.blank):
        yield Flaw(None, "LINE-BLANK", "the line is blank", skipped=True)
    for _ in range(records.continued):
        yield Flaw(None, "LINE-CONTINUED", "it goes on with the record before", skipped=True)


def _only_flaws(flaws: list[Flaw]) -> ExtractBatch:
    nothing = {"_row": pa.array([], pa.int64()), **{name: pa.array([], pa.string()) for name in INDEX}}
    return ExtractBatch(np.empty(0, np.int64), {}, pa.table(nothing), tuple(flaws))


def _gathered(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
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
