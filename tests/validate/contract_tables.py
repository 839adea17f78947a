"""Arrow tables for the tests, with the columns that docs/tables.md promises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.validate.rules import Suite, load_suites

REPOSITORY = Path(__file__).resolve().parents[2]
EXPECTATIONS = REPOSITORY / "expectations"
AS_OF = date(2025, 6, 30)

SUITES = load_suites(EXPECTATIONS)

_NUMBERS = {"value", "value_number", "weight_value", "height_value", "reference_low", "reference_high"}


def schema_of(table: str) -> pa.Schema:
    """The columns of a table as docs/tables.md lists them, typed by the naming rules of that page."""
    return pa.schema([(name, _type_of(name)) for name in _columns()[table]])


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
def _columns() -> dict[str, list[str]]:
    page = (REPOSITORY / "docs" / "tables.md").read_text(encoding="utf-8")
    common = ["institution", "resource_key", "patient_key", "source_file", "source_line"]
    rows = re.findall(r"^\| `((?:zib|prom)_\w+)` \| (.+) \|$", page, flags=re.MULTILINE)
    return {table: common + re.findall(r"`([a-z0-9_]+)`", cells) for table, cells in rows}


def _type_of(column: str) -> pa.DataType:
    if column.endswith("_date"):
        return pa.date32()
    if column.endswith("_at"):
        return pa.timestamp("us")
    if column in _NUMBERS or column.endswith("_mmhg"):
        return pa.float64()
    return {"source_line": pa.int64(), "deceased": pa.bool_()}.get(column, pa.string())
