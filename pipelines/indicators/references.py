"""Whether everything a definition names exists, and fits: events, cohorts, variables, moments, other indicators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pipelines.indicators.definitions import UNITS, Cohort, Indicator, OutcomeSet, SetFile, windows_of
from pipelines.indicators.events import AnyEvent, AnyKindOfEvent, RowEvent, ScoreEvent, named_by
from pipelines.indicators.shapes import (
    ChangeBetween,
    Duration,
    EventWithin,
    FailureToRescue,
    Point,
    ResponseRate,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
    builds_on,
)
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.variables import events_of
from pipelines.proms.instruments import Instrument

PATIENT_TABLE = "zib_patient"

Problem = tuple[str, str]
"""The field, as a path with dots, and what is wrong with it."""


def broken_set(
    header: SetFile, instruments: Sequence[Instrument], roles: Mapping[str, TableRoles]
) -> Iterator[Problem]:
    """What is wrong with the references inside `set.yaml`."""
    for name, event in header.events.items():
        for field, what in _broken_event(event, header, instruments, roles):
            yield f"events.{name}{field}", what
    yield from _cycle("events", {name: named_by(event) for name, event in header.events.items()})
    for name, cohort in header.cohorts.items():
        for field, event_name in _events_of_cohort(cohort):
            if event_name not in header.events:
                yield f"cohorts.{name}.{field}", _no_event(event_name, header)
    for name, variable in header.variables.items():
        for event_name in events_of(variable):
            if event_name not in header.events:
                yield f"variables.{name}", _no_event(event_name, header)


def _broken_event(
    event: AnyKindOfEvent, header: SetFile, instruments: Sequence[Instrument], roles: Mapping[str, TableRoles]
) -> Iterator[Problem]:
    for other in named_by(event):
        if other not in header.events:
            yield "", _no_event(other, header)
    match event:
        case RowEvent():
            if event.table not in roles:
                yield (
                    ".table",
                    f"mappings/table_roles.yaml has no table {event.table}; it has {', '.join(sorted(roles))}",
                )
                return
            table = roles[event.table]
            if event.codes is not None and table.codings is None:
                yield ".codes", f"{event.table} has no code column (mappings/table_roles.yaml)"
            if event.value is not None and event.value_column is None and table.value is None:
                yield ".value", f"{event.table} has no value column (mappings/table_roles.yaml): name a value_column"
            if event.at == "end" and table.end_text is None:
                yield ".at", f"{event.table} has no end (mappings/table_roles.yaml)"
            if event.lasts_at_least is not None and table.end_text is None:
                yield ".lasts_at_least", f"{event.table} has no end (mappings/table_roles.yaml)"
        case ScoreEvent():
            if (event.instrument, event.score) not in _scores(instruments):
                yield "", f"no instrument gives {event.instrument}/{event.score}"


def broken_indicator(
    indicator: Indicator, stem: str, header: SetFile, others: Sequence[Indicator]
) -> Iterator[Problem]:
    """What is wrong with the references of one indicator.

    Args:
        stem: the name of its file.
        others: all indicators of the set.
    """
    if indicator.id != stem:
        yield "id", f"has to be the file name, {stem}"
    cohort = header.cohorts.get(indicator.cohort)
    if cohort is None:
        yield "cohort", f"set.yaml has no cohort {indicator.cohort}; it has {', '.join(header.cohorts)}"
        return
    if indicator.unit_of_counting not in UNITS[cohort.counts]:
        allowed = " or ".join(UNITS[cohort.counts])
        yield "unit_of_counting", f"has to be {allowed}: cohort {indicator.cohort} counts {cohort.counts}"
    for field in ("case_mix", "stratifiers"):
        for name in getattr(indicator, field):
            if name not in header.variables:
                yield field, f"set.yaml has no variable {name}; it has {', '.join(header.variables) or 'none'}"
    yield from _broken_events(indicator, header)
    yield from _broken_moments(indicator, header)
    yield from _broken_parts(indicator, others)
    yield from _broken_follow_up(indicator)


def _broken_events(indicator: Indicator, header: SetFile) -> Iterator[Problem]:
    named = list(_events_named_by(indicator))
    planned = planned_events(header.cohorts, header.events)
    for field, name in named:
        if name not in header.events:
            yield field, _no_event(name, header)
        elif name in planned:
            yield field, f"event {name} is planned: only due lists look at it"


def _broken_follow_up(indicator: Indicator) -> Iterator[Problem]:
    shape = indicator.measure.shape
    if shape in ("time_to_event", "all_or_none", "share_of_volume"):
        if indicator.follow_up_ends:
            yield "follow_up_ends", f"does not go with {shape}"
        if indicator.follow_up_days:
            yield "follow_up_days", f"does not go with {shape}"
    for place, end in enumerate(indicator.follow_up_ends):
        if end.means in ("met", "not_met") and indicator.statistic != "proportion":
            yield (
                f"follow_up_ends.{place}.means",
                "only an answer of yes or no can be met or not_met: take excluded or missing",
            )


def _broken_moments(indicator: Indicator, header: SetFile) -> Iterator[Problem]:
    match indicator.measure:
        case ChangeBetween() as change:
            instrument, moments = change.instrument, [change.before, change.after]
        case ResponseRate() as response:
            instrument, moments = response.instrument, response.moments
        case _:
            return
    asked = {(c, a.instrument, m) for a in header.proms.asked for c in a.cohorts for m in a.moments}
    for moment in moments:
        if moment not in header.moments:
            yield "measure", f"set.yaml has no moment {moment}; it has {', '.join(header.moments) or 'none'}"
        elif (indicator.cohort, instrument, moment) not in asked:
            yield "measure", f"set.yaml does not ask {instrument} of {indicator.cohort} at {moment}"


def _broken_parts(indicator: Indicator, others: Sequence[Indicator]) -> Iterator[Problem]:
    by_id = {other.id: other for other in others}
    for part in builds_on(indicator.measure):
        if part not in by_id:
            yield "measure", f"the set has no indicator {part}"
        elif by_id[part].cohort != indicator.cohort:
            yield "measure", f"indicator {part} is about another cohort, {by_id[part].cohort}"
        elif by_id[part].statistic != "proportion":
            yield "measure", f"indicator {part} has no answer of yes or no"
    for field, what in _cycle("measure", {other.id: builds_on(other.measure) for other in others}):
        if indicator.id in what:
            yield field, what


def in_order(indicators: Sequence[Indicator]) -> list[Indicator]:
    """The indicators, each after those it is made of, in the order given otherwise."""
    by_id = {indicator.id: indicator for indicator in indicators}
    placed: dict[str, Indicator] = {}

    def place(indicator: Indicator) -> None:
        for part in builds_on(indicator.measure):
            if part not in placed:
                place(by_id[part])
        placed.setdefault(indicator.id, indicator)

    for indicator in indicators:
        place(indicator)
    return list(placed.values())


def _events_of_cohort(cohort: Cohort) -> Iterator[tuple[str, str]]:
    yield "index", cohort.index
    for field in ("stay", "planned"):
        name = getattr(cohort, field)
        if name is not None:
            yield field, name


def _events_named_by(indicator: Indicator) -> Iterator[tuple[str, str]]:
    """The events an indicator names itself, each with its field; those of its cohort and variables not included."""
    for condition in indicator.denominator.conditions if indicator.denominator else []:
        if condition.event is not None:
            yield "denominator.conditions", condition.event
    for condition in indicator.exclusions:
        if condition.event is not None:
            yield "exclusions", condition.event
    for end in indicator.follow_up_ends:
        yield "follow_up_ends", end.event
    match indicator.measure:
        case EventWithin(event=event) | ValueInWindow(event=event) | FailureToRescue(event=event):
            yield "measure.event", event
        case TimeToEvent() as measure:
            yield "measure.event", measure.event
            yield from (("measure.censored_by", name) for name in measure.censored_by)
        case Duration() as measure:
            yield from (("measure", name) for name in (measure.since, measure.until) if name is not None)
        case ShareOfVolume(part=str() as part):
            yield "measure.part", part
        case _:
            return


def points_asked(indicator: Indicator) -> list[tuple[Point, bool]]:
    """The points of the index event that an indicator looks at, and whether with their time of day."""
    points = [(point, False) for window in windows_of(indicator) for point in (window.from_point, window.to_point)]
    if isinstance(measure := indicator.measure, Duration):
        both = ((measure.since, measure.since_point), (measure.until, measure.until_point))
        points += [(point, measure.unit != "days") for event, point in both if event is None]
    return points


def asks_end(indicator: Indicator) -> bool:
    """Whether an indicator looks at the end of the index event."""
    return any(point == "end" for point, _ in points_asked(indicator))


def events_named(outcome_set: OutcomeSet, indicator: Indicator) -> list[str]:
    """The events an indicator looks at, also for its variables and its parts, and those they are made of; sorted."""
    cohort = outcome_set.cohorts[indicator.cohort]
    todo = [cohort.index, *(name for _, name in _events_named_by(indicator))]
    if cohort.stay is not None and asks_end(indicator):
        todo.append(cohort.stay)
    for variable in (*indicator.case_mix, *indicator.stratifiers):
        todo += events_of(outcome_set.variables[variable])
    for part in builds_on(indicator.measure):
        todo += events_named(outcome_set, outcome_set.indicator(part))
    return sorted(_with_parts(todo, outcome_set.events))


def needed_events(outcome_set: OutcomeSet) -> set[str]:
    """The events that cohorts, indicators and variables look at, and those they are made of."""
    names = [name for cohort in outcome_set.cohorts.values() for _, name in _events_of_cohort(cohort)]
    names += [name for indicator in outcome_set.indicators for _, name in _events_named_by(indicator)]
    names += [name for variable in outcome_set.variables.values() for name in events_of(variable)]
    return _with_parts(names, outcome_set.events)


def planned_events(cohorts: Mapping[str, Cohort], events: Mapping[str, AnyKindOfEvent]) -> set[str]:
    """The events that are planned, and those they are made of: only due lists look at them."""
    return _with_parts([cohort.planned for cohort in cohorts.values() if cohort.planned is not None], events)


def _with_parts(names: Sequence[str], events: Mapping[str, AnyKindOfEvent]) -> set[str]:
    """Events, and those they are made of."""
    todo, found = list(names), set[str]()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += named_by(events[name]) if name in events else []
    return found


def about_death(name: str, events: Mapping[str, AnyKindOfEvent]) -> bool:
    """Whether an event is death, or can be: the only event that stands in the record of the patient."""
    match events[name]:
        case RowEvent(table=table):
            return table == PATIENT_TABLE
        case AnyEvent(any_of=parts):
            return any(about_death(part, events) for part in parts)
        case _:
            return False


def death_events(indicator: Indicator, events: Mapping[str, AnyKindOfEvent]) -> list[str]:
    """The events of an indicator that are death, or can be."""
    return [name for _, name in _events_named_by(indicator) if about_death(name, events)]


def _cycle(field: str, edges: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        yield field, f"goes round in a circle: {' -> '.join(error.args[1])}"


def _scores(instruments: Sequence[Instrument]) -> set[tuple[str, str]]:
    return {(instrument.id, rule.score) for instrument in instruments for rule in instrument.scores}


def _no_event(name: str, header: SetFile) -> str:
    return f"set.yaml has no event {name}; it has {', '.join(header.events)}"
