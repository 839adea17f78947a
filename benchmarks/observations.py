"""Generated Observations as NDJSON: the five zibs in the shares of a hospital export, clean, about 800 bytes each."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
TESTS = [
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "umol/L", 40, 200),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "mmol/L", 5, 11),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3, 6),
]
KINDS = ["laboratory"] * 6 + ["blood pressure", "body weight", "body height", "tobacco use"]


def write_observations(path: Path, count: int, patients: int = 6000) -> None:
    """Write `count` Observations to `path`, the same ones every time."""
    chance = random.Random(20)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            observation = _common(number, chance.randrange(patients)) | _content(number, chance)
            file.write(json.dumps(observation) + "\n")


def _common(number: int, patient: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"observation-{number}",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Observation"]},
        "status": "final",
        "subject": {"reference": f"Patient/patient-{patient}", "type": "Patient"},
        "effectiveDateTime": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T08:30:00+01:00",
        "performer": [{"reference": "PractitionerRole/laboratory-1", "type": "PractitionerRole"}],
    }


def _content(number: int, chance: random.Random) -> dict[str, Any]:
    match KINDS[number % len(KINDS)]:
        case "laboratory":
            code, display, unit, low, high = TESTS[number % len(TESTS)]
            limits = {"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}
            value = _quantity(round(chance.uniform(low, high), 1), unit)
            return _coded("laboratory", LOINC, code, display) | {"valueQuantity": value, "referenceRange": [limits]}
        case "blood pressure":
            component = [
                {
                    "code": _concept(LOINC, code, display),
                    "valueQuantity": _quantity(chance.randrange(low, high), "mm[Hg]"),
                }
                for code, display, low, high in (
                    ("8480-6", "Systolic blood pressure", 100, 180),
                    ("8462-4", "Diastolic blood pressure", 55, 100),
                )
            ]
            return _coded("vital-signs", LOINC, "85354-9", "Blood pressure panel") | {"component": component}
        case "body weight":
            value = _quantity(round(chance.uniform(45, 120), 1), "kg")
            return _coded("vital-signs", LOINC, "29463-7", "Body weight") | {"valueQuantity": value}
        case "body height":
            value = _quantity(chance.randrange(150, 200), "cm")
            return _coded("vital-signs", LOINC, "8302-2", "Body height") | {"valueQuantity": value}
    tobacco = _concept(SNOMED, "8517006", "Ex-smoker (finding)")
    return _coded("social-history", SNOMED, "365980008", "Tobacco use and exposure") | {"valueCodeableConcept": tobacco}


def _coded(category: str, system: str, code: str, display: str) -> dict[str, Any]:
    return {"category": [_concept(CATEGORY, category, category)], "code": _concept(system, code, display)}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}
