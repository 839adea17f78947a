"""Indicators once more, in plain Python loops: slow, obvious, and only here to disagree with DuckDB.

It follows the words of docs/indicators.md, not the SQL. One case at a time; the measures are in naive_shapes.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from naive_cases import Case, cases_of
from naive_events import EARLY, LATE, Events, World, age_range
from naive_shapes import Evidence, Finding, Scores, bounds, count_days, found_by

from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.events import AnyEvent, RowEvent
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Condition,
    Duration,
    FailureToRescue,
    ResponseRate,
    TimeToEvent,
    ValueInWindow,
    Window,
)
from pipelines.indicators.table_roles import TableRoles


@dataclass(frozen=True)
class Outcome:
    """A row of outcome_patient, without what is the same for all rows."""

    institution: str
    indicator: str
    patient_key: str | None
    index_key: str
    index_date: date | None
    index_end: date | None
    status: str
    reason: str | None = None
    numerator: bool | None = None
    value: float | None = None
    evidence: tuple[Evidence, ...] = ()


def evaluate_naively(world: World, outcome_set: OutcomeSet, roles: dict[str, TableRoles], as_of: date) -> list[Outcome]:
    """All rows of outcome_patient."""
    return Evaluator(world, outcome_set, roles, as_of).outcomes()


class Evaluator:
    def __init__(self, world: World, outcome_set: OutcomeSet, roles: dict[str, TableRoles], as_of: date) -> None:
        self.events = Events(world, outcome_set, roles, as_of)
        self.world, self.set, self.as_of = world, outcome_set, as_of
        self.scores = Scores(world, outcome_set, as_of)
        self.cases = {name: cases_of(cohort, self.events, as_of) for name, cohort in outcome_set.cohorts.items()}
        self.told: dict[tuple[str, str, str, date | None], Outcome] = {}

    def outcomes(self) -> list[Outcome]:
        for indicator in self.set.indicators:
            for case in self.cases[indicator.cohort]:
                outcome = self.judge(indicator, case)
                self.told[indicator.id, case.institution, case.key, case.day] = outcome
        return list(self.told.values())

    def judge(self, indicator: Indicator, case: Case) -> Outcome:
        """The order of judgement."""
        index = [Evidence("index", self.set.cohorts[indicator.cohort].index, case.key, case.text)]
        if case.stay is not None:
            stay = str(self.set.cohorts[indicator.cohort].stay)
            index.append(Evidence("stay", stay, case.stay.key, case.stay.begin.text))

        def row(status: str, reason: str | None = None, finding: Finding | None = None, *more: Evidence) -> Outcome:
            finding = finding or Finding()
            answered = status == "included"
            return Outcome(
                case.institution, indicator.id, case.patient, case.key, case.day, case.end, status, reason,
                finding.numerator if answered else None, finding.value if answered else None,
                (*index, *more, *finding.evidence),
            )  # fmt: skip

        if case.fault is not None:
            return row("excluded", case.fault)
        because: list[Evidence] = []
        if isinstance(indicator.measure, FailureToRescue):
            parent = self.told[indicator.measure.of, case.institution, case.key, case.day]
            if parent.status != "included":
                return row(parent.status, parent.reason)
            if not parent.numerator:
                return row("outside", indicator.measure.of)
            because = [
                Evidence("denominator", e.event, e.key, e.moment) for e in parent.evidence if e.role == "measure"
            ]
        conditions = indicator.denominator.conditions if indicator.denominator else []
        out = [self.condition(one, case, "exclusion") for one in indicator.exclusions]
        into = [self.condition(one, case, "denominator") for one in conditions]
        for one, (holds, _, evidence) in zip(indicator.exclusions, out, strict=True):
            if holds is True:
                return row("excluded", one.rule, None, *evidence)
        for one, (holds, _, _) in zip(conditions, into, strict=True):
            if holds is False:
                return row("outside", one.rule)
        ends = [bounds(w, case)[1] for w in self.windows(indicator)]
        last = self.measure_end(indicator, case)
        ends.append(None if last is None else last + timedelta(days=indicator.follow_up_days))
        if any(end is not None and end > self.as_of for end in ends):
            return row("pending", "follow-up not complete")
        if self.needs_end(indicator):
            if case.end_fault is not None:
                return row("missing", case.end_fault)
            if case.end is None:
                return row("pending", "still admitted")
        if self.asks_patient(indicator) and case.record is None:
            return row("missing", "no patient record")
        if self.asks_death(indicator) and case.record is not None and case.record.death is not None:
            high = case.record.death.begin.high
            if high is not None and high < case.day:
                return row("missing", "death before index")
        for holds, doubt, _ in (*out, *into):
            if holds is None:
                return row("missing", doubt)
        because = [e for _, _, evidence in into for e in evidence] + because
        finding = found_by(indicator.measure, case, indicator, self)
        ended = self.follow_up_end(indicator, case, finding, last)
        if ended == "undecided":
            return row("missing", "event date incomplete", None, *because)
        if isinstance(ended, tuple):
            means, evidence = ended
            if means in ("excluded", "missing"):
                return row(means, evidence.event, Finding(evidence=(evidence,)), *because)
            return row("included", None, Finding(numerator=means == "met", evidence=(evidence,)), *because)
        if finding.reason is not None:
            return row(finding.status or "missing", finding.reason, finding, *because)
        return row("included", None, finding, *because)

    def condition(self, one: Condition, case: Case, role: str) -> tuple[bool | None, str | None, tuple[Evidence, ...]]:
        """Whether it holds (None: cannot be told), why it cannot be told, and what made it true."""
        parts: list[tuple[bool | None, str]] = []
        evidence: tuple[Evidence, ...] = ()
        if one.event is not None and one.window is not None:
            days = count_days(self, case, one.event, one.window, one.same_side, one.at_least, role)
            end = bounds(one.window, case)[1]
            evidence = days.evidence
            if days.sure:
                parts.append((True, ""))
            elif days.possible or end is None or end > self.as_of:
                parts.append((None, "event date incomplete"))
            elif self.about_death(one.event) and case.record is None:
                parts.append((None, "no patient record"))
            else:
                parts.append((False, ""))
        ages = age_range(case.record.born, _day(case)) if case.record else None
        if one.age_from is not None:
            parts.append((_at_least(ages, one.age_from), "age unknown"))
        if one.age_below is not None:
            older = _at_least(ages, one.age_below)
            parts.append((None if older is None else not older, "age unknown"))
        if one.sex is not None:
            sex = case.record.sex if case.record else None
            parts.append((None if sex in (None, "unknown") else sex == one.sex, "sex unknown"))
        if any(part is False for part, _ in parts):
            return False, None, evidence
        doubts = [doubt for part, doubt in parts if part is None]
        return (None, doubts[0], evidence) if doubts else (True, None, evidence)

    def about_death(self, name: str) -> bool:
        event = self.set.events[name]
        if isinstance(event, AnyEvent):
            return any(self.about_death(part) for part in event.any_of)
        return isinstance(event, RowEvent) and event.table == "zib_patient"

    def asks_death(self, indicator: Indicator) -> bool:
        names = [one.event for one in indicator.conditions] + [end.event for end in indicator.follow_up_ends]
        names.append(getattr(indicator.measure, "event", None))
        names += getattr(indicator.measure, "censored_by", [])
        names += [getattr(indicator.measure, "since", None), getattr(indicator.measure, "until", None)]
        return isinstance(indicator.measure, TimeToEvent) or any(n is not None and self.about_death(n) for n in names)

    def asks_patient(self, indicator: Indicator) -> bool:
        by_sex = isinstance(indicator.measure, ValueInWindow) and indicator.measure.target_by_sex is not None
        about = any((one.age_from, one.age_below, one.sex) != (None, None, None) for one in indicator.conditions)
        return by_sex or about or self.asks_death(indicator)

    def windows(self, indicator: Indicator) -> list[Window]:
        own = getattr(indicator.measure, "window", None)
        return [one.window for one in indicator.conditions if one.window] + ([own] if own else [])

    def needs_end(self, indicator: Indicator) -> bool:
        for window in self.windows(indicator):
            if window.to_point == "end" or (window.from_point == "end" and window.from_day is not None):
                return True
        measure = indicator.measure
        return isinstance(measure, Duration) and (
            (measure.since is None and measure.since_point == "end")
            or (measure.until is None and measure.until_point == "end")
        )

    def measure_end(self, indicator: Indicator, case: Case) -> date | None:
        measure, day = indicator.measure, _known(case)
        match measure:
            case ChangeBetween():
                return day + timedelta(days=max(self.set.moments[m].to_day for m in (measure.before, measure.after)))
            case ResponseRate():
                return day + timedelta(days=max(self.set.moments[m].to_day for m in measure.moments))
        own = getattr(measure, "window", None)
        return day if own is None else bounds(own, case)[1]

    def follow_up_end(
        self, indicator: Indicator, case: Case, finding: Finding, last: date | None
    ) -> tuple[str, Evidence] | str | None:
        """What ends the follow-up before the answer, 'undecided', or nothing."""
        if last is None:
            return None
        certain, doubtful = [], []
        for place, rule in enumerate(indicator.follow_up_ends):
            for event in self.events.of(rule.event, case.institution, case.patient):
                low, high = event.begin.low, event.begin.high
                if (high is not None and high <= _known(case)) or (low is not None and low > last):
                    continue
                if low is not None and finding.found_high is not None and low >= finding.found_high:
                    continue
                sure = low is not None and low > _known(case) and high <= last
                if sure and (finding.found_low is None or high < finding.found_low):
                    evidence = Evidence("follow_up_end", rule.event, event.key, event.begin.text)
                    certain.append((high, place, event.key, rule.means, evidence))
                else:
                    doubtful.append(low or EARLY)
        if not certain:
            return "undecided" if doubtful else None
        high, _, _, means, evidence = min(certain, key=lambda one: one[:3])
        return "undecided" if any(low < high for low in doubtful) else (means, evidence)

    def all_or_none(self, measure: AllOrNone, case: Case) -> Finding:
        parts = [(name, True) for name in measure.met] + [(name, False) for name in measure.not_met]
        told = [(self.told[name, case.institution, case.key, case.day], met) for name, met in parts]
        told = [(part, met) for part, met in told if part.status not in ("excluded", "outside")]
        if not told:
            return Finding(reason="no part applies", status="outside")
        for part, _ in told:
            if part.status == "pending":
                return Finding(reason=part.reason, status="pending")
        against = [part for part, met in told if part.status == "included" and part.numerator is not met]
        for part, _ in told:
            if part.status == "missing" and not against:
                return Finding(reason=part.reason, status="missing")
        deciding = against or [part for part, _ in told]
        evidence: list[Evidence] = []
        for part in deciding:
            evidence += [e for e in part.evidence if e.role not in ("index", "stay")]
        return Finding(numerator=not against, evidence=tuple(evidence))


def _known(case: Case) -> date:
    assert case.day is not None
    return case.day


def _day(case: Case):  # type: ignore[no-untyped-def]
    from naive_events import Moment

    return Moment(case.day, case.day)


def _at_least(ages: tuple[int, int] | None, bound: int) -> bool | None:
    if ages is None:
        return None
    youngest, oldest = ages
    return True if youngest >= bound else False if oldest < bound else None


__all__ = ["LATE", "Outcome", "evaluate_naively"]
