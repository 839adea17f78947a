"""Codes come from the value set files: the first row is the one that is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.synthetic.codes import CLINICAL, CODES_FOLDER, ICD10_NL, SNOMED, Code, load_codes

HEADER = "value_set,version,system,code,display,source\n"


def test_the_first_row_of_a_value_set_or_of_one_system(tmp_path: Path) -> None:
    rows = f"pets,1,{SNOMED},00123,Cat,made up\npets,1,{ICD10_NL},Z1,Dog,made up\n"
    (tmp_path / "pets.csv").write_text(HEADER + rows)
    codes = load_codes(tmp_path)
    assert codes.first("pets") == Code(SNOMED, "00123", "Cat")
    assert codes.first("pets", ICD10_NL).code == "Z1"
    assert codes.named("pets", "Dog").code == "Z1"


def test_a_missing_code_names_the_value_set(tmp_path: Path) -> None:
    (tmp_path / "pets.csv").write_text(HEADER)
    with pytest.raises(TerminalError, match="SYNTHETIC-CODE-MISSING"):
        load_codes(tmp_path)
    (tmp_path / "pets.csv").write_text(HEADER + f"pets,1,{SNOMED},1,Cat,made up\n")
    with pytest.raises(TerminalError, match="value set fish"):
        load_codes(tmp_path).first("fish")


def test_every_code_has_a_source_and_one_display() -> None:
    lines = (CODES_FOLDER / f"{CLINICAL}.csv").read_text().splitlines()
    assert all(line.count(",") == 5 and not line.endswith(",") for line in lines)
    displays = [code.display for code in load_codes().value_sets[CLINICAL]]
    assert len(displays) == len(set(displays))
