"""Element names, types and cardinalities of FHIR R4 and STU3, taken from the `fhir.resources` models.

Importing all models takes a second, so the facts are kept beside this file in `fhir_r4.json` and `fhir_stu3.json`,
which `python -m pipelines.sqlonfhir.fhir_types` writes anew; a test holds the files against the models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

Release = Literal["r4", "stu3"]
_MODELS: Mapping[Release, str] = {"r4": "R4B", "stu3": "STU3"}

KEY = "key"
"""Not a FHIR type: ``Type/id`` of a resource, which has to become a key before anyone sees it."""

SQL_TYPES: Mapping[str, str] = {
    KEY: "VARCHAR",
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "positiveInt": "BIGINT",
    "unsignedInt": "BIGINT",
    "decimal": "DOUBLE",
    **dict.fromkeys(
        [
            *("base64Binary", "canonical", "code", "date", "dateTime", "id", "instant", "markdown", "oid"),
            *("string", "time", "uri", "url", "uuid", "xhtml"),
        ],
        "VARCHAR",
    ),
}
"""The DuckDB type of each FHIR primitive type, and of keys. Dates stay text: FHIR dates may be partial."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a FHIR type.

    Attributes:
        name: JSON name, for example ``valueQuantity``.
        type: FHIR type, for example ``Quantity`` or ``dateTime``.
        many: whether it is a JSON array.
        recursive: whether it holds elements of a type that it stands in itself, such as an item in an item.
    """

    name: str
    type: str
    many: bool
    recursive: bool = False


class FhirTypes:
    """Lookup of elements by FHIR type; `elements` is {type: {element: type, with * for an array}}."""

    def __init__(self, elements: Mapping[str, Mapping[str, str]], resources: frozenset[str]) -> None:
        self._elements = elements
        self.resources = resources

    def is_primitive(self, type_: str) -> bool:
        """Whether `type_` is a FHIR primitive type."""
        return type_ in SQL_TYPES

    def is_type(self, type_: str) -> bool:
        """Whether `type_` names any FHIR type."""
        return type_ in SQL_TYPES or type_ in self._elements

    def element(self, type_: str, name: str) -> Element | None:
        """The element `name` of `type_`, or None when the type has no such element."""
        spec = self._elements.get(type_, {}).get(name)
        if spec is None:
            return None
        found = spec.removesuffix("*")
        # The type of a backbone element is named after the elements it stands in.
        recursive = type_.startswith(found) and found not in (*SQL_TYPES, "Extension")
        return Element(name, found, spec.endswith("*"), recursive)

    def elements(self, type_: str) -> Iterator[Element]:
        """All elements of `type_`, choice elements as their alternatives."""
        for name in self._elements.get(type_, {}):
            if not name.endswith("[x]") and (element := self.element(type_, name)):
                yield element

    def choices(self, type_: str, name: str) -> tuple[Element, ...]:
        """The alternatives of the choice element `name` [x] of `type_`; empty when it is none."""
        alternatives = self._elements.get(type_, {}).get(name + "[x]", "").split()
        return tuple(Element(name + a[0].upper() + a[1:], a, False) for a in alternatives)


@cache
def r4() -> FhirTypes:
    """The types of FHIR R4 (as R4B in `fhir.resources`)."""
    return _from_file("r4")


@cache
def stu3() -> FhirTypes:
    """The types of FHIR STU3."""
    return _from_file("stu3")


def file_of(release: Release) -> Path:
    """Where the facts about a release are kept."""
    return Path(__file__).with_name(f"fhir_{release}.json")


def _from_file(release: Release) -> FhirTypes:
    content = json.loads(file_of(release).read_text(encoding="utf-8"))
    return FhirTypes(content["types"], frozenset(content["resources"]))


def from_models(release: Release) -> dict[str, Any]:
    """Read types and resources of a release out of the `fhir.resources` models; takes seconds."""
    import importlib
    import pkgutil

    from fhir_core.fhirabstractmodel import FHIRAbstractModel

    package = importlib.import_module(f"fhir.resources.{_MODELS[release]}")
    resource: type = importlib.import_module(f"{package.__name__}.resource").Resource
    types: dict[str, dict[str, str]] = {}
    resources: list[str] = []
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for model in vars(module).values():
            if not isinstance(model, type) or not issubclass(model, FHIRAbstractModel):
                continue
            name = model.get_resource_type()
            types[name] = _elements_of(model)
            if issubclass(model, resource):
                resources.append(name)
    return {"resources": sorted(set(resources)), "types": dict(sorted(types.items()))}


def _elements_of(model: Any) -> dict[str, str]:
    elements: dict[str, str] = {}
    choices: dict[str, list[str]] = {}
    for field_name, field in model.model_fields.items():
        if field_name.endswith("__ext") or field_name == "fhir_comments":
            continue
        name, type_ = field.alias or field_name, _type_name(field.annotation)
        elements[name] = type_
        choice = (field.json_schema_extra or {}).get("one_of_many")
        if choice:
            choices.setdefault(choice, []).append(type_)
    elements |= {f"{name}[x]": " ".join(types) for name, types in choices.items()}
    return dict(sorted(elements.items()))


def _type_name(annotation: Any) -> str:
    text = str(annotation)
    many = "*" if "List[" in text else ""
    if "bool" in text:
        return "boolean" + many
    if complex_type := re.search(r"abc\.(\w+)Type\b", text):
        return complex_type[1] + many
    if text.startswith("typing.Union[typing.Annotated[str, Id()]"):
        return "string"
    constraint = re.search(r"(\w+)(?:\([^)]*\)| object at \S+)\]", text)
    if constraint is None:
        raise ValueError(f"no FHIR type in the annotation {text}")
    special = {"EncodedBytes": "base64Binary", "UuidVersion": "uuid"}
    name = constraint[1] if constraint[1] not in special else special[constraint[1]]
    if "Base64" in text:
        name = "base64Binary"
    return name[0].lower() + name[1:] + many


if __name__ == "__main__":
    for name in get_args(Release):
        facts = json.dumps(from_models(name), separators=(",", ":"), sort_keys=True)
        file_of(name).write_text(facts + "\n", encoding="utf-8")
