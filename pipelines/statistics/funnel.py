"""Funnel plots: the limits at each denominator, over-dispersion, and which institutions lie outside.

Spiegelhalter 2005, "Funnel plots for comparing institutional performance" (doi:10.1002/sim.1970), computed as
FunnelPlotR 0.6.0 does (github.com/nhs-r-community/FunnelPlotR: R/od_adjustment.R, R/calculate_limits.R). Known
differences:

- `SR_CQC`: R/calculate_limits.R leaves the adjusted limits on the square-root scale (1 +- z s) while the ratio itself
  is drawn; here they are squared, as earlier versions did (R/OD_adjust_func.R).
- `RC`: FunnelPlotR draws limits with standard error 1 / (2 sqrt n), which is narrower than that of the log of a ratio
  of two counts, and far too many institutions fall outside. `RC` keeps it for comparison with FunnelPlotR; `RC_DELTA`
  uses the error of the delta method, which FunnelPlotR itself uses for the z-scores.
- A ratio of 0 has no logarithm: half an event stands in where over-dispersion is estimated (operationalisation).
  Whether the institution lies outside is decided by the ratio itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Position = Literal["within", "above_95", "below_95", "above_998", "below_998"]

_Z_95, _Z_998 = 1.959964, 3.090232  # the normal quantiles of 97.5% and 99.9%, rounded as FunnelPlotR does


class DataType(StrEnum):
    """What is plotted, and on which scale its variance is stable."""

    PR = "PR"
    """Proportion: numerator events in denominator patients; arcsine of the square root."""
    SR_SHMI = "SR_SHMI"
    """Observed over expected events; logarithm, expected rounded to two decimals, 10% tails left out (NHS SHMI)."""
    SR_CQC = "SR_CQC"
    """Observed over expected events; square root, 10% tails winsorised (Care Quality Commission)."""
    RC = "RC"
    """Ratio of two counts; logarithm, with the limits of FunnelPlotR."""
    RC_DELTA = "RC_DELTA"
    """Ratio of two counts; logarithm, with the standard error of the delta method in the limits too."""


STANDARDISED = frozenset({DataType.SR_SHMI, DataType.SR_CQC})
_COUNTS = frozenset({DataType.RC, DataType.RC_DELTA})


@dataclass(frozen=True, slots=True)
class FunnelLimits:
    """Limits per denominator, in the unit of the ratio (a proportion is 0..1), in the order of the denominators."""

    lower_95: Floats
    upper_95: Floats
    lower_998: Floats
    upper_998: Floats


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much more institutions differ than chance allows.

    Attributes:
        phi: mean of the squared z-scores after trimming; 1 when there is only chance.
        tau2: variance between institutions on the scale of the data type, 0 when phi gives no evidence of it.
        groups: institutions that phi is based on.
    """

    phi: float
    tau2: float
    groups: int


def joint_ratio(data_type: DataType, numerators: Floats, denominators: Floats) -> float:
    """The centre of the funnel: 1 for observed over expected, else all numerators over all denominators."""
    return 1.0 if data_type in STANDARDISED else float(numerators.sum() / denominators.sum())


def funnel_limits(
    target: float, denominators: Floats, data_type: DataType = DataType.PR, tau2: float = 0.0
) -> FunnelLimits:
    """Control limits (95% and 99.8%) around `target`, widened by the between-institution variance `tau2`.

    Without over-dispersion the limits of observed over expected are those of FunnelPlotR: the chi-square limits of a
    Poisson count equal to the expected number.

    Args:
        target: the centre, in the unit of the ratio; see `joint_ratio`.
        denominators: patients, or expected events, above 0; shape (points,).
        tau2: from `dispersion`; 0 for limits of chance alone.

    Raises:
        ValueError: a denominator is not above 0, or the target is not a possible ratio.
    """
    sizes = _checked_sizes(data_type, target, denominators)
    if data_type in STANDARDISED and tau2 == 0:
        return _chi_square_limits(target, sizes)
    spread = np.sqrt(_limit_variance(data_type, target, sizes) + tau2)
    return FunnelLimits(*(_bound(data_type, target, z * spread) for z in (-_Z_95, _Z_95, -_Z_998, _Z_998)))


def exact_limits(target: float, denominators: Floats, data_type: DataType = DataType.PR) -> FunnelLimits:
    """Limits from the binomial (PR) or Poisson (SR) distribution itself, interpolated between counts.

    Spiegelhalter 2005, appendix A.1.1: with r the smallest count whose cumulative probability F(r) reaches p, and
    a = (F(r) - p) / (F(r) - F(r - 1)), the limit is (r - a) / n; a negative limit is 0.

    Args:
        target: proportion, or ratio of observed to expected.
        denominators: whole numbers of patients (PR), or expected events (SR); shape (points,).

    Raises:
        ValueError: for a ratio of counts, or as `funnel_limits`.
    """
    if data_type in _COUNTS:
        raise ValueError("a ratio of counts has no exact limits here")
    sizes = _checked_sizes(data_type, target, denominators)
    if data_type is DataType.PR and not np.equal(sizes, np.round(sizes)).all():
        raise ValueError("the denominator of a proportion has to be a whole number")
    counts = stats.binom(sizes, target) if data_type is DataType.PR else stats.poisson(sizes * target)

    def bound(p: float) -> Floats:
        reached = counts.ppf(p)
        share = (counts.cdf(reached) - p) / counts.pmf(reached)
        limit: Floats = np.maximum(reached - share, 0.0) / sizes
        return limit

    return FunnelLimits(bound(0.025), bound(0.975), bound(0.001), bound(0.999))


def z_scores(data_type: DataType, numerators: Floats, denominators: Floats) -> Floats:
    """How far each institution lies from the centre, in standard errors on the transformed scale; shape (groups,)."""
    sizes = _rounded(data_type, denominators)
    centre = _transform(data_type, np.asarray(joint_ratio(data_type, numerators, sizes)))
    scores: Floats = (_scaled(data_type, numerators, sizes) - centre) / standard_errors(data_type, numerators, sizes)
    return scores


def standard_errors(data_type: DataType, numerators: Floats, denominators: Floats) -> Floats:
    """Standard error of each institution on the scale of the data type, from chance alone; shape (groups,)."""
    sizes = _rounded(data_type, denominators)
    if data_type in _COUNTS:
        variance = numerators / (numerators + 0.5) ** 2 + sizes / (sizes + 0.5) ** 2
    else:
        variance = _limit_variance(data_type, 1.0, sizes)
    return np.asarray(np.sqrt(variance), dtype=np.float64)


def dispersion(data_type: DataType, numerators: Floats, denominators: Floats, trim: float = 0.1) -> Dispersion:
    """Over-dispersion as the additive random-effects model of Spiegelhalter 2005.

    tau2 = max(0, (k phi - (k - 1)) / (sum w - sum w^2 / sum w)), w = 1 / s^2, over the k institutions left.

    Trimming keeps a few true outliers from hiding themselves, but takes away real variation too: of normal z-scores 10%
    leaves 0.68 of the variance (0.44 for SHMI), so tau2 is too small, and the adjusted limits still call 11% (20%)
    outlying when institutions differ much. `trim` 0 gives tau2 itself, as for reliability.

    Args:
        numerators: shape (groups,).
        denominators: shape (groups,), above 0.
        trim: share of institutions at each end whose z-scores are pulled in to the quantile (SHMI: left out).
    """
    scores = z_scores(data_type, numerators, denominators)
    errors = standard_errors(data_type, numerators, denominators)
    if data_type is DataType.SR_SHMI:
        kept = _not_truncated(scores, trim)
        scores, errors = scores[kept], errors[kept]
    else:
        scores = np.clip(scores, *np.quantile(scores, [trim, 1 - trim]))
    if scores.size == 0:
        return Dispersion(float("nan"), 0.0, 0)
    order = np.lexsort((errors, scores))  # sums in one order, whatever that of the institutions
    phi, weight = float(np.mean(scores[order] ** 2)), 1.0 / errors[order] ** 2
    excess = scores.size * phi - (scores.size - 1)
    spare = float(weight.sum() - (weight**2).sum() / weight.sum())
    return Dispersion(phi, max(0.0, excess / spare) if spare > 0 else 0.0, scores.size)


def positions(values: Floats, limits: FunnelLimits) -> NDArray[np.str_]:
    """Where each value lies (`Position`); on a limit is within it. NaN is within. Shape (groups,)."""
    return np.select(
        [values > limits.upper_998, values < limits.lower_998, values > limits.upper_95, values < limits.lower_95],
        ["above_998", "below_998", "above_95", "below_95"],
        "within",
    )


def _checked_sizes(data_type: DataType, target: float, denominators: Floats) -> Floats:
    sizes = _rounded(data_type, np.asarray(denominators, dtype=np.float64))
    if not (sizes > 0).all():
        raise ValueError("every denominator has to be above 0 (SHMI rounds the expected number to two decimals)")
    if not target >= 0 or (data_type is DataType.PR and target > 1):
        raise ValueError("the target is not a possible ratio of this data type")
    return sizes


def _rounded(data_type: DataType, denominators: Floats) -> Floats:
    return np.round(denominators, 2) if data_type is DataType.SR_SHMI else denominators


def _transform(data_type: DataType, ratio: Floats) -> Floats:
    if data_type is DataType.PR:
        return np.asarray(np.arcsin(np.sqrt(ratio)))
    return np.asarray(np.sqrt(ratio) if data_type is DataType.SR_CQC else np.log(ratio))


def _scaled(data_type: DataType, numerators: Floats, sizes: Floats) -> Floats:
    """The ratio of each institution on the scale of the data type."""
    if data_type in _COUNTS:
        return np.asarray(np.log((numerators + 0.5) / (sizes + 0.5)))
    if data_type is DataType.SR_SHMI:
        numerators = np.where(numerators > 0, numerators, 0.5)
    return _transform(data_type, numerators / sizes)


def _limit_variance(data_type: DataType, target: float, sizes: Floats) -> Floats:
    """Variance on the transformed scale of an institution that performs as the target."""
    if data_type is DataType.SR_SHMI:
        return 1.0 / sizes
    if data_type is DataType.RC_DELTA:
        expected = target * sizes
        return np.asarray(expected / (expected + 0.5) ** 2 + sizes / (sizes + 0.5) ** 2)
    return 1.0 / (4.0 * sizes)


def _bound(data_type: DataType, target: float, shift: Floats) -> Floats:
    """The ratio that lies `shift` from the target on the transformed scale; past the end of a scale it is that end."""
    limit = _transform(data_type, np.asarray(target)) + shift
    if data_type is DataType.PR:
        return np.asarray(np.sin(np.clip(limit, 0.0, np.pi / 2)) ** 2)
    return np.asarray(np.maximum(limit, 0.0) ** 2 if data_type is DataType.SR_CQC else np.exp(limit))


def _chi_square_limits(target: float, expected: Floats) -> FunnelLimits:
    def lower(p: float) -> Floats:
        return np.asarray(target * stats.chi2.ppf(p, 2 * expected) / 2 / expected)

    def upper(p: float) -> Floats:
        return np.asarray(target * stats.chi2.ppf(p, 2 * (expected + 1)) / 2 / expected)

    return FunnelLimits(lower(0.025), upper(0.975), lower(0.001), upper(0.999))


def _not_truncated(scores: Floats, trim: float) -> NDArray[np.bool_]:
    """All but the first and last of the 1 / trim rank groups (`truncation` in FunnelPlotR)."""
    if trim == 0:
        return np.ones(scores.shape, dtype=np.bool_)
    parts = 1.0 / trim
    part = np.floor(stats.rankdata(scores) * parts / (scores.size + 1))
    return np.asarray((part > 0) & (part < parts - 1))
