"""An institution's export mapped to ZIB tables: Parquet per table, quarantine, and an account of every line.

A file of clean NDJSON of one type is read by DuckDB as a whole, which is as fast as hand-written SQL. Anything
else (a broken line, mixed types, gzip, a Bundle) goes through the sieve first, record by record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.exports import Export, ExportFile, unreadable
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.extract.records import is_gzip, read_records
from pipelines.sqlonfhir.fhir_types import r4
from pipelines.sqlonfhir.reading import open_duckdb, relation_of
from pipelines.sqlonfhir.units import register_units
from pipelines.sqlonfhir.views import EARLIEST, LATEST
from pipelines.zib.accounts import FileAccount, QuarantineFile
from pipelines.zib.batches import Misread, measure_lines, read_clean
from pipelines.zib.catalogue import Catalogue, ZibTable
from pipelines.zib.duplicates import INDEX, find_duplicates, index_columns
from pipelines.zib.keys import pseudonym_column
from pipelines.zib.parts import Parts
from pipelines.zib.sieve import Sieve

BATCH_ROWS = 50_000
_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
OnProgress = Callable[[int, int], None]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MapReport:
    """What became of an export.

    Attributes:
        institution: folder name of the institution.
        files: the account of each file.
        tables: rows per ZIB table.
        versions: version of the view behind each table.
    """

    institution: str
    files: tuple[FileAccount, ...]
    tables: dict[str, int]
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        totals = {
            "lines": sum(f.lines for f in self.files),
            "accepted": sum(f.accepted for f in self.files),
            "quarantined": sum(f.quarantined.total() for f in self.files),
            "skipped": sum(f.skipped.total() for f in self.files),
        }
        return {
            "institution": self.institution,
            "totals": totals,
            "tables": self.tables,
            "files": [account.as_dict() for account in self.files],
            "mapping_versions": self.versions,
        }


def map_export(
    export: Export,
    out: Path,
    *,
    catalogue: Catalogue,
    pseudonyms: Pseudonyms,
    work: Path,
    maximum_line_bytes: int,
    on_progress: OnProgress = lambda done, total: None,
) -> MapReport:
    """Map one institution's export.

    Args:
        export: the files.
        out: existing folder for ``<table>.parquet`` and ``quarantine.ndjson``.
        catalogue: the ZIB tables.
        pseudonyms: of this institution.
        work: existing private folder for files that still hold identifiers; emptied again.
        maximum_line_bytes: longer lines are quarantined.
        on_progress: called with bytes done and bytes in total.

    Raises:
        TerminalError: `EXPORT-UNREADABLE`.
    """
    with (
        closing(open_duckdb(work)) as connection,
        QuarantineFile(out / "quarantine.ndjson", export.institution) as quarantine,
    ):
        pseudonyms.register(connection)
        register_units(connection)
        mapping = _Mapping(export, catalogue, pseudonyms, connection, quarantine, work, maximum_line_bytes)
        return mapping.run(out, on_progress)


class _Mapping:
    def __init__(
        self,
        export: Export,
        catalogue: Catalogue,
        pseudonyms: Pseudonyms,
        connection: duckdb.DuckDBPyConnection,
        quarantine: QuarantineFile,
        work: Path,
        maximum_line_bytes: int,
    ) -> None:
        self._export = export
        self._catalogue = catalogue
        self._pseudonyms = pseudonyms
        self._connection = connection
        self._quarantine = quarantine
        self._work = work
        self._maximum_line_bytes = maximum_line_bytes
        self._parts = Parts(work)
        self._accounts = [_account(file) for file in export.files]
        self._names = pa.array([file.name for file in export.files], pa.string())

    def run(self, out: Path, on_progress: OnProgress) -> MapReport:
        total = sum(account.bytes for account in self._accounts)
        done = 0
        with Sieve(self._work, self._catalogue.schemas, r4().resources) as sieve:
            for index, file in enumerate(self._export.files):
                before = done

                def advance(share: float, start: int = before, size: int = self._accounts[index].bytes) -> None:
                    on_progress(start + int(share * size), total)

                self._map_file(index, file, sieve, advance)
                done += self._accounts[index].bytes
                on_progress(done, total)
            sieve.close()
            for resource_type, spool in sieve.spools.items():
                files, lines = np.asarray(spool.files, np.int64), np.asarray(spool.lines, np.int64)
                for start, batch in self._batches(spool.path, resource_type):
                    rows = slice(start, start + batch.num_rows)
                    self._settle(self._map_batch(resource_type, batch, files[rows], lines[rows]))
                self._parts.keep()
        return MapReport(
            self._export.institution,
            tuple(self._accounts),
            self._merge(out),
            {table.name: table.version for table in self._catalogue.tables},
        )

    def _map_file(self, index: int, file: ExportFile, sieve: Sieve, advance: Callable[[float], None]) -> None:
        account = self._accounts[index]
        if not file.is_fhir:
            account.skipped["FILE-NOT-FHIR"] += 1
            return
        try:
            if self._map_clean_file(index, file, advance):
                return
            records = read_records(file.path, maximum_line_bytes=self._maximum_line_bytes)
            for flaw, record in sieve.sort(index, records):
                if flaw.skipped:
                    account.skipped[flaw.rule_id] += 1
                    continue
                type_ = record.resource["resourceType"] if record else None
                known = type_ if type_ in r4().resources else None
                self._quarantine.add(account, flaw.line, flaw.rule_id, flaw.reason, resource_type=known)
        except PermissionError:
            raise unreadable(file.path) from None

    def _map_clean_file(self, index: int, file: ExportFile, advance: Callable[[float], None]) -> bool:
        """Map a file of clean NDJSON of one type; False, with nothing done, when it is something else."""
        resource_type = _type_of_first_line(file.path)
        if resource_type is None or resource_type not in self._catalogue.schemas:
            return False
        total, too_long = measure_lines(file.path, self._maximum_line_bytes)
        if too_long:
            return False
        outcomes = []
        try:
            for start, batch in self._batches(file.path, resource_type):
                lines = np.arange(start + 1, start + 1 + batch.num_rows, dtype=np.int64)
                files = np.full(batch.num_rows, index, dtype=np.int64)
                outcomes.append(self._map_batch(resource_type, batch, files, lines))
                advance(lines[-1] / total)
            if sum(outcome.lines.size for outcome in outcomes) != total:
                raise Misread
        except Misread:
            self._parts.discard()
            return False
        self._parts.keep()
        for outcome in outcomes:
            self._settle(outcome)
        return True

    def _batches(self, path: Path, resource_type: str) -> Iterator[tuple[int, pa.Table]]:
        """Per batch of resources: the number of its first line, the index, and the struct or elements views need."""
        schema, tables = self._catalogue.schemas[resource_type], self._catalogue.tables_of(resource_type)
        columns = index_columns(resource_type, schema)
        columns |= {table.name: table.view.sql_of_struct() for table in tables if table.view.is_flat}
        if not all(table.view.is_flat for table in tables):
            columns |= {f"_r_{element.name}": f'"_r_{element.name}"' for element, _ in schema}
        relation = relation_of(path, schema, self._maximum_line_bytes)
        start = 0
        for batch in read_clean(self._connection, resource_type, columns, relation, BATCH_ROWS):
            yield start, batch.append_column("_row", pa.array(np.arange(batch.num_rows, dtype=np.int64)))
            start += batch.num_rows

    def _map_batch(self, resource_type: str, batch: pa.Table, files: Integers, lines: Integers) -> _Outcome:
        """Hand the rows of every view of the type for a batch to the parts, but for resources with a date flaw."""
        outcome = _Outcome(resource_type, files, lines, np.zeros(batch.num_rows, dtype=np.bool_))
        results: list[tuple[ZibTable, pa.Table]] = []
        for table in self._catalogue.tables_of(resource_type):
            rows = _unpacked(batch, table.name) if table.view.is_flat else self._unfolded(batch, table)
            outcome.add(rows)
            results.append((table, rows))
        index = batch.select(["_row", *index_columns(resource_type, self._catalogue.schemas[resource_type])])
        self._parts.write(self._finished(results, index, outcome))
        return outcome

    def _finished(
        self, results: list[tuple[ZibTable, pa.Table]], index: pa.Table, outcome: _Outcome
    ) -> dict[str, pa.Table]:
        """The rows as they are stored: with pseudonyms for keys, and with institution, file and line."""
        finished = {INDEX: self._with_origin(index, outcome)}
        for table, rows in results:
            for column in table.view.outputs:
                if column.kind == "key":
                    place = rows.column_names.index(column.name)
                    keys = pseudonym_column(self._pseudonyms, rows[column.name])
                    rows = rows.set_column(place, column.name, keys)
            finished[table.name] = self._with_origin(rows, outcome)
        return finished

    def _unfolded(self, batch: pa.Table, table: ZibTable) -> pa.Table:
        """The rows of a view that may give several per resource."""
        self._connection.register("resources", batch)
        rows = self._connection.sql(table.view.sql_with_row("resources")).to_arrow_table()
        self._connection.unregister("resources")
        return rows

    def _with_origin(self, rows: pa.Table, outcome: _Outcome) -> pa.Table:
        """The rows of accepted resources, with institution, file and line in front, without the working columns."""
        numbers = rows["_row"].to_numpy()
        if not (kept := outcome.accepted[numbers]).all():
            rows, numbers = rows.filter(pa.array(kept)), numbers[kept]
        rows = rows.drop_columns([name for name in ("_row", "_date_flaw") if name in rows.column_names])
        origin = {
            "institution": pa.repeat(pa.scalar(self._export.institution), rows.num_rows),
            "source_file": self._names.take(pa.array(outcome.files[numbers])),
            "source_line": pa.array(outcome.lines[numbers]),
        }
        return pa.table({**origin, **dict(zip(rows.column_names, rows.columns, strict=True))})

    def _settle(self, outcome: _Outcome) -> None:
        """Count the lines of a batch in the accounts of their files, and write its flaws to quarantine."""
        matched = np.bincount(outcome.files[outcome.accepted], minlength=len(self._accounts))
        unmatched = ~outcome.accepted
        unmatched[list(outcome.flaws)] = False
        nothing = np.bincount(outcome.files[unmatched], minlength=len(self._accounts))
        for account, yes, no in zip(self._accounts, matched.tolist(), nothing.tolist(), strict=True):
            account.accepted += yes
            if no:
                account.skipped["NOTHING-MAPPED"] += no
        for row, (column, typed_id) in sorted(outcome.flaws.items()):
            self._quarantine.add(
                self._accounts[outcome.files[row]],
                int(outcome.lines[row]),
                "DATE-IMPOSSIBLE",
                f"{column} holds no possible date, or one outside {EARLIEST} to {LATEST}",
                resource_type=outcome.resource_type,
                resource_key=self._pseudonyms.of_resource(typed_id),
            )

    def _merge(self, out: Path) -> dict[str, int]:
        dropped = find_duplicates(self._connection, self._parts.paths(INDEX))
        self._account_for_duplicates(dropped)
        counts = {}
        for table in self._catalogue.tables:
            if not self._parts.paths(table.name):
                self._parts.write_empty(table.name, _no_rows(table))
            counts[table.name] = self._parts.merge(self._connection, table.name, out / f"{table.name}.parquet", dropped)
        self._parts.remove(INDEX)
        return counts

    def _account_for_duplicates(self, dropped: pa.Table) -> None:
        by_name = {account.name: account for account in self._accounts}
        for row in dropped.to_pylist():
            account = by_name[row["source_file"]]
            account.accepted -= 1
            if row["code"] == "DUPLICATE-CONFLICT":
                self._quarantine.add(
                    account,
                    row["source_line"],
                    row["code"],
                    "several resources share this id and differ; none of them is used",
                    resource_type=row["resource_type"],
                )
            else:
                account.skipped[row["code"]] += 1


@dataclass(slots=True)
class _Outcome:
    """What a batch gave: which of its lines were accepted, and which hold an impossible date."""

    resource_type: str
    files: Integers
    lines: Integers
    accepted: npt.NDArray[np.bool_]
    flaws: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Take in the rows that one view gave for the batch."""
        numbers = rows["_row"].to_numpy()
        self.accepted[numbers] = True
        if rows["_date_flaw"].null_count < rows.num_rows:
            flawed = rows.filter(pc.is_valid(rows["_date_flaw"]))
            for row in flawed.select(["_row", "_date_flaw", "resource_key"]).to_pylist():
                self.flaws[row["_row"]] = (row["_date_flaw"], row["resource_key"])
        self.accepted[list(self.flaws)] = False


def _unpacked(batch: pa.Table, name: str) -> pa.Table:
    """The rows of a flat view, from its column of structs."""
    structs = batch[name].combine_chunks()
    numbers = np.flatnonzero(structs.is_valid().to_numpy(zero_copy_only=False))
    if len(numbers) < len(structs):
        structs = structs.take(pa.array(numbers))
    names = [field.name for field in structs.type]
    return pa.table({"_row": pa.array(numbers), **dict(zip(names, structs.flatten(), strict=True))})


def _no_rows(table: ZibTable) -> pa.Table:
    origin = {"institution": pa.string(), "source_file": pa.string(), "source_line": pa.int64()}
    columns = {column.name: _ARROW_TYPES[column.type] for column in table.view.outputs}
    return pa.schema({**origin, **columns}).empty_table()


def _account(file: ExportFile) -> FileAccount:
    try:
        return FileAccount(file.name, file.path.stat().st_size)
    except PermissionError:
        raise unreadable(file.path) from None


def _type_of_first_line(path: Path) -> str | None:
    """The resourceType on the first line when that is one complete resource and the file is not gzipped."""
    if is_gzip(path):
        return None
    with path.open("rb") as file:
        first = file.readline(1 << 24)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return None
    type_ = value.get("resourceType") if isinstance(value, dict) else None
    return type_ if isinstance(type_, str) else None
