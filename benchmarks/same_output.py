"""Whether the mapping by hand and ours wrote the same rows, so that a benchmark compares equal work.

Usage: python benchmarks/same_output.py HAND OURS   (folders of Parquet files)
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from handwritten_full import TABLES

KEYS = dict.fromkeys(TABLES, ("resource_key",)) | {"zib_coding": ("codings_id", '"position"')}
TOLERANCE = 1e-12


def check(hand: Path, ours: Path) -> int:
    """The number of rows compared; the process ends where a table differs in columns, types, rows or values.

    Floats may differ by `TOLERANCE` of their size. What differs is told by table and column, without values.
    """
    return sum(_check_table(table, hand, ours) for table in KEYS)


def _check_table(table: str, hand: Path, ours: Path) -> int:
    left, right = (f"read_parquet('{folder}/{table}.parquet')" for folder in (hand, ours))
    types, expected = (_types(side) for side in (left, right))
    if list(types.items()) != list(expected.items()):
        sys.exit(f"{table}: the columns differ: {sorted(set(types.items()) ^ set(expected.items())) or 'in order'}")
    counts = ", ".join(f'count(*) FILTER ({_differs(name, type_)}) AS "{name}"' for name, type_ in types.items())
    joined = f"{left} AS hand FULL JOIN {right} AS ours USING ({', '.join(KEYS[table])})"
    lone = "count(*) FILTER (hand.institution IS NULL OR ours.institution IS NULL)"
    query = duckdb.execute(f"SELECT count(*) AS compared, {lone} AS lone, {counts} FROM {joined}")
    compared, *differing = query.fetchall()[0]
    names = ("in one only", *types)
    wrong = {name: number for name, number in zip(names, differing, strict=True) if number}
    rows: int = duckdb.execute(f"SELECT count(*) FROM {right}").fetchall()[0][0]
    if wrong or not rows or compared != rows:
        sys.exit(f"{table}: {compared} rows compared of {rows}; rows that differ, by column: {wrong}")
    return rows


def _types(relation: str) -> dict[str, str]:
    return {name: type_ for name, type_, *_ in duckdb.execute(f"DESCRIBE FROM {relation}").fetchall()}


def _differs(name: str, type_: str) -> str:
    hand, ours = f'hand."{name}"', f'ours."{name}"'
    if type_ != "DOUBLE":
        return f"{hand} IS DISTINCT FROM {ours}"
    near = f"abs({hand} - {ours}) <= {TOLERANCE} * greatest(abs({ours}), 1)"
    return f"({hand} IS NULL) <> ({ours} IS NULL) OR NOT coalesce({near}, TRUE)"


if __name__ == "__main__":
    print(f"{check(Path(sys.argv[1]), Path(sys.argv[2])):,} rows are the same")
