"""A definition in Dutch words: who counts, who does not, and what is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from pipelines.feedback.dutch import number
from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.events import Comparison
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Condition,
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

PICKS = {"last": "laatste", "first": "eerste", "lowest": "laagste", "highest": "hoogste"}
UNITS = {"minutes": "minuten", "hours": "uur", "days": "dagen"}
SEXES = {"female": "vrouw", "male": "man"}
_COUNTS = {
    "each": "elke keer telt",
    "each_day": "hoogstens één keer per dag",
    "first": "alleen de eerste keer van een patiënt",
    "per_year": "een patiënt telt één keer per kalenderjaar",
}
_MEANINGS = {
    "excluded": "dan telt het geval niet mee",
    "missing": "dan is er geen antwoord",
    "met": "dan is het antwoord ja",
    "not_met": "dan is het antwoord nee",
}

REASONS = {
    "patient unknown": "bij de registratie staat niet over welke patiënt het gaat",
    "index date incomplete": "de datum waarop alles begint is niet volledig vastgelegd",
    "follow-up not complete": "de periode waarin wordt gekeken is nog niet voorbij",
    "event date incomplete": "van iets waar het antwoord van afhangt is de datum niet volledig vastgelegd",
    "no stay found": "er is geen opname gevonden waarin deze gebeurtenis valt",
    "still admitted": "de patiënt is nog opgenomen",
    "no patient record": "er is geen patiëntgegeven waaruit blijkt of de patiënt nog leeft",
    "death before index": "volgens de gegevens overleed de patiënt al voor deze gebeurtenis; dat kan niet kloppen",
    "no value": "er is in de periode geen bruikbare waarde vastgelegd",
    "no start": "het begin is niet vastgelegd",
    "no end": "het einde is niet vastgelegd",
    "time not recorded": "er is wel een datum, maar geen tijd vastgelegd",
    "age unknown": "de leeftijd is niet zeker, omdat de geboortedatum niet volledig is vastgelegd",
    "sex unknown": "het geslacht is niet vastgelegd, en dat is hier nodig",
    "no part applies": "geen van de onderdelen is van toepassing",
    "no score before": "er is geen bruikbare vragenlijst van het eerste meetmoment",
    "no score after": "er is geen bruikbare vragenlijst van het laatste meetmoment",
    "no score before and after": "er zijn geen bruikbare vragenlijsten van beide meetmomenten",
}
"""The fixed reasons of `outcome_patient`; any other is the rule of a condition."""


def in_words(outcome_set: OutcomeSet, indicator: Indicator) -> Iterator[tuple[str, str]]:
    """The parts of the definition, each with its Dutch name: group, conditions, exclusions, measure, follow-up."""
    cohort = outcome_set.cohorts[indicator.cohort]
    yield "Groep", f"{outcome_set.events[cohort.index].title_nl}; {_COUNTS[cohort.counts]}"
    for condition in indicator.denominator.conditions if indicator.denominator else []:
        yield "Telt alleen mee bij", condition_in_words(condition)
    for condition in indicator.exclusions:
        yield "Telt niet mee bij", condition_in_words(condition)
    yield "Wat wordt bekeken", _measure(outcome_set, indicator.measure)
    for end in indicator.follow_up_ends:
        yield "Eerder einde", f"{outcome_set.events[end.event].title_nl}: {_MEANINGS[end.means]}"
    if indicator.follow_up_days:
        yield "Telt pas mee", f"{indicator.follow_up_days} dagen na het einde van de periode"


def reason_in_words(outcome_set: OutcomeSet, indicator: Indicator, reason: str) -> str:
    """A reason of `outcome_patient`: its fixed words, or the title of the rule, event or indicator that it names."""
    if reason in REASONS:
        return REASONS[reason]
    titles = {each.id: f"'{each.title_nl}'" for each in outcome_set.indicators}
    titles |= {name: event.title_nl for name, event in outcome_set.events.items()}
    titles |= {condition.rule: condition.title_nl for condition in indicator.conditions}
    return titles.get(reason, reason)


def condition_in_words(condition: Condition) -> str:
    """A condition: what it is about, when, at which age and sex."""
    said = [condition.title_nl]
    if condition.window is not None:
        said.append(window_in_words(condition.window))
    if condition.at_least > 1:
        said.append(f"op ten minste {condition.at_least} dagen")
    if condition.age_from is not None:
        said.append(f"vanaf {condition.age_from} jaar")
    if condition.age_below is not None:
        said.append(f"jonger dan {condition.age_below} jaar")
    if condition.sex is not None:
        said.append(SEXES[condition.sex])
    return ", ".join(said)


def window_in_words(window: Window) -> str:
    """A window: `van dag 1 tot en met dag 365`, with `na het einde` where days count from there."""
    last = _day(window.to_day, window.to_point)
    if window.from_day is None:
        return f"tot en met {last}"
    return f"van {_day(window.from_day, window.from_point)} tot en met {last}"


def range_in_words(target: Comparison) -> str:
    """A range of values: `ten minste 13`, `meer dan 0 en hoogstens 2`."""
    words = (
        ("ten minste", target.at_least),
        ("meer dan", target.more_than),
        ("hoogstens", target.at_most),
        ("minder dan", target.less_than),
    )
    return " en ".join(f"{word} {figure(bound)}" for word, bound in words if bound is not None)


def targets_in_words(measure: ValueInWindow) -> str | None:
    """The target of a value, per sex where it differs; None without one."""
    if measure.target_by_sex is not None:
        return " en ".join(f"{range_in_words(target)} bij een {SEXES[sex]}"
                           for sex, target in measure.target_by_sex.items())  # fmt: skip
    return range_in_words(measure.target) if measure.target is not None else None


def figure(value: float) -> str:
    """A number with the decimals it has, at most three: `13`, `7,5`."""
    text = f"{value:.3f}".rstrip("0")
    return number(value, len(text) - text.index(".") - 1)


def _day(days: int, point: str) -> str:
    return f"dag {number(days)}" + (" na het einde" if point == "end" else "")


def _measure(outcome_set: OutcomeSet, measure: Measure) -> str:
    def title(name: str) -> str:
        return outcome_set.events[name].title_nl

    match measure:
        case EventWithin():
            often = f" op ten minste {measure.at_least} dagen" if measure.at_least > 1 else ""
            side = ", aan dezelfde zijde" if measure.same_side else ""
            absent = "of er geen sprake is van" if measure.absent else "of er sprake is van"
            return f"{absent} {title(measure.event)}{often}, {window_in_words(measure.window)}{side}"
        case ValueInWindow():
            target = targets_in_words(measure)
            picked = f"de {PICKS[measure.pick]} waarde van {title(measure.event)}, {window_in_words(measure.window)}"
            return picked if target is None else f"of {picked}, {target} is"
        case ChangeBetween():
            moments = [outcome_set.moments[name].title_nl for name in (measure.before, measure.after)]
            change = f"de verbetering van {measure.instrument} ({measure.score}) tussen {moments[0]} en {moments[1]}"
            return change if measure.at_least is None else f"of {change} ten minste {figure(measure.at_least)} is"
        case ResponseRate():
            moments = [outcome_set.moments[name].title_nl for name in measure.moments]
            return f"of er een bruikbare vragenlijst {measure.instrument} is bij: {', '.join(moments)}"
        case Duration():
            since = title(measure.since) if measure.since else _point(measure.since_point)
            until = title(measure.until) if measure.until else _point(measure.until_point)
            time = f"de tijd in {UNITS[measure.unit]} van {since} tot {until}, {window_in_words(measure.window)}"
            return time if measure.target is None else f"of {time}, {range_in_words(measure.target)} is"
        case TimeToEvent():
            return f"de kans op {title(measure.event)} binnen {measure.horizon_days} dagen"
        case AllOrNone():
            parts = [f"'{outcome_set.indicator(name).title_nl}': ja" for name in measure.met]
            parts += [f"'{outcome_set.indicator(name).title_nl}': nee" for name in measure.not_met]
            return f"of dit allemaal klopt: {'; '.join(parts)}"
        case FailureToRescue():
            among = outcome_set.indicator(measure.of).title_nl
            return f"na '{among}': {title(measure.event)}, {window_in_words(measure.window)}"
        case ShareOfVolume():
            return "het aantal" if measure.part is None else f"of het gaat om {title(measure.part)}"
        case never:
            assert_never(never)


def _point(point: str) -> str:
    return "het begin" if point == "start" else "het einde"
