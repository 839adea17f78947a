"""Following one institution patient by patient: VLAD and the risk-adjusted CUSUM.

Patients come in the order of time; two of one moment have to be ordered by the caller, always in the same way.
`observed` is 1 where the (unfavourable) event happened, `expected` its probability from a case-mix model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CASE_MIX = 1000  # risks that stand for a larger case mix in a run length


@dataclass(frozen=True, slots=True)
class Vlad:
    """Variable life-adjusted display; every array has shape (patients,).

    Attributes:
        excess: expected minus observed events so far; rising is better than expected.
        lower: limit of `excess` after this patient if every patient ran the expected risk.
        upper: the same, on the side of fewer events.
    """

    excess: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class RiskAdjustedCusum:
    """Evidence for a change of the odds; every array has shape (patients,).

    Attributes:
        score: log-likelihood ratio of each patient.
        statistic: the score added up, never below 0.
        signal: whether the statistic is above the limit.
    """

    score: Floats
    statistic: Floats
    signal: Bools


def vlad(observed: Floats, expected: Floats, level: float = 0.95) -> Vlad:
    """Cumulative expected minus observed events (Lovegrove et al. 1997, doi:10.1016/S0140-6736(97)06507-0).

    The limits hold at each moment by itself, not for the whole line: +- z sqrt(sum p (1 - p)), the normal approximation
    of the sum of independent events with unequal probabilities (operationalisation: the chart is published without
    limits, and with several kinds of them). See `vlad_exact_limits` for few events.

    Raises:
        ValueError: as `risk_adjusted_cusum`.
    """
    _check(observed, expected)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(np.cumsum(expected * (1 - expected)))
    return Vlad(np.cumsum(expected - observed), -half, half)


def vlad_exact_limits(expected: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper limits of `Vlad.excess` from the exact distribution of the number of events.

    The number of events after each patient is Poisson-binomial; the limits are its quantiles, so that at any moment at
    most (1 - level) / 2 lies beyond either. Time grows with the square of the number of patients.
    """
    distribution = np.zeros(expected.size + 1)
    distribution[0] = 1.0
    fewest, most = np.empty(expected.size), np.empty(expected.size)
    tail = (1 - level) / 2
    for i, p in enumerate(expected.tolist()):
        distribution[1 : i + 2] = distribution[1 : i + 2] * (1 - p) + distribution[: i + 1] * p
        distribution[0] *= 1 - p
        cumulative = np.cumsum(distribution[: i + 2])
        fewest[i], most[i] = np.searchsorted(cumulative, [tail, 1 - tail])
    so_far = np.cumsum(expected)
    return so_far - most, so_far - fewest


def risk_adjusted_cusum(
    observed: Floats, expected: Floats, *, limit: float, odds_ratio: float = 2.0, reset: bool = True
) -> RiskAdjustedCusum:
    """Risk-adjusted CUSUM of Steiner et al. 2000 (doi:10.1093/biostatistics/1.4.441).

    The score of a patient with risk p is log(R / (1 - p + R p)) with the event and log(1 / (1 - p + R p)) without; the
    statistic is max(0, statistic + score) and signals above `limit`.

    Args:
        observed: 0 or 1, shape (patients,), in the order of time.
        expected: risk between 0 and 1, shape (patients,).
        limit: h, the evidence that signals; see `limit_for_run_length`.
        odds_ratio: R, the change to detect: above 1 deterioration, below 1 improvement.
        reset: start from 0 again after a signal.

    Raises:
        ValueError: the arrays differ in length, an outcome is not 0 or 1, a risk not within 0..1, or the odds ratio or
            limit is impossible.
    """
    _check(observed, expected)
    _check_design(odds_ratio, limit)
    score = observed * np.log(odds_ratio) - np.log(1 - expected + odds_ratio * expected)
    statistic = np.empty(score.shape)
    last = 0.0
    for i, step in enumerate(score.tolist()):
        last = max(0.0, (0.0 if reset and last > limit else last) + step)
        statistic[i] = last
    return RiskAdjustedCusum(score, statistic, statistic > limit)


def average_run_length(
    risks: Floats, *, limit: float, odds_ratio: float = 2.0, true_odds_ratio: float = 1.0, states: int = 300
) -> float:
    """Patients until the first signal, on average, when the risk of each is drawn from `risks`.

    Markov chain of Brook and Evans 1972 (doi:10.1093/biomet/59.3.539), as Steiner et al. 2000 use it. Between two
    states the probability is shared so that the mean is right, which converges faster than rounding to the nearer one.

    Args:
        risks: the case mix, shape (patients,), each strictly between 0 and 1; 1000 quantiles stand in for more.
        limit: h of the chart.
        odds_ratio: R of the chart.
        true_odds_ratio: how the odds really are against the expected ones; 1 gives the time between false alarms.
        states: steps between 0 and the limit; more is more accurate.
    """
    _check_design(odds_ratio, limit)
    if risks.size > _CASE_MIX:
        risks = np.quantile(risks, (np.arange(_CASE_MIX) + 0.5) / _CASE_MIX)
    risk, number = np.unique(risks, return_counts=True)
    share = number / number.sum()
    chance = true_odds_ratio * risk / (1 - risk + true_odds_ratio * risk)
    neutral = -np.log(1 - risk + odds_ratio * risk)
    steps = np.concatenate([neutral + np.log(odds_ratio), neutral])
    weights = np.concatenate([share * chance, share * (1 - chance)])
    width = limit / states
    target = np.maximum(0.0, (np.arange(states + 1) * width)[:, None] + steps) / width
    below = np.floor(target).astype(np.int64)
    above_share = target - below
    moves = np.zeros((states + 1, states + 2))  # the last column: beyond the limit
    rows = np.broadcast_to(np.arange(states + 1)[:, None], below.shape)
    stays = target <= states
    np.add.at(moves, (rows, np.where(stays, below, states + 1)), weights * np.where(stays, 1 - above_share, 1.0))
    np.add.at(moves, (rows, np.where(stays, below + 1, states + 1)), weights * np.where(stays, above_share, 0.0))
    lengths = np.linalg.solve(np.eye(states + 1) - moves[:, : states + 1], np.ones(states + 1))
    return float(lengths[0])


def limit_for_run_length(risks: Floats, run_length: float, *, odds_ratio: float = 2.0) -> float:
    """The limit h at which a chart without a change signals once in `run_length` patients, on average.

    Args:
        risks: as `average_run_length`.
        run_length: patients between false alarms that is acceptable, between that of h = 0.05 and of h = 12.

    Raises:
        ValueError: the run length is not in reach.
    """

    def gap(limit: float) -> float:
        return float(np.log(average_run_length(risks, limit=limit, odds_ratio=odds_ratio)) - np.log(run_length))

    return float(optimize.brentq(gap, 0.05, 12.0, xtol=1e-4))


def _check_design(odds_ratio: float, limit: float) -> None:
    if odds_ratio <= 0 or odds_ratio == 1 or limit <= 0:
        raise ValueError("the odds ratio has to be above 0 and not 1, and the limit above 0")


def _check(observed: Floats, expected: Floats) -> None:
    if observed.shape != expected.shape:
        raise ValueError("observed and expected have to be of one length")
    if not np.isin(observed, (0, 1)).all():
        raise ValueError("every outcome has to be 0 or 1")
    if not ((expected >= 0) & (expected <= 1)).all():
        raise ValueError("every risk has to be within 0..1")
