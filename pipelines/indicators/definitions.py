"""Outcome sets as declared in `mappings/outcome_sets/<set>/`: one `set.yaml` and one YAML file per indicator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.errors import TerminalError
from pipelines.formulae.charlson import Charlson, load_charlson
from pipelines.indicators.events import AnyKindOfEvent, value_sets_of
from pipelines.indicators.shapes import Condition, FollowUpEnd, Measure, Statistic, Window, statistics_of
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet, load_value_set
from pipelines.indicators.variables import Comorbidity, Variable
from pipelines.proms.definition_file import Definition, definition_error, read_definition
from pipelines.proms.instruments import Instrument
from pipelines.proms.plan import Moment, PromPlan, broken_plan, expand_asked, expand_moments

ERROR_CODE = "OUTCOME-DEFINITION"

Unit = Literal["patient", "procedure", "episode", "patient_year"]


class Cohort(Definition):
    """The index events.

    Attributes:
        index: the event that starts it.
        counts: `each` row by itself; `each_day` once per patient and day (the smallest resource key stands for it);
            the `first` of a patient; or `per_year`: a patient once for every calendar year in which the event's row
            (from its start to its end, or open) has a day: the index date is 1 January, its end 31 December. Of
            several rows in a year the one that started last stands for it.
        apart_days: with `each_day`, an event up to so many days after one that counts belongs to that one.
        by_side: with `each_day`, left and right count by themselves; an unknown side and both sides are sides too.
        stay: an event with an end (an admission) that holds the index date: its end is the end of the index event.
            Without it that is the end of the index event's own row.
        planned: the event of one that is planned; only due lists look at those with a date to come.
    """

    title_nl: str
    index: str
    counts: Literal["each", "each_day", "first", "per_year"]
    apart_days: Annotated[int, Field(ge=0)] = 0
    by_side: bool = False
    stay: str | None = None
    planned: str | None = None

    @model_validator(mode="after")
    def _fits_the_count(self) -> Self:
        if self.counts != "each_day" and (self.apart_days or self.by_side):
            raise ValueError("apart_days and by_side go with counts: each_day")
        if self.counts == "per_year" and self.stay is not None:
            raise ValueError("a calendar year ends on 31 December: no stay")
        return self


UNITS: dict[str, tuple[Unit, ...]] = {
    "each": ("procedure", "episode"),
    "each_day": ("procedure", "episode"),
    "first": ("patient",),
    "per_year": ("patient_year",),
}
"""What is counted under each way of counting index events."""


class Benchmark(Definition):
    """A published figure to compare with, in the unit of the result (a proportion is 0..1)."""

    value: float
    description: str
    source: str


class Denominator(Definition):
    """What else has to be true of an index event to count; who does not fulfil it is outside the denominator."""

    conditions: Annotated[list[Condition], Field(min_length=1)]


class Indicator(Definition):
    """One indicator.

    Attributes:
        kind: structure, process or outcome (Donabedian).
        statistic: how the cases add up.
        unit_of_counting: what one case is; it has to fit how the cohort counts.
        denominator, exclusions: conditions beyond the cohort.
        follow_up_days: days after the end of the measure's window before a case counts; until then it is pending.
        follow_up_ends: events that end the follow-up, and what they mean.
        case_mix: variables of the set for the expected outcome (proportions only).
        stratifiers: variables of the set; each gives results per stratum.
        unit: of the result, for a Dutch reader.
        suppression_threshold: with fewer cases no figure is shown.
        source: where the definition comes from.
        operationalisation: what the source does not state and this file decided.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: str
    title_nl: str
    title_en: str
    description_nl: str
    kind: Literal["structure", "process", "outcome"]
    statistic: Statistic
    unit_of_counting: Unit
    registry: str
    cohort: str
    denominator: Denominator | None = None
    exclusions: list[Condition] = Field(default_factory=list)
    measure: Measure
    follow_up_days: Annotated[int, Field(ge=0)] = 0
    follow_up_ends: list[FollowUpEnd] = Field(default_factory=list)
    case_mix: list[str] = Field(default_factory=list)
    stratifiers: list[str] = Field(default_factory=list)
    direction: Literal["lower_is_better", "higher_is_better", "neither"]
    unit: str
    suppression_threshold: Annotated[int, Field(ge=1)]
    benchmarks: list[Benchmark]
    source: Annotated[str, Field(min_length=1)]
    operationalisation: list[str]

    @model_validator(mode="after")
    def _statistic_fits(self) -> Self:
        allowed = statistics_of(self.measure)
        if self.statistic not in allowed:
            raise ValueError(f"statistic has to be {' or '.join(allowed)} for this measure ({self.measure.shape})")
        if self.case_mix and self.statistic != "proportion":
            raise ValueError("case_mix goes with statistic: proportion")
        return self

    @property
    def conditions(self) -> list[Condition]:
        """The conditions of denominator and exclusions."""
        return [*(self.denominator.conditions if self.denominator else []), *self.exclusions]


class SetFile(Definition):
    """`set.yaml`: what the indicators of a set share."""

    id: str
    version: str
    title_nl: str
    title_en: str
    description_nl: str
    events: dict[str, AnyKindOfEvent]
    cohorts: Annotated[dict[str, Cohort], Field(min_length=1)]
    variables: dict[str, Variable] = Field(default_factory=dict)
    moments: dict[str, Moment] = Field(default_factory=dict)
    proms: PromPlan = PromPlan(proxy="last_choice", asked=[])
    sources: Annotated[list[str], Field(min_length=1)]
    operationalisation: list[str]


@dataclass(frozen=True, slots=True)
class OutcomeSet:
    """An outcome set with everything it refers to.

    Indicators are ordered so that each comes after those it is made of, and by file name otherwise; `value_sets` by
    name; `charlson` where a variable asks for it.
    """

    id: str
    version: str
    title_nl: str
    title_en: str
    description_nl: str
    events: dict[str, AnyKindOfEvent]
    cohorts: dict[str, Cohort]
    variables: dict[str, Variable]
    moments: dict[str, Moment]
    proms: PromPlan
    sources: list[str]
    operationalisation: list[str]
    indicators: tuple[Indicator, ...]
    value_sets: dict[str, ValueSet]
    charlson: Charlson | None = None

    def indicator(self, name: str) -> Indicator:
        """The indicator with this id.

        Raises:
            KeyError: when the set has none.
        """
        for indicator in self.indicators:
            if indicator.id == name:
                return indicator
        raise KeyError(name)


def outcome_set_folders(mappings: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """The folders of the outcome sets named, in that order, or without `names` of all, by name.

    Raises:
        TerminalError: OUTCOME-SET-UNKNOWN, with the names there are.
    """
    folders = {path.parent.name: path.parent for path in sorted((mappings / "outcome_sets").glob("*/set.yaml"))}
    for name in names:
        if name not in folders:
            raise unknown_outcome_set(mappings, name, folders)
    return {name: folders[name] for name in names or folders}


def unknown_outcome_set(mappings: Path, name: str, known: Iterable[str]) -> TerminalError:
    """The error of a name that no outcome set has."""
    return TerminalError(
        "OUTCOME-SET-UNKNOWN",
        f"there is no outcome set {name}",
        where=str(mappings / "outcome_sets"),
        remedy=f"Choose one of {', '.join(known)}.",
    )


def indicator_files(folder: Path) -> list[Path]:
    """The files of the indicators of a set."""
    return sorted(path for path in folder.glob("*.yaml") if path.name != "set.yaml")


def load_outcome_set(
    folder: Path, codes: Path, instruments: Sequence[Instrument], roles: Mapping[str, TableRoles]
) -> OutcomeSet:
    """Read an outcome set, its indicators and the value sets they name.

    Args:
        folder: for example `mappings/outcome_sets/knie-heupartrose`.
        codes: the folder with value sets, `mappings/codes`.
        instruments: the PROM instruments that scores exist for.
        roles: the tables that events can come from (`mappings/table_roles.yaml`).

    Raises:
        TerminalError: OUTCOME-DEFINITION or VALUE-SET-DEFINITION, naming the file, the line and the field.
    """
    from pipelines.indicators.references import broken_indicator, broken_set, in_order

    path = folder / "set.yaml"
    header = load_header(path, instruments)
    for field, what in broken_set(header, instruments, roles):
        raise definition_error(path, f"field '{field}': {what}", ERROR_CODE, field)
    paths = indicator_files(folder)
    if not paths:
        raise definition_error(folder, "the folder holds no indicator (*.yaml beside set.yaml)", ERROR_CODE)
    indicators = {path: read_definition(path, Indicator, ERROR_CODE) for path in paths}
    for path, indicator in indicators.items():
        for field, what in broken_indicator(indicator, path.stem, header, list(indicators.values())):
            raise definition_error(path, f"field '{field}': {what}", ERROR_CODE, field)
    names = sorted({name for event in header.events.values() for name in value_sets_of(event)})
    return OutcomeSet(
        id=header.id,
        version=header.version,
        title_nl=header.title_nl,
        title_en=header.title_en,
        description_nl=header.description_nl,
        events=dict(header.events),
        cohorts=header.cohorts,
        variables=header.variables,
        moments=header.moments,
        proms=header.proms,
        sources=header.sources,
        operationalisation=header.operationalisation,
        indicators=tuple(in_order(list(indicators.values()))),
        value_sets={name: load_value_set(codes, name) for name in names},
        charlson=load_charlson(codes) if any(isinstance(v, Comorbidity) for v in header.variables.values()) else None,
    )


def load_header(path: Path, instruments: Sequence[Instrument]) -> SetFile:
    """Read `set.yaml` with its repeated moments written out.

    Raises:
        TerminalError: OUTCOME-DEFINITION, naming the file and the field.
    """
    header = read_definition(path, SetFile, ERROR_CODE)
    proms, moments = expand_asked(header.proms, header.moments), expand_moments(header.moments)
    for what in broken_plan(proms, moments, list(header.cohorts), instruments):
        raise definition_error(path, what, ERROR_CODE)
    return header.model_copy(update={"proms": proms, "moments": moments})


def windows_of(indicator: Indicator) -> Iterator[Window]:
    """Every window an indicator looks at, those of the PROM moments not included."""
    for condition in indicator.conditions:
        if condition.window is not None:
            yield condition.window
    window = getattr(indicator.measure, "window", None)
    if isinstance(window, Window):
        yield window


def load_outcome_sets(
    mappings: Path, instruments: Sequence[Instrument], roles: Mapping[str, TableRoles], names: Sequence[str] = ()
) -> tuple[OutcomeSet, ...]:
    """The outcome sets named, in that order, or without `names` all of `mappings/outcome_sets`.

    Raises:
        TerminalError: as `outcome_set_folders` and `load_outcome_set`, or OUTCOME-DEFINITION when two sets have an
            indicator of one name.
    """
    folders = outcome_set_folders(mappings, names).values()
    sets = tuple(load_outcome_set(folder, mappings / "codes", instruments, roles) for folder in folders)
    first: dict[str, str] = {}
    for outcome_set in sets:
        for indicator in outcome_set.indicators:
            if first.setdefault(indicator.id, outcome_set.id) != outcome_set.id:
                path = mappings / "outcome_sets" / outcome_set.id / f"{indicator.id}.yaml"
                what = f"field 'id': outcome set {first[indicator.id]} has an indicator {indicator.id} too"
                raise definition_error(path, what, ERROR_CODE, "id")
    return sets
