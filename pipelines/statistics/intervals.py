"""Confidence intervals of proportions, means, counts, ratios and medians, for arrays of groups.

Every function takes arrays of one length and gives the lower and the upper bounds in that order. A group whose
interval is not defined (nobody in it, a spread that is unknown) has NaN bounds and does not disturb the others.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.rates import confint_poisson

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]


def wilson_interval(numerator: Floats, denominator: Floats, level: float = 0.95) -> Interval:
    """Wilson score interval without continuity correction (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        numerator: events per group, shape (groups,).
        denominator: patients per group, shape (groups,).
        level: confidence level, 0..1.

    Returns:
        bounds as proportions 0..1; NaN where the denominator is 0.
    """
    return _proportion_interval(numerator, denominator, level, "wilson")


def clopper_pearson_interval(numerator: Floats, denominator: Floats, level: float = 0.95) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404); as `wilson_interval`."""
    return _proportion_interval(numerator, denominator, level, "beta")


def _proportion_interval(
    numerator: Floats, denominator: Floats, level: float, method: Literal["wilson", "beta"]
) -> Interval:
    low, high = np.full(denominator.shape, np.nan), np.full(denominator.shape, np.nan)
    known = denominator > 0
    if known.any():
        bounds = proportion_confint(numerator[known], denominator[known], alpha=1 - level, method=method)
        low[known], high[known] = (np.asarray(bound, dtype=np.float64) for bound in bounds)
    return low, high


def t_interval(mean: Floats, standard_deviation: Floats, count: Floats, level: float = 0.95) -> Interval:
    """Student t interval of a mean, from the sample standard deviation (n - 1), in the unit of the mean.

    A group of fewer than two has NaN bounds: its spread is unknown.
    """
    low, high = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    known = count > 1
    quantile = stats.t.ppf((1 + level) / 2, count[known] - 1)
    half = quantile * standard_deviation[known] / np.sqrt(count[known])
    low[known], high[known] = mean[known] - half, mean[known] + half
    return low, high


def poisson_interval(events: Floats, level: float = 0.95) -> Interval:
    """Exact interval of the expected number of events (Garwood 1936, doi:10.1093/biomet/28.3-4.437).

    The lower bound of no events is 0.
    """
    low, high = confint_poisson(events, np.ones_like(events), method="exact-c", alpha=1 - level)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def byar_interval(events: Floats, level: float = 0.95) -> Interval:
    """Byar's approximation of `poisson_interval`; the lower bound of no events is 0.

    Breslow and Day 1987, as in the Technical Guide Confidence Intervals of Public Health England (2018), appendix 1.
    That guide uses it from ten events on and the exact interval below.
    """
    z = stats.norm.ppf((1 + level) / 2)
    above = events + 1
    high = above * (1 - 1 / (9 * above) + z / (3 * np.sqrt(above))) ** 3
    some = np.maximum(events, 1)
    low = some * np.maximum(0.0, 1 - 1 / (9 * some) - z / (3 * np.sqrt(some))) ** 3
    return np.where(events > 0, low, 0.0), high


def oe_interval(
    observed: Floats, expected: Floats, level: float = 0.95, method: Literal["exact", "byar"] = "exact"
) -> Interval:
    """Interval of observed / expected events, the expected number taken as known: that of the observed over it.

    Args:
        observed: events per group, shape (groups,).
        expected: events expected from the case mix, shape (groups,).
        method: `exact` or Byar's approximation.

    Returns:
        bounds of the ratio; NaN where nothing was expected.
    """
    bounds = poisson_interval(observed, level) if method == "exact" else byar_interval(observed, level)
    divisor = np.where(expected > 0, expected, np.nan)
    return bounds[0] / divisor, bounds[1] / divisor


def median_interval(values: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """Median of a sample with the interval between two of its order statistics, without assuming a distribution.

    The ranks follow from the binomial distribution with probability 1/2 (Thompson 1936, jstor.org/stable/2957563;
    `scipy.stats.quantile_test`), so the coverage is at least `level`.

    Args:
        values: shape (patients,), in any order; at least one, none of them NaN.

    Returns:
        median, lower and upper bound; NaN bounds where the sample is too small for the level (below six for 95%).
    """
    low, high = np.asarray(stats.quantile_test(values, q=0.0, p=0.5).confidence_interval(level)).tolist()
    return float(np.median(values)), low, high
