"""The value sets in mappings/codes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.indicators.value_sets import load_value_set

CODES = Path(__file__).resolve().parents[2] / "mappings" / "codes"
OURS = sorted(path.stem for path in CODES.glob("*.csv") if path.stem != "laboratory_units")

# The SNOMED CT identifier ends in a Verhoeff check digit (SNOMED CT Release File Specification, partition identifier
# and check digit). Multiplication table of the dihedral group D5 and the digit permutation of Verhoeff 1969.
D5 = [
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
]  # fmt: skip
PERMUTATION = [
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
]  # fmt: skip


def has_valid_check_digit(identifier: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        check = int(D5[check][int(PERMUTATION[place % 8][int(digit)])])
    return check == 0


def test_the_check_digit_refuses_a_code_from_a_public_map() -> None:
    assert has_valid_check_digit("52734007")
    assert not has_valid_check_digit("179345003")  # 'Revision of total hip replacement' in a public KVÅ map


@pytest.mark.parametrize("name", OURS)
def test_every_snomed_code_is_a_snomed_identifier(name: str) -> None:
    for code in load_value_set(CODES, name).codes:
        if code.system == "http://snomed.info/sct":
            assert has_valid_check_digit(code.code), code.code


def test_no_code_is_both_a_first_operation_and_a_revision() -> None:
    for joint in ("hip", "knee"):
        first = {(c.system, c.code) for c in load_value_set(CODES, f"primary-total-{joint}-arthroplasty").codes}
        revision = {(c.system, c.code) for c in load_value_set(CODES, f"revision-{joint}-arthroplasty").codes}
        assert not first & revision


def test_codes_stay_text(tmp_path: Path) -> None:
    write(tmp_path, [["s", "1.0.0", "urn:oid:1.2", "00.70", "x", "y"], ["s", "1.0.0", "urn:oid:1.2", "0070", "x", "y"]])
    assert [code.code for code in load_value_set(tmp_path, "s").codes] == ["00.70", "0070"]


def write(folder: Path, rows: list[list[str]], header: str = "value_set,version,system,code,display,source") -> None:
    with (folder / "s.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


GOOD = ["s", "1.0.0", "urn:oid:1.2", "1", "one", "a source"]


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([], "at least one code"),
        ([GOOD, ["s", "1.0.0", "urn:oid:1.2", "2", "two", ""]], "line 3"),
        ([["s", "1.0.0", "urn:oid:1.2", "2"]], "line 2"),
        ([[*GOOD, "extra"]], "line 2"),
        ([["t", *GOOD[1:]]], "value_set"),
        ([GOOD, ["s", "2.0.0", "urn:oid:1.2", "2", "two", "a source"]], "one version"),
        ([GOOD, GOOD], "twice"),
    ],
    ids=["empty", "no source", "columns short", "a column too many", "another name", "two versions", "a code twice"],
)
def test_a_wrong_file_is_an_error_that_names_the_place(tmp_path: Path, rows: list[list[str]], named: str) -> None:
    write(tmp_path, rows)
    with pytest.raises(TerminalError) as caught:
        load_value_set(tmp_path, "s")
    assert caught.value.code == "VALUE-SET-DEFINITION"
    assert caught.value.where == str(tmp_path / "s.csv")
    assert named in caught.value.what


def test_a_wrong_header_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    write(tmp_path, [GOOD], header="set,version,system,code,display,source")
    with pytest.raises(TerminalError, match="header"):
        load_value_set(tmp_path, "s")
    with pytest.raises(TerminalError, match="cannot be read"):
        load_value_set(tmp_path, "not-there")
