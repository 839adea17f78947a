"""What an indicator needs: every data element behind it, derived from its definition.

Whatever the condition and the shape, the same few questions are asked of every event that is named: which rows, at what
moment, with what value, on which side. Indicators share elements: equal elements have equal `element` names, so that a
gap is measured once and its repair counted for every indicator that waits for it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipelines.indicators.definitions import Cohort, Indicator, OutcomeSet
from pipelines.indicators.elements import Check, Elements, Requirement, Role
from pipelines.indicators.event_elements import EventElements, Use
from pipelines.indicators.references import asks_end, points_asked
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Condition,
    Duration,
    EventWithin,
    FailureToRescue,
    Measure,
    Point,
    ResponseRate,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
)
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.variables import Age, Comorbidity, LastValue, Presence, SameResource, Sex
from pipelines.proms.instruments import Instrument

_GROUND = (Role.INDEX_EVENT, Role.INDEX_DATE, Role.PATIENT)

Concepts = Mapping[tuple[str, str], str]
"""NL-CM concept by table and column."""


def load_concepts(path: Path) -> Concepts:
    """Read `mappings/zib/2020/elements.csv`; without that file no concept is known."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["table"], name): row["concept"] for row in csv.DictReader(file) for name in row["columns"].split()}


def requirements(
    outcome_set: OutcomeSet,
    instruments: Sequence[Instrument],
    roles: dict[str, TableRoles],
    concepts: Concepts,
) -> list[Requirement]:
    """The requirements of every indicator of a set, an element once for each.

    Per indicator in the order in which one asks for them: the index event first, and each after those it builds on.

    Raises:
        TerminalError: TABLE-ROLES when a table lacks a column that an indicator needs.
    """
    titles = {instrument.id: instrument.title_nl.split(" (")[0] for instrument in instruments}
    found: list[Requirement] = []
    for indicator in outcome_set.indicators:
        elements = Elements(outcome_set.id, indicator.id, roles, concepts, titles)
        found += _once(_Derivation(outcome_set, indicator, elements).all())
    return found


def _once(needs: Iterable[Requirement]) -> list[Requirement]:
    """Each element once: as mandatory, and checked for as much, as any of its uses asks."""
    merged: dict[str, Requirement] = {}
    for need in needs:
        known = merged.setdefault(need.element, need)
        merged[need.element] = replace(
            known,
            mandatory=known.mandatory or need.mandatory,
            checks=tuple(check for check in Check if check in {*known.checks, *need.checks}),
        )
    return list(merged.values())


@dataclass(frozen=True)
class _Derivation:
    """Requirements of one indicator; for a composite also those of the indicators it is made of."""

    outcome_set: OutcomeSet
    indicator: Indicator
    elements: Elements

    def all(self) -> Iterator[Requirement]:
        yield from self._without_variables()
        for name in dict.fromkeys([*self.indicator.case_mix, *self.indicator.stratifiers]):
            yield from self._variable(name)

    def _without_variables(self) -> Iterator[Requirement]:
        yield from self._index
        for condition in self.indicator.denominator.conditions if self.indicator.denominator else []:
            yield from self._condition(condition, found=True)
        for condition in self.indicator.exclusions:
            yield from self._condition(condition, found=False)
        for end in self.indicator.follow_up_ends:
            yield from self._events.of(end.event, Use())
        yield from self._measure(self.indicator.measure)

    @property
    def _cohort(self) -> Cohort:
        return self.outcome_set.cohorts[self.indicator.cohort]

    @cached_property
    def _events(self) -> EventElements:
        ground = tuple(need.element for need in self._index if need.role in _GROUND)
        return EventElements(self.outcome_set.events, self.elements, self._cohort.index, ground)

    @cached_property
    def _index(self) -> list[Requirement]:
        """The index event; its side only where an event has to be on the same: it is one more case, not another one."""
        cohort, events = self._cohort, EventElements(self.outcome_set.events, self.elements, self._cohort.index, ())
        points = points_asked(self.indicator)
        ends = cohort.counts != "per_year" and asks_end(self.indicator)
        instants = tuple(dict.fromkeys(point for point, with_time in points if with_time))
        use = Use(
            role=Role.INDEX_EVENT,
            found=True,
            title=cohort.title_nl,
            side=self._same_side,
            open_ends=cohort.counts == "per_year",
            ends=ends and cohort.stay is None,
            instants=tuple(point for point in instants if point == "start" or cohort.stay is None),
        )
        needs = [*events.of(cohort.index, use)]
        if cohort.stay is not None and ends:
            stay = Use(role=Role.STAY, found=True, ends=True, instants=("end",) if "end" in instants else ())
            needs += events.of(cohort.stay, stay)
        return needs

    @property
    def _same_side(self) -> bool:
        measure = self.indicator.measure
        asked = isinstance(measure, EventWithin | TimeToEvent) and measure.same_side
        return asked or any(condition.same_side for condition in self.indicator.conditions)

    def _condition(self, condition: Condition, *, found: bool) -> Iterator[Requirement]:
        if condition.event is not None:
            yield from self._events.of(condition.event, Use(found=found, side=condition.same_side))
        if condition.age_from is not None or condition.age_below is not None:
            yield from self._events.birth_date(mandatory=True)
        if condition.sex is not None:
            yield from self._events.sex(mandatory=True)

    def _measure(self, measure: Measure) -> Iterator[Requirement]:
        match measure:
            case EventWithin() | TimeToEvent():
                yield from self._events.of(measure.event, Use(side=measure.same_side))
                if isinstance(measure, TimeToEvent):
                    for name in measure.censored_by:
                        yield from self._events.of(name, Use())
                    yield from self._events.death(mandatory=False)  # whoever died is not followed any longer
            case ValueInWindow():
                yield from self._events.of(measure.event, Use(found=measure.unmeasured == "missing", value=True))
                if measure.target_by_sex is not None:
                    yield from self._events.sex(mandatory=True)
            case ChangeBetween():
                yield from self._moments(
                    measure.instrument, measure.score, (measure.before, measure.after), Check.MOMENT
                )
            case ResponseRate():
                # Low response is what a response rate measures; for a change it takes patients away.
                yield from self._moments(measure.instrument, measure.score, measure.moments, Check.ANSWERED)
            case Duration():
                yield from self._duration(measure)
            case AllOrNone():
                for name in (*measure.met, *measure.not_met):
                    yield from self._part(name)
            case FailureToRescue():
                yield from self._part(measure.of)
                yield from self._events.of(measure.event, Use())
            case ShareOfVolume():
                if measure.part is not None:
                    yield from self._events.of(measure.part, Use())

    def _part(self, name: str) -> Iterator[Requirement]:
        part = replace(self, indicator=self.outcome_set.indicator(name))
        yield from part._without_variables()

    def _duration(self, measure: Duration) -> Iterator[Requirement]:
        for name, point in ((measure.since, measure.since_point), (measure.until, measure.until_point)):
            if name is not None:
                instants: tuple[Point, ...] = () if measure.unit == "days" else (point,)
                found = measure.never == "missing"
                yield from self._events.of(name, Use(found=found, ends=point == "end", instants=instants))

    def _moments(self, instrument: str, score: str, names: Sequence[str], enough: Check) -> Iterator[Requirement]:
        scored = [*self._events.score(instrument, score, Use())]
        yield from scored
        for name in dict.fromkeys(names):
            yield self._events.at_moment(
                instrument, score, self.outcome_set.moments[name], self._cohort.title_nl, enough, scored
            )

    def _variable(self, name: str) -> Iterator[Requirement]:
        use = Use(mandatory=False)
        match variable := self.outcome_set.variables[name]:
            case Age():
                yield from self._events.birth_date(mandatory=False)
            case Sex():
                yield from self._events.sex(mandatory=False)
            case LastValue():
                yield from self._events.of(variable.event, replace(use, value=True))
            case Presence():
                yield from self._events.of(variable.event, use)
            case SameResource():
                title = f"{variable.title_nl}: een van de mogelijkheden"
                yield from self._events.any_of(variable.events, title, use)
            case Comorbidity():
                yield from self._events.comorbidity()
