"""Value sets as declared in `mappings/codes/*.csv`. Codes are strings, always."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import TerminalError

_COLUMNS = ["value_set", "version", "system", "code", "display", "source"]


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a value set, with the public source it was taken from."""

    system: str
    code: str
    display: str
    source: str


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A named, versioned list of codes. The first code is the one to use when data is written."""

    name: str
    version: str
    codes: tuple[Code, ...]


def load_value_set(folder: Path, name: str) -> ValueSet:
    """Read `<folder>/<name>.csv`.

    Raises:
        TerminalError: VALUE-SET-DEFINITION, naming the file and the line.
    """
    path = folder / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _error(path, "cannot be read as a CSV file") from error
    if reader.fieldnames != _COLUMNS:
        raise _error(path, f"the header has to be {','.join(_COLUMNS)}")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not all(row[column].strip() for column in _COLUMNS):
            raise _error(path, f"line {line}: every column needs a value, and no more columns than the header")
        if row["value_set"] != name:
            raise _error(path, f"line {line}: column value_set has to be the file name, {name}")
    versions = {row["version"] for row in rows}
    if len(versions) != 1:
        raise _error(path, "needs at least one code, and one version for all its lines")
    codes = tuple(Code(row["system"], row["code"], row["display"], row["source"]) for row in rows)
    if len({(code.system, code.code) for code in codes}) != len(codes):
        raise _error(path, "names a code twice")
    return ValueSet(name, versions.pop(), codes)


def _error(path: Path, what: str) -> TerminalError:
    return TerminalError(
        "VALUE-SET-DEFINITION", what, where=str(path), remedy="Correct the value set file and run again"
    )
