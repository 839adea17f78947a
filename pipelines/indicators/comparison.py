"""Whether results may be compared between institutions, and the rank of those that may."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.result_sums import EVERYONE
from pipelines.statistics.reliability import between_variance, proportion_reliability, signal_to_noise, suitability

MINIMUM_RELIABILITY = 0.7
"""Scholle et al. 2008, PMC2667340, for comparing providers."""

NOT_COMPARED = "not_compared"
"""`comparable` of what is never ranked: a stratum, a month or quarter, twelve months that ended earlier, or a statistic
without a reliability."""


def compare(results: pd.DataFrame, outcome_set: OutcomeSet, as_of: date) -> pd.DataFrame:
    """Add `reliability`, `comparable` and `rank` to results that hold `value` and `standard_error`; drops the latter.

    What is ranked: the years, the twelve months up to `as_of`, and the total. `comparable` is `suitable`,
    `too_few_cases`, `too_unreliable` (too little difference between institutions for their numbers) or `not_compared`.
    Only suitable results of an indicator with a direction have a rank, 1 the best; equal values share it.
    """
    thresholds = {each.id: each.suppression_threshold for each in outcome_set.indicators}
    directions = {each.id: each.direction for each in outcome_set.indicators}
    results = results.assign(reliability=np.nan, comparable=NOT_COMPARED, rank=pd.array([None] * len(results), "Int64"))
    ranked = (
        (results["period_kind"].isin(["year", "total"]) | (results["period"] == f"{as_of:%Y-%m}"))
        & (results["period_kind"] != "month")
        & (results["stratifier"] == EVERYONE)
        & results["statistic"].isin(["proportion", "mean"])
    )
    for (indicator, _, _), rows in results[ranked].groupby(["indicator", "period_kind", "period"], sort=True):
        reliability = _reliability(rows)
        verdict = suitability(
            rows["denominator"].to_numpy(dtype=np.float64),
            reliability,
            minimum_cases=thresholds[str(indicator)],
            minimum_reliability=MINIMUM_RELIABILITY,
        )
        results.loc[rows.index, "reliability"] = reliability
        results.loc[rows.index, "comparable"] = verdict
        suitable = rows.index[verdict == "suitable"]
        if directions[str(indicator)] != "neither" and len(suitable) > 1:
            ascending = directions[str(indicator)] == "lower_is_better"
            places = results.loc[suitable, "value"].rank(method="min", ascending=ascending)
            results.loc[suitable, "rank"] = places.astype("Int64")
    return results.drop(columns=["standard_error", "group_size"])


def _reliability(rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Reliability per institution; NaN for one without cases, and for all when there is one institution."""
    found = np.full(len(rows), np.nan)
    count = rows["denominator"].to_numpy(dtype=np.float64)
    if rows["statistic"].iloc[0] == "proportion":
        known = count > 0
        if known.sum() > 1:
            numerator = rows["numerator"].to_numpy(dtype=np.float64)
            found[known] = proportion_reliability(numerator[known], count[known])
        return found
    within = rows["standard_error"].to_numpy(dtype=np.float64) ** 2
    known = within > 0
    if known.sum() > 1:
        between = between_variance(rows["value"].to_numpy(dtype=np.float64)[known], within[known])
        found[known] = signal_to_noise(between, within[known])
    return found
