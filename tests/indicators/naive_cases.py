"""The cases of a cohort, one after the other: what docs/indicators.md says under Index events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from naive_events import LATE, Event, Events, Moment, Patient

from pipelines.indicators.definitions import Cohort


@dataclass(frozen=True)
class Case:
    institution: str
    patient: str | None
    key: str
    day: date | None
    fault: str | None
    at: datetime | None
    text: str | None
    side: str | None
    end: date | None = None
    end_at: datetime | None = None
    end_fault: str | None = None
    stay: Event | None = None
    record: Patient | None = None


def cases_of(cohort: Cohort, events: Events, as_of: date) -> list[Case]:
    rows = sorted(_one_per_resource(events.named(cohort.index)), key=lambda row: (row.institution, row.key))
    found: list[Case] = []
    by_patient: dict[tuple[str, str], list[Event]] = {}
    for row in rows:
        if row.patient is None:
            dated = row.begin.complete and cohort.counts != "per_year"
            found.append(_case(row, row.begin.low if dated else None, "patient unknown"))
        else:
            by_patient.setdefault((row.institution, row.patient), []).append(row)
    for mine in by_patient.values():
        found += _of_patient(cohort, mine, as_of)
    return [_finished(case, cohort, events, rows) for case in found]


def _one_per_resource(rows: list[Event]) -> list[Event]:
    best: dict[tuple[str, str], Event] = {}
    for row in rows:
        who = row.institution, row.key
        if who not in best or (row.begin.low or LATE) < (best[who].begin.low or LATE):
            best[who] = row
    return list(best.values())


def _case(row: Event, day: date | None, fault: str | None = None) -> Case:
    return Case(row.institution, row.patient, row.key, day, fault, row.begin.at, row.begin.text, row.side)


def _of_patient(cohort: Cohort, rows: list[Event], as_of: date) -> list[Case]:
    incomplete = [_case(row, None, "index date incomplete") for row in rows if not row.begin.complete]
    dated = sorted((row for row in rows if row.begin.complete), key=lambda row: (row.begin.low, row.key))
    if cohort.counts == "each":
        return [*incomplete, *(_case(row, row.begin.low) for row in dated)]
    if cohort.counts == "first":
        earliest = min(rows, key=lambda row: (row.begin.low or LATE, row.key))
        return [_case(dated[0], dated[0].begin.low)] if dated else [_case(earliest, None, "index date incomplete")]
    if cohort.counts == "per_year":
        return _years(rows, as_of)
    counted: list[Case] = []
    for row in dated:
        before = [c for c in counted if not cohort.by_side or c.side == row.side]
        if not before or (row.begin.low - before[-1].day).days > cohort.apart_days:
            counted.append(_case(row, row.begin.low))
    return [*incomplete, *counted]


def _years(rows: list[Event], as_of: date) -> list[Case]:
    found = [_case(row, None, "index date incomplete") for row in rows if row.begin.low is None]
    of_year: dict[int, Case] = {}
    for row in sorted((r for r in rows if r.begin.low is not None), key=lambda r: r.key):
        latest = {year: next(r.begin.low for r in rows if r.key == case.key) for year, case in of_year.items()}
        last = (row.end.low or as_of).year
        for year in range(row.begin.low.year, max(row.begin.low.year, last) + 1):
            if year not in of_year or row.begin.low > latest[year]:
                of_year[year] = _case(row, date(year, 1, 1))
    return found + list(of_year.values())


def _finished(case: Case, cohort: Cohort, events: Events, rows: list[Event]) -> Case:
    """The case with its end and its patient."""
    case = replace(case, record=events.patients.get((case.institution, case.patient or "")))
    if cohort.counts == "per_year":
        return replace(case, end=None if case.day is None else date(case.day.year, 12, 31))
    if cohort.stay is None:
        own = next(row for row in rows if (row.institution, row.key) == (case.institution, case.key))
        return _ended(case, own.end)
    stays = [s for s in events.of(cohort.stay, case.institution, case.patient) if _may_hold(s, case.day)]
    certain = [s for s in stays if _holds(s, case.day)]
    if not stays:
        return replace(case, end_fault="no stay found")
    if not certain:
        return replace(case, end_fault="event date incomplete")
    longest = max(certain, key=lambda s: (s.end.high is None, s.end.high or LATE))
    ties = [s for s in certain if (s.end.high is None, s.end.high) == (longest.end.high is None, longest.end.high)]
    stay = min(ties, key=lambda s: s.key)
    return replace(_ended(case, stay.end), stay=stay)


def _ended(case: Case, end: Moment) -> Case:
    if end.complete:
        return replace(case, end=end.low, end_at=end.at)
    return replace(case, end_at=end.at, end_fault=None if end.text is None else "event date incomplete")


def _may_hold(stay: Event, day: date | None) -> bool:
    if day is None:
        return True
    return (stay.begin.low is None or stay.begin.low <= day) and (stay.end.high is None or stay.end.high >= day)


def _holds(stay: Event, day: date | None) -> bool:
    if day is None or stay.begin.high is None or stay.begin.high > day:
        return False
    return stay.end.text is None or (stay.end.low is not None and stay.end.low >= day)
