"""The lake: append-only Delta tables, partitioned by institution, with the batch every row came in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from pipelines.errors import TransientError

_CURRENT = """
CREATE OR REPLACE VIEW {table} AS
SELECT * EXCLUDE (batch_id, landed_at) FROM {table}_history
QUALIFY dense_rank() OVER (PARTITION BY institution, resource_key ORDER BY landed_at DESC, batch_id DESC) = 1
"""


class Lake:
    """The Delta tables below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, table: str, rows: pa.Table, *, institution: str, batch_id: str, landed_at: datetime) -> None:
        """Add a batch's rows to a table. Adding the same batch again replaces it: a rerun changes nothing.

        Raises:
            TransientError: `LAKE-BUSY` when another writer won, `LAKE-WRITE` when the disk refuses.
        """
        width = rows.num_rows
        stamped = rows.append_column("batch_id", pa.repeat(pa.scalar(batch_id), width)).append_column(
            "landed_at", pa.repeat(pa.scalar(landed_at, pa.timestamp("us", "UTC")), width)
        )
        path = self._root / table
        try:
            if not DeltaTable.is_deltatable(str(path)):
                DeltaTable.create(str(path), stamped.schema, partition_by=["institution"], mode="ignore")
            write_deltalake(
                str(path),
                stamped,
                mode="overwrite",
                predicate=f"institution = '{_escaped(institution)}' AND batch_id = '{_escaped(batch_id)}'",
            )
        except CommitFailedError:
            raise TransientError(
                "LAKE-BUSY", "another run wrote the table", where=str(path), remedy="Run again."
            ) from None
        except OSError as error:
            raise TransientError(
                "LAKE-WRITE", error.strerror or "write failed", where=str(path), remedy="Check disk space and rights."
            ) from None

    def patients(self, institution: str, *, of_batch: str | None = None, without_batch: str | None = None) -> pa.Array:
        """Keys of the patients that one batch of an institution brought, or all batches but one; as text, sorted."""
        try:
            dataset = DeltaTable(str(self._root / "zib_patient")).to_pyarrow_dataset()
        except TableNotFoundError:
            return pa.array([], pa.string())
        wanted = ds.field("institution") == institution
        if of_batch is not None:
            wanted &= ds.field("batch_id") == of_batch
        if without_batch is not None:
            wanted &= ds.field("batch_id") != without_batch
        keys = dataset.to_table(columns=["patient_key"], filter=wanted)["patient_key"]
        return pc.unique(keys.drop_null().cast(pa.string())).sort()

    def attach(self, connection: duckdb.DuckDBPyConnection, tables: list[str]) -> None:
        """Make each table a view of its current rows: per resource, those of the newest batch that holds it."""
        for table in tables:
            try:
                dataset = DeltaTable(str(self._root / table)).to_pyarrow_dataset()
            except TableNotFoundError:
                continue
            connection.register(f"{table}_history", dataset)
            connection.execute(_CURRENT.format(table=table))


def _escaped(text: str) -> str:
    return text.replace("'", "''")
