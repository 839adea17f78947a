"""Rows on standard output: a table for a person, CSV or JSON for a program."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.safe_text import as_text_cell, printable


class OutputFormat(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: OutputFormat) -> None:
    """Write `columns` of `rows`; CSV and JSON keep numbers as they are, a table folds long texts.

    No text starts a formula in CSV, or steers the terminal.
    """
    match output:
        case OutputFormat.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_cell(row[name]) for name in columns] for row in rows)
        case OutputFormat.JSON:
            content = [{name: _jsonable(row[name]) for name in columns} for row in rows]
            print(json.dumps(content, indent=2, ensure_ascii=False))
        case OutputFormat.TABLE:
            # Into a pipe or file there is no edge to fold at.
            Console(width=None if sys.stdout.isatty() else 200).print(_table(rows, columns))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in columns:
        numeric = any(isinstance(row[name], int) for row in rows)
        table.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            no_wrap=numeric or name == columns[0],
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(_shown(row[name])) for name in columns))
    return table


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(_plain(value))


def _cell(value: Any) -> str:
    """Controls go first, so that none hides what starts a formula."""
    return as_text_cell(printable(value)) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _jsonable(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str, bool, list)) else str(value)
