"""A patient as a small table that a clinician can read, for example::

    day | what happened
      0 | hip replacement, left
    365 | hip revision, left

Day 0 is 15 January 2024. A day `?` is a date that is not complete.
"""

from __future__ import annotations

from datetime import date, timedelta

from patient_tables import BOTH, LEFT, RIGHT, SNOMED, Patient, Procedure, Record, Score

DAY_0 = date(2024, 1, 15)
_SIDES = {"left": LEFT, "right": RIGHT, "both": BOTH, "side unknown": None}
_OWN = "http://uitkomststroom.nl/fhir/CodeSystem/procedure"
_OPERATIONS = {
    "hip replacement": (SNOMED, "52734007"),
    "knee replacement": (SNOMED, "609588000"),
    "hip revision": (_OWN, "revision-hip-arthroplasty"),
    "knee revision": (_OWN, "revision-knee-arthroplasty"),
    "appendectomy": (SNOMED, "80146002"),
}
_SCORES = {
    "HOOS-PS": ("hoos-ps", "score"),
    "KOOS-PS": ("koos-ps", "score"),
    "NRS activity": ("nrs-pain", "activity"),
    "NRS rest": ("nrs-pain", "rest"),
    "EQ-5D": ("eq-5d-5l", "index"),
}


def day(number: int) -> date:
    """The date of a day in a story."""
    return DAY_0 + timedelta(days=number)


def read_story(story: str, institution: str = "H1", patient_key: str = "P1") -> Record:
    """The rows that a story stands for. The n-th line of the story has resource key `P1-n`."""
    deceased, death_date = False, None
    procedures, scores = [], []
    lines = [line.strip() for line in story.strip().splitlines()]
    for number, line in enumerate(lines, start=1):
        when, _, what = (part.strip() for part in line.partition("|"))
        key, moment = f"{patient_key}-{number}", None if when == "?" else day(int(when))
        if what == "dies":
            deceased, death_date = True, moment
        elif (score := _read_score(what)) is not None:
            name, value = score
            scores.append(Score(institution, key, patient_key, *_SCORES[name], moment, value))
        else:
            procedures.append(_read_operation(what, institution, key, patient_key, moment))
    patient = Patient(institution, f"{patient_key}-0", patient_key, deceased, death_date)
    return Record([patient], procedures, scores)


def _read_score(what: str) -> tuple[str, float | None] | None:
    for name in _SCORES:
        if what.startswith(name):
            answer = what.removeprefix(name).strip()
            return name, None if answer == "incomplete" else float(answer)
    return None


def _read_operation(what: str, institution: str, key: str, patient_key: str, moment: date | None) -> Procedure:
    name, *details = [part.strip() for part in what.split(",")]
    side = next((_SIDES[detail] for detail in details if detail in _SIDES), None)
    status = "preparation" if "planned" in details else "completed"
    system, code = _OPERATIONS[name]
    return Procedure(institution, key, patient_key, system, code, moment, side, status)
