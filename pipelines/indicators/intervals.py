"""95% confidence intervals of proportions and means, for arrays of groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]


def wilson_interval(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Wilson score interval without continuity correction (Wilson 1927), lower and upper, as proportions 0..1.

    A group with denominator 0 has NaN bounds.
    """
    low, high = np.full(denominator.shape, np.nan), np.full(denominator.shape, np.nan)
    known = denominator > 0
    if known.any():
        bounds = proportion_confint(numerator[known], denominator[known], alpha=0.05, method="wilson")
        low[known], high[known] = (np.asarray(bound, dtype=np.float64) for bound in bounds)
    return low, high


def t_interval(mean: Floats, standard_deviation: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Student t interval of a mean, from the sample standard deviation (n - 1), in the unit of the mean.

    A group of fewer than two has NaN bounds: its spread is unknown.
    """
    low, high = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    known = count > 1
    half = stats.t.ppf(0.975, count[known] - 1) * standard_deviation[known] / np.sqrt(count[known])
    low[known], high[known] = mean[known] - half, mean[known] + half
    return low, high
