"""The items of a questionnaire: which answers are allowed, and what each is worth."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.proms.definition_file import Definition
from pipelines.proms.scales import Code


class Item(Definition):
    """One question. `label` is a short name, never the copyrighted text.

    An answer is a number from `min` to `max` (whole numbers unless `whole` is false; no `max` means no upper end), or
    one of the codes in `answers`, each with its value. `steps` turns an answer into points: `[[3, 0], [6, 1]]` means up
    to and including 3 is worth 0, up to and including 6 is worth 1. `reverse` turns the value round within its range.
    """

    link_id: str
    label: str
    min: float = 0
    max: float | None = None
    whole: bool = True
    answers: dict[str, float] | None = None
    steps: list[tuple[float | None, float]] | None = None
    reverse: bool = False
    aliases: Annotated[list[str], Field(default_factory=list)]
    codes: Annotated[list[Code], Field(default_factory=list)]

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.answers is not None:
            if self.model_fields_set & {"min", "max", "whole", "steps"}:
                raise ValueError(f"item {self.link_id}: 'answers' excludes min, max, whole and steps")
            if len(set(self.answers.values())) < 2:
                raise ValueError(f"item {self.link_id}: 'answers' needs at least two values")
        elif "min" not in self.model_fields_set or "max" not in self.model_fields_set:
            raise ValueError(f"item {self.link_id}: give min and max (max: null for no upper end), or answers")
        elif self.max is not None and self.min >= self.max:
            raise ValueError(f"item {self.link_id}: min has to be below max")
        if self.reverse and self.top is None:
            raise ValueError(f"item {self.link_id}: reverse needs an upper end")
        return self

    @model_validator(mode="after")
    def _steps_cover_the_range(self) -> Self:
        if self.steps:
            ends = [end for end, _ in self.steps]
            inner = [end for end in ends[:-1] if end is not None]
            if len(inner) != len(ends) - 1 or inner != sorted(set(inner)) or ends[-1] != self.max:
                raise ValueError(f"item {self.link_id}: the ends of 'steps' have to rise to max")
        return self

    @property
    def bottom(self) -> float:
        """The lowest answer, as a number."""
        return self.min if self.answers is None else min(self.answers.values())

    @property
    def top(self) -> float | None:
        """The highest answer, as a number; None without an upper end."""
        return self.max if self.answers is None else max(self.answers.values())

    @property
    def worth(self) -> tuple[float, float | None]:
        """The lowest and highest points an answer can be worth."""
        if not self.steps:
            return self.bottom, self.top
        points = [points for _, points in self.steps]
        return min(points), max(points)

    @property
    def names(self) -> list[str]:
        """The names this item may have in a file: its id and its aliases."""
        return [self.link_id, *self.aliases]

    @property
    def allowed(self) -> str:
        """The allowed answers, to tell a person."""
        if self.answers is not None:
            return ", ".join(self.answers)
        kind = "whole numbers" if self.whole else "numbers"
        return f"{kind} from {self.min:g}" + (f" to {self.max:g}" if self.max is not None else "")


Items = Annotated[list[Item], Field(min_length=1)]
