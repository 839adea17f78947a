"""How much of the differences between institutions is real: signal to noise, rankability, intraclass correlation.

And the decision that follows: whether a result is suitable for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import betaln, digamma, expit, logit
from statsmodels.stats.meta_analysis import combine_effects

Floats = NDArray[np.float64]
Suitability = Literal["suitable", "too_few_cases", "too_few_events", "too_unreliable"]

_MOST_ALIKE = 1e6  # alpha + beta above which institutions do not differ: a standard deviation below 0.0005


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """True proportions of institutions as a beta distribution; `alpha` + `beta` is infinite when they do not differ."""

    mean: float
    alpha_plus_beta: float

    @property
    def between_variance(self) -> float:
        """Variance between institutions, alpha beta / ((alpha + beta + 1) (alpha + beta)^2)."""
        return self.mean * (1 - self.mean) / (self.alpha_plus_beta + 1)


def fit_beta_binomial(numerators: Floats, denominators: Floats) -> BetaBinomial:
    """Beta-binomial distribution of counts of institutions, by maximum likelihood.

    Args:
        numerators: events per institution, shape (groups,).
        denominators: patients per institution, above 0; at least two institutions.

    Raises:
        ValueError: fewer than two institutions, one without patients, or a numerator that is not a count of them.
    """
    if numerators.size < 2 or not (denominators > 0).all():
        raise ValueError("needs two institutions or more, each with patients")
    if not (np.equal(np.round(numerators), numerators) & (numerators >= 0) & (numerators <= denominators)).all():
        raise ValueError("numerators have to be whole numbers of at most the denominator")
    joint = float(numerators.sum() / denominators.sum())
    if joint in (0.0, 1.0):
        return BetaBinomial(joint, np.inf)
    order = np.lexsort((denominators, numerators))  # sums in one order, whatever that of the institutions
    events, others = numerators[order], (denominators - numerators)[order]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Minus the log likelihood without its constant, and its slopes."""
        mean, size = expit(parameters[0]), np.exp(parameters[1])
        alpha, beta = mean * size, expit(-parameters[0]) * size
        likelihood = (betaln(events + alpha, others + beta) - betaln(alpha, beta)).sum()
        both = digamma(size) - digamma(events + others + size)
        by_alpha = (digamma(events + alpha) - digamma(alpha) + both).sum()
        by_beta = (digamma(others + beta) - digamma(beta) + both).sum()
        slopes = [(by_alpha - by_beta) * alpha * expit(-parameters[0]), by_alpha * alpha + by_beta * beta]
        return -float(likelihood), -np.asarray(slopes, dtype=np.float64)

    bounds = [(float(logit(joint)) - 5, float(logit(joint)) + 5), (np.log(1e-3), np.log(_MOST_ALIKE))]
    fits = [
        optimize.minimize(loss, [logit(joint), np.log(start)], jac=True, method="TNC", bounds=bounds)
        for start in (10.0, 1000.0)
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    alike = -float(events.sum() * np.log(joint) + others.sum() * np.log1p(-joint))
    if alike <= float(best.fun) + 1e-6:
        return BetaBinomial(joint, np.inf)
    return BetaBinomial(float(expit(best.x[0])), float(np.exp(best.x[1])))


def between_variance(effects: Floats, within: Floats) -> float:
    """Variance between institutions by DerSimonian and Laird 1986 (doi:10.1016/0197-2456(86)90046-2), at least 0.

    Args:
        effects: one per institution (a mean, a log odds), shape (groups,); at least two.
        within: squared standard error of each, above 0.
    """
    return max(0.0, float(combine_effects(effects, within, method_re="dl").tau2))


def signal_to_noise(between: float, within: Floats) -> Floats:
    """Reliability of each institution: between / (between + within), 0..1; shape (groups,).

    Adams 2009, "The Reliability of Provider Profiling" (RAND TR-653, doi:10.7249/TR653). An institution whose own
    variance within is 0 has reliability 1 when institutions differ at all: give it a variance that is not its own, as
    `proportion_reliability` does.

    Args:
        between: variance between institutions.
        within: squared standard error of each institution, on the same scale; infinite where unknown.
    """
    total = between + within
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def proportion_reliability(numerators: Floats, denominators: Floats) -> Floats:
    """Signal to noise of proportions, by the beta-binomial model of Adams 2009; shape (groups,).

    The variance within is that of an average institution, mean of p (1 - p) / n over the beta distribution, which
    makes the reliability n / (n + alpha + beta). Adams takes the institution's own p: one without events would be
    perfectly reliable.

    Args:
        numerators: events per institution.
        denominators: patients per institution, above 0.
    """
    return denominators / (denominators + fit_beta_binomial(numerators, denominators).alpha_plus_beta)


def rankability(between: float, within: Floats) -> float:
    """Share of the variation that is not chance: between / (between + median of within), 0..1.

    Van Dishoeck et al. 2011 (doi:10.1136/bmjqs.2010.048058), who call it poor below 0.5 and moderate up to 0.75.
    """
    return float(signal_to_noise(between, np.array([np.median(within)]))[0])


def icc_one_way(values: Floats, group: NDArray[np.int64]) -> float:
    """Intraclass correlation of patients within institutions, from one-way analysis of variance.

    (MSB - MSW) / (MSB + (m - 1) MSW), m the adjusted mean size of unequal groups (Donner 1986); for 0/1 outcomes too
    (Ridout et al. 1999). Below 0 when institutions differ less than chance; NaN when it is not defined.

    Args:
        values: one per patient, shape (patients,).
        group: number of the institution, 0 or more, shape (patients,).
    """
    order = np.lexsort((values, group))  # sums in one order: the result does not depend on that of the rows
    values, number = values[order], np.unique(group[order], return_inverse=True)[1]
    size = np.bincount(number).astype(np.float64)
    if size.size < 2 or values.size <= size.size:
        return np.nan
    mean = np.bincount(number, values) / size
    within = float(((values - mean[number]) ** 2).sum()) / (values.size - size.size)
    between = float((size * (mean - values.mean()) ** 2).sum()) / (size.size - 1)
    typical = (values.size - float((size**2).sum()) / values.size) / (size.size - 1)
    total = between + (typical - 1) * within
    return (between - within) / total if total > 0 else np.nan


def suitability(
    cases: Floats,
    reliability: Floats,
    *,
    minimum_cases: int,
    minimum_reliability: float = 0.7,
    events: Floats | None = None,
    minimum_events: int = 0,
) -> NDArray[np.str_]:
    """Whether each result may be compared (`Suitability`), shape (groups,); the first reason not to.

    Args:
        cases: patients per institution.
        reliability: from `signal_to_noise` or `proportion_reliability`; NaN is too unreliable.
        minimum_cases: a choice of the registry (operationalisation).
        minimum_reliability: 0.7 as Scholle et al. 2008 (PMC2667340) for comparing providers.
        events: events per institution, or expected events.
        minimum_events: 10 in the funnels of Stichting NICE, which calls limits on fewer unreliable.
    """
    few_events = np.zeros(cases.shape, dtype=np.bool_) if events is None else events < minimum_events
    return np.select(
        [cases < minimum_cases, few_events, ~(reliability >= minimum_reliability)],
        ["too_few_cases", "too_few_events", "too_unreliable"],
        "suitable",
    )
