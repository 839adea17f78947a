"""The unit of each laboratory test: a file with sources, checked when it is read."""

import csv
from pathlib import Path

import pytest
from zib_exports import ROOT

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.units import is_unit
from pipelines.zib.laboratory_units import load_laboratory_units

FILE = ROOT / "mappings" / "codes" / "laboratory_units.csv"
HEADER = "system,code,ucum_code,test,source\n"


def test_every_unit_is_one_of_ucum_and_has_a_source() -> None:
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert load_laboratory_units(FILE)["http://loinc.org", "14682-9"] == "umol/L"
    assert [row["code"] for row in rows if not row["source"]] == []
    assert [row["code"] for row in rows if not is_unit(row["ucum_code"])] == []


def test_a_code_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_text(HEADER + "http://loinc.org,1-8,mg/L,a,b\n" * 2, encoding="utf-8")
    with pytest.raises(TerminalError) as caught:
        load_laboratory_units(file)
    assert caught.value.code == "UNITS-INVALID"


def test_without_a_file_nothing_is_converted(tmp_path: Path) -> None:
    assert load_laboratory_units(tmp_path / "absent.csv") == {}
