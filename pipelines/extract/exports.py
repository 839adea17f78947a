"""The drop folder: which institutions and which files an export holds."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import TerminalError

FHIR_SUFFIXES = (".ndjson", ".jsonl", ".json")
_LONG_NUMBER = re.compile(r"\d{8,}")


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export.

    Attributes:
        name: path within the institution's folder, with digit runs that may be a BSN masked.
        path: where its bytes are.
    """

    name: str
    path: Path

    @property
    def is_fhir(self) -> bool:
        """Whether its name says it holds FHIR JSON, gzipped or not."""
        return self.name.lower().partition("~")[0].removesuffix(".gz").endswith(FHIR_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Export:
    """What one institution delivered."""

    institution: str
    files: tuple[ExportFile, ...]


def find_exports(root: Path) -> list[Export]:
    """The exports below `root`: one per sub-folder, or `root` itself when it has no sub-folder.

    Files beside the institutions' folders belong to nobody and are left alone. Hidden files are too.

    Raises:
        TerminalError: `EXPORT-MISSING`, `EXPORT-UNREADABLE` or `EXPORT-EMPTY`.
    """
    if not root.exists():
        raise TerminalError(
            "EXPORT-MISSING", "there is no such folder", where=str(root), remedy="Name the folder with the exports."
        )
    try:
        if root.is_file():
            return [Export(root.resolve().parent.name, (ExportFile(masked(root.name), root),))]
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        exports = [Export(masked(folder.name), _files(folder)) for folder in folders or [root.resolve()]]
    except PermissionError as error:
        raise unreadable(Path(str(error.filename))) from None
    if not any(export.files for export in exports):
        raise TerminalError(
            "EXPORT-EMPTY",
            "there is no file in it",
            where=str(root),
            remedy="Drop FHIR NDJSON or JSON files there, one sub-folder per institution.",
        )
    return exports


def unreadable(path: Path) -> TerminalError:
    """The error for a file or folder this user may not read."""
    return TerminalError(
        "EXPORT-UNREADABLE",
        "this user may not read it",
        where=masked(str(path)),
        remedy="Grant read permission to the user that runs uitkomst.",
    )


def masked(name: str) -> str:
    """`name` with every run of eight or more digits replaced: it may be a BSN or a patient number."""
    return _LONG_NUMBER.sub("#", name)


def _files(folder: Path) -> tuple[ExportFile, ...]:
    def stop(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent) / name for name in sorted(names) if not name.startswith(".")]
    times: Counter[str] = Counter()
    files = []
    for path in found:
        name = masked(path.relative_to(folder).as_posix())
        times[name] += 1
        files.append(ExportFile(name if times[name] == 1 else f"{name}~{times[name]}", path))
    return tuple(files)
