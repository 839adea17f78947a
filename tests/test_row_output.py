"""Rows for a person or a spreadsheet: nothing in them runs, and nothing in them steers the terminal."""

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from pipelines.proms.tasks import COLUMNS, write_due
from pipelines.row_output import OutputFormat, print_rows
from pipelines.safe_text import printable


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\x1b=1+1"])
def test_no_text_in_csv_starts_a_formula_and_numbers_stay(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"code": text, "count": -1}], ["code", "count"], OutputFormat.CSV)
    _, (code, count) = csv.reader(io.StringIO(capsys.readouterr().out))
    assert code[0] == "'"
    assert count == "-1"


def test_a_table_holds_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"code": "a\x1b]0;title\x07\x9b2J\u202eb"}], ["code"], OutputFormat.TABLE)
    assert "a]0;title2Jb" in capsys.readouterr().out


def test_plain_text_is_printed_as_it_is() -> None:
    assert printable("Reumatoïde artritis – µmol/L 'a'") == "Reumatoïde artritis – µmol/L 'a'"


def test_a_due_list_starts_no_formula(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"cohort": "=1+1", "institution": "noord", "state": "open"}
    row |= dict.fromkeys(("as_of", "due_from", "due_until"), date(2026, 1, 1))
    table, _ = write_due([row], tmp_path, "noord")
    (found,) = csv.DictReader(table.open(encoding="utf-8"))
    assert (found["cohort"], found["due_from"]) == ("'=1+1", "2026-01-01")
