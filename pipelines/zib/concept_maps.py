"""Codes that stand for other codes too: the files of `mappings/codes/concept_maps`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import TerminalError

_COLUMNS = ["source_system", "source_code", "target_system", "target_code", "target_display", "source"]

Target = tuple[str, str, str]
"""System, code and display."""
ConceptMap = Mapping[tuple[str, str], tuple[Target, ...]]
"""Targets by system and code of their source, in order of the files and their lines."""


def load_concept_maps(folder: Path) -> ConceptMap:
    """All maps in `folder` as one; an absent folder is an empty map.

    Raises:
        TerminalError: `CONCEPT-MAP-INVALID`, naming file and line.
    """
    targets: dict[tuple[str, str], dict[tuple[str, str], Target]] = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error):
            raise _invalid(path, "it cannot be read as CSV") from None
        if reader.fieldnames != _COLUMNS:
            raise _invalid(path, f"the header has to be {','.join(_COLUMNS)}")
        for line, row in enumerate(rows, start=2):
            if None in row or not all((row[column] or "").strip() for column in _COLUMNS):
                raise _invalid(path, f"line {line}: every column needs a value, and no more columns than the header")
            target = (row["target_system"], row["target_code"], row["target_display"])
            source = (row["source_system"], row["source_code"])
            of_source = targets.setdefault(source, {})
            if target[:2] in of_source:
                raise _invalid(path, f"line {line}: the same code is brought to the same code twice")
            of_source[target[:2]] = target
            if _leads_to(targets, target[:2], source):
                raise _invalid(path, f"line {line}: it goes round in a circle, back to the code it starts from")
    return {source: tuple(of_source.values()) for source, of_source in targets.items()}


def _leads_to(
    targets: Mapping[tuple[str, str], Mapping[tuple[str, str], Target]], start: tuple[str, str], end: tuple[str, str]
) -> bool:
    """Whether maps lead from one code to another."""
    ahead, seen = [start], {start}
    while ahead:
        code = ahead.pop()
        if code == end:
            return True
        following = [each for each in targets.get(code, {}) if each not in seen]
        seen.update(following)
        ahead += following
    return False


def _invalid(path: Path, what: str) -> TerminalError:
    return TerminalError("CONCEPT-MAP-INVALID", what, where=str(path), remedy="Correct the concept map.")
