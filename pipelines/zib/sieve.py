"""Record-by-record reading: what is no clean resource is set aside, the rest is spooled per FHIR type.

A spool holds clean NDJSON of one type and remembers for each of its lines which file and line it came from.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pipelines.extract.records import Flaw, Record
from pipelines.sqlonfhir.values import Schema
from pipelines.zib.shape import misfit


@dataclass(slots=True)
class Spool:
    """Clean resources of one type: `files[i]` and `lines[i]` say where its i-th line came from."""

    path: Path
    file: BinaryIO
    files: array[int] = field(default_factory=lambda: array("q"))
    lines: array[int] = field(default_factory=lambda: array("q"))


class Sieve:
    """Sorts records into spools and flaws.

    Args:
        folder: where the spools are written; it holds identifiers, so it must be private.
        schemas: what the mapped FHIR types need; other types are skipped.
        known_types: all FHIR resource types.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, Schema], known_types: frozenset[str]) -> None:
        self._folder = folder
        self._schemas = schemas
        self._known_types = known_types
        self.spools: dict[str, Spool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self.spools.values():
            spool.file.close()
            spool.path.unlink(missing_ok=True)

    def sort(self, file_index: int, records: Iterable[Record | Flaw]) -> Iterable[tuple[Flaw, Record | None]]:
        """Spool the clean records of a file and yield every flaw, with the record it is about if there is one."""
        for record in records:
            if isinstance(record, Flaw):
                yield record, None
            elif flaw := self.take(file_index, record):
                yield flaw, record

    def take(self, file_index: int, record: Record) -> Flaw | None:
        """Spool a record, or say why it cannot be."""
        return self.flaw(record) or self._spool(file_index, record)

    def close(self) -> None:
        """Finish writing, so that the spools can be read."""
        for spool in self.spools.values():
            spool.file.close()

    def flaw(self, record: Record) -> Flaw | None:
        """What keeps a record out of the spools, if anything."""
        type_ = record.resource["resourceType"]
        if type_ not in self._known_types:
            return Flaw(record.line, "RESOURCE-TYPE-UNKNOWN", "its resourceType is no FHIR resource type")
        if type_ not in self._schemas:
            return Flaw(record.line, "TYPE-NOT-MAPPED", "no ZIB table is fed by this resource type", skipped=True)
        id_ = record.resource.get("id")
        if not isinstance(id_, str) or not id_:
            return Flaw(record.line, "RESOURCE-NO-ID", "it has no id")
        found = misfit(record.resource, self._schemas[type_], type_)
        return Flaw(record.line, "VALUE-WRONG-TYPE", found) if found else None

    def _spool(self, file_index: int, record: Record) -> Flaw | None:
        type_ = record.resource["resourceType"]
        line = spool_line(record.resource, self._schemas[type_])
        if line is None:
            return Flaw(record.line, "LINE-NOT-UTF8", "it holds half a surrogate pair, which is no text")
        spool = self.spools.get(type_)
        if spool is None:
            path = self._folder / f"{type_}.ndjson"
            spool = self.spools[type_] = Spool(path, path.open("wb"))
        spool.file.write(line)
        spool.files.append(file_index)
        spool.lines.append(record.line)
        return None


def spool_line(resource: Mapping[str, Any], schema: Schema) -> bytes | None:
    """A resource as a line of NDJSON, with just the elements in `schema`; None when it holds what is no text."""
    needed = {"resourceType": resource["resourceType"]}
    needed |= {element.name: resource[element.name] for element, _ in schema if element.name in resource}
    try:
        return json.dumps(needed, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return None
