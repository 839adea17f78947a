"""Arrow tables for the tests, with the columns that docs/tables.md promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.validate.rules import Suite, load_suites
from pipelines.zib.catalogue import load_catalogue

REPOSITORY = Path(__file__).resolve().parents[2]
EXPECTATIONS = REPOSITORY / "expectations"
AS_OF = date(2025, 6, 30)

SUITES = load_suites(EXPECTATIONS)

_TYPES = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


def schema_of(table: str) -> pa.Schema:
    """The columns of a table as its view gives them."""
    return pa.schema(_columns()[table])


def table_of(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A table of the suite's example row, once per entry of `rows` with those columns changed."""
    example = SUITES[table].meta["example_row"]
    return pa.Table.from_pylist([{**example, **row} for row in rows], schema=schema_of(table))


def examples(suite: Suite) -> list[tuple[str, str, dict[str, Any]]]:
    """(rule_id, ``valid`` or ``invalid``, changed columns) of every example in a suite."""
    return [
        (expectation["meta"]["rule_id"], kind, changes)
        for expectation in suite.expectations
        for kind in ("valid", "invalid")
        for changes in expectation["meta"]["examples"][kind]
    ]


@cache
def _columns() -> dict[str, list[tuple[str, pa.DataType]]]:
    ends = [("source_file", pa.string()), ("source_line", pa.int64())]
    return {
        table.name: [("institution", pa.string()), *((c.name, _TYPES[c.type]) for c in table.view.outputs), *ends]
        for table in load_catalogue(REPOSITORY / "mappings").tables
    }
