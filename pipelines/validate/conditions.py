"""Row conditions, which Great Expectations evaluates again for every figure of every rule."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import pandas as pd


class RememberingFrame(pd.DataFrame):
    """A data frame that may not change any more, and evaluates no expression twice. What is taken from it is an
    ordinary data frame."""

    _metadata: ClassVar[list[str]] = ["answers"]
    answers: dict[str, Any]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Self:
        """The same rows."""
        frame = cls(rows)
        frame.answers = {}
        return frame

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def eval(self, expr: str, **options: Any) -> Any:
        """As of any data frame."""
        if expr not in self.answers:
            self.answers[expr] = super().eval(expr, **options)
        return self.answers[expr]
