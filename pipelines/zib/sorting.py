"""Records sorted by FHIR release: what tells its release goes to that release's sieve, the rest waits.

Once all files are read, a waiting record takes the release of its file's other records, else of the export's. What is
then still undecided is kept for both releases, so that the mapping can see whether it makes a difference.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.extract.records import Flaw, Record
from pipelines.sqlonfhir.fhir_types import Release
from pipelines.zib.catalogue import Catalogue, base_schema
from pipelines.zib.releases import FOLDERS, contradiction, release_of, types_of
from pipelines.zib.sieve import Sieve, Spool


class Sorter:
    """Sorts the records of an export. Files in `folder` hold identifiers, so it must be private.

    Attributes:
        told: per file, the releases that its records tell; the caller adds what it found by itself.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, told: list[set[Release]]) -> None:
        self._catalogue = catalogue
        self.told = told
        self._decided = {release: _sieve(folder / release, catalogue, release) for release in FOLDERS}
        self._undecided = {
            release: _sieve(folder / f"undecided-{release}", catalogue, release) for release in catalogue.releases
        }
        self._waiting = (folder / "waiting.ndjson").open("w+b")
        self._files, self._lines = array("q"), array("q")

    def close(self) -> None:
        """Remove all files."""
        self._waiting.close()
        Path(self._waiting.name).unlink(missing_ok=True)
        for sieve in (*self._decided.values(), *self._undecided.values()):
            sieve.__exit__(None, None, None)

    def sort(self, file_index: int, records: Iterable[Record | Flaw]) -> Iterator[tuple[Flaw, str | None]]:
        """Sort the records of a file and yield every flaw, with the FHIR type it is about if it is known."""
        for record in records:
            if isinstance(record, Flaw):
                yield record, None
                continue
            if reason := contradiction(record.resource, self._catalogue.schemas):
                yield Flaw(record.line, "RELEASE-CONFLICT", reason), known_type(record.resource)
                continue
            release = release_of(record.resource)
            if release is not None:
                self.told[file_index].add(release)
                flaw = self._take(release, file_index, record)
            else:
                flaw = self._wait(file_index, record)
            if flaw:
                yield flaw, known_type(record.resource)

    def decide(self) -> Iterator[tuple[int, Flaw, str | None]]:
        """Sort what waits, now that all files are read; yields every flaw with its file and FHIR type."""
        whole_export = set().union(*self.told) if self.told else set()
        self._waiting.seek(0)
        for line, file_index, number in zip(self._waiting, self._files, self._lines, strict=True):
            record = Record(number, json.loads(line))
            told = self.told[file_index] or whole_export
            if len(told) == 1 or len(self._catalogue.releases) == 1:
                flaw = self._take(next(iter(told or self._catalogue.releases)), file_index, record)
            else:
                flaw = self._take_for_all(file_index, record)
            if flaw:
                yield file_index, flaw, known_type(record.resource)

    def spools(self) -> Iterator[tuple[Release, str, Spool]]:
        """The records of each release and type."""
        for release, sieve in self._decided.items():
            sieve.close()
            for resource_type, spool in sieve.spools.items():
                yield release, resource_type, spool

    def undecided(self) -> Iterator[tuple[str, dict[Release, Spool]]]:
        """The records whose release nothing tells, per type: the same ones in the same order for each release."""
        for sieve in self._undecided.values():
            sieve.close()
        first, *_ = self._undecided.values()
        for resource_type in first.spools:
            yield resource_type, {release: s.spools[resource_type] for release, s in self._undecided.items()}

    def _wait(self, file_index: int, record: Record) -> Flaw | None:
        flaws = {release: self._skipped(release, record) for release in FOLDERS}
        if all(flaws.values()):
            return next(iter(flaws.values()))
        try:
            line = json.dumps(record.resource, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        except UnicodeEncodeError:
            return Flaw(record.line, "LINE-NOT-UTF8", "it holds half a surrogate pair, which is no text")
        self._waiting.write(line + b"\n")
        self._files.append(file_index)
        self._lines.append(record.line)
        return None

    def _take(self, release: Release, file_index: int, record: Record) -> Flaw | None:
        return self._skipped(release, record) or self._decided[release].take(file_index, record)

    def _take_for_all(self, file_index: int, record: Record) -> Flaw | None:
        flaws = [sieve.flaw(record) for sieve in self._undecided.values()]
        if all(flaws):
            return flaws[0]
        if any(flaws):
            return unknown_release(record.line)
        for sieve in self._undecided.values():
            sieve.take(file_index, record)
        return None

    def _skipped(self, release: Release, record: Record) -> Flaw | None:
        """Whether nothing in the record can give a row, of itself or of what it contains."""
        resource = record.resource
        if resource["resourceType"] not in types_of(release).resources:
            return Flaw(record.line, "RESOURCE-TYPE-UNKNOWN", "its resourceType is no FHIR resource type")
        mapped = self._catalogue.schemas.get(release, {})
        if resource["resourceType"] in mapped or any(type_ in mapped for type_ in _contained_types(resource)):
            return None
        return Flaw(record.line, "TYPE-NOT-MAPPED", "no ZIB table is fed by this resource type", skipped=True)


def unknown_release(line: int) -> Flaw:
    """The flaw of a resource that R4 and STU3 read differently, when nothing tells which one it is."""
    reason = "neither it, nor its file, nor its export tells one FHIR release, and R4 and STU3 would give other rows"
    return Flaw(line, "RELEASE-UNKNOWN", reason)


def known_type(resource: dict[str, Any]) -> str | None:
    """The type of a resource, when FHIR has it; anything else may be input that must not be repeated."""
    type_: str = resource["resourceType"]
    return type_ if any(type_ in types_of(release).resources for release in FOLDERS) else None


def _sieve(folder: Path, catalogue: Catalogue, release: Release) -> Sieve:
    folder.mkdir(mode=0o700)
    types = types_of(release).resources
    schemas = dict.fromkeys(types, base_schema()) | dict(catalogue.schemas.get(release, {}))
    return Sieve(folder, schemas, types)


def _contained_types(resource: dict[str, Any]) -> set[str]:
    contained = resource.get("contained")
    items = contained if isinstance(contained, list) else []
    return {
        item["resourceType"] for item in items if isinstance(item, dict) and isinstance(item.get("resourceType"), str)
    }
