"""The resources in one file: NDJSON, a Bundle, or a single resource; gzipped or not.

Whatever cannot be read becomes a `Flaw` with a stable code; reading goes on after it.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

GZIP_MAGIC = b"\x1f\x8b"
_BUFFER = 1 << 18
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource and where it stands.

    Attributes:
        line: its line, or its entry, counted on through all Bundles of a document; both from 1.
        resource: its parsed JSON.
    """

    line: int
    resource: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is no resource. `line` is None when it concerns the file as a whole.

    `skipped` says that nothing was lost (an empty file), otherwise it belongs in quarantine.
    """

    line: int | None
    rule_id: str
    reason: str
    skipped: bool = False


def is_gzip(path: Path) -> bool:
    """Whether the file starts as gzip does, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def count_lines(path: Path) -> int:
    """The lines of a file, gzipped or not; of a damaged gzip those that can be read. A last line may lack its end."""
    lines, last = 0, b"\n"
    try:
        with _opened(path) as file:
            while block := file.read(1 << 20):
                lines, last = lines + block.count(b"\n"), block[-1:]
    except (EOFError, gzip.BadGzipFile, zlib.error):
        pass
    return lines + (last != b"\n")


def read_records(
    path: Path,
    *,
    maximum_line_bytes: int,
    only: frozenset[int] | None = None,
    decimals: Callable[[str], Any] = float,
) -> Iterator[Record | Flaw]:
    """Every resource and every flaw in a file, in order; of NDJSON, when `only` is given, just those lines.

    A file is read line by line; only when its first line is no complete JSON value, or is a Bundle or a list
    with nothing after it, is it read as one JSON document. `decimals` makes what stands for a number with a
    fraction or power out of its text.
    """
    with _opened(path) as file:
        first = _first_line(file, maximum_line_bytes)
        alone = isinstance(first, bytes) and _first_line(file, maximum_line_bytes) is None
    if isinstance(first, Flaw):
        yield first
    elif first is None:
        yield Flaw(None, "FILE-EMPTY", "the file is empty", skipped=True)
    elif _is_document(path, first, alone):
        yield from _document(path, decimals)
    else:
        yield from _lines(path, maximum_line_bytes, only, decimals)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip(path) else path.open("rb", _BUFFER)


def _first_line(file: BinaryIO, maximum: int) -> bytes | Flaw | None:
    try:
        while line := file.readline(maximum + 1):
            if stripped := line.removeprefix(_BOM).strip():
                return stripped
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return Flaw(None, "GZIP-DAMAGED", "the gzip file is damaged or cut short; nothing in it can be read")
    return None


def _is_document(path: Path, first: bytes, alone: bool) -> bool:
    """Whether the file is one JSON document: a Bundle or list on its only line, or JSON spread over lines."""
    try:
        value = json.loads(first)
    except RecursionError:
        return False
    except ValueError:
        bare = path.name.lower().removesuffix(".gz").endswith(".json") and not first.endswith(b"}")
        return bare or first in (b"{", b"[")
    return alone and (isinstance(value, list) or (isinstance(value, dict) and value.get("resourceType") == "Bundle"))


def _lines(
    path: Path, maximum: int, only: frozenset[int] | None, decimals: Callable[[str], Any]
) -> Iterator[Record | Flaw]:
    number = 0
    decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=decimals).decode
    with _opened(path) as file:
        try:
            while line := file.readline(maximum + 1):
                number += 1
                too_long = len(line) > maximum and not line.endswith(b"\n")
                if too_long:
                    while (rest := file.readline(maximum)) and not rest.endswith(b"\n"):
                        pass
                if only is not None and number not in only:
                    continue
                if too_long:
                    yield Flaw(number, "LINE-TOO-LONG", f"the line is longer than {maximum} bytes")
                elif bare := (line.removeprefix(_BOM) if number == 1 else line).strip():
                    yield _record(number, bare, decode)
                else:
                    yield Flaw(number, "LINE-BLANK", "the line is blank", skipped=True)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            yield Flaw(
                None,
                "GZIP-DAMAGED",
                f"the gzip file is damaged or cut short after line {number}; what follows is lost",
            )


def _record(number: int, line: bytes, decode: Callable[[str], Any]) -> Record | Flaw:
    try:
        value = decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Flaw(number, "LINE-NOT-UTF8", "the line is not valid UTF-8")
    except (ValueError, RecursionError):
        return Flaw(number, "LINE-NOT-JSON", "the line is not valid JSON")
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        return Flaw(number, "BUNDLE-IN-NDJSON", "a Bundle among other lines is not read; give it a file of its own")
    return _resource(number, value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _resource(number: int, value: Any) -> Record | Flaw:
    if not isinstance(value, dict):
        return Flaw(number, "RESOURCE-NOT-OBJECT", "it is no JSON object")
    if not isinstance(value.get("resourceType"), str):
        return Flaw(number, "RESOURCE-NO-TYPE", "it has no resourceType")
    return Record(number, value)


def _document(path: Path, decimals: Callable[[str], Any]) -> Iterator[Record | Flaw]:
    try:
        with _opened(path) as file:
            text = file.read().removeprefix(_BOM).decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, parse_float=decimals)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Flaw(None, "GZIP-DAMAGED", "the gzip file is damaged or cut short")
        return
    except UnicodeDecodeError:
        yield Flaw(None, "FILE-NOT-UTF8", "the file is not valid UTF-8")
        return
    except (ValueError, RecursionError):
        yield Flaw(None, "FILE-NOT-JSON", "the file is neither NDJSON nor a JSON document")
        return
    if value == []:
        yield Flaw(None, "FILE-EMPTY", "the list in the file is empty", skipped=True)
    numbers = itertools.count(1)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and item.get("resourceType") == "Bundle":
            yield from _bundle(item, numbers)
        else:
            yield _resource(next(numbers), item)


def _bundle(bundle: dict[str, Any], numbers: Iterator[int]) -> Iterator[Record | Flaw]:
    entries = bundle.get("entry")
    if not entries and not isinstance(entries, dict):
        yield Flaw(None, "BUNDLE-EMPTY", "the Bundle has no entry", skipped=True)
        return
    if not isinstance(entries, list):
        yield Flaw(None, "VALUE-WRONG-TYPE", "Bundle.entry must be a list")
        return
    references = _references(entries)
    for entry in entries:
        number = next(numbers)
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if resource is None:
            yield Flaw(number, "BUNDLE-ENTRY-EMPTY", "the Bundle entry has no resource")
            continue
        record = _resource(number, resource)
        if isinstance(record, Record):
            _resolve(record.resource, references)
            url = entry.get("fullUrl")
            if "id" not in record.resource and isinstance(url, str) and url in references:
                record.resource["id"] = references[url].partition("/")[2]
        yield record


def _references(entries: list[Any]) -> dict[str, str]:
    """``Type/id`` by the `urn:` fullUrl that entries of the same Bundle refer to (FHIR R4, bundle.html#references)."""
    found = {}
    for entry in entries:
        url, resource = (entry.get("fullUrl"), entry.get("resource")) if isinstance(entry, dict) else (None, None)
        if isinstance(url, str) and url.startswith("urn:") and isinstance(resource, dict):
            id_ = resource.get("id", url.rpartition(":")[2])
            found[url] = f"{resource.get('resourceType')}/{id_}"
    return found


def _resolve(node: Any, references: dict[str, str]) -> None:
    stack = [node] if references else []
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            target = node.get("reference")
            if isinstance(target, str) and target in references:
                node["reference"] = references[target]
            stack += [value for value in node.values() if isinstance(value, (dict, list))]
