"""What a ViewDefinition gives according to fhirpathpy: a naive evaluator that shares no code with the compiler."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from fhirpathpy import apply_parsed_path
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models
from fhirpathpy.parser import parse

Row = dict[str, Any]
_REFERENCE_KEY = re.compile(r"^(?P<of>.+)\.getReferenceKey\((?P<type>\w*)\)$")
_RELATIVE = re.compile(r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?$")


_R4 = models["r4"]
_EXTENSION = re.compile(r"\bextension\(([^)]*)\)")


@cache
def _parsed(path: str) -> Any:
    """The path for fhirpathpy, whose own `extension()` gives the first one only.

    FHIR defines it as short for `extension.where(url = ...)` (hl7.org/fhir/R4/fhirpath.html#functions).
    """
    return parse(_EXTENSION.sub(r"extension.where(url = \1)", path))


@dataclass(frozen=True)
class Oracle:
    """Evaluates views. `key` turns ``Type/id`` into a key, `secret` ``kind:value`` into a pseudonym."""

    key: Callable[[str], str]
    secret: Callable[[str], str]

    def rows(self, view: dict[str, Any], resource: dict[str, Any]) -> list[Row]:
        """The rows that `view` gives for one resource."""
        if resource["resourceType"] != view["resource"]:
            return []
        constants = {c["name"]: next(v for k, v in c.items() if k != "name") for c in view.get("constant", [])}
        conditions = (self._find(resource, None, where["path"], constants) for where in view.get("where", []))
        if not all(found == [True] for found in conditions):
            return []
        return self._product(view["select"], resource, None, constants)

    def _product(
        self, selects: list[dict[str, Any]], focus: Any, base: str | None, variables: dict[str, Any]
    ) -> list[Row]:
        parts = [self._select(select, focus, base, variables) for select in selects]
        return [_merged(rows) for rows in itertools.product(*parts)]

    def _select(self, select: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> list[Row]:
        if not (kind := next((k for k in ("forEach", "forEachOrNull") if k in select), None)):
            return self._at(select, focus, base, variables)
        items = self._find(focus, base, select[kind], variables)
        if not items and kind == "forEach":
            return []
        if not items:
            return self._at(select, None, base, variables | {"rowIndex": 0})
        inner = _type_at(f"{base or focus['resourceType']}.{select[kind]}")
        rows = (self._at(select, item, inner, variables | {"rowIndex": i}) for i, item in enumerate(items))
        return list(itertools.chain.from_iterable(rows))

    def _at(self, select: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> list[Row]:
        own = {c["name"]: self._column(c, focus, base, variables) for c in select.get("column", [])}
        nested = self._product(select.get("select", []), focus, base, variables)
        branches = [
            row for branch in select.get("unionAll", []) for row in self._select(branch, focus, base, variables)
        ]
        if "unionAll" not in select:
            branches = [{}]
        return [_merged(rows) for rows in itertools.product([own], nested, branches)]

    def _find(self, focus: Any, base: str | None, path: str, variables: dict[str, Any]) -> list[Any]:
        if path in ("%rowIndex", "$this"):
            found = [variables.get("rowIndex", 0) if path == "%rowIndex" else focus]
        elif focus is None:
            found = []
        else:
            node = copy.deepcopy(focus)
            node = ResourceNode.create_node(node, base) if base else node
            found = apply_parsed_path(node, _parsed(path), variables, _R4)
        return [_plain(value) for value in found if value is not None]

    def _column(self, column: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> Any:
        path = column["path"]
        if path == "getResourceKey()":
            return self.key(f"{focus['resourceType']}/{focus['id']}")
        if match := _REFERENCE_KEY.match(path):
            references = self._find(focus, base, f"{match['of']}.reference", variables)
            values = [self.key(text) for text in map(typed_id, references) if text and text.startswith(match["type"])]
        else:
            values = self._find(focus, base, path, variables)
        if column.get("collection"):
            return values
        if len(values) > 1:
            raise ValueError(f"{path} gives {len(values)} values")
        return self._tagged(column, values[0] if values else None)

    def _tagged(self, column: dict[str, Any], value: Any) -> Any:
        for tag in column.get("tag", []):
            if value is not None:
                value = self._tag(tag["name"], tag["value"], value)
        return value

    def _tag(self, name: str, setting: str, value: str) -> Any:
        if name == "ansi/type":
            return read_date(value) if setting == "DATE" else read_time(value)
        if name == "canonical":
            url, _, version = value.partition("|")
            return (url if setting == "url" else version) or None
        assert name == "pseudonym"
        return self.secret(f"{setting}:{value}")


def typed_id(reference: str) -> str | None:
    """``Type/id`` of a relative or absolute reference, with or without a version."""
    tail = reference if reference[0].isupper() else reference.partition("://")[2]
    for start in [0, *(m.end() for m in re.finditer("/", tail))]:
        if match := _RELATIVE.fullmatch(tail, start):
            return f"{match['type']}/{match['id']}"
    return None


def read_date(text: str) -> date | None:
    """The day in a FHIR date or dateTime; None when it is partial."""
    return date.fromisoformat(text[:10]) if len(text) >= 10 else None


def read_time(text: str) -> datetime | None:
    """The wall clock in a FHIR dateTime; midnight for a day; None when it is partial."""
    return datetime.fromisoformat(text[:19]) if len(text) >= 10 else None


def _type_at(path: str) -> str:
    """The type of the element at a path, or the path itself where the element has its own type."""
    type_ = _R4["path2Type"].get(path, path)
    return path if type_ in ("BackboneElement", "Element") else type_


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _merged(rows: Iterator[Row] | tuple[Row, ...]) -> Row:
    return dict(itertools.chain.from_iterable(row.items() for row in rows))
