"""What each measure shape finds for a case, in plain loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from every_shape import World
from naive_cases import Case
from naive_events import EARLY, LATE, Event, Moment, in_range, same_side

from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Duration,
    EventWithin,
    FailureToRescue,
    Measure,
    ResponseRate,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
    Window,
)

if TYPE_CHECKING:
    from naive_evaluator import Evaluator


@dataclass(frozen=True)
class Evidence:
    role: str
    event: str
    key: str
    moment: str | None


@dataclass(frozen=True)
class Finding:
    """An answer, or the reason why there is none; the first day by which it can be there, and by which it is."""

    reason: str | None = None
    numerator: bool | None = None
    value: float | None = None
    found_low: date | None = None
    found_high: date | None = None
    evidence: tuple[Evidence, ...] = ()
    status: str | None = None


@dataclass(frozen=True)
class Days:
    sure: bool = False
    possible: bool = False
    found_low: date | None = None
    found_high: date | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An event of a case that lies in a window, for certain (`inside`) or perhaps."""

    event: Event
    moment: Moment
    inside: bool
    earliest: date

    @property
    def key(self) -> str:
        return self.event.key


def bounds(window: Window, case: Case) -> tuple[date | None, date | None]:
    """First and last day of a window; None when the end of the case is not known."""

    def of(point: str, days: int) -> date | None:
        day = case.day if point == "start" else case.end
        return None if day is None else day + timedelta(days=days)

    first = EARLY if window.from_day is None else of(window.from_point, window.from_day)
    return first, of(window.to_point, window.to_day)


def candidates(
    world: Evaluator, case: Case, name: str, window: Window, same: bool = False, point: str = "start"
) -> list[Candidate]:
    first, last = bounds(window, case)
    found = []
    for event in world.events.of(name, case.institution, case.patient):
        moment = event.begin if point == "start" else event.end
        if event.key == case.key or (same and not same_side(event.side, case.side)):
            continue
        if moment.high is not None and first is not None and moment.high < first:
            continue
        if moment.low is not None and last is not None and moment.low > last:
            continue
        inside = (
            moment.low is not None and first is not None and last is not None
            and first <= moment.low and moment.high <= last
        )  # fmt: skip
        found.append(Candidate(event, moment, inside, max(moment.low or EARLY, first or EARLY)))
    return found


def count_days(world: Evaluator, case: Case, name: str, window: Window, same: bool, needed: int, role: str) -> Days:
    """Whether so many different days have the event."""
    found = candidates(world, case, name, window, same)
    dated: dict[date, Candidate] = {}
    others = {}
    for one in found:
        if one.inside and one.moment.complete:
            day = one.moment.low
            if day not in dated or one.key < dated[day].key:
                dated[day] = one
        else:
            others[one.key, one.moment.low, one.moment.high] = one
    earliest = sorted(
        [max(day, one.earliest) for day, one in dated.items()] + [one.earliest for one in others.values()]
    )
    inside = [one for one in found if one.inside]
    days = sorted(dated)
    if needed == 1:
        sure = bool(inside)
        high = min((one.moment.high for one in inside), default=None)
        deciding = sorted(inside, key=lambda one: (one.moment.low, one.moment.high, one.key))[:1]
    else:
        sure = len(days) >= needed
        high = days[needed - 1] if sure else None
        deciding = [dated[day] for day in days[:needed]]
    possible = len(earliest) >= needed
    return Days(
        sure, possible, earliest[needed - 1] if possible else None, high if sure else None,
        tuple(Evidence(role, name, one.key, one.moment.text) for one in deciding),
    )  # fmt: skip


def found_by(measure: Measure, case: Case, indicator: Indicator, world: Evaluator) -> Finding:
    match measure:
        case EventWithin():
            days = count_days(
                world, case, measure.event, measure.window, measure.same_side, measure.at_least, "measure"
            )
            return _yes_or_no(days, measure.absent)
        case FailureToRescue():
            return _yes_or_no(count_days(world, case, measure.event, measure.window, False, 1, "measure"), False)
        case ValueInWindow():
            return value(measure, case, world)
        case ChangeBetween():
            return change(measure, case, indicator, world)
        case ResponseRate():
            return response(measure, case, indicator, world)
        case Duration():
            return duration(measure, case, world)
        case TimeToEvent():
            return time_to_event(measure, case, world)
        case AllOrNone():
            return world.all_or_none(measure, case)
        case ShareOfVolume():
            return share(measure, case, world)


def _yes_or_no(days: Days, absent: bool) -> Finding:
    if days.possible and not days.sure:
        return Finding("event date incomplete", found_low=days.found_low)
    evidence = days.evidence if days.sure else ()
    return Finding(None, days.sure is not absent, None, days.found_low, days.found_high, evidence)


def in_time(left: Candidate, right: Candidate) -> int:
    """Order in time: by day, a moment without an instant before those with one, then by instant, then by key."""
    for one, other in ((left.moment.high, right.moment.high), (left.moment.low, right.moment.low)):
        if one != other:
            return -1 if one < other else 1
    if left.moment.at != right.moment.at:
        if left.moment.at is None or right.moment.at is None:
            return -1 if left.moment.at is None else 1
        return -1 if left.moment.at < right.moment.at else 1
    return 0


def _first(found: Iterable[Candidate]) -> Candidate | None:
    """The first that is inside the window for certain."""
    best = None
    for one in found:
        if one.inside:
            order = 0 if best is None else in_time(one, best)
            if best is None or order < 0 or (order == 0 and one.key < best.key):
                best = one
    return best


def _last(found: Iterable[Candidate]) -> Candidate | None:
    best = None
    for one in found:
        if not one.inside:
            continue
        if best is None:
            best = one
            continue
        mine = (one.moment.low, one.moment.high)
        other = (best.moment.low, best.moment.high)
        later = mine > other or (mine == other and _after(one, best))
        if later:
            best = one
    return best


def _after(one: Candidate, best: Candidate) -> bool:
    mine, other = one.moment.at, best.moment.at
    if mine != other:
        return mine is not None and (other is None or mine > other)
    return one.key < best.key


def pick_last(
    world: Evaluator, case: Case, name: str, window: Window
) -> tuple[Candidate | None, bool, list[Candidate]]:
    """The last value, whether another one may be later, and all there are."""
    found = [one for one in candidates(world, case, name, window) if one.event.value is not None]
    best = _last(found)
    later = best is not None and any(
        one.key != best.key and (one.moment.high is None or one.moment.high >= best.moment.low)
        and not (one.moment.complete and best.moment.complete)
        for one in found
    )  # fmt: skip
    return best, later, found


def value(measure: ValueInWindow, case: Case, world: Evaluator) -> Finding:
    best, in_doubt, found = pick_last(world, case, measure.event, measure.window)
    if measure.pick == "first":
        best = _first(found)
        in_doubt = best is not None and _may_be_earlier(found, best)
    elif measure.pick != "last":
        sign = 1 if measure.pick == "lowest" else -1
        inside = [one for one in found if one.inside]
        best = min(inside, key=lambda one: (sign * one.event.value, one.key), default=None)
        in_doubt = best is not None and any(
            not one.inside and sign * one.event.value < sign * best.event.value for one in found
        )
    low = min((one.earliest for one in found), default=None)
    high = min((one.moment.high for one in found if one.inside), default=None)
    if in_doubt or (best is None and found):
        return Finding("event date incomplete", found_low=low, found_high=high)
    if best is None and measure.unmeasured == "missing":
        return Finding("no value")
    target = measure.target
    if measure.target_by_sex is not None:
        sex = case.record.sex if case.record else None
        if sex not in ("female", "male"):
            return Finding("sex unknown", found_low=low, found_high=high)
        target = measure.target_by_sex[sex]  # type: ignore[index]
    numerator = None if target is None else best is not None and in_range(best.event.value, target)
    if best is None:
        return Finding(None, numerator)
    evidence = (Evidence("measure", measure.event, best.key, best.moment.text),)
    return Finding(None, numerator, best.event.value, low, high, evidence)


def _may_be_earlier(found: list[Candidate], best: Candidate) -> bool:
    return any(
        one.key != best.key and (one.moment.low is None or one.moment.low <= best.moment.high)
        and not (one.moment.complete and best.moment.complete)
        for one in found
    )  # fmt: skip


class Scores:
    """Which score counts at a moment (docs/indicators.md leaves that to the PROMs: the nearest to the target day)."""

    def __init__(self, world: World, outcome_set: OutcomeSet, as_of: date) -> None:
        self._rows = world.tables.get("prom_score", [])
        self._set, self._as_of = outcome_set, as_of

    def at(self, case: Case, instrument: str, score: str, moment: str) -> dict[str, Any] | None:
        window = self._set.moments[moment]
        best, best_rank = None, None
        for row in self._rows:
            if (row["institution"], row["patient_key"]) != (case.institution, case.patient):
                continue
            if (row["instrument"], row["score"]) != (instrument, score) or row["value"] is None:
                continue
            if row["scored_date"] is None or row["scored_date"] > self._as_of:
                continue
            days = (row["scored_date"] - case.day).days
            if window.from_day <= days <= window.to_day:
                rank = abs(days - window.target_day), days, row["resource_key"]
                if best_rank is None or rank < best_rank:
                    best, best_rank = row, rank
        return best


def _scored(measure: ChangeBetween | ResponseRate, rows: list[dict[str, Any] | None]) -> tuple[Evidence, ...]:
    name = f"{measure.instrument}/{measure.score}"
    return tuple(
        Evidence("measure", name, row["resource_key"], row["scored_date"].isoformat())
        for row in rows
        if row is not None
    )


def change(measure: ChangeBetween, case: Case, indicator: Indicator, world: Evaluator) -> Finding:
    before = world.scores.at(case, measure.instrument, measure.score, measure.before)
    after = world.scores.at(case, measure.instrument, measure.score, measure.after)
    evidence = _scored(measure, [before, after])
    if before is None or after is None:
        which = "before and after" if before is None and after is None else "before" if before is None else "after"
        return Finding(f"no score {which}", evidence=evidence)
    better = after["value"] - before["value"]
    if after["direction"] == "higher_is_worse":
        better = -better
    enough = None if measure.at_least is None else round(better, 9) >= measure.at_least
    day = max(before["scored_date"], after["scored_date"])
    return Finding(None, enough, better, day, day, evidence)


def response(measure: ResponseRate, case: Case, indicator: Indicator, world: Evaluator) -> Finding:
    rows = [world.scores.at(case, measure.instrument, measure.score, moment) for moment in measure.moments]
    evidence = _scored(measure, rows)
    if any(row is None for row in rows):
        return Finding(None, False, evidence=evidence)
    day = max(row["scored_date"] for row in rows if row is not None)
    return Finding(None, True, None, day, day, evidence)


def duration(measure: Duration, case: Case, world: Evaluator) -> Finding:
    clock = measure.unit != "days"
    doubtful = Finding("event date incomplete", found_low=EARLY, found_high=EARLY)
    evidence: list[Evidence] = []
    if measure.since is None:
        start = _index_point(case, measure.since_point)
    else:
        found = candidates(world, case, measure.since, measure.window, point=measure.since_point)
        if not found:
            return Finding("no start")
        first = _first(found)
        if first is None or _may_be_earlier(found, first) or not first.moment.complete:
            return doubtful
        start = first.moment
        evidence.append(Evidence("measure", measure.since, first.key, first.moment.text))
    if clock and start.at is None:
        return Finding("time not recorded", found_low=EARLY, found_high=EARLY)
    if measure.until is None:
        end = _index_point(case, measure.until_point)
        earliest = end.low
        if end.low < start.low or (clock and end.at is not None and end.at < start.at):
            return _never(measure, evidence)
    else:
        found = []
        for one in candidates(world, case, measure.until, measure.window, point=measure.until_point):
            if one.moment.high is not None and one.moment.high < start.low:
                continue
            if clock and one.moment.at is not None and one.moment.at < start.at:
                continue
            inside = one.inside and one.moment.low >= start.low
            found.append(Candidate(one.event, one.moment, inside, max(one.earliest, start.low)))
        if not found:
            return _never(measure, evidence)
        earliest = min(one.earliest for one in found)
        last = _first(found)
        if last is None or _may_be_earlier(found, last):
            return Finding("event date incomplete", found_low=earliest)
        end = last.moment
        if not end.complete:
            return Finding("event date incomplete", found_low=earliest, found_high=end.high)
        evidence.append(Evidence("measure", measure.until, last.key, last.moment.text))
    if clock and end.at is None:
        return Finding("time not recorded", found_low=earliest, found_high=end.high)
    if clock:
        length = (end.at - start.at).total_seconds() / {"minutes": 60, "hours": 3600}[measure.unit]
    else:
        length = float((end.low - start.low).days)
    met = None if measure.target is None else in_range(round(length, 9), measure.target)
    return Finding(None, met, length, earliest, end.high, tuple(evidence))


def _index_point(case: Case, point: str) -> Moment:
    return Moment(case.day, case.day, case.at) if point == "start" else Moment(case.end, case.end, case.end_at)


def _never(measure: Duration, evidence: list[Evidence]) -> Finding:
    if measure.never == "missing":
        return Finding("no end")
    return Finding(None, None if measure.target is None else False, evidence=tuple(evidence))


def time_to_event(measure: TimeToEvent, case: Case, world: Evaluator) -> Finding:
    assert case.record is not None
    horizon = Window(from_day=0, to_day=measure.horizon_days)
    after = Window(from_day=1, to_day=measure.horizon_days)
    until = min(case.day + timedelta(days=measure.horizon_days), world.as_of)
    reached = candidates(world, case, measure.event, horizon, measure.same_side)
    endings: list[tuple[Moment, int, str, str]] = []
    death = case.record.death
    if death is not None and (death.begin.low is None or death.begin.low <= until):
        endings.append((death.begin, 0, death.key, "death"))
    for place, name in enumerate(measure.censored_by, start=1):
        endings += [(c.moment, place, c.key, name) for c in candidates(world, case, name, after)]
    event_day = min((c.moment.low for c in reached if c.moment.complete), default=LATE)
    end_day = min((moment.low for moment, *_ in endings if moment.complete), default=LATE)
    happened = event_day <= min(end_day, until)
    last = min(event_day, end_day, until)
    for one in reached:
        low = one.moment.low
        if not one.moment.complete and (low is None or low < last or (low == last and not happened)):
            return Finding("event date incomplete")
    for moment, *_ in endings:
        if not moment.complete and (moment.low is None or moment.low < last):
            return Finding("event date incomplete")
    evidence: tuple[Evidence, ...] = ()
    if happened:
        first = min((c for c in reached if c.moment.complete and c.moment.low == event_day), key=lambda c: c.key)
        evidence = (Evidence("measure", measure.event, first.key, first.moment.text),)
    elif end_day == last:
        moment, _, key, name = min(
            (one for one in endings if one[0].complete and one[0].low == end_day), key=lambda one: (one[1], one[2])
        )
        evidence = (Evidence("follow_up_end", name, key, moment.text),)
    return Finding(None, happened, float((last - case.day).days), evidence=evidence)


def share(measure: ShareOfVolume, case: Case, world: Evaluator) -> Finding:
    if measure.part is None:
        return Finding(None, True, 1.0)
    same = any((e.institution, e.key) == (case.institution, case.key) for e in world.events.named(measure.part))
    evidence = (Evidence("measure", measure.part, case.key, case.text),) if same else ()
    return Finding(None, same, evidence=evidence)
