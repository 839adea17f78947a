"""The drop folder: which institutions and which files an export holds."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.extract.file_names import shown_name

FHIR_SUFFIXES = (".ndjson", ".jsonl", ".json")
CSV_SUFFIXES = (".csv", ".txt")
_LONG_NUMBER = re.compile(r"\d{8,}")
_BSN = re.compile(r"\d{9,}")
_NUMBERED = re.compile(r"~\d+$")


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export.

    Attributes:
        name: path within the institution's folder as it may be shown (`shown_name`), with ``~2``, ``~3`` after it
            when two files would look alike.
        path: where its bytes are; the null device for a name that no file can be read by (a dangling link, a
            loop of links, a pipe), which so becomes an empty file in the account.
        original: the path as it was, which may name a patient and so stays in the landing zone; null when unknown.
    """

    name: str
    path: Path
    original: str | None = field(default=None, repr=False)

    @property
    def is_fhir(self) -> bool:
        """Whether its name says it holds FHIR JSON, gzipped or not."""
        return unnumbered(self.name).lower().removesuffix(".gz").endswith(FHIR_SUFFIXES)

    @property
    def is_csv(self) -> bool:
        """Whether its name says it may be CSV, gzipped or not."""
        return unnumbered(self.name).lower().removesuffix(".gz").endswith(CSV_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Export:
    """What one institution delivered."""

    institution: str
    files: tuple[ExportFile, ...]


def find_exports(root: Path) -> list[Export]:
    """The exports below `root`: one per sub-folder, or `root` itself when it has no sub-folder.

    Files beside the institutions' folders belong to nobody and are left alone. Hidden files are too.

    Raises:
        TerminalError: `EXPORT-MISSING`, `EXPORT-UNREADABLE`, `EXPORT-EMPTY` or `EXPORT-AMBIGUOUS`.
    """
    try:
        if root.is_file():
            return [Export(_institution(root.resolve().parent), (_file(root.name, 1, root),))]
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        exports = [Export(_institution(folder), _files(folder)) for folder in folders or [root.resolve()]]
    except PermissionError as error:
        raise unreadable(Path(str(error.filename))) from None
    except (FileNotFoundError, NotADirectoryError):
        raise TerminalError(
            "EXPORT-MISSING",
            "there is no such folder",
            where=masked(str(root)),
            remedy="Name the folder with the exports.",
        ) from None
    if not any(export.files for export in exports):
        raise TerminalError(
            "EXPORT-EMPTY",
            "there is no file in it",
            where=masked(str(root)),
            remedy="Drop FHIR NDJSON or JSON files there, one sub-folder per institution.",
        )
    if len({export.institution for export in exports}) < len(exports):
        raise TerminalError(
            "EXPORT-AMBIGUOUS",
            "two institutions have the same name once numbers that may be a BSN are masked",
            where=masked(str(root)),
            remedy="Rename their folders.",
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
    """`name` as it may be shown: every run of eight or more digits may be a BSN or patient number and is replaced.

    Bytes that are no UTF-8 are shown as an escape.
    """
    return _LONG_NUMBER.sub("#", name.encode("utf-8", "backslashreplace").decode("utf-8"))


def unnumbered(name: str) -> str:
    """The name of an export file without the ``~2`` that tells it from one that looks alike."""
    return _NUMBERED.sub("", name)


def _institution(folder: Path) -> str:
    """Its name. Eight digits stay: an institution may go by a code of that length (operationalisation)."""
    return _BSN.sub("#", folder.name.encode("utf-8", "backslashreplace").decode("utf-8"))


def _files(folder: Path) -> tuple[ExportFile, ...]:
    def stop(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent) / name for name in sorted(names) if not name.startswith(".")]
    files: dict[str, ExportFile] = {}
    for number, path in enumerate(found, start=1):
        file = _file(path.relative_to(folder).as_posix(), number, path if path.is_file() else Path(os.devnull))
        name, numbers = file.name, itertools.count(2)
        while name in files:
            name = f"{file.name}~{next(numbers)}"
        files[name] = replace(file, name=name)
    return tuple(files.values())


def _file(name: str, number: int, path: Path) -> ExportFile:
    return ExportFile(shown_name(name, number), path, name.encode("utf-8", "backslashreplace").decode("utf-8"))
