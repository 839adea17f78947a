"""JSON of another kind than FHIR has, in a file that DuckDB reads as a whole: DuckDB takes some of it without a word.

A number or boolean becomes text where text belongs (and a long number gets other digits), and an object where a list
belongs can become null.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sqlonfhir.fhir_types import SQL_TYPES, Element
from pipelines.sqlonfhir.values import Schema

_BLOCK = 1 << 20
_OVERLAP = 1 << 10
"""Bytes that are seen again with the next block: more than a name, its colon and white space around it take."""


def may_have_other_kinds(path: Path, schema: Schema) -> bool:
    """Whether an NDJSON file may have a number or boolean as text, or an object as list, by the names before them.

    It looks at names that mean one kind throughout `schema`; where FHIR uses such a name otherwise, outside what is
    read, it says yes too. Items of a list of text have no name, and are not seen.
    """
    pattern = _pattern(list(_elements(schema)))
    text, seen = bytearray(_OVERLAP + _BLOCK), 0
    with path.open("rb") as file:
        while read := file.readinto(memoryview(text)[seen:]):
            filled = seen + read
            if pc.match_substring_regex(_as_array(text, filled), pattern)[0].as_py():
                return True
            seen = min(_OVERLAP, filled)
            text[:seen] = text[filled - seen : filled]
    return False


def _as_array(text: bytearray, length: int) -> pa.Array:
    """The first bytes of a text as an array of one value, without a copy."""
    offsets = pa.array([0, length], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(text)])


def _elements(schema: Schema) -> Iterator[Element]:
    for element, below in schema:
        yield element
        if not element.recursive:
            yield from _elements(below)


def _pattern(elements: list[Element]) -> str:
    """A regular expression of RE2, which takes as long however many names there are."""
    otherwise = {e.name for e in elements if SQL_TYPES.get(e.type, "VARCHAR") != "VARCHAR"}
    texts = {e.name for e in elements if SQL_TYPES.get(e.type) == "VARCHAR" and not e.many} - otherwise
    lists = {e.name for e in elements if e.many} - {e.name for e in elements if not e.many}
    kinds = [(texts, "[-0-9tf]"), (lists, r"\{")]
    space = r"[ \t\r]*"
    return "|".join(f'"(?:{"|".join(sorted(names))})"{space}:{space}{kind}' for names, kind in kinds if names)
