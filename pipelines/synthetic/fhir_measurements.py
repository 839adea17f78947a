"""Observations and medication: what was measured and asked before surgery, and the day after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from pipelines.synthetic.chart import Chart, Resource
from pipelines.synthetic.codes import UCUM
from pipelines.synthetic.course import Course
from pipelines.synthetic.fhir_care import clinic_day

_NEVER_SMOKED = "heeft nooit gerookt"


@dataclass(frozen=True, slots=True)
class _Test:
    """A laboratory test: display of its code, UCUM unit, and limits as a laboratory prints them (made up)."""

    display: str
    unit: str
    normal: tuple[float, float]


_HAEMOGLOBIN = _Test("Hemoglobine", "mmol/L", (7.5, 11.0))
_CREATININE = _Test("Creatinine [Moles/volume] in Serum or Plasma", "umol/L", (50, 110))


def measurements(rng: Random, chart: Chart, course: Course, as_of: date) -> Iterator[Resource]:
    """Weight, height, blood pressure, smoking, laboratory results and medication of one patient."""
    first = next(o for o in course.operations if o.kind == "primary")
    visit = clinic_day(first)
    yield _vital(chart, visit, "BodyWeight", "Body weight", chart.person.weight_kg, "kg")
    yield _vital(chart, visit, "BodyHeight", "Body height", chart.person.height_cm, "cm")
    yield _blood_pressure(chart, visit)
    yield _tobacco(rng, chart, visit)
    haemoglobin = round(rng.gauss(8.6 if chart.person.gender == "female" else 9.2, 0.7), 1)
    yield _laboratory(chart, "hb-1", visit, _HAEMOGLOBIN, haemoglobin)
    yield _laboratory(chart, "creatinine-1", visit, _CREATININE, round(min(220.0, max(45.0, rng.gauss(78, 18)))))
    day_after = first.on + timedelta(days=1)
    if course.primaries and day_after <= min(as_of, course.death or as_of):
        fallen = round(haemoglobin - abs(rng.gauss(1.4, 0.4)), 1)
        yield _laboratory(chart, "hb-2", day_after, _HAEMOGLOBIN, fallen)
    yield from _medication(rng, chart, visit)


def _quantity(value: float, unit: str, code: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def _vital(chart: Chart, on: date, zib: str, display: str, value: float, unit: str) -> Resource:
    resource = chart.start("Observation", zib.lower(), f"nl-core-{zib}")
    return resource | {
        "status": "final",
        "category": [chart.codes.clinical("Vital Signs").concept()],
        "code": chart.codes.clinical(display).concept(),
        "subject": chart.subject(),
        "effectiveDateTime": chart.moment(on, 9, 45),
        "valueQuantity": _quantity(value, unit, unit),
    }


def _blood_pressure(chart: Chart, on: date) -> Resource:
    resource = chart.start("Observation", "blood-pressure", "nl-core-BloodPressure")
    pressures = (
        ("Systolic blood pressure", chart.person.systolic_mmhg),
        ("Diastolic blood pressure", chart.person.diastolic_mmhg),
    )
    return resource | {
        "status": "final",
        "category": [chart.codes.clinical("Vital Signs").concept()],
        "code": chart.codes.clinical("Blood pressure panel with all children optional").concept(),
        "subject": chart.subject(),
        "effectiveDateTime": chart.moment(on, 9, 50),
        "component": [
            {
                "code": chart.codes.clinical(display).concept(),
                "valueQuantity": _quantity(value, "mmHg", "mm[Hg]"),
            }
            for display, value in pressures
        ],
    }


def _tobacco(rng: Random, chart: Chart, on: date) -> Resource:
    """Smoking status; the period holds years, as patients report it."""
    resource = chart.start("Observation", "tobacco-use", "nl-core-TobaccoUse")
    resource |= {
        "status": "final",
        "code": chart.codes.clinical("bevinding betreffende tabakgebruik en blootstelling aan tabaksrook").concept(),
        "subject": chart.subject(),
        "valueCodeableConcept": chart.codes.clinical(chart.person.smoking).concept(),
    }
    if chart.person.smoking != _NEVER_SMOKED:
        started = chart.person.birth.year + rng.randrange(15, 22)
        resource["effectivePeriod"] = {"start": str(started)}
        if chart.person.smoking == "rookte vroeger":
            resource["effectivePeriod"]["end"] = str(rng.randrange(started + 1, on.year))
    return resource


def _laboratory(chart: Chart, name: str, on: date, test: _Test, value: float) -> Resource:
    resource = chart.start("Observation", name, "nl-core-LaboratoryTestResult")
    low, high = (_quantity(limit, test.unit, test.unit) for limit in test.normal)
    return resource | {
        "status": "final",
        "category": [
            chart.codes.clinical("Laboratory").concept(),
            chart.codes.clinical("Serumtest").concept(),
        ],
        "code": chart.codes.clinical(test.display).concept(),
        "subject": chart.subject(),
        "effectiveDateTime": chart.moment(on, 7, 55),
        "valueQuantity": _quantity(value, test.unit, test.unit),
        "referenceRange": [{"low": low, "high": high}],
    }


def _medication(rng: Random, chart: Chart, on: date) -> Iterator[Resource]:
    """Pain medication, and for some a drug against high blood pressure.

    The product is written inline: an export of statements only, without Medication resources.
    """
    products = ["PARACETAMOL TABLET 500MG" if rng.random() < 0.7 else "IBUPROFEN 400MG TABLET"]
    if rng.random() < 0.3:
        products.append("LISINOPRIL 10MG TABLET")
    for number, product in enumerate(products, start=1):
        active = rng.random() < 0.8
        resource = chart.start("MedicationStatement", f"medication-{number}", "mp-MedicationUse2")
        period = {"start": (on - timedelta(days=rng.randrange(30, 900))).isoformat()}
        if not active:
            period["end"] = on.isoformat()
        yield resource | {
            "status": "active" if active else "completed",
            "category": chart.codes.clinical("MedicationUse").concept(),
            "medicationCodeableConcept": chart.codes.clinical(product).concept() | {"text": product},
            "subject": chart.subject(),
            "effectivePeriod": period,
            "dateAsserted": on.isoformat(),
        }
