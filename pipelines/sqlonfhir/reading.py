"""NDJSON read by DuckDB into a relation that compiled views read from."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

import duckdb

from pipelines.sqlonfhir.values import Schema, quote


def open_duckdb(work: Path, memory: str = "400MB") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that spills to `work`, never downloads an extension and reads local files only."""
    connection = duckdb.connect(
        config={
            "memory_limit": memory,
            "temp_directory": str(work / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    connection.execute("SET TimeZone = 'UTC'; SET streaming_buffer_size = '8MB'")
    return connection


def literal_path(path: Path) -> str:
    """SQL of a file name; without escapes DuckDB would take `*`, `?` and `[` in it for a pattern."""
    return quote(glob.escape(str(path)))


def parquet_relation(paths: Iterable[Path]) -> str:
    """SQL of the rows of Parquet files, with the columns they hold and none from `name=value` in their paths."""
    return f"read_parquet([{', '.join(map(literal_path, paths))}], hive_partitioning = false)"


def relation_of(path: Path, schema: Schema, maximum_line_bytes: int) -> str:
    """SQL of the resources in a clean NDJSON file of one type: column `_type` and one `_r_` column per element."""
    columns = {"resourceType": "VARCHAR", **schema.columns()}
    declared = ", ".join(f"{quote(name)}: {quote(type_)}" for name, type_ in columns.items())
    selected = ", ".join(f'"{name}" AS "_r_{name}"' for name in schema.columns())
    return (
        f'(SELECT "resourceType" AS _type{", " if selected else ""}{selected}'
        f" FROM read_json({literal_path(path)}, format = 'newline_delimited', columns = {{{declared}}},"
        f" hive_partitioning = false, maximum_object_size = {maximum_line_bytes}))"
    )
