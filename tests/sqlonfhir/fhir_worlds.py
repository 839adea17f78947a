"""Small FHIR resources and paths into them, for property tests: a path is of the right type, nothing else is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Draw = Any
Field = tuple[str, tuple[str, ...], bool]
"""Name, types (several for a choice), and whether it repeats."""

PRIMITIVES: dict[str, tuple[Any, ...]] = {
    "string": ("a", "b", "it's"),
    "code": ("a", "b"),
    "uri": ("urn:a", "urn:b"),
    "boolean": (True, False),
    "integer": (0, 1, 2),
    "decimal": (0.5, 1.0, 20.25),
    "date": ("2020", "2020-05", "2020-05-17"),
    "dateTime": ("2020", "2020-05-17", "2020-05-17T10:00:00+02:00"),
}
COMPLEX: dict[str, tuple[Field, ...]] = {
    "Coding": (("system", ("uri",), False), ("code", ("code",), False), ("display", ("string",), False)),
    "CodeableConcept": (("coding", ("Coding",), True), ("text", ("string",), False)),
    "Quantity": (("value", ("decimal",), False), ("unit", ("string",), False), ("code", ("code",), False)),
    "Period": (("start", ("dateTime",), False), ("end", ("dateTime",), False)),
    "Reference": (("display", ("string",), False),),
    "Identifier": (("system", ("uri",), False), ("value", ("string",), False)),
    "HumanName": (
        ("family", ("string",), False),
        ("given", ("string",), True),
        ("period", ("Period",), False),
    ),
    "Contact": (
        ("relationship", ("CodeableConcept",), True),
        ("name", ("HumanName",), False),
        ("gender", ("code",), False),
    ),
    "Component": (("code", ("CodeableConcept",), False), ("value", ("Quantity", "string", "CodeableConcept"), False)),
    "Range": (("low", ("Quantity",), False), ("text", ("string",), False)),
}
_PATIENT: tuple[Field, ...] = (
    ("active", ("boolean",), False),
    ("gender", ("code",), False),
    ("birthDate", ("date",), False),
    ("deceased", ("boolean", "dateTime"), False),
    ("name", ("HumanName",), True),
    ("contact", ("Contact",), True),
    ("identifier", ("Identifier",), True),
    ("generalPractitioner", ("Reference",), True),
)
_OBSERVATION: tuple[Field, ...] = (
    ("status", ("code",), False),
    ("category", ("CodeableConcept",), True),
    ("code", ("CodeableConcept",), False),
    ("subject", ("Reference",), False),
    ("effective", ("dateTime", "Period"), False),
    ("value", ("Quantity", "string", "CodeableConcept"), False),
    ("component", ("Component",), True),
    ("referenceRange", ("Range",), True),
)
_CONDITION: tuple[Field, ...] = (
    ("code", ("CodeableConcept",), False),
    ("bodySite", ("CodeableConcept",), True),
    ("onset", ("dateTime", "Period"), False),
    ("subject", ("Reference",), False),
)
WORLDS: dict[str, dict[str, tuple[Field, ...]]] = {
    "r4": {
        "Patient": _PATIENT,
        "Observation": (
            *_OBSERVATION,
            ("encounter", ("Reference",), False),
            ("interpretation", ("CodeableConcept",), True),
        ),
        "Condition": (*_CONDITION, ("clinicalStatus", ("CodeableConcept",), False)),
    },
    "stu3": {
        "Patient": _PATIENT,
        "Observation": (
            *_OBSERVATION,
            ("context", ("Reference",), False),
            ("interpretation", ("CodeableConcept",), False),
        ),
        "Condition": (*_CONDITION, ("clinicalStatus", ("code",), False)),
    },
}
"""What differs between the releases is in both: an element of another name, of another kind, and of another number."""

URLS = ("urn:x", "urn:y")
TARGETS = ("Patient", "Encounter", "Practitioner")


@st.composite
def resources(draw: Draw, release: str, type_: str, extended: bool) -> dict[str, Any]:
    """A resource in which anything may be absent, and any element may have extensions.

    Args:
        extended: whether primitives may have extensions, with or without a value.
    """
    resource = {"resourceType": type_, "id": draw(st.sampled_from(("r1", "r2")))}
    return resource | draw(_object(WORLDS[release][type_], extended))


@st.composite
def _object(draw: Draw, fields: tuple[Field, ...], extended: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, types, many in fields:
        if draw(st.integers(0, 2)) == 0:
            continue
        type_ = draw(st.sampled_from(types))
        key = name if len(types) == 1 else name + type_[0].upper() + type_[1:]
        items = [draw(_value(type_, extended)) for _ in range(draw(st.integers(1, 3)) if many else 1)]
        if type_ in PRIMITIVES:
            companions = [extensions for _, extensions in items]
            if any(companions):
                found[f"_{key}"] = companions if many else companions[0]
            values = [value for value, _ in items]
            if any(value is not None for value in values):
                found[key] = values if many else values[0]
        else:
            found[key] = items if many else items[0]
    if draw(st.integers(0, 3)) == 0:
        found["extension"] = draw(_extensions())
    return found


@st.composite
def _value(draw: Draw, type_: str, extended: bool) -> Any:
    """An object; of a primitive its value and its extensions, at least one of the two."""
    if type_ == "Reference":
        return draw(_reference())
    if type_ not in PRIMITIVES:
        inner = draw(_object(COMPLEX[type_], extended))
        return inner or {"id": "e1"}
    extensions = {"extension": draw(_extensions())} if extended and draw(st.booleans()) else None
    absent = extensions is not None and draw(st.integers(0, 2)) == 0
    return None if absent else draw(st.sampled_from(PRIMITIVES[type_])), extensions


@st.composite
def _reference(draw: Draw) -> dict[str, Any]:
    target, id_ = draw(st.sampled_from(TARGETS)), draw(st.sampled_from(("1", "x-2.y")))
    text = draw(
        st.sampled_from(
            (
                f"{target}/{id_}",
                f"https://ehr.example/fhir/{target}/{id_}",
                f"{target}/{id_}/_history/3",
                "urn:uuid:0c1d5a53-6a4c-4d1b-9b8e-0a8f6f1f7a10",
            )
        )
    )
    return {"reference": text} | ({"display": "a"} if draw(st.booleans()) else {})


@st.composite
def _extensions(draw: Draw) -> list[dict[str, Any]]:
    kinds = st.sampled_from((("valueString", "a"), ("valueString", "b"), ("valueCode", "a"), ("valueInteger", 1)))
    pairs = draw(st.lists(st.tuples(st.sampled_from(URLS), kinds), min_size=1, max_size=2))
    return [{"url": url, name: value} for url, (name, value) in pairs]


@dataclass(frozen=True)
class Path:
    """A path so far: its text, the type it gives, and whether it is a bare element, which may have extensions."""

    text: str
    type: str
    bare: bool

    def then(self, step: str, type_: str, *, bare: bool = False) -> Path:
        return Path(f"{self.text}.{step}" if self.text else step, type_, bare)


@st.composite
def paths(draw: Draw, release: str, type_: str, extended: bool) -> str:
    """A path for a column: to a primitive, a key, a count or a truth.

    Args:
        extended: then a primitive is asked for its extensions only. fhirpathpy counts a primitive with extensions
            twice, so it cannot judge what is counted, compared or first (docs/sql-on-fhir.md has the reading).
    """
    path = draw(_walk(WORLDS[release][type_], draw(st.integers(1, 4)), extended))
    return str(draw(_ended(path, extended)))


@st.composite
def _walk(draw: Draw, fields: tuple[Field, ...], depth: int, extended: bool) -> Path:
    path = draw(_step(Path("", "", False), fields))
    for _ in range(depth - 1):
        if path.type in PRIMITIVES and not (path.bare and draw(st.booleans())):
            break
        path = draw(_filtered(path, extended))
        if (path.bare and draw(st.integers(0, 4)) == 0) or path.type in PRIMITIVES:
            path = draw(_into_extension(path))
        else:
            path = draw(_step(path, COMPLEX[path.type]))
    return path


@st.composite
def _step(draw: Draw, path: Path, fields: tuple[Field, ...]) -> Path:
    name, types, _ = draw(st.sampled_from(fields))
    type_ = draw(st.sampled_from(types))
    return path.then(name if len(types) == 1 else f"{name}.ofType({type_})", type_, bare=True)


@st.composite
def _into_extension(draw: Draw, path: Path) -> Path:
    type_ = draw(st.sampled_from(("string", "code", "integer")))
    url = draw(st.sampled_from(URLS))
    return path.then(f"extension('{url}').value.ofType({type_})", type_)


@st.composite
def _filtered(draw: Draw, path: Path, extended: bool) -> Path:
    if path.type in PRIMITIVES:
        return path
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return path.then("first()", path.type)
    if kind <= 2 and path.type != "Reference":
        return path.then(f"where({draw(criteria(path.type, extended))})", path.type)
    return path


@st.composite
def criteria(draw: Draw, type_: str, extended: bool, depth: int = 2) -> str:
    """A truth about an element of this type."""
    kind = draw(st.integers(0, 6))
    if kind == 0 and depth:
        left, right = (draw(criteria(type_, extended, depth - 1)) for _ in range(2))
        return f"({left}) {draw(st.sampled_from(('and', 'or', 'xor', 'implies')))} ({right})"
    if kind == 1 and depth:
        return f"({draw(criteria(type_, extended, depth - 1))}).not()"
    path = draw(_step(Path("", "", False), COMPLEX[type_]))
    if path.type in PRIMITIVES:
        return str(draw(_about_primitive(path, extended)))
    if kind <= 3 and path.type != "Reference" and depth:
        inner = draw(criteria(path.type, extended, depth - 1))
        return path.text + draw(st.sampled_from((f".exists({inner})", f".where({inner}).exists()")))
    return f"{path.text}.{draw(st.sampled_from(('exists()', 'empty()', 'count() > 1', 'count() = 1')))}"


@st.composite
def _about_primitive(draw: Draw, path: Path, extended: bool) -> str:
    if extended:
        inner = draw(_into_extension(path))
        return inner.text + draw(st.sampled_from((".exists()", ".empty()", ".count() > 1")))
    if draw(st.integers(0, 3)) == 0:
        return f"{path.text}.{draw(st.sampled_from(('exists()', 'empty()', 'count() = 2')))}"
    return f"{path.text} {draw(st.sampled_from(('=', '!=')))} {_literal(draw(st.sampled_from(PRIMITIVES[path.type])))}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else str(value)


@st.composite
def _ended(draw: Draw, path: Path, extended: bool) -> str:
    if path.type in PRIMITIVES:
        ends = ("",) if extended and path.bare else ("", "", "", ".first()", ".exists()", ".empty()", ".count()")
        return path.text + draw(st.sampled_from(ends))
    if path.type == "Reference" and draw(st.integers(0, 3)):
        key = f"{path.text}.getReferenceKey({draw(st.sampled_from(TARGETS))})"
        return key + draw(st.sampled_from(("", ".first()")))
    if path.type != "Reference" and draw(st.booleans()):
        return f"{path.text}.exists({draw(criteria(path.type, extended))})"
    return path.text + draw(st.sampled_from((".exists()", ".empty()", ".count()")))
