"""Which indicators of which institutions stand out strongly, for the people who operate the chain."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pipelines.feedback.indicator_view import funnel_points, judge, records
from pipelines.feedback.verdict import Tone
from pipelines.indicators.definitions import OutcomeSet


@dataclass(frozen=True, slots=True)
class Signal:
    """An indicator of an institution outside the 99.8% limits of its group; `tone` is `better` or `worse`."""

    institution: str
    indicator: str
    kind: str
    value: float
    group: float
    tone: Tone


def find_signals(results: pd.DataFrame, outcome_set: OutcomeSet) -> list[Signal]:
    """The strong signals among the totals of `indicator_result`, the worst first."""
    rows = [row for row in records(results) if row["period"] == "total"]
    signals = []
    for indicator in outcome_set.indicators:
        totals = [row for row in rows if row["indicator"] == indicator.id]
        points = funnel_points(totals) if indicator.statistic == "proportion" else []
        for own in totals:
            if own["denominator"] < indicator.suppression_threshold:
                continue
            verdict = judge(indicator, own, totals, points)
            if verdict.strong and verdict.tone in ("better", "worse"):
                figures = own["value"], own["group_value"]
                signals.append(Signal(own["institution"], indicator.id, indicator.statistic, *figures, verdict.tone))
    return sorted(signals, key=lambda signal: (signal.tone != "worse", signal.indicator, signal.institution))
