"""An institution's export mapped to ZIB tables: Parquet per table, quarantine, and an account of every line.

A file of clean NDJSON of one type and release is read by DuckDB as a whole, which is as fast as hand-written SQL.
Anything else (a broken line, mixed types, gzip, a Bundle) is sorted record by record first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.extract.exports import Export, ExportFile, unreadable
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.extract.records import Flaw, count_lines, is_gzip, read_records
from pipelines.sqlonfhir.fhir_types import Release
from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.sqlonfhir.units import register_units
from pipelines.sqlonfhir.values import Schema
from pipelines.zib.accounts import FileAccount, QuarantineFile
from pipelines.zib.batches import Misread, measure_lines
from pipelines.zib.catalogue import Catalogue
from pipelines.zib.finished import FinishedTables
from pipelines.zib.kinds import may_have_other_kinds
from pipelines.zib.outcomes import Integers, LineFlaw, Outcome
from pipelines.zib.releases import (
    profiles_in,
    profiles_of,
    release_of_row,
    releases_sql,
    row_is_contradictory,
    told_by_profiles,
)
from pipelines.zib.rows import PROFILES, ResourceBatch, ResourceRows, Rows, differing_rows
from pipelines.zib.sorting import Sorter, unknown_release

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MapReport:
    """What became of an export.

    Attributes:
        institution: folder name of the institution.
        files: the account of each file.
        tables: rows per table, `zib_coding` included.
        versions: version of the views behind each table.
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


@dataclass(frozen=True, slots=True)
class ExtractBatch:
    """Rows that a reader of another format than FHIR made, to be stored as those of resources are.

    Attributes:
        lines: per line of this batch its number in the file; `_row` below counts in it.
        rows: by table: `_row`, `_date_flaw` (null, or the column with an impossible date) and the columns of the
            table's view, of which keys are ``Type/id`` and codings the text of `pipelines.sqlonfhir.tags`.
        index: per line, if it gave a row: `_row` and the columns of `pipelines.zib.duplicates.index_columns`.
        flaws: what cannot be used; its lines may be outside `lines`.
    """

    lines: Integers
    rows: Rows
    index: pa.Table
    flaws: tuple[Flaw, ...] = ()


ReadExtract = Callable[[ExportFile], Iterator[ExtractBatch] | None]
"""Reads a file that is not FHIR; None when it cannot either."""


def map_export(
    export: Export,
    out: Path,
    *,
    catalogue: Catalogue,
    pseudonyms: Pseudonyms,
    work: Path,
    maximum_line_bytes: int,
    on_progress: OnProgress = lambda done, total: None,
    read_extract: ReadExtract = lambda file: None,
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
        read_extract: is offered every file that is not FHIR.

    Raises:
        TerminalError: `EXPORT-UNREADABLE`.
    """
    accounts = tuple(_account(file) for file in export.files)
    with (
        closing(open_duckdb(work)) as connection,
        QuarantineFile(out / "quarantine.ndjson", export.institution) as quarantine,
        closing(FinishedTables(export, out, work, catalogue, pseudonyms, connection)) as finished,
    ):
        pseudonyms.register(connection)
        register_units(connection)
        rows = ResourceRows(connection, catalogue, work, maximum_line_bytes)
        mapping = _Mapping(export, catalogue, accounts, connection, quarantine, rows, finished, maximum_line_bytes)
        with closing(Sorter(work, catalogue, mapping.told)) as sorter:
            mapping.run(sorter, on_progress, read_extract)
        counts = finished.merge(mapping.account_for_duplicates, maximum_line_bytes)
    return MapReport(export.institution, accounts, counts, {table.name: table.version for table in catalogue.tables})


class _OtherRelease(Exception):
    """A profile in the file is not of the release that its first line is in."""


class _Mapping:
    def __init__(
        self,
        export: Export,
        catalogue: Catalogue,
        accounts: tuple[FileAccount, ...],
        connection: duckdb.DuckDBPyConnection,
        quarantine: QuarantineFile,
        rows: ResourceRows,
        finished: FinishedTables,
        maximum_line_bytes: int,
    ) -> None:
        self._export = export
        self._catalogue = catalogue
        self._accounts = accounts
        self._connection = connection
        self._quarantine = quarantine
        self._rows = rows
        self._finished = finished
        self._maximum_line_bytes = maximum_line_bytes
        self._untold: list[int] = []
        self.told: list[set[Release]] = [set() for _ in export.files]

    def run(self, sorter: Sorter, on_progress: OnProgress, read_extract: ReadExtract) -> None:
        """Map every file, then what had to wait for the others."""
        total = sum(account.bytes for account in self._accounts)
        done = 0
        for index, file in enumerate(self._export.files):
            size, before = self._accounts[index].bytes, done

            def advance(share: float, start: int = before, size: int = size) -> None:
                on_progress(start + int(share * size), total)

            try:
                self._map_file(index, file, sorter, advance, read_extract)
            except PermissionError:
                raise unreadable(file.path) from None
            done += size
            on_progress(done, total)
        self._map_untold(sorter)
        for index, flaw, resource_type in sorter.decide():
            self._set_aside(index, flaw, resource_type)
        for release, resource_type, spool in sorter.spools():
            files, lines = np.asarray(spool.files, np.int64), np.asarray(spool.lines, np.int64)
            for batch in self._rows.batches(spool.path, release, resource_type):
                self._settle(self._map_batch(batch, files, lines))
            self._finished.keep()
        for resource_type, spools in sorter.undecided():
            files, lines = (np.asarray(column, np.int64) for column in _places(spools))
            both = [self._rows.batches(spool.path, release, resource_type) for release, spool in spools.items()]
            for batches in zip(*both, strict=True):
                self._settle(self._map_undecided(batches, files, lines))
            self._finished.keep()

    def account_for_duplicates(self, dropped: pa.Table) -> None:
        """Count lines that fall out after they were accepted."""
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

    def _map_file(
        self, index: int, file: ExportFile, sorter: Sorter, advance: Callable[[float], None], read_extract: ReadExtract
    ) -> None:
        if not file.is_fhir:
            self._map_extract(index, read_extract(file))
        elif not self._map_clean_file(index, file, advance):
            self._sort(index, file, sorter)

    def _map_extract(self, index: int, batches: Iterator[ExtractBatch] | None) -> None:
        if batches is None:
            self._skip_file(index)
            return
        for batch in batches:
            outcome = Outcome.of(np.full(batch.lines.size, index, dtype=np.int64), batch.lines)
            for table in self._catalogue.tables:
                if table.name in batch.rows:
                    outcome.add(batch.rows[table.name], table.view.resource)
            self._finished.write(batch.rows, batch.index, outcome)
            self._settle(outcome)
            for flaw in batch.flaws:
                self._set_aside(index, flaw, None)
        self._finished.keep()

    def _skip_file(self, index: int) -> None:
        """Count a file that nobody reads: the lines of one that may be CSV, anything else as one."""
        file = self._export.files[index]
        if file.is_csv and (lines := count_lines(file.path)):
            self._accounts[index].skipped["CSV-NO-MAPPING"] += lines
        else:
            self._accounts[index].skipped["FILE-NOT-FHIR"] += 1

    def _sort(self, index: int, file: ExportFile, sorter: Sorter) -> None:
        records = read_records(file.path, maximum_line_bytes=self._maximum_line_bytes)
        for flaw, resource_type in sorter.sort(index, records):
            self._set_aside(index, flaw, resource_type)

    def _set_aside(self, index: int, flaw: Flaw, resource_type: str | None) -> None:
        account = self._accounts[index]
        if flaw.skipped:
            account.skipped[flaw.rule_id] += 1
        else:
            self._quarantine.add(account, flaw.line, flaw.rule_id, flaw.reason, resource_type=resource_type)

    def _map_clean_file(self, index: int, file: ExportFile, advance: Callable[[float], None]) -> bool:
        """Map a file of clean NDJSON of one type and release; False, with nothing done, when it is something else."""
        first = _first_resource(file.path)
        if first is None or not any(first[0] in schemas for schemas in self._catalogue.schemas.values()):
            return False
        resource_type, profiles = first
        release = told_by_profiles(profiles)
        try:
            if release is not None:
                return self._read_whole(index, file, release, resource_type, advance, check=True)
        except _OtherRelease:
            pass
        try:
            told = self._releases_in(file, resource_type)
        except Misread:
            return False
        self.told[index] |= told
        if not told:
            self._untold.append(index)
        return not told or (
            len(told) == 1 and self._read_whole(index, file, next(iter(told)), resource_type, advance, check=False)
        )

    def _map_untold(self, sorter: Sorter) -> None:
        """Map the clean files that nothing tells the release of: as the rest of the export, if that is of one."""
        told = set().union(*self.told) if self.told else set()
        for index in self._untold:
            file = self._export.files[index]
            first = _first_resource(file.path)
            release = next(iter(told), self._catalogue.releases[0])
            certain = len(told) == 1 or len(self._catalogue.releases) == 1
            if (
                first is None
                or not certain
                or not self._read_whole(index, file, release, first[0], lambda share: None, check=False)
            ):
                self._sort(index, file, sorter)

    def _releases_in(self, file: ExportFile, resource_type: str) -> set[Release]:
        """The releases that resources in a clean file tell.

        Raises:
            Misread: when it is not clean, or a resource in it tells both.
        """
        try:
            found = self._connection.sql(releases_sql(file.path, resource_type, self._maximum_line_bytes)).fetchall()
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            raise Misread from None
        if any(row_is_contradictory(*row) for _, *row in found):
            raise Misread
        told = {release_of_row(*row) for _, *row in found}
        return {release for release in told if release is not None}

    def _read_whole(
        self,
        index: int,
        file: ExportFile,
        release: Release,
        resource_type: str,
        advance: Callable[[float], None],
        *,
        check: bool,
    ) -> bool:
        """Map a clean file; False, with nothing done, when it turns out to be something else.

        Raises:
            _OtherRelease: when `check` is set and not every profile tells `release`.
        """
        schema = self._catalogue.schemas.get(release, {}).get(resource_type)
        if schema is None or schema.is_recursive:  # DuckDB does not look into what it keeps as JSON
            return False
        outcomes = []
        try:
            for batch, total in self._fitting_batches(file.path, release, resource_type, schema, check):
                if check and not _all_tell(release, batch.columns[PROFILES]):
                    raise _OtherRelease
                lines = np.arange(batch.start + 1, batch.start + 1 + batch.columns.num_rows, dtype=np.int64)
                files = np.full(batch.columns.num_rows, index, dtype=np.int64)
                outcomes.append(self._map_rows(batch, Outcome.of(files, lines)))
                advance(lines[-1] / total)
        except Misread:
            self._finished.discard()
            return False
        except _OtherRelease:
            self._finished.discard()
            raise
        self._finished.keep()
        self.told[index].add(release)
        for outcome in outcomes:
            self._settle(outcome)
        return True

    def _fitting_batches(
        self, path: Path, release: Release, resource_type: str, schema: Schema, with_profiles: bool
    ) -> Iterator[tuple[ResourceBatch, int]]:
        """The batches of a file, with the number of its lines; the bytes are looked at while DuckDB parses them.

        Raises:
            Misread: when not every line is one resource of which DuckDB reads all as it stands.
        """
        with ThreadPoolExecutor(2, thread_name_prefix="bytes") as beside:
            measured = beside.submit(measure_lines, path, self._maximum_line_bytes)
            unfit = beside.submit(may_have_other_kinds, path, schema)
            rows = 0
            for batch in self._rows.batches(path, release, resource_type, with_profiles=with_profiles):
                total, too_long = measured.result()
                if too_long or unfit.result():
                    raise Misread
                rows += batch.columns.num_rows
                yield batch, total
            if rows != measured.result()[0]:
                raise Misread

    def _map_batch(self, batch: ResourceBatch, files: Integers, lines: Integers) -> Outcome:
        """Map a batch of a spool, of which all files and lines are given."""
        part = slice(batch.start, batch.start + batch.columns.num_rows)
        return self._map_rows(batch, Outcome.of(files[part], lines[part]))

    def _map_rows(self, batch: ResourceBatch, outcome: Outcome) -> Outcome:
        self._finished.write(self._rows.rows(batch, outcome), batch.index, outcome)
        return outcome

    def _map_undecided(self, batches: tuple[ResourceBatch, ...], files: Integers, lines: Integers) -> Outcome:
        """Map resources as in each release; those that would then differ are set aside."""
        first, *others = batches
        part = slice(first.start, first.start + first.columns.num_rows)
        outcome = Outcome.of(files[part], lines[part])
        rows = self._rows.rows(first, outcome)
        for other in others:
            different = differing_rows(
                self._connection, rows, self._rows.rows(other, Outcome.of(outcome.files, outcome.lines))
            )
            for row in different:
                flaw = unknown_release(int(outcome.lines[row]))
                outcome.flaws.pop(row, None)
                outcome.reject(row, LineFlaw(flaw.rule_id, flaw.reason, first.resource_type))
        self._finished.write(rows, first.index, outcome)
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        outcome.settle(self._accounts, self._quarantine, self._finished.pseudonyms)


def _places(spools: Mapping[Release, Any]) -> tuple[Any, Any]:
    spool = next(iter(spools.values()))
    return spool.files, spool.lines


def _all_tell(release: Release, profiles: pa.ChunkedArray) -> bool:
    return all(told_by_profiles(profiles_in(text)) == release for text in profiles.unique().to_pylist())


def _account(file: ExportFile) -> FileAccount:
    try:
        return FileAccount(file.name, file.path.stat().st_size)
    except PermissionError:
        raise unreadable(file.path) from None


def _first_resource(path: Path) -> tuple[str, list[str]] | None:
    """Type and profiles on the first line when that is one complete resource and the file is not gzipped."""
    if is_gzip(path):
        return None
    with path.open("rb") as file:
        first = file.readline(1 << 24)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return None
    type_ = value.get("resourceType") if isinstance(value, dict) else None
    if not isinstance(type_, str):
        return None
    return type_, profiles_of(value)
