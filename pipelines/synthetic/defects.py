"""Known defects, planted on top of the sound resources so that the truth of the indicators stays valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from random import Random

from pipelines.synthetic.chart import PROFILES, Resource
from pipelines.synthetic.fhir_stu3 import LABORATORY, LABORATORY_PROFILE
from pipelines.synthetic.packaging import Entry, ExportFile, Form

_WEIGHTS = (f'"{PROFILES}nl-core-BodyWeight"', f'"{PROFILES}zib-BodyWeight"')
_DAYS = ("2025-02-30", "0001-01-01", "2999-12-31")


def plant(rng: Random, files: list[ExportFile], share: float, encode: Callable[[Resource], str]) -> None:
    """Add `share` times as many defects as there are resources, each after the resource it was made from.

    A defect is a changed copy, under a new id, of a body weight (no indicator uses it), half of its line, or
    an exact duplicate of any resource. A Bundle gets no broken line: it would take the whole file with it.
    """
    shared = [file for file in files if file.form is not Form.SINGLE]
    total = sum(len(file.entries) for file in files)
    weights = [(file, i) for file in shared for i, entry in enumerate(file.entries) if _is_weight(entry)]
    kinds = [k for k in KINDS if k != "broken-json" or shared[0].form is not Form.BUNDLE]
    planted: dict[str, list[tuple[float, Entry]]] = {file.name: [] for file in shared}
    for number in range(round(share * total)):
        kind = kinds[number % len(kinds)]
        if kind == "duplicate":
            file = rng.choices(shared, [len(f.entries) for f in shared])[0]
            place = rng.randrange(len(file.entries))
        else:
            file, place = rng.choice(weights)
        entry = _defect(file.entries[place], kind, number, encode)
        planted[file.name].append((place + rng.random() * (len(file.entries) - place), entry))
    for file in shared:
        file.entries = _merged(file.entries, planted[file.name])


def _is_weight(entry: Entry) -> bool:
    return any(profile in entry.text for profile in _WEIGHTS)


def _merged(entries: list[Entry], planted: list[tuple[float, Entry]]) -> list[Entry]:
    """Entries in order, each defect at its place."""
    placed = chain(((float(i), entry) for i, entry in enumerate(entries)), planted)
    return [entry for _, entry in sorted(placed, key=lambda pair: pair[0])]


def _defect(entry: Entry, kind: str, number: int, encode: Callable[[Resource], str]) -> Entry:
    if kind == "duplicate":
        return replace(entry, defect=kind)
    if kind == "broken-json":
        return replace(entry, text=entry.text[: len(entry.text) // 2], defect=kind)
    resource: Resource = json.loads(entry.text)
    resource["id"] = f"{resource['id']}-x{number}"
    _CHANGES[kind](resource, number // len(KINDS))
    return replace(entry, text=encode(resource), defect=kind)


def _wrong_type(resource: Resource, turn: int) -> None:
    """A text or an object where a number belongs, or an object where a code belongs."""
    if turn % 3 == 2:
        resource["status"] = {"value": "final"}
    else:
        resource["valueQuantity"]["value"] = ("82,5", {"value": 82.5})[turn % 3]


def _impossible_date(resource: Resource, turn: int) -> None:
    resource["effectiveDateTime"] = _DAYS[turn % len(_DAYS)]


def _unknown_unit(resource: Resource, turn: int) -> None:
    unit = ("kilo", "pond")[turn % 2]
    resource["valueQuantity"] |= {"unit": unit, "code": unit}


def _unmapped_code(resource: Resource, turn: int) -> None:
    """A local code: a laboratory result that no standard code names."""
    if resource["meta"]["profile"][0].startswith(f"{PROFILES}zib-"):
        resource["meta"] = {"profile": [LABORATORY_PROFILE]}
        resource["category"] = [LABORATORY.concept()]
    else:
        resource["meta"] = {"profile": [f"{PROFILES}nl-core-LaboratoryTestResult"]}
        resource["category"][0]["coding"][0] |= {"code": "laboratory", "display": "Laboratory"}
    local = {
        "system": "http://ziekenhuis.example/lokale-codes",
        "code": f"LAB{turn:04}",
        "display": "lokale bepaling",
    }
    resource["code"] = {"coding": [local]}
    unit = "mmol/L"
    resource["valueQuantity"] = {"value": 4.2, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def _missing_reference(resource: Resource, turn: int) -> None:
    resource["subject"]["reference"] = f"Patient/onbekend-{turn}"


def _missing_id(resource: Resource, turn: int) -> None:
    del resource["id"]


def _missing_status(resource: Resource, turn: int) -> None:
    del resource["status"]


def _unknown_status(resource: Resource, turn: int) -> None:
    resource["status"] = ("klaar", "Final", "definitief")[turn % 3]


def _missing_subject(resource: Resource, turn: int) -> None:
    """No patient, or one that is only named in words."""
    if turn % 2:
        resource["subject"] = {"display": "zie dossier"}
    else:
        del resource["subject"]


def _missing_unit(resource: Resource, turn: int) -> None:
    """A number with a unit in words only, or with none."""
    for name in ("system", "code", *(["unit"] if turn % 2 else [])):
        del resource["valueQuantity"][name]


def _implausible_value(resource: Resource, turn: int) -> None:
    """Grams taken for kilograms, a sign slipped in, or a weight lost."""
    resource["valueQuantity"]["value"] = (82_500.0, -82.5, 0.0)[turn % 3]


def _before_birth(resource: Resource, turn: int) -> None:
    resource["effectiveDateTime"] = f"19{turn % 9:02}-05-01"


_CHANGES: dict[str, Callable[[Resource, int], None]] = {
    "wrong-type": _wrong_type,
    "impossible-date": _impossible_date,
    "unknown-unit": _unknown_unit,
    "unmapped-code": _unmapped_code,
    "missing-reference": _missing_reference,
    "missing-id": _missing_id,
    "missing-status": _missing_status,
    "unknown-status": _unknown_status,
    "missing-subject": _missing_subject,
    "missing-unit": _missing_unit,
    "implausible-value": _implausible_value,
    "before-birth": _before_birth,
}
KINDS = ("broken-json", *_CHANGES, "duplicate")
