"""Kaplan-Meier: the share without the event at a horizon, with follow-up that may end earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SurvivalEstimate:
    """The share that is free of the event at the horizon.

    Attributes:
        survival: 0..1; NaN when follow-up ends before the horizon for everyone without the event.
        lower: lower bound of its interval.
        upper: upper bound.
        patients: number at the start.
        events: number of events up to and including the horizon.
        at_risk: number followed beyond the horizon, or that has the event or the end of follow-up on it.
    """

    survival: float
    lower: float
    upper: float
    patients: int
    events: int
    at_risk: int


def kaplan_meier(time: Floats, event: Floats, horizon: float, level: float = 0.95) -> SurvivalEstimate:
    """Kaplan-Meier estimate at `horizon`, with Greenwood's variance and the log-log interval.

    Kaplan and Meier 1958 (doi:10.1080/01621459.1958.10501452); the interval S^exp(+-z se / (S log S)) is that of
    `conf.type = "log-log"` in the R package survival. Someone whose follow-up ends at the time of an event still counts
    as at risk for it.

    Where the estimate is 1 or 0 Greenwood's variance is 0 and the log-log interval does not exist; the bounds are
    then the exact binomial ones of no (or all) events among those still followed at the horizon (or at the last event)
    (operationalisation; it can only be too wide).

    Args:
        time: follow-up until the event or its end, at least 0, in any unit; shape (patients,), in any order.
        event: 1 where the follow-up ended with the event, else 0.
        horizon: in the unit of `time`.

    Raises:
        ValueError: arrays of unequal length, nobody in them, or a value that is not possible.
    """
    if time.shape != event.shape or time.size == 0:
        raise ValueError("time and event have to be of one length, and of at least one patient")
    if not (time >= 0).all() or not np.isin(event, (0, 1)).all() or horizon < 0:
        raise ValueError("times and horizon have to be at least 0, and events 0 or 1")
    patients, at_risk = time.size, int((time >= horizon).sum())
    events = int(event[time <= horizon].sum())
    curve = SurvfuncRight(time, event)
    reached = np.flatnonzero(curve.surv_times <= horizon)
    survival = float(curve.surv_prob[reached[-1]]) if reached.size else 1.0
    if at_risk == 0 and survival > 0:
        return SurvivalEstimate(np.nan, np.nan, np.nan, patients, events, 0)
    if 0 < survival < 1:
        lower, upper = _log_log(survival, float(curve.surv_prob_se[reached[-1]]), level)
    else:
        left = at_risk if survival == 1 else int(curve.n_risk[reached[-1]])
        lower, upper = proportion_confint(survival * left, left, alpha=1 - level, method="beta")
    return SurvivalEstimate(survival, float(lower), float(upper), patients, events, at_risk)


def _log_log(survival: float, error: float, level: float) -> tuple[float, float]:
    shift = stats.norm.ppf((1 + level) / 2) * error / abs(survival * np.log(survival))
    return float(survival ** np.exp(shift)), float(survival ** np.exp(-shift))
