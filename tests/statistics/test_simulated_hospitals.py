"""Truth: on simulated hospitals false alarms are as rare as promised, and what was planted is found.

Every simulation is seeded. A tolerance is 3.3 standard errors of the binomial count it is about (one in a thousand),
around the rate that enumeration of all counts gives.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from pipelines.statistics.calibration import model_quality
from pipelines.statistics.case_mix import Category, Measurement, expected_risk, fit_case_mix
from pipelines.statistics.funnel import (
    DataType,
    dispersion,
    exact_limits,
    funnel_limits,
    joint_ratio,
    positions,
    z_scores,
)
from pipelines.statistics.monitoring import risk_adjusted_cusum
from pipelines.statistics.process_control import xmr_chart
from pipelines.statistics.reliability import proportion_reliability, suitability
from pipelines.statistics.standardisation import standardise

HOSPITALS = 20_000
PROPORTION = 0.1


def tolerance(rate: float, count: int) -> float:
    return 3.3 * float(np.sqrt(rate * (1 - rate) / count))


def share_outside(values: np.ndarray, limits: object) -> float:
    return float((positions(values, limits) != "within").mean())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alike() -> tuple[np.ndarray, np.ndarray]:
    """Events and patients of hospitals that all have the same true proportion."""
    random = np.random.default_rng(20_250_101)
    patients = random.integers(60, 600, HOSPITALS)
    return random.binomial(patients, PROPORTION).astype(np.float64), patients.astype(np.float64)


def enumerated_rate(patients: np.ndarray, exact: bool) -> float:
    """The false alarm rate that the limits have for hospitals of these sizes: from the binomial distribution."""
    sizes, number = np.unique(patients, return_counts=True)
    limits = (exact_limits if exact else funnel_limits)(PROPORTION, sizes)
    below = stats.binom.cdf(np.ceil(limits.lower_95 * sizes) - 1, sizes, PROPORTION)
    above = stats.binom.sf(np.floor(limits.upper_95 * sizes), sizes, PROPORTION)
    return float(np.average(below + above, weights=number))


@pytest.mark.parametrize("exact", [False, True])
def test_false_alarms_without_any_effect(alike: tuple[np.ndarray, np.ndarray], exact: bool) -> None:
    events, patients = alike
    promised = enumerated_rate(patients, exact)
    assert promised == pytest.approx(0.05, abs=0.01)
    limits = (exact_limits if exact else funnel_limits)(joint_ratio(DataType.PR, events, patients), patients)
    assert share_outside(events / patients, limits) == pytest.approx(promised, abs=tolerance(0.05, HOSPITALS))


def test_hospitals_that_are_alike_show_no_over_dispersion_and_no_reliability() -> None:
    random = np.random.default_rng(4)
    patients = random.integers(60, 600, 80).astype(np.float64)
    events = random.binomial(patients.astype(np.int64), PROPORTION).astype(np.float64)
    assert dispersion(DataType.PR, events, patients).tau2 < 0.0005
    reliability = proportion_reliability(events, patients)
    verdicts = suitability(patients, reliability, minimum_cases=10)
    assert (verdicts == "too_unreliable").all(), "no rank where there is nothing to rank"


def test_planted_outliers_are_found() -> None:
    random = np.random.default_rng(7)
    patients = np.full(60, 400)
    true = np.full(60, PROPORTION)
    true[:3], true[3:6] = 0.22, 0.03
    events = random.binomial(patients, true).astype(np.float64)
    sizes = patients.astype(np.float64)
    where = positions(events / sizes, funnel_limits(joint_ratio(DataType.PR, events, sizes), sizes))
    assert where[:3].tolist() == ["above_998"] * 3
    assert where[3:6].tolist() == ["below_998"] * 3
    assert np.char.endswith(where[6:], "998").sum() <= 1


# Of a standard normal distribution, cut at the 10% and 90% quantiles c: the variance that truncation leaves, and
# winsorising. Without trimming, all of it.
_C = stats.norm.isf(0.1)
TRUNCATED = 1 - 2 * _C * stats.norm.pdf(_C) / 0.8
WINSORISED = 0.8 * TRUNCATED + 0.2 * _C**2


@pytest.mark.parametrize(
    ("data_type", "spread", "trim", "left"),
    [
        (DataType.SR_SHMI, 0.2, 0.1, TRUNCATED),
        (DataType.SR_CQC, 0.1, 0.1, WINSORISED),
        (DataType.SR_SHMI, 0.2, 0.0, 1.0),
        (DataType.SR_CQC, 0.1, 0.0, 1.0),
    ],
)
def test_over_dispersion_is_estimated_and_taken_into_account(
    data_type: DataType, spread: float, trim: float, left: float
) -> None:
    """Hospitals whose true ratios differ by 20% (a root of it by 10%), 200 events expected in each."""
    random = np.random.default_rng(15)
    expected = np.full(4000, 200.0)
    observed = random.poisson(expected * np.exp(random.normal(0, 0.2, 4000))).astype(np.float64)
    error = 1 / 200 if data_type is DataType.SR_SHMI else 1 / 800
    phi = left * (1 + spread**2 / error)
    found = dispersion(data_type, observed, expected, trim)
    assert found.phi == pytest.approx(phi, rel=0.08)
    assert found.tau2 == pytest.approx((phi - 1) * error, rel=0.1)
    values, truth = observed / expected, np.sqrt(1 + spread**2 / error)
    for tau2, ratio in ((0.0, 1 / truth), (found.tau2, np.sqrt(phi) / truth)):
        outside = share_outside(values, funnel_limits(1.0, expected, data_type, tau2))
        assert outside == pytest.approx(2 * stats.norm.sf(1.959964 * ratio), abs=0.02)


def test_ratios_of_counts_need_the_error_of_the_delta_method() -> None:
    random = np.random.default_rng(16)
    size = random.uniform(60, 600, HOSPITALS)
    numerators, denominators = (random.poisson(size).astype(np.float64) for _ in range(2))
    target = joint_ratio(DataType.RC, numerators, denominators)
    values = numerators / denominators
    right = funnel_limits(target, denominators, DataType.RC_DELTA)
    assert share_outside(values, right) == pytest.approx(0.05, abs=0.01)
    assert share_outside(values, funnel_limits(target, denominators, DataType.RC)) > 0.4, "FunnelPlotR's are too narrow"
    beyond = (np.abs(z_scores(DataType.RC, numerators, denominators)) > 1.959964).mean()
    assert beyond == pytest.approx(0.05, abs=0.01)


SEX, AGE = Category("sex", ("man", "vrouw")), Measurement("age", 65, 10)


def registry(effect: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Patients of 40 hospitals: in the first ten they are fifteen years older. `effect` adds to the log odds.

    Returns:
        outcome, hospital and characteristics, each of shape (patients,).
    """
    random = np.random.default_rng(seed)
    hospital = np.repeat(np.arange(40), 500)
    age = random.normal(65, 8, hospital.size) + 15.0 * (hospital < 10)
    sex = random.choice(np.array(["man", "vrouw"]), hospital.size)
    log_odds = -2.5 + 0.8 * (age - 65) / 10 - 0.3 * (sex == "vrouw") + effect[hospital]
    outcome = (random.random(hospital.size) < expit(log_odds)).astype(np.float64)
    return outcome, hospital, {"age": age, "sex": sex}


def test_adjustment_removes_a_planted_case_mix_difference() -> None:
    outcome, hospital, values = registry(np.zeros(40), seed=21)
    crude = standardise(outcome, np.full(outcome.shape, outcome.mean()), hospital, 40)
    risk = expected_risk(fit_case_mix(outcome, values, [AGE, SEX]), values)
    adjusted = standardise(outcome, risk, hospital, 40)
    assert crude.ratio[:10].min() > 1.3
    assert adjusted.ratio[:10].mean() == pytest.approx(1.0, abs=0.05)
    outside = {
        name: share_outside(result.ratio, funnel_limits(1.0, result.expected, DataType.SR_SHMI))
        for name, result in {"crude": crude, "adjusted": adjusted}.items()
    }
    assert outside["crude"] > 0.5
    assert outside["adjusted"] <= 0.05 + tolerance(0.05, 40)
    assert model_quality(outcome, risk, same_data=True).c_statistic > 0.7


def test_adjustment_leaves_a_planted_hospital_effect() -> None:
    effect = np.zeros(40)
    effect[[4, 30]] = 0.9, -0.9
    outcome, hospital, values = registry(effect, seed=22)
    found = standardise(outcome, expected_risk(fit_case_mix(outcome, values, [AGE, SEX]), values), hospital, 40)
    where = positions(found.ratio, funnel_limits(1.0, found.expected, DataType.SR_SHMI))
    assert where[4].startswith("above")
    assert where[30].startswith("below")
    assert found.lower[4] > 1 > found.upper[30]
    assert (np.delete(where, [4, 30]) != "within").mean() <= 0.05 + tolerance(0.05, 38)


def test_a_cusum_sees_a_doubling_of_the_odds_and_seldom_anything_else() -> None:
    random = np.random.default_rng(31)
    risk = expit(random.normal(-2.2, 1, (400, 500)))
    quiet = random.random(risk.shape) < risk
    doubled = random.random(risk.shape) < 2 * risk / (1 - risk + 2 * risk)
    alarms = [
        np.mean(
            [
                risk_adjusted_cusum(y.astype(np.float64), p, limit=4.5).signal.any()
                for y, p in zip(rows, risk, strict=True)
            ]
        )
        for rows in (quiet, doubled)
    ]
    # exp(statistic) of one start passes exp(h) with chance at most exp(-h) (Ville); 500 starts: at most 500 exp(-4.5).
    assert alarms[0] < 0.25
    assert alarms[1] > 0.9


def test_a_stable_process_seldom_leaves_its_xmr_limits() -> None:
    random = np.random.default_rng(41)
    charts = [xmr_chart(random.normal(50, 4, 60)) for _ in range(300)]
    outside = np.mean([chart.outside.mean() for chart in charts])
    # Three standard deviations of a normal distribution: 0.27%; estimated limits make it somewhat more.
    assert 0.001 < outside < 0.01
