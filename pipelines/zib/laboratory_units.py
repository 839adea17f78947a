"""The UCUM unit that the results of each laboratory test are converted to: `mappings/codes/laboratory_units.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.tags import UnitTable

LABORATORY_UNITS = "codes/laboratory_units.csv"
"""Where the file is, below `mappings`."""


def load_units(mappings: Path) -> Mapping[str, UnitTable]:
    """The tables of units in `mappings`, by the name that a tag points to as ``@name``.

    Raises:
        TerminalError: `UNITS-INVALID`.
    """
    return {"laboratory_units": load_laboratory_units(mappings / LABORATORY_UNITS)}


def load_laboratory_units(path: Path) -> UnitTable:
    """The unit of each (system, code); none when there is no such file.

    Raises:
        TerminalError: `UNITS-INVALID` for a code that occurs twice. A test of the file holds that every unit is one of
            UCUM: the library that knows takes most of a second to load.
    """
    if not path.exists():
        return {}
    units: dict[tuple[str, str], str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            test = row["system"], row["code"]
            if test in units:
                what = f"{row['code']} occurs twice"
                raise TerminalError("UNITS-INVALID", what, where=str(path), remedy="Correct the file.")
            units[test] = row["ucum_code"]
    return units
