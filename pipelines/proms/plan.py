"""What an outcome set asks of its patients: which questionnaire, of which cohort, at which moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.errors import TerminalError
from pipelines.proms.definition_file import Definition
from pipelines.proms.instruments import Instrument, find_instrument


class Moment(Definition):
    """A window in days relative to the index date; the score nearest to `target_day` counts, at a tie the earlier.

    With `every_days` and `times` it stands for that many windows, each so many days after the one before, named
    `<name>-1`, `<name>-2` and so on; `{n}` in the title is their number.
    """

    title_nl: str
    from_day: int
    to_day: int
    target_day: int
    every_days: Annotated[int, Field(ge=1)] | None = None
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _target_is_inside(self) -> Self:
        if not self.from_day <= self.target_day <= self.to_day:
            raise ValueError("from_day, target_day and to_day have to be in this order")
        if (self.every_days is None) != (self.times is None):
            raise ValueError("every_days and times belong together")
        return self

    def repeated(self, name: str) -> dict[str, Moment]:
        """The windows this moment stands for, by name."""
        if self.every_days is None or self.times is None:
            return {name: self}
        return {
            f"{name}-{number + 1}": Moment(
                title_nl=self.title_nl.replace("{n}", str(number + 1)),
                from_day=self.from_day + number * self.every_days,
                to_day=self.to_day + number * self.every_days,
                target_day=self.target_day + number * self.every_days,
            )
            for number in range(self.times)
        }


class Asked(Definition):
    """One questionnaire that is asked. `version` is needed where the instrument has more than one."""

    instrument: str
    version: str | None = None
    cohorts: Annotated[list[str], Field(min_length=1)]
    moments: Annotated[list[str], Field(min_length=1)]


class PromPlan(Definition):
    """The questionnaires of an outcome set, and what it does with answers of a proxy.

    `proxy`: `accepted` (as good as the patient's own), `last_choice` (only when the patient did not answer in the
    window), or `refused` (never used).
    """

    proxy: Literal["accepted", "last_choice", "refused"]
    asked: list[Asked]


def expand_moments(moments: Mapping[str, Moment]) -> dict[str, Moment]:
    """Moments with the repeated ones written out."""
    return {name: one for base, moment in moments.items() for name, one in moment.repeated(base).items()}


def expand_asked(plan: PromPlan, moments: Mapping[str, Moment]) -> PromPlan:
    """The plan with the names of repeated moments written out."""

    def written_out(name: str) -> list[str]:
        return list(moments[name].repeated(name)) if name in moments else [name]

    asked = [a.model_copy(update={"moments": [m for name in a.moments for m in written_out(name)]}) for a in plan.asked]
    return plan.model_copy(update={"asked": asked})


def broken_plan(
    plan: PromPlan, moments: Mapping[str, Moment], cohorts: Sequence[str], instruments: Sequence[Instrument]
) -> Iterator[str]:
    """What is wrong with a plan whose moments are written out: unknown names, and windows that overlap."""
    for asked in plan.asked:
        for cohort in asked.cohorts:
            if cohort not in cohorts:
                yield f"field 'proms.asked': there is no cohort {cohort}"
        for moment in asked.moments:
            if moment not in moments:
                yield f"field 'proms.asked': there is no moment {moment}"
        try:
            find_instrument(instruments, asked.instrument, asked.version)
        except TerminalError as error:
            yield f"field 'proms.asked': {asked.instrument}: {error.what}. {error.remedy}"
    windows = sorted((moment.from_day, moment.to_day, name) for name, moment in moments.items())
    for (_, end, name), (start, _, other) in pairwise(windows):
        if start <= end:
            yield f"field 'moments': {name} and {other} overlap, so a response could belong to both"
