"""Definitions as rows of a DuckDB table, so that SQL can join with what a domain expert declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Sequence[object]]) -> None:
    """Insert rows into an existing table, in its column order. `table` is a name in our own code, never input."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        values = ", ".join(["unnest(?)"] * len(columns))
        connection.execute(f"INSERT INTO {table} SELECT {values}", columns)
