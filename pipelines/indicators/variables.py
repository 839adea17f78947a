"""What tells patients apart at the index event: for case mix, and for strata."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.indicators.shapes import Window
from pipelines.proms.definition_file import Definition

UNKNOWN = "onbekend"
"""The category of a case whose variable is not recorded: it is never dropped, and never guessed."""


class _Variable(Definition):
    title_nl: str


class _Banded(_Variable):
    """Numbers in bands: `bands: [50, 70]` are '<50', '50-<70' and '>=70'."""

    bands: Annotated[list[float], Field(min_length=1)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(low >= high for low, high in zip(self.bands, self.bands[1:], strict=False)):
            raise ValueError("bands have to ascend")
        return self

    def band(self, value: float | None) -> str:
        """The band a value is in."""
        if value is None:
            return UNKNOWN
        names = [f"{bound:g}" for bound in self.bands]
        above = sum(value >= bound for bound in self.bands)
        if above == 0:
            return f"<{names[0]}"
        return f">={names[-1]}" if above == len(names) else f"{names[above - 1]}-<{names[above]}"


class Age(_Banded):
    """Age in years at the index date; unknown when the date of birth leaves it open."""

    source: Literal["age"]


class Sex(_Variable):
    """`zib_patient.gender`: vrouw, man, or unknown."""

    source: Literal["sex"]


class LastValue(_Banded):
    """The last value of an event in the window."""

    source: Literal["value"]
    event: str
    window: Window


class Presence(_Variable):
    """Whether an event lies in the window: ja or nee."""

    source: Literal["event"]
    event: str
    window: Window


class SameResource(_Variable):
    """Which of these events the index event itself also is; the first that fits, by its title, else `otherwise_nl`."""

    source: Literal["index"]
    events: Annotated[list[str], Field(min_length=1)]
    otherwise_nl: str


class Comorbidity(_Banded):
    """The Charlson comorbidity score from the ICD-10 codes of problems known up to the index date."""

    source: Literal["charlson"]


Variable = Annotated[Age | Sex | LastValue | Presence | SameResource | Comorbidity, Field(discriminator="source")]


def events_of(variable: Variable) -> list[str]:
    """The events a variable looks at."""
    match variable:
        case LastValue() | Presence():
            return [variable.event]
        case SameResource():
            return list(variable.events)
        case _:
            return []
