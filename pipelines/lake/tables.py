"""The lake: append-only Delta tables, partitioned by institution, with the batch every row came in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipelines.errors import TransientError, disk_is_full

_CURRENT = """
CREATE OR REPLACE VIEW {table} AS
SELECT * EXCLUDE (batch_id, landed_at) FROM {table}_history
QUALIFY dense_rank() OVER (PARTITION BY institution, {unit} ORDER BY landed_at DESC, batch_id DESC) = 1
"""
_BATCH_ROWS = 50_000
_UNITS = {"zib_coding": "codings_id"}
"""What a newer batch replaces as a whole: the rows of a resource, but in `zib_coding` those of a list of codings."""


KNOWN_PATIENT = ["institution", "patient_key", "birth_date_text", "death_date_text"]
"""What validation has to know of a patient that an earlier batch brought."""


class Lake:
    """The Delta tables below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(
        self, table: str, rows: pa.Table | ds.Dataset, *, institution: str, batch_id: str, landed_at: datetime
    ) -> None:
        """Add a batch's rows to a table. Adding the same batch again replaces it: a rerun changes nothing.

        A table is made by its first batch, even when that has no row. A column that the table does not have yet is
        added to it, and is null in earlier rows.

        Raises:
            TransientError: `LAKE-BUSY` when another writer won, `DISK-FULL`, `LAKE-WRITE` when the disk refuses.
        """
        stamps = {"batch_id": pa.scalar(batch_id), "landed_at": pa.scalar(landed_at, pa.timestamp("us", "UTC"))}
        rows = ds.dataset(rows) if isinstance(rows, pa.Table) else rows
        stamped = _stamped(rows, stamps)
        path = self._root / table
        try:
            if not DeltaTable.is_deltatable(str(path)):
                DeltaTable.create(str(path), stamped.schema, partition_by=["institution"], mode="ignore")
            if not rows.count_rows() and not _may_hold(DeltaTable(str(path)), institution, batch_id):
                return
            write_deltalake(
                str(path),
                stamped,
                mode="overwrite",
                schema_mode="merge",
                predicate=f"institution = '{_escaped(institution)}' AND batch_id = '{_escaped(batch_id)}'",
            )
        except CommitFailedError:
            raise TransientError(
                "LAKE-BUSY", "another run wrote the table", where=str(path), remedy="Run again."
            ) from None
        except (OSError, DeltaError) as error:
            if disk_is_full(error):
                raise TransientError(
                    "DISK-FULL", "a table does not fit", where=str(path), remedy="Free disk space and run again."
                ) from None
            if not isinstance(error, OSError):
                raise
            raise TransientError(
                "LAKE-WRITE", error.strerror or "write failed", where=str(path), remedy="Check disk space and rights."
            ) from None

    def patients(self, institution: str, *, of_batch: str) -> pa.Array:
        """Keys of the patients that one batch of an institution brought; as text, sorted."""
        try:
            dataset = DeltaTable(str(self._root / "zib_patient")).to_pyarrow_dataset()
        except TableNotFoundError:
            return pa.array([], pa.string())
        wanted = (ds.field("institution") == institution) & (ds.field("batch_id") == of_batch)
        keys = dataset.to_table(columns=["patient_key"], filter=wanted)["patient_key"]
        return pc.unique(keys.drop_null().cast(pa.string())).sort()

    def known_patients(self, institution: str, *, without_batch: str) -> pa.Table:
        """Patients that other batches of an institution brought, as the newest of them has it (`KNOWN_PATIENT`)."""
        try:
            dataset = DeltaTable(str(self._root / "zib_patient")).to_pyarrow_dataset()
        except TableNotFoundError:
            return pa.table({name: pa.array([], pa.string()) for name in KNOWN_PATIENT})
        wanted = (ds.field("institution") == institution) & (ds.field("batch_id") != without_batch)
        order = ["landed_at", "batch_id"]
        rows = dataset.to_table(columns=[*KNOWN_PATIENT, *order], filter=wanted)
        rows = rows.sort_by([("patient_key", "ascending"), *((name, "descending") for name in order)])
        keys = rows["patient_key"].to_numpy(zero_copy_only=False)
        first = np.ones(rows.num_rows, dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        return rows.filter(pa.array(first)).select(KNOWN_PATIENT)

    def attach(self, connection: duckdb.DuckDBPyConnection, tables: list[str]) -> None:
        """Make each table a view of its current rows: per resource (of `zib_coding`: per list of codings), those of
        the newest batch that holds it."""
        for table in tables:
            try:
                dataset = DeltaTable(str(self._root / table)).to_pyarrow_dataset()
            except TableNotFoundError:
                continue
            connection.register(f"{table}_history", dataset)
            connection.execute(_CURRENT.format(table=table, unit=_UNITS.get(table, "resource_key")))


def _stamped(rows: ds.Dataset, stamps: Mapping[str, pa.Scalar]) -> pa.RecordBatchReader:
    """The rows, read part by part, with the same value in every row for each column of `stamps`."""
    columns = {**{name: ds.field(name) for name in rows.schema.names}, **{k: ds.scalar(v) for k, v in stamps.items()}}
    return rows.scanner(columns=columns, batch_size=_BATCH_ROWS, batch_readahead=1, use_threads=False).to_reader()


def _may_hold(table: DeltaTable, institution: str, batch_id: str) -> bool:
    """Whether any file of the table may hold rows of the batch; by its statistics, so without reading it."""
    return any(
        file["partition.institution"] == institution
        and (file.get("min.batch_id") or batch_id) <= batch_id <= (file.get("max.batch_id") or batch_id)
        for file in pa.table(table.get_add_actions(flatten=True)).to_pylist()
    )


def _escaped(text: str) -> str:
    return text.replace("'", "''")
