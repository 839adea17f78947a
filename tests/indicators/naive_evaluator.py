"""The outcome set once more, in plain Python loops: slow, obvious, and only here to disagree with DuckDB.

It follows the words of the definitions, not the SQL. One function per measure shape, one patient at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from patient_tables import BOTH, Procedure, Record, Score

from pipelines.indicators.definitions import DeathWithin, Indicator, Moment, OutcomeSet, ProcedureWithin, ResponseRate


@dataclass(frozen=True)
class Outcome:
    """A row of outcome_patient, without what is the same for all rows."""

    institution: str
    indicator: str
    patient_key: str | None
    index_key: str
    index_date: date | None
    status: str
    reason: str | None = None
    numerator: bool | None = None
    value: float | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a shape found: a missing reason, or an answer."""

    reason: str | None = None
    numerator: bool | None = None
    value: float | None = None
    evidence: tuple[str, ...] = ()


def evaluate_naively(record: Record, outcome_set: OutcomeSet, as_of: date) -> list[Outcome]:
    """All rows of outcome_patient."""
    return [
        judge(record, outcome_set, indicator, index, as_of)
        for indicator in outcome_set.indicators
        for index in index_events(record, outcome_set, indicator, as_of)
    ]


def index_events(record: Record, outcome_set: OutcomeSet, indicator: Indicator, as_of: date) -> Iterator[Procedure]:
    cohort = outcome_set.cohorts[indicator.cohort]
    seen = set()
    for procedure in sorted(
        in_value_set(record.procedures, outcome_set, cohort.value_set), key=lambda p: p.resource_key
    ):
        if procedure.status != cohort.status:
            continue
        if procedure.start_date is not None and procedure.start_date > as_of:
            continue
        if procedure.patient_key is not None and procedure.start_date is not None:
            same = procedure.institution, procedure.patient_key, procedure.start_date, procedure.laterality
            if same in seen:
                continue
            seen.add(same)
        yield procedure


def in_value_set(procedures: Iterable[Procedure], outcome_set: OutcomeSet, name: str) -> list[Procedure]:
    codes = {(code.system, code.code) for code in outcome_set.value_sets[name].codes}
    return [procedure for procedure in procedures if codes.intersection(procedure.codings)]


def judge(record: Record, outcome_set: OutcomeSet, indicator: Indicator, index: Procedure, as_of: date) -> Outcome:
    def row(status: str, reason: str | None, finding: Finding = Finding()) -> Outcome:
        return Outcome(
            index.institution, indicator.id, index.patient_key, index.resource_key, index.start_date, status, reason,
            finding.numerator, finding.value, (index.resource_key, *finding.evidence),
        )  # fmt: skip

    if index.patient_key is None:
        return row("excluded", "patient unknown")
    if index.start_date is None:
        return row("excluded", "index date incomplete")
    if index.start_date + timedelta(days=outcome_set.window_end(indicator)) > as_of:
        return row("pending", "follow-up not complete")
    measure = indicator.measure
    if isinstance(measure, ProcedureWithin):
        finding = revision(record, outcome_set, measure, index, index.start_date)
    elif isinstance(measure, DeathWithin):
        finding = death(record, measure, index, index.start_date)
    else:
        before = nearest(
            record, index, index.start_date, measure.instrument, measure.score, outcome_set.moments[measure.before]
        )
        after = nearest(
            record, index, index.start_date, measure.instrument, measure.score, outcome_set.moments[measure.after]
        )
        finding = response(before, after) if isinstance(measure, ResponseRate) else change(before, after)
    return row("missing" if finding.reason else "included", finding.reason, finding)


def revision(
    record: Record, outcome_set: OutcomeSet, measure: ProcedureWithin, index: Procedure, index_date: date
) -> Finding:
    dated, undated = [], 0
    for event in in_value_set(record.procedures, outcome_set, measure.value_set):
        if (event.institution, event.patient_key) != (index.institution, index.patient_key):
            continue
        if event.status != measure.status:
            continue
        both_known = not {event.laterality, index.laterality} & {None, BOTH}
        if both_known and event.laterality != index.laterality:
            continue
        if event.start_date is None:
            undated += 1
        elif measure.from_day <= (event.start_date - index_date).days <= measure.to_day:
            dated.append((event.start_date, event.resource_key))
    if not dated and undated:
        return Finding(reason="event date incomplete")
    return Finding(numerator=bool(dated), evidence=tuple(key for _, key in sorted(dated)))


def death(record: Record, measure: DeathWithin, index: Procedure, index_date: date) -> Finding:
    for patient in record.patients:
        if (patient.institution, patient.patient_key) == (index.institution, index.patient_key):
            if patient.death_date is None:
                return Finding(reason="death date incomplete") if patient.deceased else Finding(numerator=False)
            days = (patient.death_date - index_date).days
            if days < 0:
                return Finding(reason="death before operation")
            died = measure.from_day <= days <= measure.to_day
            return Finding(numerator=died, evidence=(patient.resource_key,) if died else ())
    return Finding(reason="no patient record")


def nearest(
    record: Record, index: Procedure, index_date: date, instrument: str, score: str, moment: Moment
) -> Score | None:
    best: Score | None = None
    best_rank: tuple[int, date, str] | None = None
    for candidate in record.scores:
        if (candidate.institution, candidate.patient_key) != (index.institution, index.patient_key):
            continue
        if (candidate.instrument, candidate.score) != (instrument, score):
            continue
        if candidate.value is None or candidate.scored_date is None:
            continue
        days = (candidate.scored_date - index_date).days
        if not moment.from_day <= days <= moment.to_day:
            continue
        rank = abs(days - moment.target_day), candidate.scored_date, candidate.resource_key
        if best_rank is None or rank < best_rank:
            best, best_rank = candidate, rank
    return best


def keys(*scores: Score | None) -> tuple[str, ...]:
    return tuple(score.resource_key for score in scores if score is not None)


def response(before: Score | None, after: Score | None) -> Finding:
    return Finding(numerator=before is not None and after is not None, evidence=keys(before, after))


def change(before: Score | None, after: Score | None) -> Finding:
    if before is None and after is None:
        return Finding(reason="no score before and after")
    if before is None or after is None:
        return Finding(reason="no score before" if before is None else "no score after", evidence=keys(before, after))
    assert before.value is not None
    assert after.value is not None
    better = after.value - before.value
    return Finding(value=better if after.direction == "higher_is_better" else -better, evidence=keys(before, after))
