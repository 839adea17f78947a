"""The closed set of measure shapes: each is one template in `pipelines/indicators/measures`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.indicators.events import Comparison
from pipelines.proms.definition_file import Definition

Point = Literal["start", "end"]


class Window(Definition):
    """From day to day around the index event, both days included; calendar days in Europe/Amsterdam.

    `from_point` and `to_point` say from where the days count: the `start` of the index event (its date), or its `end`
    (discharge, the last day of the year). `from_day: null` looks back without end.
    """

    from_day: int | None
    to_day: int
    from_point: Point = "start"
    to_point: Point = "start"

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        same = self.from_point == self.to_point
        backwards = self.from_point == "end" and self.to_point == "start"
        if backwards or (same and self.from_day is not None and self.from_day > self.to_day):
            raise ValueError("the window ends before it starts")
        return self


class Condition(Definition):
    """Something that has to be true of an index event: an event in a window, an age, a sex, or several at once.

    Attributes:
        rule: a short identifier; `outcome_patient.reason` names it.
        title_nl: completes 'omdat er sprake is van ...' in the explanation.
        event, window: the event that lies in the window.
        same_side: the event is on the side of the index event; an unknown side rules nothing out.
        at_least: how many different days with such an event.
        age_from, age_below: age in years at the index date.
        sex: as in `zib_patient.gender`.
    """

    rule: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title_nl: str
    event: str | None = None
    window: Window | None = None
    same_side: bool = False
    at_least: Annotated[int, Field(ge=1)] = 1
    age_from: Annotated[int, Field(ge=0)] | None = None
    age_below: Annotated[int, Field(ge=1)] | None = None
    sex: Literal["female", "male"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.event is None) != (self.window is None):
            raise ValueError("event and window belong together")
        if self.event is None and self.age_from is None and self.age_below is None and self.sex is None:
            raise ValueError("needs an event with its window, age_from, age_below or sex")
        return self


class FollowUpEnd(Definition):
    """What an event that ends the follow-up means when it comes before the answer: death, or transfer elsewhere.

    It applies when it lies in the window after the index date and the measure found nothing up to that day. `excluded`
    takes the case out; `missing` leaves it without an answer; `met` and `not_met` answer it. Without such a rule the
    follow-up simply goes on: who died without a revision had no revision.
    """

    event: str
    means: Literal["excluded", "missing", "met", "not_met"]


class EventWithin(Definition):
    """Whether an event lies in the window (`at_least` different days with one); `absent` turns the answer around."""

    shape: Literal["event_within"]
    event: str
    window: Window
    same_side: bool = False
    at_least: Annotated[int, Field(ge=1)] = 1
    absent: bool = False


class ValueInWindow(Definition):
    """The last, first, lowest or highest value of an event in the window, itself or against a target.

    `target_by_sex` is for targets that differ between women and men; who has another or no sex is missing. A case
    without a value is missing, unless `unmeasured` says it did not meet the target.
    """

    shape: Literal["value"]
    event: str
    window: Window
    pick: Literal["last", "first", "lowest", "highest"]
    target: Comparison | None = None
    target_by_sex: dict[Literal["female", "male"], Comparison] | None = None
    unmeasured: Literal["missing", "not_met"] = "missing"

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.target is not None and self.target_by_sex is not None:
            raise ValueError("takes target or target_by_sex, not both")
        if self.target_by_sex is not None and set(self.target_by_sex) != {"female", "male"}:
            raise ValueError("target_by_sex needs female and male")
        return self


class ChangeBetween(Definition):
    """Improvement of a PROM score between two moments; positive is better, whichever way the score runs.

    With `at_least` the answer is whether the improvement is at least the minimal clinically important difference.
    """

    shape: Literal["change_between"]
    instrument: str
    score: str
    before: str
    after: str
    at_least: Annotated[float, Field(gt=0)] | None = None


class ResponseRate(Definition):
    """Whether a scorable PROM exists at every moment named."""

    shape: Literal["response_rate"]
    instrument: str
    score: str
    moments: Annotated[list[str], Field(min_length=1)]


class Duration(Definition):
    """The time from one point to the first such event at or after it, in the window.

    It starts at the index event's start or end, or at the first `since` event in the window. In minutes it needs
    instants (date, time and offset), and counts real minutes over a clock change; in days, calendar days. With a
    `target` the answer is whether the duration is in that range; a case where the event does not come within the
    window is missing, or `never: not_met`.
    """

    shape: Literal["duration"]
    since: str | None = None
    since_point: Point = "start"
    until: str | None = None
    until_point: Point = "start"
    window: Window
    unit: Literal["minutes", "hours", "days"]
    target: Comparison | None = None
    never: Literal["missing", "not_met"] = "missing"

    @model_validator(mode="after")
    def _has_two_ends(self) -> Self:
        if self.until is None and self.until_point == self.since_point and self.since is None:
            raise ValueError("starts and ends at the same point")
        return self


class TimeToEvent(Definition):
    """Days until an event up to a horizon, for a Kaplan-Meier estimate; censored at death, `censored_by` or today."""

    shape: Literal["time_to_event"]
    event: str
    horizon_days: Annotated[int, Field(ge=1)]
    same_side: bool = False
    censored_by: list[str] = Field(default_factory=list)


class AllOrNone(Definition):
    """A composite: met when every part has the answer it should have (a 'textbook outcome').

    `met` and `not_met` name other indicators of the same cohort. A pending part leaves the whole pending; else one part
    with another answer decides; else a missing part leaves it missing. A single part in not_met turns
    its answer around.
    """

    shape: Literal["all_or_none"]
    met: list[str] = Field(default_factory=list)
    not_met: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_parts(self) -> Self:
        if not self.not_met and len(self.met) < 2:
            raise ValueError("needs at least two indicators in met, or one in not_met")
        return self


class FailureToRescue(Definition):
    """Whether an event follows in the window, among the cases that another indicator (the complication) found.

    Cases whose answer for `of` is no are outside the denominator; one that is pending, missing or excluded there is so
    here.
    """

    shape: Literal["failure_to_rescue"]
    of: str
    event: str
    window: Window


class ShareOfVolume(Definition):
    """Whether the index event is also this other event (the same resource), as a share of the volume.

    Without `part` there is nothing to share: the indicator counts the volume itself (`statistic: count`).
    """

    shape: Literal["share_of_volume"]
    part: str | None = None


Measure = Annotated[
    EventWithin
    | ValueInWindow
    | ChangeBetween
    | ResponseRate
    | Duration
    | TimeToEvent
    | AllOrNone
    | FailureToRescue
    | ShareOfVolume,
    Field(discriminator="shape"),
]

Statistic = Literal["proportion", "mean", "median", "count", "cumulative_incidence"]


def statistics_of(measure: Measure) -> tuple[Statistic, ...]:
    """How the answers of a measure can add up."""
    match measure:
        case EventWithin() | ResponseRate() | AllOrNone() | FailureToRescue():
            return ("proportion",)
        case ShareOfVolume(part=part):
            return ("proportion",) if part else ("count",)
        case TimeToEvent():
            return ("cumulative_incidence",)
        case ChangeBetween(at_least=at_least):
            return ("proportion",) if at_least is not None else ("mean", "median")
        case Duration(target=target):
            return ("proportion",) if target is not None else ("median", "mean")
        case ValueInWindow(target=target, target_by_sex=by_sex):
            return ("proportion",) if target or by_sex else ("mean", "median")


def builds_on(measure: Measure) -> list[str]:
    """The other indicators a measure is made of."""
    match measure:
        case AllOrNone():
            return [*measure.met, *measure.not_met]
        case FailureToRescue():
            return [measure.of]
        case _:
            return []
