"""Condition, Procedure and Encounter: why a patient was operated, on what, and during which stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from pipelines.synthetic.chart import EXTENSIONS, Chart, Resource
from pipelines.synthetic.codes import ICD10_NL, SNOMED, Code
from pipelines.synthetic.course import Course, Joint, Operation, Side

_DIAGNOSES: dict[Joint, str] = {"hip": "coxarthrosis", "knee": "gonarthrosis"}
_REGIONS: dict[Joint, str] = {"hip": "Heup", "knee": "structuur van knieregio"}
_SIDES: dict[Side, str] = {"left": "links", "right": "rechts"}
_OPERATIONS: dict[tuple[str, Joint], str] = {
    ("primary", "hip"): "primary-total-hip-arthroplasty",
    ("primary", "knee"): "primary-total-knee-arthroplasty",
    ("revision", "hip"): "revision-hip-arthroplasty",
    ("revision", "knee"): "revision-knee-arthroplasty",
}


def care(rng: Random, chart: Chart, course: Course, as_of: date) -> Iterator[Resource]:
    """A Condition per operated joint and side, a Procedure per operation, an Encounter per stay and visit."""
    primaries = [o for o in course.operations if o.kind == "primary"]
    for index in primaries:
        yield _condition(rng, chart, index)
    treated = {(o.joint, o.side) for o in primaries}
    for number, operation in enumerate(course.operations, start=1):
        stayed = operation.status == "completed"
        yield _procedure(chart, operation, number, stayed, (operation.joint, operation.side) in treated)
        if stayed:
            yield _stay(rng, chart, operation, number, course.death, as_of)
    yield _visit(chart, clinic_day(primaries[0]))


def clinic_day(index: Operation) -> date:
    """The day of the outpatient visit, 28 to 41 days before the operation, when the patient is measured."""
    return index.on - timedelta(days=28 + index.on.toordinal() % 14)


def _body_site(chart: Chart, joint: Joint, side: Side) -> dict[str, Any]:
    laterality = chart.codes.named("laterality", _SIDES[side]).concept()
    url = EXTENSIONS + "ext-AnatomicalLocation.Laterality"
    return {
        "extension": [{"url": url, "valueCodeableConcept": laterality}],
        "coding": [chart.codes.clinical(_REGIONS[joint]).coding()],
    }


def _condition(rng: Random, chart: Chart, index: Operation) -> Resource:
    diagnosis = _DIAGNOSES[index.joint]
    onset = index.on - timedelta(days=rng.randrange(300, 4000))
    resource = chart.start("Condition", f"problem-{index.joint}-{index.side}", "nl-core-Problem")
    return resource | {
        "clinicalStatus": _hl7("condition-clinical", "active", "Active"),
        "verificationStatus": {
            "coding": [
                *_hl7("condition-ver-status", "confirmed", "Confirmed")["coding"],
                chart.codes.clinical("aanwezigheid bevestigd").coding(),
            ]
        },
        "category": [chart.codes.clinical("interpretatie van diagnose").concept()],
        "code": {
            "coding": [
                chart.codes.first(diagnosis, SNOMED).coding(),
                chart.codes.first(diagnosis, ICD10_NL).coding(),
            ]
        },
        "bodySite": [_body_site(chart, index.joint, index.side)],
        "subject": chart.subject(),
        # People remember the month or only the year in which complaints began.
        "onsetDateTime": onset.isoformat()[: rng.choice((4, 7, 10))],
        "recordedDate": clinic_day(index).isoformat(),
    }


def _procedure(chart: Chart, operation: Operation, number: int, stayed: bool, treated: bool) -> Resource:
    resource = chart.start("Procedure", f"procedure-{number}", "nl-core-Procedure-event")
    resource |= {
        "status": operation.status,
        "code": _operation_code(chart, operation).concept(),
        "subject": chart.subject(),
    }
    if stayed:
        resource["encounter"] = chart.reference("Encounter", f"stay-{number}")
    if chart.dialect.with_times:
        start, end = chart.moment(operation.on, 8, 30), chart.moment(operation.on, 10, 5)
        resource["performedPeriod"] = {"start": start, "end": end}
    else:
        resource["performedDateTime"] = operation.on.isoformat()
    if treated:
        name = f"problem-{operation.joint}-{operation.side}"
        resource["reasonReference"] = [chart.reference("Condition", name)]
    resource["bodySite"] = [_body_site(chart, operation.joint, operation.side)]
    return resource


def _operation_code(chart: Chart, operation: Operation) -> Code:
    if operation.kind == "other":
        return chart.codes.clinical("Surgical reduction of fracture")
    return chart.codes.first(_OPERATIONS[operation.kind, operation.joint])


def _stay(rng: Random, chart: Chart, operation: Operation, number: int, death: date | None, as_of: date) -> Resource:
    """Admission on the day of surgery for one to five days, or until death; it may last beyond the export."""
    leaves = operation.on + timedelta(days=rng.randrange(1, 6))
    died = death is not None and death <= leaves
    end = death if died and death is not None else leaves
    resource = chart.start("Encounter", f"stay-{number}", "nl-core-Encounter")
    resource |= {
        "status": "finished" if end <= as_of else "in-progress",
        "class": chart.codes.clinical("Inpatient").coding(),
        "subject": chart.subject(),
        "period": {"start": chart.moment(operation.on, 7)},
        "hospitalization": {"admitSource": chart.codes.clinical("thuis").concept()},
    }
    if end <= as_of:
        discharge = chart.codes.clinical("overleden in ziekenhuis" if died else "thuis")
        resource["period"]["end"] = chart.moment(end, 23 if died else 11)
        resource["hospitalization"]["dischargeDisposition"] = discharge.concept()
    return resource


def _visit(chart: Chart, on: date) -> Resource:
    resource = chart.start("Encounter", "visit-1", "nl-core-Encounter")
    return resource | {
        "status": "finished",
        "class": chart.codes.clinical("ambulatory").coding(),
        "subject": chart.subject(),
        "period": {"start": chart.moment(on, 9, 40), "end": chart.moment(on, 10, 10)},
    }


def _hl7(system: str, code: str, display: str) -> dict[str, list[dict[str, str]]]:
    """A status code of FHIR itself."""
    return Code(f"http://terminology.hl7.org/CodeSystem/{system}", code, display).concept()
