"""The companion table `zib_coding`: every coding behind a `<x>_codings_id`, and those that a concept map adds.

An id stands for a list of codings as written (after code systems are spelled as R4 does), whatever table it is in:
the first 128 bits of the SHA-256 of their text as 32 hex digits. Work is per distinct list, not per row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sqlonfhir.tags import BETWEEN_CODINGS, BETWEEN_PARTS
from pipelines.zib.concept_maps import ConceptMap
from pipelines.zib.private_codings import PrivateCodings

CODING_TABLE = "zib_coding"
CODING_SCHEMA = pa.schema(
    {
        "institution": pa.string(),
        "codings_id": pa.string(),
        "position": pa.int64(),
        "system": pa.string(),
        "version": pa.string(),
        "code": pa.string(),
        "display": pa.string(),
        "mapped_from": pa.int64(),
    }
)
_DIGITS = 32
_ROWS_IN_MEMORY = 20_000
Row = tuple[str, str, int, str | None, str | None, str | None, str | None, int | None]


def codings_id(text: str) -> str:
    """The id of a list of codings, from its text (`pipelines.sqlonfhir.tags.codings_text`)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


class CodingTable:
    """Gives ids to lists of codings, and writes each list once to `path`.

    What was met since the last `keep` is forgotten by `discard`.
    """

    def __init__(self, path: Path, institution: str, concept_map: ConceptMap, private: PrivateCodings) -> None:
        self._private = private
        self._institution = institution
        self._concept_map = concept_map
        self._writer = pq.ParquetWriter(path, CODING_SCHEMA)
        self._known: set[str] = set()
        self._new: dict[str, str] = {}
        self.rows = 0

    def ids(self, texts: pa.ChunkedArray) -> pa.Array:
        """The ids of lists of codings as text, null where that is null."""
        encoded = texts.combine_chunks().dictionary_encode()
        distinct = [self._private.codings(text) for text in encoded.dictionary.to_pylist()]
        ids = [codings_id(text) for text in distinct]
        self._new |= {id_: text for id_, text in zip(ids, distinct, strict=True) if id_ not in self._known}
        return pa.array(ids, pa.string()).take(encoded.indices)

    def keep(self) -> None:
        """Write what is new."""
        rows: list[Row] = []
        for id_, text in self._new.items():
            rows += self._rows_of(id_, text)
            if len(rows) >= _ROWS_IN_MEMORY:
                rows = self._write(rows)
        self._write(rows)
        self._known.update(self._new)
        self._new.clear()

    def discard(self) -> None:
        """Forget what is new: the rows it came from are thrown away."""
        self._new.clear()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def _write(self, rows: list[Row]) -> list[Row]:
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [pa.array(c, field.type) for c, field in zip(columns, CODING_SCHEMA, strict=True)]
            self._writer.write_table(pa.table(arrays, CODING_SCHEMA))
            self.rows += len(rows)
        return []

    def _rows_of(self, id_: str, text: str) -> Iterator[Row]:
        codings = [coding.split(BETWEEN_PARTS) for coding in text.split(BETWEEN_CODINGS)]
        for position, (system, version, code, display) in enumerate(codings):
            values = (part or None for part in (system, version, code, display))
            yield (self._institution, id_, position, *values, None)  # type: ignore[misc]
        present = {(system, code) for system, _, code, _ in codings}
        next_position = len(codings)
        for position, (system, _, code, _) in enumerate(codings):
            for target_system, target_code, display in self._concept_map.get((system, code), ()):
                if (target_system, target_code) not in present:
                    present.add((target_system, target_code))
                    yield self._institution, id_, next_position, target_system, None, target_code, display, position
                    next_position += 1


def respelled(systems: Mapping[str, str], column: pa.ChunkedArray, *, codings: bool) -> pa.Array:
    """A column of code systems, or of lists of codings as text, with those in `systems` spelled otherwise."""
    encoded = column.combine_chunks().dictionary_encode()
    spelled = [
        _respelled(systems, text) if codings else systems.get(text, text) for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(spelled, pa.string()).take(encoded.indices)


def _respelled(systems: Mapping[str, str], text: str) -> str:
    codings = (coding.split(BETWEEN_PARTS, 1) for coding in text.split(BETWEEN_CODINGS))
    return BETWEEN_CODINGS.join(BETWEEN_PARTS.join([systems.get(system, system), rest]) for system, rest in codings)
