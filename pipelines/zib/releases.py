"""The FHIR release of a resource: told from its profiles, a stated `fhirVersion` or its shape; never assumed.

Profiles weigh most, then shape: elements, and kinds of JSON values, that only one of the releases has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pipelines.sqlonfhir.fhir_types import SQL_TYPES, Element, FhirTypes, Release, r4, stu3
from pipelines.sqlonfhir.reading import relation_of
from pipelines.sqlonfhir.values import Schema

FOLDERS: Mapping[Release, str] = {"r4": "2020", "stu3": "2017"}
"""The zib release that is exchanged in each FHIR release, by the name of its folder in `mappings/zib`."""

NICTIZ = "http://nictiz.nl/fhir/StructureDefinition/"
_PROFILES: tuple[tuple[str, Release], ...] = (
    (f"{NICTIZ}nl-core-", "r4"),  # Nictiz' package nictiz.fhir.nl.r4.nl-core
    (f"{NICTIZ}mp-", "r4"),  # nictiz.fhir.nl.r4.medicationprocess9
    ("http://fhir.nl/fhir/StructureDefinition/", "stu3"),  # nictiz.fhir.nl.stu3.zib2017
)
_WEAK = tuple(f"{NICTIZ}{start}" for start in ("zib-", "gp-", "vitalsign-", "WoundCharacteristics", "IHE.MHD."))
"""Other profiles of nictiz.fhir.nl.stu3.zib2017. Nothing keeps R4 from having profiles of such names too (zib2020 has,
though instances name nl-core), so shape weighs more."""
_VERSIONS: tuple[tuple[str, Release], ...] = (("4.0", "r4"), ("4.3", "r4"), ("3.0", "stu3"))
_NAMES: Mapping[Release, str] = {"r4": "R4", "stu3": "STU3"}
_OTHER: Mapping[Release, Release] = {"r4": "stu3", "stu3": "r4"}
_SEPARATOR = "\x1f"


def types_of(release: Release) -> FhirTypes:
    """The FHIR types of a release."""
    return r4() if release == "r4" else stu3()


def release_of(resource: Mapping[str, Any]) -> Release | None:
    """The release a resource is in; None when nothing tells, or when what tells contradicts itself."""
    profiles = profiles_of(resource)
    if (told := told_by_profiles(profiles)) is not None:
        return told
    shapes = _shapes(resource)
    return _one(shapes) or (None if shapes else _told_weakly(profiles))


def contradiction(resource: Mapping[str, Any], reads: Mapping[Release, Mapping[str, Schema]]) -> str | None:
    """Why a resource cannot be read in one release without losing what the other has; None when it can.

    `reads` says what the views of each release read: an element that no view reads loses nothing.
    """
    resource_type = resource["resourceType"]
    if not any(resource_type in schemas for schemas in reads.values()):
        return None
    told = _releases_of_profiles(profiles_of(resource))
    if len(told) > 1:
        return "one of its profiles is of R4, another of STU3"
    if (release := _one(told)) is None:
        both = len(_shapes(resource)) > 1
        return "it has elements that only R4 has, and elements that only STU3 has" if both else None
    for name in foreign_elements(release, resource_type, reads):
        if resource.get(name) is not None:
            return f"its profile is of {_NAMES[release]}, but only {_NAMES[_OTHER[release]]} has the element {name}"
    return None


def foreign_elements(
    release: Release, resource_type: str, reads: Mapping[Release, Mapping[str, Schema]]
) -> tuple[str, ...]:
    """The elements that views of the other release read, and that a resource of this release cannot have."""
    schema = reads.get(_OTHER[release], {}).get(resource_type)
    if schema is None or resource_type not in types_of(release).resources:
        return ()
    known = {element.name for element in types_of(release).elements(resource_type)}
    return tuple(e.name for e, _ in schema if e.name not in known and not e.name.startswith("_"))


def profiles_of(resource: Mapping[str, Any]) -> list[str]:
    """The profiles that a resource names."""
    meta = resource.get("meta")
    listed = meta.get("profile") if isinstance(meta, dict) else None
    return [profile for profile in listed if isinstance(profile, str)] if isinstance(listed, list) else []


def told_by_profiles(profiles: Iterable[str]) -> Release | None:
    """The release of which these are profiles, if they are of one."""
    return _one(_releases_of_profiles(profiles))


def _releases_of_profiles(profiles: Iterable[str]) -> set[Release]:
    return {release for profile in profiles for start, release in _PROFILES if profile.startswith(start)}


def profiles_sql(schema: Schema) -> str:
    """SQL of the profiles of a resource as one text, for `profiles_in`; they are added to what is read in `schema`."""
    _add_profiles(schema)
    return f"array_to_string(\"_r_meta\".profile, '{_SEPARATOR}')"


def profiles_in(text: str | None) -> list[str]:
    """The profiles in a text of `profiles_sql`."""
    return text.split(_SEPARATOR) if text else []


def releases_sql(path: Any, resource_type: str, maximum_line_bytes: int) -> str:
    """SQL of what tells the release in a clean NDJSON file: distinct texts of profiles, and elements of R4 and STU3."""
    schema = Schema()
    profiles = profiles_sql(schema)
    tests: dict[Release, list[str]] = {"r4": [], "stu3": []}
    for name, (here, there) in _telling(resource_type).items():
        schema.child(Element(name, "JSON", False))
        column = f'"_r_{name}"'
        present = f"coalesce(json_type({column}) <> 'NULL', FALSE)"
        for release, own, other in (("r4", here, there), ("stu3", there, here)):
            if own is not None:
                fits = [present, _fits_sql(column, own)]
                fits += [f"NOT {_fits_sql(column, other)}"] if other is not None else []
                tests[release].append(f"({' AND '.join(fits)})")  # type: ignore[index]
    has = {release: " OR ".join(of_release) or "FALSE" for release, of_release in tests.items()}
    relation = relation_of(path, schema, maximum_line_bytes)
    return f"SELECT DISTINCT _type, {profiles}, {has['r4']}, {has['stu3']} FROM {relation}"


def release_of_row(profiles: str | None, has_r4: bool, has_stu3: bool) -> Release | None:
    """As `release_of`, from the last three columns of `releases_sql`."""
    listed = profiles_in(profiles)
    if (told := told_by_profiles(listed)) is not None:
        return told
    if has_r4 != has_stu3:
        return "r4" if has_r4 else "stu3"
    return None if has_r4 else _told_weakly(listed)


def row_is_contradictory(profiles: str | None, has_r4: bool, has_stu3: bool) -> bool:
    """Whether the last three columns of `releases_sql` tell both releases, and no profile decides."""
    told = _releases_of_profiles(profiles_in(profiles))
    return len(told) > 1 or (not told and has_r4 and has_stu3)


def _add_profiles(schema: Schema) -> None:
    schema.child(Element("meta", "Meta", False)).child(Element("profile", "canonical", True))


def _told_weakly(profiles: Iterable[str]) -> Release | None:
    return "stu3" if any(profile.startswith(_WEAK) for profile in profiles) else None


def _shapes(resource: Mapping[str, Any]) -> set[Release]:
    """The releases of which the resource has something that the other lacks."""
    resource_type = resource["resourceType"]
    only = {release for release in FOLDERS if resource_type in types_of(release).resources}
    if len(only) == 1:
        return only
    if isinstance(version := resource.get("fhirVersion"), (str, list)):
        stated = version if isinstance(version, list) else [version]
        told = {release for text in stated for start, release in _VERSIONS if str(text).startswith(start)}
        if told:
            return told
    found: set[Release] = set()
    telling = _telling(resource_type)
    for name in resource.keys() & telling.keys():
        here, there = telling[name]
        fits_r4, fits_stu3 = _fits(resource[name], here), _fits(resource[name], there)
        if fits_r4 != fits_stu3:
            found.add("r4" if fits_r4 else "stu3")
    return found


@cache
def _telling(resource_type: str) -> Mapping[str, tuple[Element | None, Element | None]]:
    """The elements that R4 and STU3 do not have alike, by name."""
    old, new = (
        {element.name: element for element in types_of(release).elements(resource_type)} for release in ("stu3", "r4")
    )
    return {
        name: (new.get(name), old.get(name))
        for name in sorted(new.keys() | old.keys())
        if not name.startswith("_") and _kind(new.get(name)) != _kind(old.get(name))
    }


def _kind(element: Element | None) -> tuple[bool, bool] | None:
    return None if element is None else (element.many, element.type in SQL_TYPES)


def _fits(value: Any, element: Element | None) -> bool:
    """Whether a JSON value is of the kind that the element has."""
    if element is None or value is None or element.many != isinstance(value, list):
        return False
    items = [item for item in value if item is not None] if element.many else [value]
    return all(isinstance(item, dict) != (element.type in SQL_TYPES) for item in items)


def _fits_sql(column: str, element: Element) -> str:
    item = f"json_type({column}, '$[0]')" if element.many else f"json_type({column})"
    kind = "<>" if element.type in SQL_TYPES else "="
    many = "=" if element.many else "<>"
    return f"(json_type({column}) {many} 'ARRAY' AND coalesce({item} {kind} 'OBJECT', TRUE))"


def _one(releases: set[Release]) -> Release | None:
    return next(iter(releases)) if len(releases) == 1 else None
