"""Events as an outcome set names them: which rows of which table, at what moment, with what value.

Everything that happens to a patient - an operation, a laboratory result, an admission, a score, death - is an event.
Indicators only speak of events by name, so that a set for another condition needs definitions and no code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.proms.definition_file import Definition


class Comparison(Definition):
    """A range of values in the unit of the value; all bounds that are given hold together."""

    at_least: float | None = None
    more_than: float | None = None
    at_most: float | None = None
    less_than: float | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        low = [bound for bound in (self.at_least, self.more_than) if bound is not None]
        high = [bound for bound in (self.at_most, self.less_than) if bound is not None]
        if not low and not high:
            raise ValueError("needs at_least, more_than, at_most or less_than")
        if len(low) > 1 or len(high) > 1:
            raise ValueError("takes one lower and one upper bound")
        open_ended = self.more_than is not None or self.less_than is not None
        if low and high and (low[0] > high[0] or (low[0] == high[0] and open_ended)):
            raise ValueError("no value can hold: the lower bound is above the upper bound")
        return self


class Event(Definition):
    """What every event has: a lower-case Dutch noun phrase that completes a sentence, such as 'een heroperatie'."""

    title_nl: str


class RowEvent(Event):
    """Rows of a ZIB table.

    Attributes:
        table: a table of `mappings/table_roles.yaml`, which says which columns hold code, status, date and value.
        codes: the value set (`mappings/codes`) that a coding of the code column is in; None takes every row.
        status: the statuses that count; None takes all, also rows without one. Rows entered in error never count.
        where: alternatives; in each, every named column holds a code of the value set named with it. A column that
            ends in `_codings_id` matches on any of its codings, another one on the code as it stands.
        linked: column that refers to another resource -> the event that resource has to be (its own `linked`, `codes`
            and so on apply; the resource need not be about a patient).
        value: the range the value has to be in.
        value_column: the column of the value, where it is not the one of the table roles.
        lasts_at_least: days from the start of the row to its end, or to the reference date while it has none.
        at: `start` or `end` of the row counts as the moment of the event.
    """

    table: str
    codes: str | None = None
    status: Annotated[list[str], Field(min_length=1)] | None = None
    where: Annotated[list[dict[str, str]], Field(min_length=1)] | None = None
    linked: dict[str, str] = Field(default_factory=dict)
    value: Comparison | None = None
    value_column: str | None = None
    lasts_at_least: Annotated[int, Field(ge=1)] | None = None
    at: Literal["start", "end"] = "start"


class ScoreEvent(Event):
    """Scores of a PROM instrument (table `prom_score`), in the direction they are stored in; without a value, none."""

    instrument: str
    score: str
    value: Comparison | None = None


class AnyEvent(Event):
    """An event of one of several others, under one name."""

    any_of: Annotated[list[str], Field(min_length=2)]


class ComputedEvent(Event):
    """A value computed by a clinical formula (`pipelines/formulae`) whenever its first input is measured.

    The event stands at the moment and resource of the first input; of the other inputs the last value at most
    `within_days` before that (or on the day itself) counts. Age and sex come from the patient. Without one of them
    there is no event.
    """

    formula: Literal["ckd_epi_2009", "ckd_epi_2021", "kfre_4_variable_5_year", "kfre_4_variable_2_year", "bmi"]
    inputs: Annotated[list[str], Field(min_length=1)]
    within_days: Annotated[int, Field(ge=0)] = 0
    value: Comparison | None = None

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        expected = len(FORMULA_INPUTS[self.formula])
        if len(self.inputs) != expected:
            raise ValueError(f"{self.formula} takes {expected} inputs: {', '.join(FORMULA_INPUTS[self.formula])}")
        return self


FORMULA_INPUTS: dict[str, tuple[str, ...]] = {
    "ckd_epi_2009": ("creatinine in umol/L",),
    "ckd_epi_2021": ("creatinine in umol/L",),
    "kfre_4_variable_5_year": ("eGFR in mL/min/1.73 m2", "urine albumin/creatinine ratio in mg/mmol"),
    "kfre_4_variable_2_year": ("eGFR in mL/min/1.73 m2", "urine albumin/creatinine ratio in mg/mmol"),
    "bmi": ("weight in kg", "height in cm"),
}
"""What each formula is computed from, in the order of `inputs`; age and sex come with the patient."""

_TAGS = {"table": "row", "instrument": "score", "any_of": "any", "formula": "computed"}


def _tag(content: Any) -> str:
    fields = content if isinstance(content, dict) else vars(content)
    return next((tag for field, tag in _TAGS.items() if field in fields), "row")


AnyKindOfEvent = Annotated[
    Annotated[RowEvent, Tag("row")]
    | Annotated[ScoreEvent, Tag("score")]
    | Annotated[AnyEvent, Tag("any")]
    | Annotated[ComputedEvent, Tag("computed")],
    Discriminator(_tag),
]
"""Told apart by the field that only one of them has: table, instrument, any_of or formula."""


def named_by(event: AnyKindOfEvent) -> list[str]:
    """The other events an event is made of."""
    match event:
        case RowEvent():
            return list(event.linked.values())
        case ScoreEvent():
            return []
        case AnyEvent():
            return list(event.any_of)
        case ComputedEvent():
            return list(event.inputs)


def value_sets_of(event: AnyKindOfEvent) -> list[str]:
    """The value sets an event names."""
    if not isinstance(event, RowEvent):
        return []
    return [*([event.codes] if event.codes else []), *(name for one in event.where or [] for name in one.values())]
