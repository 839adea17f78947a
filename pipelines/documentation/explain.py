"""Why a patient counts in an indicator as it does, as a person would say it, in Dutch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from pipelines.documentation.in_words import (
    PICKS,
    REASONS,
    UNITS,
    figure,
    range_in_words,
    reason_in_words,
    targets_in_words,
)
from pipelines.feedback.dutch import long_date, long_month, number
from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Condition,
    Duration,
    EventWithin,
    FailureToRescue,
    ResponseRate,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
    Window,
)

_CLOCK = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One resource that decided: its role in the judgement, its event (or indicator), and its moment as written."""

    role: str
    event: str
    resource_key: str | None
    moment: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of `outcome_patient` (docs/tables.md)."""

    institution: str
    indicator: str
    index_date: date | None
    index_end: date | None
    status: str
    reason: str | None
    numerator: bool | None
    value: float | None
    evidence: tuple[Evidence, ...]


def outcome_of(row: dict[str, Any]) -> Outcome:
    """A row as the database gives it; `evidence` is a list of objects."""
    evidence = tuple(Evidence(**each) for each in row["evidence"] or [])
    return Outcome(**{name: row[name] for name in Outcome.__slots__ if name != "evidence"}, evidence=evidence)


def explain(outcome_set: OutcomeSet, outcome: Outcome) -> str:
    """The lines that say what was looked at, what was found, and what follows from it."""
    story = _Story(outcome_set, outcome_set.indicator(outcome.indicator), outcome)
    return "\n".join(story.lines())


@dataclass(frozen=True, slots=True)
class _Story:
    outcome_set: OutcomeSet
    indicator: Indicator
    outcome: Outcome

    def lines(self) -> Iterator[str]:
        cohort = self.outcome_set.cohorts[self.indicator.cohort]
        yield f"{self.indicator.title_nl} (versie {self.indicator.version}), instelling {self.outcome.institution}"
        when = long_date(self.outcome.index_date) if self.outcome.index_date else "een onvolledige datum"
        yield f"Het gaat om: {cohort.title_nl[:1].lower()}{cohort.title_nl[1:]}, op {when}."
        yield self._verdict()
        yield from self._answer()
        for each in self.outcome.evidence:
            yield f"  {self._evidence(each)}"

    def _verdict(self) -> str:
        why = self._reason()
        match self.outcome.status:
            case "included":
                return "Telt mee."
            case "excluded":
                return f"Telt niet mee (uitgesloten): {why}."
            case "outside":
                return f"Telt niet mee (hoort niet bij de groep): {why}."
            case "pending":
                return f"Telt nog niet mee: {why}."
            case _:
                return f"Er is geen antwoord: {why}."

    def _reason(self) -> str:
        reason = self.outcome.reason or ""
        condition = next((each for each in self.indicator.conditions if each.rule == reason), None)
        if reason in REASONS or condition is None:
            return self._other_reason(reason)
        where = f" ({self._window(condition.window)})" if condition.window else ""
        negation = "geen " if self.outcome.status == "outside" else ""
        what = _without_article(condition) if negation else condition.title_nl
        return f"er is {negation}sprake van {what}{where}"

    def _other_reason(self, reason: str) -> str:
        said = reason_in_words(self.outcome_set, self.indicator, reason)
        if reason in REASONS or said == reason:
            return said
        return (
            f"er was eerder sprake van {said}"
            if reason in self.outcome_set.events
            else f"het antwoord bij {said} is nee"
        )

    def _answer(self) -> Iterator[str]:
        if self.outcome.status != "included":
            return
        measure = self.indicator.measure
        match measure:
            case EventWithin() | FailureToRescue():
                yield self._event_within(measure)
            case ValueInWindow():
                window = self._window(measure.window)
                yield f"Het gaat om de {PICKS[measure.pick]} waarde van {self._title(measure.event)}, {window}."
                yield self._against(targets_in_words(measure), "")
            case ChangeBetween():
                yield self._change(measure)
            case ResponseRate():
                names = [self.outcome_set.moments[name].title_nl for name in measure.moments]
                answered = "is" if self.outcome.numerator else "is niet"
                yield f"Er {answered} bij elk meetmoment ({', '.join(names)}) een bruikbare vragenlijst."
            case Duration():
                unit = f" {UNITS[measure.unit]}"
                yield self._against(range_in_words(measure.target) + unit if measure.target else None, unit)
            case TimeToEvent():
                days = number(self.outcome.value or 0)
                yield (
                    f"Na {days} dagen was er sprake van {self._title(measure.event)}."
                    if self.outcome.numerator
                    else f"Gevolgd gedurende {days} dagen; zolang was er geen sprake van: {self._title(measure.event)}."
                )
            case AllOrNone():
                met = "Alle onderdelen zijn zoals ze moeten zijn: ja." if self.outcome.numerator else None
                yield met or "Niet alle onderdelen zijn zoals ze moeten zijn: nee."
            case ShareOfVolume():
                if measure.part is not None:
                    yield f"Dit is {'' if self.outcome.numerator else 'niet '}{self._title(measure.part)}."
            case never:
                assert_never(never)

    def _event_within(self, measure: EventWithin | FailureToRescue) -> str:
        turned = isinstance(measure, EventWithin) and measure.absent
        found = bool(self.outcome.numerator) != turned
        title, window = self._title(measure.event), self._window(measure.window)
        answer = "ja" if self.outcome.numerator else "nee"
        if found:
            return f"Er was sprake van {title}, {window}. Antwoord: {answer}."
        return f"Er is niets vastgelegd over {title}, {window}. Antwoord: {answer}."

    def _change(self, measure: ChangeBetween) -> str:
        change = self.outcome.value
        answer = "" if measure.at_least is None else f" Antwoord: {'ja' if self.outcome.numerator else 'nee'}."
        needed = "" if measure.at_least is None else f" Nodig: ten minste {figure(measure.at_least)}."
        if change is None:
            return (needed + answer).strip()
        way = "gelijk gebleven" if change == 0 else f"{figure(abs(change))} {'beter' if change > 0 else 'slechter'}"
        return f"De score is {way}.{needed}{answer}"

    def _against(self, target: str | None, unit: str) -> str:
        value = "geen waarde" if self.outcome.value is None else f"{figure(self.outcome.value)}{unit}"
        if target is None:
            return f"Uitkomst: {value}."
        return f"Uitkomst: {value}. Doel: {target}. Gehaald: {'ja' if self.outcome.numerator else 'nee'}."

    def _title(self, event: str) -> str:
        return self.outcome_set.events[event].title_nl

    def _window(self, window: Window) -> str:
        first, last = self._day(window.from_point, window.from_day), self._day(window.to_point, window.to_day)
        if window.from_day is None:
            return f"tot en met {last}"
        return f"van {first} tot en met {last}"

    def _day(self, point: str, days: int | None) -> str:
        anchor = self.outcome.index_date if point == "start" else self.outcome.index_end
        if anchor is None or days is None:
            place = "het begin" if point == "start" else "het einde"
            return f"dag {number(days or 0)} vanaf {place}"
        return long_date(anchor + timedelta(days=days))

    def _evidence(self, each: Evidence) -> str:
        what = self._evidence_title(each.event)
        days = self._days_from_index(each.moment)
        when = "datum niet vastgelegd" if each.moment is None else _moment(each.moment)
        place = f" [{each.resource_key}]" if each.resource_key else ""
        return f"- {when}{days}: {what}{place}"

    def _evidence_title(self, name: str) -> str:
        if name in self.outcome_set.events:
            return self.outcome_set.events[name].title_nl
        if "/" in name:
            return f"vragenlijst {name.replace('/', ', ')}"
        return reason_in_words(self.outcome_set, self.indicator, name)

    def _days_from_index(self, moment: str | None) -> str:
        if moment is None or self.outcome.index_date is None or len(moment) < len("2024-01-15"):
            return ""
        days = (_local_day(moment) - self.outcome.index_date).days
        return f" (dag {number(days)})"


def _without_article(condition: Condition) -> str:
    return condition.title_nl.removeprefix("een ").removeprefix("de ").removeprefix("het ")


def _moment(text: str) -> str:
    """`2024-05-03` as `3 mei 2024`, `2024-05` as `mei 2024`; an instant with its time on the Dutch clock."""
    match len(text):
        case 4:
            return text
        case 7:
            return long_month(text)
        case 10:
            return long_date(date.fromisoformat(text))
        case _:
            local = datetime.fromisoformat(text).astimezone(_CLOCK)
            return f"{long_date(local.date())}, {local:%H:%M} uur"


def _local_day(text: str) -> date:
    if len(text) == len("2024-01-15"):
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).astimezone(_CLOCK).date()
