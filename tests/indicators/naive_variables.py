"""The variables of a set for a case, in plain loops: what `pipelines/indicators/variables.py` says about each."""

from __future__ import annotations

from naive_cases import Case
from naive_evaluator import Evaluator
from naive_events import Moment, age_range, read
from naive_shapes import bounds, count_days, pick_last

from pipelines.formulae.charlson import charlson_scores
from pipelines.indicators.variables import UNKNOWN, Age, Comorbidity, LastValue, Presence, SameResource, Sex, Variable

Row = tuple[str, str, str, str, str, float | None]
"""Cohort, institution, key of the index event, index date, category and number."""


def variable_rows(world: Evaluator, name: str) -> set[Row]:
    """The rows of `outcome_variable` for one variable."""
    variable = world.set.variables[name]
    return {
        (cohort, case.institution, case.key, str(case.day), *_told(world, variable, case))
        for cohort, cases in world.cases.items()
        for case in cases
        if case.fault is None
    }


def _told(world: Evaluator, variable: Variable, case: Case) -> tuple[str, float | None]:
    match variable:
        case Age():
            ages = age_range(case.record.born, Moment(case.day, case.day)) if case.record else None
            age = float(ages[0]) if ages is not None and ages[0] == ages[1] else None
            return variable.band(age), age
        case Sex():
            sex = case.record.sex if case.record else None
            return {"female": "vrouw", "male": "man"}.get(sex or "", UNKNOWN), None
        case LastValue():
            best, in_doubt, _ = pick_last(world, case, variable.event, variable.window)
            number = None if best is None or in_doubt else best.event.value
            return variable.band(number), number
        case Presence():
            return _presence(world, variable, case), None
        case SameResource():
            for event in variable.events:
                if any((e.institution, e.key) == (case.institution, case.key) for e in world.events.named(event)):
                    return world.set.events[event].title_nl, None
            return variable.otherwise_nl, None
        case Comorbidity():
            score = _charlson(world, case)
            return variable.band(score), score


def _presence(world: Evaluator, variable: Presence, case: Case) -> str:
    days = count_days(world, case, variable.event, variable.window, False, 1, "")
    end = bounds(variable.window, case)[1]
    if days.sure:
        return "ja"
    no_record = world.about_death(variable.event) and case.record is None
    undecided = days.possible or end is None or end > world.as_of or no_record
    return UNKNOWN if undecided else "nee"


def _charlson(world: Evaluator, case: Case) -> float | None:
    codes = []
    for row in world.world.tables.get("zib_problem", []):
        if (row["institution"], row["patient_key"]) != (case.institution, case.patient):
            continue
        text = row["onset_date_text"] if row["onset_date_text"] is not None else row["recorded_date_text"]
        known = read(text).high
        if row["verification_status"] == "entered-in-error" or known is None or known > case.day:
            continue
        codings = world.world.codings[row["institution"], row["problem_codings_id"]]
        codes += [code for system, code in codings if system.startswith("http://hl7.org/fhir/sid/icd-10")]
    if not codes:
        return None
    assert world.set.charlson is not None
    return float(charlson_scores(world.set.charlson, ["case"] * len(codes), codes).scores[0])
