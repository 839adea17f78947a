"""The rows of an export as they are stored: pseudonyms for keys, ids for codings, and where each row came from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.extract.exports import Export
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.zib.catalogue import Catalogue, ZibTable
from pipelines.zib.codings import CODING_TABLE, CodingTable
from pipelines.zib.duplicates import INDEX, find_duplicates
from pipelines.zib.identifiers import resolve_identifiers
from pipelines.zib.keys import Renamed, identifier_keys, pseudonym_column
from pipelines.zib.outcomes import Outcome
from pipelines.zib.parts import Parts
from pipelines.zib.private_codings import PrivateCodings
from pipelines.zib.rows import Rows

_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


class FinishedTables:
    """The tables of one export, written to ``<table>.parquet`` in `out` by way of parts in `work`.

    What was written since the last `keep` is thrown away by `discard`.
    """

    def __init__(
        self,
        export: Export,
        out: Path,
        work: Path,
        catalogue: Catalogue,
        pseudonyms: Pseudonyms,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        self._export = export
        self._out = out
        self._catalogue = catalogue
        self.pseudonyms = pseudonyms
        self._connection = connection
        self._parts = Parts(work)
        self._private = PrivateCodings(catalogue.known_codes, pseudonyms)
        self._codings = CodingTable(
            out / f"{CODING_TABLE}.parquet", export.institution, catalogue.concept_map, self._private
        )
        self._identifiers: set[str] = set()
        self._names = pa.array([file.name for file in export.files], pa.string())

    def write(self, rows: Rows, index: pa.Table, outcome: Outcome) -> None:
        """Store the rows of accepted lines, by table, and their lines of the index of duplicates.

        That is done in the background: `outcome` may not change any more.
        """
        self._parts.write(partial(self._finished, rows, index, outcome))

    def keep(self) -> None:
        """What was written stays."""
        self._parts.keep()
        self._codings.keep()

    def discard(self) -> None:
        """Throw away what was not kept yet."""
        self._parts.discard()
        self._codings.discard()

    def close(self) -> None:
        """Finish the table of codings."""
        self._codings.close()

    def merge(self, drop: Callable[[pa.Table], None], maximum_line_bytes: int) -> dict[str, int]:
        """Write every table, without duplicates and with references by identifier resolved; its rows by table.

        Args:
            drop: is told the lines that fall out (`find_duplicates`).
        """
        dropped = find_duplicates(self._connection, self._parts.paths(INDEX))
        drop(dropped)
        found = resolve_identifiers(self._export, self._identifiers, maximum_line_bytes)
        renamed = Renamed.of(self.pseudonyms, found)
        counts = {}
        for table in self._catalogue.tables:
            if not self._parts.paths(table.name):
                self._parts.write_empty(table.name, _no_rows(table))
            target = self._out / f"{table.name}.parquet"
            change = partial(renamed.in_columns, names=_references(table)) if found else None
            counts[table.name] = self._parts.merge(self._connection, table.name, target, dropped, change)
        self._parts.remove(INDEX)
        return counts | {CODING_TABLE: self._codings.rows}

    def _finished(self, rows: Rows, index: pa.Table, outcome: Outcome) -> dict[str, pa.Table]:
        finished = {INDEX: self._with_origin(index, outcome)}
        for table in self._catalogue.tables:
            if table.name in rows:
                finished[table.name] = self._with_ids(self._with_origin(rows[table.name], outcome), table)
        return finished

    def _with_ids(self, rows: pa.Table, table: ZibTable) -> pa.Table:
        for column in table.view.outputs:
            if column.kind == "value":
                continue
            place = rows.column_names.index(column.name)
            if column.kind == "key":
                if column.name != "resource_key":
                    self._identifiers |= identifier_keys(rows[column.name])
                ids = pseudonym_column(self.pseudonyms, rows[column.name])
            else:
                ids = self._codings.ids(rows[column.name])
            rows = rows.set_column(place, column.name, ids)
        return self._private.columns(rows)

    def _with_origin(self, rows: pa.Table, outcome: Outcome) -> pa.Table:
        """The rows of accepted lines, with institution, file and line in front, without the working columns."""
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


def _references(table: ZibTable) -> tuple[str, ...]:
    return tuple(c.name for c in table.view.outputs if c.kind == "key" and c.name != "resource_key")


def _no_rows(table: ZibTable) -> pa.Table:
    origin = {"institution": pa.string(), "source_file": pa.string(), "source_line": pa.int64()}
    columns = {column.name: _ARROW_TYPES[column.type] for column in table.view.outputs}
    return pa.schema({**origin, **columns}).empty_table()
