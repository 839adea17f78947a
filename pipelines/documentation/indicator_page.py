"""The page of one indicator, in Markdown and Dutch, made from its definition and its made-up patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from pipelines.documentation.in_words import in_words, reason_in_words
from pipelines.feedback.dutch import measured, number
from pipelines.indicators.data_requirements import codes_used
from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.events import value_sets_of
from pipelines.indicators.references import events_named
from pipelines.indicators.value_sets import ValueSet

_KINDS = {"structure": "structuur", "process": "proces", "outcome": "uitkomst"}
_UNITS = {"patient": "patiënt", "procedure": "verrichting", "episode": "episode", "patient_year": "patiënt per jaar"}
_DIRECTIONS = {
    "lower_is_better": "lager is beter",
    "higher_is_better": "hoger is beter",
    "neither": "hoger of lager is niet vanzelf beter",
}
_STATISTICS = {
    "proportion": "aandeel",
    "mean": "gemiddelde",
    "median": "mediaan",
    "count": "aantal",
    "cumulative_incidence": "kans over de tijd (Kaplan-Meier)",
}


def indicator_page(outcome_set: OutcomeSet, indicator: Indicator, cases: Sequence[dict[str, Any]]) -> str:
    """The page as Markdown.

    Args:
        cases: the made-up patients as `cases/<indicator>.yaml` holds them (docs/indicators.md).
    """
    blocks = [
        f"# {indicator.title_nl}",
        f"*{indicator.title_en}*",
        indicator.description_nl.strip(),
        _facts(outcome_set, indicator),
        *_rules(outcome_set, indicator),
        *_benchmarks(indicator),
        *_cases(outcome_set, indicator, cases),
        *_codes(outcome_set, indicator),
        *_origin(outcome_set, indicator),
        f"De definitie als FHIR-resource: [Measure/{indicator.id}]({indicator.id}.measure.json)",
    ]
    return "\n\n".join(blocks) + "\n"


def _facts(outcome_set: OutcomeSet, indicator: Indicator) -> str:
    cohort = outcome_set.cohorts[indicator.cohort]
    titles = {name: variable.title_nl for name, variable in outcome_set.variables.items()}
    rows = [
        ("Naam", f"`{indicator.id}`, versie {indicator.version}"),
        ("Uitkomstenset", f"{outcome_set.title_nl}, versie {outcome_set.version}"),
        ("Registratie", indicator.registry),
        ("Soort", _KINDS[indicator.kind]),
        ("Uitkomst", f"{_STATISTICS[indicator.statistic]}, in {indicator.unit}; {_DIRECTIONS[indicator.direction]}"),
        ("Wat telt", f"{_UNITS[indicator.unit_of_counting]}: {cohort.title_nl}"),
        ("Correctie voor patiëntkenmerken", ", ".join(titles[name] for name in indicator.case_mix) or "geen"),
        ("Uitgesplitst naar", ", ".join(titles[name] for name in indicator.stratifiers) or "niet"),
        ("Getoond vanaf", f"{indicator.suppression_threshold} gevallen"),
    ]
    return _table(("Kenmerk", "Waarde"), rows)


def _rules(outcome_set: OutcomeSet, indicator: Indicator) -> Iterator[str]:
    """Cohort, conditions and measure in words, and as they are declared: this is what is computed."""
    yield "## Definitie"
    yield _table(("Onderdeel", "Wat het inhoudt"), list(in_words(outcome_set, indicator)))
    fields = {"cohort", "denominator", "exclusions", "measure", "follow_up_days", "follow_up_ends"}
    content = indicator.model_dump(mode="json", include=fields, exclude_defaults=True, exclude_none=True)
    declared = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    yield _folded("Zoals het in het definitiebestand staat", f"```yaml\n{declared}```")


def _benchmarks(indicator: Indicator) -> Iterator[str]:
    if not indicator.benchmarks:
        return
    yield "## Om mee te vergelijken"
    yield _table(
        ("Waarde", "Wat het is", "Bron"),
        [
            (measured(b.value, indicator.statistic, indicator.unit), b.description, b.source)
            for b in indicator.benchmarks
        ],
    )


def _cases(outcome_set: OutcomeSet, indicator: Indicator, cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## Voorbeelden"
    yield (
        "Verzonnen patiënten; dag 0 is 15 januari 2024. De regels hieronder zijn ook de toets: wat hier staat, "
        "wordt bij elke wijziging nagerekend."
    )
    for case in cases:
        yield f"**{case['promise_nl']}**"
        lines = [(_day(line), _what(line)) for line in case["story"]]
        yield _table(("Dag", "Wat er gebeurt"), lines)
        today = f" (bekeken op dag {case['today']})" if "today" in case else ""
        answers = case["expect"] if isinstance(case["expect"], list) else [case["expect"]]
        said = "; ".join(_expected(outcome_set, indicator, str(each)) for each in answers)
        yield f"Uitkomst{today}: **{said or 'geen geval'}**"


def _day(line: dict[str, Any]) -> str:
    start = line.get("at", line.get("day"))
    end = line.get("until")
    text = "onbekend" if start is None else str(start)
    return text if end is None else f"{text} t/m {end}"


def _what(line: dict[str, Any]) -> str:
    said = [f"`{line['event']}`" if "event" in line else f"vragenlijst `{line['score']}`"]
    if "value" in line:
        said.append(f"waarde {number(float(line['value']), 1)}")
    if "side" in line:
        said.append({"left": "links", "right": "rechts", "both": "beide zijden"}.get(line["side"], "zijde onbekend"))
    said += [f"{column}: {value}" for column, value in {**line.get("but", {}), **line.get("links", {})}.items()]
    return ", ".join(said)


_ANSWERS = {"yes": "ja", "True": "ja", "no": "nee", "False": "nee"}
_STATES = {
    "excluded": "uitgesloten",
    "missing": "geen antwoord",
    "outside": "hoort niet bij de groep",
    "pending": "telt nog niet mee",
}


def _expected(outcome_set: OutcomeSet, indicator: Indicator, expected: str) -> str:
    """What a case expects: an answer, a number, both, or a status with its reason."""
    first, _, rest = expected.partition(": ")
    if first in _STATES:
        return _STATES[first] + (f": {reason_in_words(outcome_set, indicator, rest)}" if rest else "")
    answer = _ANSWERS.get(first, first)
    return f"{answer} ({rest})" if rest else answer


def _codes(outcome_set: OutcomeSet, indicator: Indicator) -> Iterator[str]:
    """Every event the indicator looks at, also for its variables and its parts, with the value sets behind them."""
    yield "## Gebeurtenissen en codes"
    names = events_named(outcome_set, indicator)
    yield _table(
        ("Gebeurtenis", "Wat het is", "Waardelijsten"),
        [
            (f"`{name}`", outcome_set.events[name].title_nl, ", ".join(value_sets_of(outcome_set.events[name])) or "-")
            for name in names
        ],
    )
    for value_set in codes_used(outcome_set, indicator.id):
        yield _value_set(value_set)


def _value_set(value_set: ValueSet) -> str:
    rows = [(code.code, code.display, code.system, code.source) for code in value_set.codes]
    title = f"{value_set.name}, versie {value_set.version}: {len(rows)} codes"
    table = _table(("Code", "Betekenis", "Stelsel", "Bron"), rows)
    return _folded(title, table)


def _origin(outcome_set: OutcomeSet, indicator: Indicator) -> Iterator[str]:
    yield "## Herkomst"
    yield f"Bron: {indicator.source}"
    yield "Eigen keuzes (operationalisation) waar de bron zwijgt:"
    yield "\n".join(
        f"- {' '.join(each.split())}" for each in indicator.operationalisation + outcome_set.operationalisation
    )


def _folded(title: str, content: str) -> str:
    return f'??? note "{title}"\n\n' + "\n".join(f"    {line}" for line in content.splitlines())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
