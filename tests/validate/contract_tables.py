"""Parquet tables for the tests, with the columns that the mapping gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.validate.frames import frame_sql, prepare_patients
from pipelines.validate.report import quarantine_summary
from pipelines.validate.rules import Suite, load_suites
from pipelines.validate.suites import Validation, validate_tables
from pipelines.validate.value_sets import ValueSets, load_value_sets
from pipelines.validate.workspace import ROW, Workspace
from pipelines.zib.catalogue import Catalogue, load_catalogue
from pipelines.zib.finished import _ARROW_TYPES

REPOSITORY = Path(__file__).resolve().parents[2]
EXPECTATIONS = REPOSITORY / "expectations"
AS_OF = date(2025, 6, 30)

SUITES = load_suites(EXPECTATIONS)
VALUE_SETS = load_value_sets(REPOSITORY / "mappings" / "zib" / "value_sets")
CODING = pa.schema(
    [
        ("institution", pa.string()),
        ("codings_id", pa.string()),
        ("position", pa.int64()),
        ("system", pa.string()),
        ("version", pa.string()),
        ("code", pa.string()),
        ("display", pa.string()),
        ("mapped_from", pa.int64()),
    ]
)


@cache
def catalogue() -> Catalogue:
    """The ZIB tables as the mappings make them."""
    return load_catalogue(REPOSITORY / "mappings")


@cache
def schema_of(table: str) -> pa.Schema:
    """The columns of a table as the mapping writes them."""
    (zib,) = [each for each in catalogue().tables if each.name == table]
    common = [("institution", pa.string()), ("source_file", pa.string()), ("source_line", pa.int64())]
    return pa.schema([*common, *((column.name, _ARROW_TYPES[column.type]) for column in zib.view.outputs)])


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


class Checked:
    """A batch of tables in memory, validated: `validation`, and the rows `accepted` by table."""

    def __init__(self, folder: Path, tables: Mapping[str, pa.Table], **options: Any) -> None:
        for name in ("in", "out", "work"):
            (folder / name).mkdir(parents=True)
        paths = {name: folder / "in" / f"{name}.parquet" for name in (*tables, "zib_coding")}
        for name, path in paths.items():
            pq.write_table(tables.get(name, CODING.empty_table()), path)
        settings: dict[str, Any] = {"expectations": EXPECTATIONS, "value_sets": VALUE_SETS, "as_of": AS_OF} | options
        self.validation: Validation = validate_tables(paths, folder / "out", work=folder / "work", **settings)
        self.accepted = {name: pq.read_table(folder / "out" / f"{name}.parquet") for name in tables}
        self.checks = self.validation.checks
        self.quarantined = self.validation.quarantined


def checks_content(tables: Mapping[str, pa.Table], folder: Path) -> dict[str, Any]:
    """What `checks.json` holds of a batch of these tables."""
    checked = Checked(folder / "checked", tables)
    rows = sum(table.num_rows for table in tables.values())
    aside = len(checked.quarantined)
    lines = {"lines": rows, "accepted": rows - aside, "quarantined": aside, "skipped": 0}
    return {
        "batch": {"institution": "ziekenhuis-a", "batch_id": "b1", "landed_at": "2025-06-30T00:00:00+00:00", **lines},
        "quarantine": quarantine_summary(checked.quarantined),
        "skipped": {},
        "tables": {
            name: {"rows": table.num_rows, "accepted": checked.accepted[name].num_rows}
            for name, table in tables.items()
        },
        "resources": {"policy": "all", "limit": 2000, "per_stratum": 200, "strata": []},
        "checks": [check.as_dict() for check in checked.checks],
    }


def frame_of(suite: Suite, rows: Iterable[Mapping[str, Any]], folder: Path) -> pa.Table:
    """What Great Expectations gets of these rows; a row may also name a derived column and its value."""
    rows = list(rows)
    path = folder / f"{suite.table}.parquet"
    own = set(schema_of(suite.table).names)
    pq.write_table(table_of(suite.table, [{k: v for k, v in row.items() if k in own} for row in rows]), path)
    pq.write_table(CODING.empty_table(), folder / "zib_coding.parquet")
    with open_duckdb(folder) as connection:
        workspace = Workspace(connection, {suite.table: path, "zib_coding": folder / "zib_coding.parquet"})
        connection.register("value_set_members", ValueSets(VALUE_SETS.members, {}).members)
        prepare_patients(workspace, known=False)
        frame = connection.sql(f"FROM ({frame_sql(suite, workspace, suite.bindings)}) ORDER BY {ROW}").to_arrow_table()
    for number, name in enumerate(frame.column_names):
        if any(name in row and name not in own for row in rows):
            kept = frame[name].to_pylist()
            values = [row.get(name, kept[n]) for n, row in enumerate(rows)]
            frame = frame.set_column(number, name, pa.array(values, frame[name].type))
    return frame
