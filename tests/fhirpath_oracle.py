"""What a ViewDefinition gives according to fhirpathpy: a naive evaluator that shares no code with the compiler."""

import copy
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from fhirpathpy import apply_parsed_path
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models
from fhirpathpy.parser import parse
from lark.exceptions import LarkError
from pint.errors import PintError
from ucumvert import PintUcumRegistry

from pipelines.sqlonfhir.fhir_types import Release

Row = dict[str, Any]
_REFERENCE_KEY = re.compile(r"^(?P<of>.+)\.getReferenceKey\((?P<type>\w*)\)(?P<first>\.first\(\))?$")
_RELATIVE = re.compile(r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?$")
_URN = re.compile(r"urn:(uuid|oid):(?P<id>[A-Za-z0-9\-.]{1,64})")
_EXTENSION = re.compile(r"\bextension\(([^)]*)\)")


@cache
def _parsed(path: str) -> Any:
    """The path for fhirpathpy, whose own `extension()` gives the first one only.

    FHIR defines it as short for `extension.where(url = ...)` (hl7.org/fhir/R4/fhirpath.html#functions).
    """
    return parse(_EXTENSION.sub(r"extension.where(url = \1)", path))


@dataclass(frozen=True)
class Oracle:
    """Evaluates views.

    Attributes:
        key: turns ``Type/id`` (and the other forms of a reference's key) into a key.
        secret: turns ``kind:value`` into a pseudonym.
        release: of FHIR.
        units: the unit of each (system, code) in each table that a tag may point to.
        systems: other spellings of code systems.
    """

    key: Callable[[str], str | None]
    secret: Callable[[str], str]
    release: Release = "r4"
    units: Mapping[str, Mapping[tuple[str, str], str]] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)

    def rows(self, view: dict[str, Any], resource: dict[str, Any]) -> list[Row]:
        """The rows that `view` gives for one resource."""
        if resource["resourceType"] != view["resource"]:
            return []
        constants = {c["name"]: next(v for k, v in c.items() if k != "name") for c in view.get("constant", [])}
        evaluation = _Evaluation(self, resource, models[self.release])
        conditions = (evaluation.find(resource, None, where["path"], constants) for where in view.get("where", []))
        if not all(found == [True] for found in conditions):
            return []
        return evaluation.product(view["select"], resource, None, constants)


@dataclass(frozen=True)
class _Evaluation:
    """One view over one resource. `base` is the path of the focus in the FHIR model; None at the resource."""

    oracle: Oracle
    root: dict[str, Any]
    model: Any

    def product(
        self, selects: list[dict[str, Any]], focus: Any, base: str | None, variables: dict[str, Any]
    ) -> list[Row]:
        parts = [self._select(select, focus, base, variables) for select in selects]
        return [_merged(rows) for rows in itertools.product(*parts)]

    def _select(self, select: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> list[Row]:
        if "repeat" in select:
            return self._each(select, list(self._descendants(select["repeat"], focus, base)), variables)
        if not (kind := next((k for k in ("forEach", "forEachOrNull") if k in select), None)):
            return self._at(select, focus, base, variables)
        items = self._nodes(focus, base, select[kind], variables)
        if not items and kind == "forEachOrNull":
            return self._at(select, None, base, variables | {"rowIndex": 0})
        return self._each(select, items, variables)

    def _each(self, select: dict[str, Any], items: list[tuple[Any, str]], variables: dict[str, Any]) -> list[Row]:
        rows = (self._at(select, item, base, variables | {"rowIndex": i}) for i, (item, base) in enumerate(items))
        return list(itertools.chain.from_iterable(rows))

    def _descendants(self, paths: list[str], focus: Any, base: str | None) -> Iterator[tuple[Any, str]]:
        """What is found at any depth, each item before what is found below it."""
        for path in paths:
            for item, inner in self._nodes(focus, base, path, {}):
                yield item, inner
                yield from self._descendants(paths, item, inner)

    def _at(self, select: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> list[Row]:
        own = {c["name"]: self._column(c, focus, base, variables) for c in select.get("column", [])}
        nested = self.product(select.get("select", []), focus, base, variables)
        branches = [
            row for branch in select.get("unionAll", []) for row in self._select(branch, focus, base, variables)
        ]
        if "unionAll" not in select:
            branches = [{}]
        return [_merged(rows) for rows in itertools.product([own], nested, branches)]

    def find(self, focus: Any, base: str | None, path: str, variables: dict[str, Any]) -> list[Any]:
        if path in ("%rowIndex", "$this"):
            found = [variables.get("rowIndex", 0) if path == "%rowIndex" else focus]
        else:
            found = self._apply(focus, base, path, variables, {})
        return [_plain(value) for value in found if value is not None]

    def _nodes(self, focus: Any, base: str | None, path: str, variables: dict[str, Any]) -> list[tuple[Any, str]]:
        """The elements found, each with its path in the FHIR model, and with the extensions of its primitives."""
        found = self._apply(focus, base, path, variables, {"returnRawData": True})
        return [(node.data, node.path) for node in found if node.data is not None]

    def _apply(self, focus: Any, base: str | None, path: str, variables: dict[str, Any], options: Any) -> list[Any]:
        if focus is None:
            return []
        node = copy.deepcopy(focus)
        found: list[Any] = apply_parsed_path(
            ResourceNode.create_node(node, base) if base else node, _parsed(path), variables, self.model, options
        )
        return found

    def _column(self, column: dict[str, Any], focus: Any, base: str | None, variables: dict[str, Any]) -> Any:
        tags = {tag["name"]: tag["value"] for tag in column.get("tag", [])}
        values = self._values(column["path"], focus, base, variables)
        if "codings" in tags:
            return codings_id([self._spelled(coding) for coding in values])
        if "ucum/unit" in tags:
            return self._unit(tags["ucum/unit"], values)
        if column.get("collection"):
            return values
        if len(values) > 1:
            raise ValueError(f"{column['path']} gives {len(values)} values")
        value = values[0] if values else None
        if column["name"].endswith("_system"):
            value = self.oracle.systems.get(value, value)
        for name, setting in tags.items():
            value = None if value is None else self._tagged(name, setting, value)
        return value

    def _values(self, path: str, focus: Any, base: str | None, variables: dict[str, Any]) -> list[Any]:
        if path == "getResourceKey()":
            return [self.oracle.key(f"{focus['resourceType']}/{focus['id']}")]
        match = _REFERENCE_KEY.match(path)
        if match is None:
            return self.find(focus, base, path, variables)
        references = self.find(focus, base, match["of"], variables)
        texts = [text for reference in references if (text := typed_id(reference, self.root, match["type"]))]
        keys = [key for key in map(self.oracle.key, texts) if key is not None]
        return keys[:1] if match["first"] else keys

    def _tagged(self, name: str, setting: str, value: Any) -> Any:
        if name == "ansi/type":
            return read_date(value) if setting == "DATE" else read_time(value)
        if name == "canonical":
            url, _, version = value.partition("|")
            return (url if setting == "url" else version) or None
        if name == "ucum":
            unit = self._unit(setting, self.root["code"].get("coding", [])) if setting[0] == "@" else setting
            return None if unit is None else in_unit(value, unit)
        assert name == "pseudonym"
        return self.oracle.secret(f"{setting}:{value}")

    def _spelled(self, coding: dict[str, Any]) -> dict[str, Any]:
        system = coding.get("system", "")
        return coding | {"system": self.oracle.systems.get(system, system)}

    def _unit(self, table: str, codings: list[dict[str, Any]]) -> str | None:
        units = (self.oracle.units[table[1:]].get((c.get("system"), c.get("code"))) for c in codings)
        return next(filter(None, units), None)


def typed_id(reference: dict[str, Any], root: dict[str, Any], wanted: str) -> str | None:
    """The key of a Reference in `root`, before it is made one; None when there is none, or of another type."""
    text = reference.get("reference") or ""
    declared = re.search("[A-Za-z]*$", reference.get("type", ""))
    type_ = (declared and declared[0]) or wanted
    value = reference.get("identifier", {}).get("value")
    if text.startswith("#"):
        kinds = [c.get("resourceType") for c in root.get("contained", []) if c.get("id") == text[1:]]
        type_ = kinds[0] if kinds else type_
        owner = root["id"].split("#")[0] if "#" in root["id"] else f"{root['resourceType']}.{root['id']}"
        found = f"{type_}/{owner}{text}" if type_ else None
    elif urn := _URN.fullmatch(text):
        found = f"{type_}/{urn['id']}" if type_ else None
    elif literal := _literal_id(text):
        type_, found = literal.split("/")[0], literal
    else:
        found = f"{type_}?{reference['identifier'].get('system', '')}|{value}" if type_ and value else None
    return found if wanted in ("", type_) else None


def _literal_id(text: str) -> str | None:
    """``Type/id`` of a relative or absolute reference, with or without a version."""
    tail = text if text[:1].isupper() else text.partition("://")[2]
    for start in [0, *(m.end() for m in re.finditer("/", tail))]:
        if match := _RELATIVE.fullmatch(tail, start):
            return f"{match['type']}/{match['id']}"
    return None


def codings_id(codings: list[dict[str, Any]]) -> str | None:
    """The id of a list of codings."""
    parts = (
        "\x1f".join(coding.get(part, "") for part in ("system", "version", "code", "display")) for coding in codings
    )
    return hashlib.sha256("\x1e".join(parts).encode()).hexdigest()[:32] if codings else None


def in_unit(quantity: dict[str, Any], unit: str) -> float | None:
    """A Quantity in a UCUM unit, as pint has it."""
    if quantity.get("system") != "http://unitsofmeasure.org" or "code" not in quantity or "value" not in quantity:
        return None
    if quantity["code"] == unit:
        return float(quantity["value"])
    try:
        source, target = _registry().from_ucum(quantity["code"]), _registry().from_ucum(unit)
        return float(type(source)(float(quantity["value"]), source.units).to(target.units).magnitude)
    except (PintError, LarkError):
        return None


@cache
def _registry() -> Any:
    return PintUcumRegistry()


def read_date(text: str) -> date | None:
    """The day in a FHIR date or dateTime; None when it is partial."""
    return date.fromisoformat(text[:10]) if len(text) >= 10 else None


def read_time(text: str) -> datetime | None:
    """The wall clock in a FHIR dateTime; midnight for a day; None when it is partial."""
    return datetime.fromisoformat(text[:19]) if len(text) >= 10 else None


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _merged(rows: Iterator[Row] | tuple[Row, ...]) -> Row:
    return dict(itertools.chain.from_iterable(row.items() for row in rows))
