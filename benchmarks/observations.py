"""Generated laboratory results as NDJSON: clean, one type, about 840 bytes each."""

from __future__ import annotations

import json
import random
from pathlib import Path

PROFILE = "http://nictiz.nl/fhir/StructureDefinition/nl-core-LaboratoryTestResult"
TESTS = [
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "umol/L", 40, 200),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "mmol/L", 5, 11),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3, 6),
]


def write_observations(path: Path, count: int, patients: int = 6000) -> None:
    """Write `count` Observations to `path`, the same ones every time."""
    chance = random.Random(20)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            code, display, unit, low, high = TESTS[number % len(TESTS)]
            observation = {
                "resourceType": "Observation",
                "id": f"observation-{number}",
                "meta": {"profile": [PROFILE]},
                "status": "final",
                "category": [
                    {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                "code": "laboratory",
                                "display": "Laboratory",
                            }
                        ]
                    }
                ],
                "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]},
                "subject": {"reference": f"Patient/patient-{chance.randrange(patients)}", "type": "Patient"},
                "effectiveDateTime": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T08:30:00+01:00",
                "performer": [{"reference": "PractitionerRole/laboratory-1", "type": "PractitionerRole"}],
                "valueQuantity": {
                    "value": round(chance.uniform(low, high), 1),
                    "unit": unit,
                    "system": "http://unitsofmeasure.org",
                    "code": unit,
                },
                "referenceRange": [{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}],
            }
            file.write(json.dumps(observation) + "\n")
