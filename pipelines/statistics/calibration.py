"""How good predicted risks are: discrimination and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RiskGroup:
    """Patients with about equal risk: how many, the events they had and those that were expected."""

    patients: int
    observed: int
    expected: float


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """Discrimination and calibration of risks against outcomes.

    Attributes:
        c_statistic: chance that a patient with the event had a higher risk than one without (area under the ROC curve).
        brier: mean squared difference of risk and outcome.
        intercept: calibration in the large, log odds that observed lies above expected; 0 is ideal.
        slope: of the log odds of the risk; 1 is ideal, below 1 risks are too extreme. NaN when there is none: risks do
            not differ, or separate the events from the others.
        groups: by risk, from low to high.
        hosmer_lemeshow: chi-square over the groups.
        p_value: chance of it under a right model; finds trifles in large numbers and little in small ones.
    """

    patients: int
    events: int
    c_statistic: float
    brier: float
    intercept: float
    slope: float
    groups: tuple[RiskGroup, ...]
    hosmer_lemeshow: float
    p_value: float


def model_quality(outcome: Floats, risk: Floats, *, same_data: bool, groups: int = 10) -> ModelQuality:
    """Judge risks; the result does not depend on the order of the patients.

    C-statistic from the ranks (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747); calibration intercept with
    the slope held at 1, and slope (Cox 1958, doi:10.1093/biomet/45.3-4.562); Hosmer and Lemeshow 1980
    (doi:10.1080/03610928008827941) over quantile groups.

    Args:
        outcome: 0 or 1, shape (patients,); both have to occur.
        risk: strictly between 0 and 1, shape (patients,).
        same_data: whether the model was fitted on these patients: two degrees of freedom less for the groups, else one
            (Steyerberg, Clinical Prediction Models, function `hl.ext2`).
        groups: number of risk groups; equal risks stay in one group, so there may be fewer.

    Raises:
        ValueError: when the arrays are not so.
    """
    if outcome.shape != risk.shape or not np.isin(outcome, (0, 1)).all() or outcome.min() == outcome.max():
        raise ValueError("outcome and risk have to be of one length, and outcomes 0 and 1 both have to occur")
    if not ((risk > 0) & (risk < 1)).all():
        raise ValueError("every risk has to be strictly between 0 and 1")
    order = np.lexsort((outcome, risk))
    outcome, risk = outcome[order], risk[order]
    log_odds = logit(risk)
    by_risk = _risk_groups(outcome, risk, groups)
    chi_square = sum((g.observed - g.expected) ** 2 / (g.expected * (1 - g.expected / g.patients)) for g in by_risk)
    freedom = len(by_risk) - (2 if same_data else 1)
    binomial = sm.families.Binomial()
    large = sm.GLM(outcome, np.ones_like(outcome), family=binomial, offset=log_odds).fit()
    events, others = risk[outcome == 1], risk[outcome == 0]
    slope = np.nan
    if others[-1] > events[0] and events[-1] > others[0]:
        slope = float(sm.GLM(outcome, sm.add_constant(log_odds), family=binomial).fit().params[1])
    return ModelQuality(
        patients=outcome.size,
        events=int(outcome.sum()),
        c_statistic=_c_statistic(outcome, risk),
        brier=float(np.mean((risk - outcome) ** 2)),
        intercept=float(large.params[0]),
        slope=slope,
        groups=by_risk,
        hosmer_lemeshow=float(chi_square),
        p_value=float(stats.chi2.sf(chi_square, freedom)) if freedom > 0 else np.nan,
    )


def _c_statistic(outcome: Floats, risk: Floats) -> float:
    events = float(outcome.sum())
    ranks = float(stats.rankdata(risk)[outcome == 1].sum())
    return (ranks - events * (events + 1) / 2) / (events * (outcome.size - events))


def _risk_groups(outcome: Floats, risk: Floats, groups: int) -> tuple[RiskGroup, ...]:
    """Groups between the quantiles of the risk, upper end included; `risk` is sorted."""
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, groups + 1)))
    number = np.clip(np.searchsorted(edges, risk, side="left") - 1, 0, max(len(edges) - 2, 0))
    size, observed, expected = np.bincount(number), np.bincount(number, outcome), np.bincount(number, risk)
    return tuple(RiskGroup(int(n), int(o), float(e)) for n, o, e in zip(size, observed, expected, strict=True) if n)
