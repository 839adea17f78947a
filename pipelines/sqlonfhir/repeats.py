"""`repeat`: elements found by following paths again and again, at any depth.

The elements below a recursive one are read as JSON (`fhir_types.Element.recursive`). DuckDB's `json_tree` lists every
node of it in document order; those whose place is made of the paths are the elements wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.sqlonfhir import fhirpath
from pipelines.sqlonfhir.expressions import ExpressionError
from pipelines.sqlonfhir.fhir_types import SQL_TYPES, Element, FhirTypes
from pipelines.sqlonfhir.values import Schema, Value

Path = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a `repeat` reads.

    Attributes:
        document: SQL of one JSON value that holds all the elements.
        pattern: regular expression for the place of an element in it, as `json_tree` writes it.
        type: FHIR type of the elements.
        schema: where reads of their child elements are recorded.
    """

    document: str
    pattern: str
    type: str
    schema: Schema


def find_repeat(types: FhirTypes, start: Value, texts: Sequence[str]) -> Repeat | None:
    """Resolve the paths of a `repeat` at `start`; None when none of them exists there, so that nothing is found.

    Raises:
        ExpressionError: for a path that is more than element names, or elements of more than one type.
    """
    if start.schema is None:
        raise ExpressionError("repeat of a computed value is not supported")
    paths = [_names(text) for text in texts]
    first = [path for names in paths if (path := _elements(types, start.type, names))]
    if not first:
        return None
    type_ = first[0][-1].type
    again = [path for names in paths if (path := _elements(types, type_, names))]
    if type_ in SQL_TYPES or {path[-1].type for path in (*first, *again)} != {type_}:
        raise ExpressionError("repeat over primitives, or over elements of several types, is not supported")
    if any(path[-1].type == type_ and not path[-1].recursive for path in again):
        raise ExpressionError(f"repeat over {type_} is not supported")
    schema = Schema()
    for path in first:
        _record(start.schema, path, schema)
    for path in again:
        _record(schema, path, schema)
    steps = "|".join(sorted({_place(path) for path in (*first, *again)}))
    return Repeat(_document(start, first), rf"\$({steps})+", type_, schema)


def _names(text: str) -> list[str]:
    node: fhirpath.Node | None = fhirpath.parse(text)
    names: list[str] = []
    while isinstance(node, fhirpath.Member):
        names.insert(0, node.name)
        node = node.target
    if node is not None or not names:
        raise ExpressionError("a path of repeat that is more than names of elements is not supported")
    return names


def _elements(types: FhirTypes, type_: str, names: Sequence[str]) -> Path | None:
    elements: list[Element] = []
    for name in names:
        element = types.element(type_, name)
        if element is None:
            return None
        elements.append(element)
        type_ = element.type
    return tuple(elements)


def _record(schema: Schema, path: Path, end: Schema) -> None:
    """Record that the elements along `path` are read, and those at its end as in `end`."""
    for element in path[:-1]:
        schema = schema.child(element)
    known = schema.children.get(path[-1].name)
    if known is not None and known[1] is not end:
        end.merge(known[1])
    schema.children[path[-1].name] = (path[-1], end)


def _place(path: Path) -> str:
    return "".join(rf"\.{element.name}" + (r"\[\d+\]" if element.many else "") for element in path)


def _document(start: Value, paths: Sequence[Path]) -> str:
    if not start.resource:
        return f"to_json({start.sql})"
    names = sorted({path[0].name for path in paths})
    return "json_object(" + ", ".join(f"'{name}', \"_r_{name}\"" for name in names) + ")"
