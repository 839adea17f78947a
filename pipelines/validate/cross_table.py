"""References that lead nowhere: the rules of `expectations/cross_table.yaml`.

Great Expectations has no joins, so DuckDB does these.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

_DANGLING = """
    SELECT row FROM rows ANTI JOIN targets USING (institution, key)
    WHERE key IS NOT NULL
    ORDER BY row
"""

_KEYS = pa.schema([("institution", pa.string()), ("key", pa.string())])


def find_dangling(table: pa.Table, column: str, targets: Iterable[pa.Table], target_column: str) -> tuple[int, ...]:
    """Positions of rows whose key names no row of any of the target tables of the same institution.

    Args:
        table: the table that refers; rows without a key are left out, a rule of the suite is about those.
        column: the key column of `table`.
        targets: tables with the columns `institution` and `target_column`.
        target_column: the column the key should be found in.
    """
    known = pa.concat_tables([_KEYS.empty_table(), *(_keys(each, target_column) for each in targets)])
    rows = _keys(table, column).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.register("targets", known)
        return tuple(row for (row,) in connection.execute(_DANGLING).fetchall())


def _keys(table: pa.Table, column: str) -> pa.Table:
    return table.select(["institution", column]).rename_columns(_KEYS.names).cast(_KEYS)
