"""Many rows at once: COPY on PostgreSQL, the driver's executemany on SQLite; and what keeps two writers apart."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.database.models import Base, table_of

_CHUNK_ROWS = 20_000  # keeps the copy of a large table small
_NUL, _REPLACEMENT = "\0", "\N{REPLACEMENT CHARACTER}"


def insert_table(connection: Connection, model: type[Base], rows: pa.Table) -> None:
    """Insert the rows of an Arrow table whose columns are columns of the model.

    A NUL character, which PostgreSQL cannot hold, becomes U+FFFD on every database.
    """
    insert = _copy if connection.dialect.name == "postgresql" else _execute_many
    for chunk in rows.to_batches(max_chunksize=_CHUNK_ROWS):
        if chunk.num_rows:
            plain = [_plain(column) for column in chunk.columns]
            insert(connection, str(model.__tablename__), pa.record_batch(plain, rows.column_names))


def insert_rows(connection: Connection, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """As `insert_table`, for rows as mappings that all have the keys of the first; none of them of a JSON column."""
    if rows:
        columns = table_of(model).columns
        schema = pa.schema([(name, _arrow_type(columns[name].type)) for name in rows[0]])
        insert_table(connection, model, pa.Table.from_pylist(rows, schema))


def hold(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds `name`, and hold it until this one ends; reentrant.

    What replaces rows needs it: PostgreSQL does not show one transaction the rows that another has just put in place of
    those it is deleting. SQLite has one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def _copy(connection: Connection, name: str, rows: pa.RecordBatch) -> None:
    content = io.BytesIO()
    # A null is nothing and text is always quoted: that is how COPY tells a null from an empty text.
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(rows, content, options)
    driver: Any = connection.connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} ({_columns(rows)}) FROM STDIN (FORMAT csv)") as copy:
        copy.write(content.getbuffer())


def _execute_many(connection: Connection, name: str, rows: pa.RecordBatch) -> None:
    # Straight to the driver: SQLAlchemy's handling of each value would double the time of 500,000 rows.
    statement = f"INSERT INTO {name} ({_columns(rows)}) VALUES ({', '.join('?' * rows.num_columns)})"
    values = [_as_sqlite_keeps_it(column).to_pylist() for column in rows.columns]
    connection.exec_driver_sql(statement, list(zip(*values, strict=True)))


def _columns(rows: pa.RecordBatch) -> str:
    return ", ".join(f'"{name}"' for name in rows.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    """Values that fit a column of every database: lists and structs as JSON text, and no NUL."""
    if pa.types.is_nested(column.type):
        texts = [None if value is None else json.dumps(value) for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.replace_substring(column, _NUL, _REPLACEMENT)
    return column


def _as_sqlite_keeps_it(column: pa.Array) -> pa.Array:
    """Days and moments as the text that SQLAlchemy reads back: `2026-03-01 11:00:00.000000`, in UTC."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return column.cast(pa.string()) if pa.types.is_temporal(column.type) else column


def _arrow_type(column: sa.types.TypeEngine[Any]) -> pa.DataType:
    match column:
        case sa.DateTime():
            return pa.timestamp("us", "UTC")
        case sa.Date():
            return pa.date32()
        case sa.Boolean():
            return pa.bool_()
        case sa.Integer():
            return pa.int64()
        case sa.Float():
            return pa.float64()
        case _:
            return pa.string()
