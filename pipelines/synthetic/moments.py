"""When a PROM counts: days between the index operation and the response.

Windows of 63-110 and 323-407 days, and 182 days before the operation, are those known as the LROI PROM
windows, not confirmed in a primary source. Taking the latest response before the operation, and the one
closest to the target after it, is operationalisation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Days from the index operation, both ends included; a response should be close to `target`."""

    first: int
    last: int
    target: int

    def holds(self, days: int) -> bool:
        """Whether a response this many days after the operation counts."""
        return self.first <= days <= self.last

    def distance(self, days: int) -> int:
        """How far from the target; the smallest wins."""
        return abs(days - self.target)


PRE = Window(-182, 0, 0)
POST = {"3m": Window(63, 110, 91), "12m": Window(323, 407, 365)}
