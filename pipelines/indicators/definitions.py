"""Outcome sets as declared in `mappings/outcome_sets/<set>/`: one `set.yaml` and one YAML file per indicator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.indicators.value_sets import ValueSet, load_value_set
from pipelines.proms.definition_file import Definition, definition_error, read_definition
from pipelines.proms.instruments import Instrument
from pipelines.proms.plan import Moment, PromPlan, broken_plan, expand_asked, expand_moments

ERROR_CODE = "OUTCOME-DEFINITION"


class Cohort(Definition):
    """The index events: rows of a ZIB table with this status and a code of the value set.

    Rows with `planned_status` and a date to come are events that are planned; only due lists look at them.
    """

    title_nl: str
    zib_table: Literal["zib_procedure"]
    value_set: str
    status: str
    planned_status: str | None = None


class ProcedureWithin(Definition):
    """A procedure of the value set on the same joint, from_day..to_day days after the index date."""

    shape: Literal["event_within"]
    event: Literal["procedure"]
    value_set: str
    status: str
    from_day: Annotated[int, Field(ge=0)]
    to_day: Annotated[int, Field(ge=0)]


class DeathWithin(Definition):
    """Death from any cause, from_day..to_day days after the index date."""

    shape: Literal["event_within"]
    event: Literal["death"]
    from_day: Annotated[int, Field(ge=0)]
    to_day: Annotated[int, Field(ge=0)]


class ChangeBetween(Definition):
    """Improvement of a PROM score between two moments; positive is better, whichever way the score runs."""

    shape: Literal["change_between"]
    instrument: str
    score: str
    before: str
    after: str


class ResponseRate(Definition):
    """Whether a scorable PROM exists at both moments."""

    shape: Literal["response_rate"]
    instrument: str
    score: str
    before: str
    after: str


EventWithin = Annotated[ProcedureWithin | DeathWithin, Field(discriminator="event")]
Measure = Annotated[EventWithin | ChangeBetween | ResponseRate, Field(discriminator="shape")]


class Benchmark(Definition):
    """A published figure to compare with, in the unit of the result (a proportion is 0..1)."""

    value: float
    description: str
    source: str


class Indicator(Definition):
    """One indicator. `kind` says how patients add up: a proportion of them, or the mean of their values."""

    id: str
    version: str
    title_nl: str
    description_nl: str
    kind: Literal["proportion", "mean"]
    direction: Literal["lower_is_better", "higher_is_better"]
    unit: str
    cohort: str
    measure: Measure
    minimum_for_display: Annotated[int, Field(ge=1)]
    benchmarks: list[Benchmark]
    definition_source: str
    operationalisation: list[str]

    @model_validator(mode="after")
    def _kind_fits_the_shape(self) -> Self:
        expected = "mean" if isinstance(self.measure, ChangeBetween) else "proportion"
        if self.kind != expected:
            raise ValueError(f"kind has to be {expected} for shape {self.measure.shape}")
        return self


class _SetFile(Definition):
    id: str
    version: str
    title_nl: str
    description_nl: str
    cohorts: dict[str, Cohort]
    moments: dict[str, Moment]
    proms: PromPlan
    sources: list[str]
    operationalisation: list[str]


@dataclass(frozen=True, slots=True)
class OutcomeSet:
    """An outcome set with everything it refers to: indicators in file order and value sets by name."""

    id: str
    version: str
    title_nl: str
    description_nl: str
    cohorts: dict[str, Cohort]
    moments: dict[str, Moment]
    proms: PromPlan
    sources: list[str]
    operationalisation: list[str]
    indicators: tuple[Indicator, ...]
    value_sets: dict[str, ValueSet]

    def window_end(self, indicator: Indicator) -> int:
        """Days after the index date at which the follow-up of this indicator is complete."""
        measure = indicator.measure
        if isinstance(measure, ProcedureWithin | DeathWithin):
            return measure.to_day
        return self.moments[measure.after].to_day


def load_outcome_set(folder: Path, codes: Path, instruments: Sequence[Instrument]) -> OutcomeSet:
    """Read an outcome set, its indicators and the value sets they name.

    Args:
        folder: for example `mappings/outcome_sets/knie-heupartrose`.
        codes: the folder with value sets, `mappings/codes`.
        instruments: the PROM instruments that scores exist for.

    Raises:
        TerminalError: OUTCOME-DEFINITION or VALUE-SET-DEFINITION, naming the file and the field.
    """
    header = _load_header(folder / "set.yaml", instruments)
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != "set.yaml")
    if not paths:
        raise definition_error(folder, "the folder holds no indicator (*.yaml beside set.yaml)", ERROR_CODE)
    indicators = tuple(_load_indicator(path, header, instruments) for path in paths)
    names = sorted(set(_value_set_names(header, indicators)))
    return OutcomeSet(
        id=header.id,
        version=header.version,
        title_nl=header.title_nl,
        description_nl=header.description_nl,
        cohorts=header.cohorts,
        moments=header.moments,
        proms=header.proms,
        sources=header.sources,
        operationalisation=header.operationalisation,
        indicators=indicators,
        value_sets={name: load_value_set(codes, name) for name in names},
    )


def _load_header(path: Path, instruments: Sequence[Instrument]) -> _SetFile:
    header = read_definition(path, _SetFile, ERROR_CODE)
    proms, moments = expand_asked(header.proms, header.moments), expand_moments(header.moments)
    for what in broken_plan(proms, moments, list(header.cohorts), instruments):
        raise definition_error(path, what, ERROR_CODE)
    return header.model_copy(update={"proms": proms, "moments": moments})


def _load_indicator(path: Path, header: _SetFile, instruments: Sequence[Instrument]) -> Indicator:
    indicator = read_definition(path, Indicator, ERROR_CODE)
    for what in _broken_references(indicator, path.stem, header, instruments):
        raise definition_error(path, what, ERROR_CODE)
    return indicator


def _broken_references(
    indicator: Indicator, stem: str, header: _SetFile, instruments: Sequence[Instrument]
) -> Iterator[str]:
    measure = indicator.measure
    if indicator.id != stem:
        yield f"field 'id': has to be the file name, {stem}"
    if indicator.cohort not in header.cohorts:
        yield f"field 'cohort': set.yaml has no cohort {indicator.cohort}"
    if isinstance(measure, ProcedureWithin | DeathWithin):
        if measure.from_day > measure.to_day:
            yield "field 'measure.from_day': has to be at most to_day"
        return
    for moment in (measure.before, measure.after):
        if moment not in header.moments:
            yield f"field 'measure': set.yaml has no moment {moment}"
        if (indicator.cohort, measure.instrument, moment) not in _asked(header):
            yield f"field 'measure': set.yaml does not ask {measure.instrument} of {indicator.cohort} at {moment}"
    scores = {(instrument.id, rule.score) for instrument in instruments for rule in instrument.scores}
    if (measure.instrument, measure.score) not in scores:
        yield f"field 'measure.score': no instrument gives {measure.instrument}/{measure.score}"


def _asked(header: _SetFile) -> set[tuple[str, str, str]]:
    return {(cohort, a.instrument, moment) for a in header.proms.asked for cohort in a.cohorts for moment in a.moments}


def _value_set_names(header: _SetFile, indicators: Sequence[Indicator]) -> Iterator[str]:
    for cohort in header.cohorts.values():
        yield cohort.value_set
    for indicator in indicators:
        if isinstance(indicator.measure, ProcedureWithin):
            yield indicator.measure.value_set
