"""How a score follows from the answers: the scoring kinds that an instrument file may name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.proms.definition_file import Definition

Direction = Literal["higher_is_better", "higher_is_worse"]
ItemIds = Annotated[list[str], Field(min_length=1)]


class Code(Definition):
    """A code of LOINC or SNOMED CT, with the public source it was copied from."""

    system: Literal["http://loinc.org", "http://snomed.info/sct"]
    code: str
    display: str
    source: str


class Missing(Definition):
    """What happens when items are missing.

    `all_required`: no score. `half_answered`: scored on the answered items when at least half are answered.
    `at_least`: scored on the answered items when at least `answered` are. In the last two the answered items stand for
    all of them: a mean is their mean, a sum is their mean times the number of items.
    """

    rule: Literal["all_required", "half_answered", "at_least"]
    source: str
    answered: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _number_fits_the_rule(self) -> Self:
        if (self.rule == "at_least") != (self.answered is not None):
            raise ValueError("'answered' belongs to rule at_least, and to no other")
        return self

    def needed(self, items: int) -> int:
        """How many of `items` have to be answered."""
        if self.rule == "half_answered":
            return (items + 1) // 2
        return items if self.answered is None else self.answered


class Threshold(Definition):
    """A published figure to read a score by.

    `mcid`: the smallest change that matters; `pass`: the score patients find acceptable; `severity`: a band of scores,
    both ends included; `reference`: what was found in a population.
    """

    kind: Literal["mcid", "pass", "severity", "reference"]
    label: str
    source: str
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _has_a_figure(self) -> Self:
        if self.kind == "severity":
            if self.low is None and self.high is None:
                raise ValueError("a severity band needs low, high or both")
        elif self.value is None:
            raise ValueError(f"{self.kind} needs a value")
        return self


class _Rule(Definition):
    """What every score has. `range` is [lowest, highest], null where there is no end; `decimals` as published."""

    score: str
    title: str = ""
    direction: Direction
    range: tuple[float | None, float | None]
    missing: Missing
    decimals: Annotated[int, Field(ge=0)] | None = None
    codes: Annotated[list[Code], Field(default_factory=list)]
    thresholds: Annotated[list[Threshold], Field(default_factory=list)]


class SingleItem(_Rule):
    """The value of one item is the score."""

    kind: Literal["single_item"]
    items: Annotated[list[str], Field(min_length=1, max_length=1)]


class SumOfItems(_Rule):
    """The sum of the values of the items."""

    kind: Literal["sum"]
    items: ItemIds


class CountPresent(_Rule):
    """The number of items with a value above 0."""

    kind: Literal["count_present"]
    items: ItemIds


class MeanOfItems(_Rule):
    """The mean of the values of the items."""

    kind: Literal["mean"]
    items: ItemIds


class LinearTransform(_Rule):
    """The mean or sum of the items on another scale: the line on which `raw` becomes `becomes` (two points each)."""

    kind: Literal["linear"]
    items: ItemIds
    of: Literal["mean", "sum"]
    raw: tuple[float, float]
    becomes: tuple[float, float]

    @model_validator(mode="after")
    def _line_exists(self) -> Self:
        if self.raw[0] == self.raw[1]:
            raise ValueError(f"score {self.score}: 'raw' needs two different values")
        return self


class SumThenTable(_Rule):
    """The sum of all items, looked up in a table that has a row for every possible sum; `se` likewise."""

    kind: Literal["sum_then_table"]
    items: ItemIds
    table: dict[int, float]
    se: dict[int, float] | None = None


class ValueSetDecrements(_Rule):
    """`start` plus a decrement per item level, plus `any_problem` once when any item is above its first level."""

    kind: Literal["value_set_decrements"]
    items: ItemIds
    start: float
    any_problem: float
    decrements: dict[str, list[float]]


class WeightedSum(_Rule):
    """`constant` plus the values of the items, each times its weight."""

    kind: Literal["weighted"]
    items: ItemIds
    weights: dict[str, float]
    constant: float = 0.0


class MeanOfScores(_Rule):
    """The mean of other scores of the instrument, those in `mirrored` as 100 - score; all are required."""

    kind: Literal["mean_of_scores"]
    scores: Annotated[list[str], Field(min_length=2)]
    mirrored: list[str]

    @property
    def items(self) -> list[str]:
        """None of its own."""
        return []


class AlreadyScored(_Rule):
    """A score that was computed elsewhere and is taken over; `se_item` brings its standard error, if given."""

    kind: Literal["already_scored"]
    items: Annotated[list[str], Field(min_length=1, max_length=1)]
    se_item: str | None = None


class ResponsePattern(_Rule):
    """PROMIS response-pattern score: expected a posteriori T-score of the graded response model.

    `parameters` holds per item the slope and the four thresholds, on the metric of the item bank.
    """

    kind: Literal["response_pattern"]
    items: ItemIds
    parameters: dict[str, tuple[float, float, float, float, float]]
    parameters_source: str

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        for link_id, (slope, *thresholds) in self.parameters.items():
            if slope <= 0 or thresholds != sorted(thresholds):
                raise ValueError(f"score {self.score}: item {link_id} needs a positive slope and rising thresholds")
        return self


ScoreRule = Annotated[
    SingleItem
    | SumOfItems
    | CountPresent
    | MeanOfItems
    | LinearTransform
    | SumThenTable
    | ValueSetDecrements
    | WeightedSum
    | MeanOfScores
    | AlreadyScored
    | ResponsePattern,
    Field(discriminator="kind"),
]
