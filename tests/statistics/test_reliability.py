"""Signal to noise, rankability, intraclass correlation, and the decision that rests on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.statistics.reliability import (
    BetaBinomial,
    between_variance,
    fit_beta_binomial,
    icc_one_way,
    proportion_reliability,
    rankability,
    signal_to_noise,
    suitability,
)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_signal_to_noise_by_hand() -> None:
    assert signal_to_noise(3.0, array(1.0, 3.0, np.inf)) == pytest.approx([0.75, 0.5, 0.0])
    assert signal_to_noise(0.0, array(1.0, 0.0)) == pytest.approx([0.0, 0.0])


def test_variances_of_a_beta_distribution() -> None:
    # alpha 8, beta 2: alpha beta / ((alpha + beta + 1)(alpha + beta)^2), Adams 2009.
    assert BetaBinomial(0.8, 10.0).between_variance == pytest.approx(8 * 2 / (11 * 100))
    assert BetaBinomial(0.8, np.inf).between_variance == 0.0


@given(st.floats(0.5, 60), st.floats(0.5, 60), st.integers(1, 500))
def test_reliability_of_a_proportion_is_the_average_signal_to_noise(alpha: float, beta: float, patients: int) -> None:
    """n / (n + alpha + beta) = between / (between + mean of p (1 - p) / n): the closed form of the definition."""
    total = alpha + beta
    truth = BetaBinomial(alpha / total, total)
    within = alpha * beta / (total * (total + 1)) / patients
    assert signal_to_noise(truth.between_variance, array(within))[0] == pytest.approx(patients / (patients + total))


def hospitals(size: int, alpha: float, beta: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    patients = random.integers(40, 400, size)
    events = random.binomial(patients, random.beta(alpha, beta, size))
    return events.astype(np.float64), patients.astype(np.float64)


def test_planted_variation_is_found_back() -> None:
    fit = fit_beta_binomial(*hospitals(1500, 6.0, 54.0, seed=5))
    assert fit.mean == pytest.approx(0.1, abs=0.004)
    assert fit.alpha_plus_beta == pytest.approx(60, rel=0.12)


def test_hospitals_that_do_not_differ_are_not_reliable() -> None:
    random = np.random.default_rng(11)
    patients = random.integers(40, 400, 60).astype(np.float64)
    events = random.binomial(patients.astype(np.int64), 0.1).astype(np.float64)
    assert proportion_reliability(events, patients).max() < 0.3
    assert proportion_reliability(patients, patients * 4).tolist() == [0.0] * 60


def test_reliability_grows_with_patients_and_does_not_hang_on_the_order() -> None:
    events, patients = hospitals(50, 4.0, 16.0, seed=3)
    found = proportion_reliability(events, patients)
    assert (np.diff(found[np.argsort(patients, kind="stable")]) >= 0).all()
    mirrored = proportion_reliability(patients - events, patients)
    assert mirrored == pytest.approx(found, rel=0.01)
    order = np.random.default_rng(1).permutation(50)
    assert proportion_reliability(events[order], patients[order]) == pytest.approx(found[order], rel=1e-12)


@pytest.mark.parametrize("events", [0.0, 1.0])
def test_all_or_none_gives_no_reliability(events: float) -> None:
    patients = array(10, 20, 30)
    assert proportion_reliability(events * patients, patients).tolist() == [0.0, 0.0, 0.0]


def test_one_hospital_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="two institutions"):
        fit_beta_binomial(array(1), array(10))


@pytest.mark.parametrize("events", [0.5, -1.0, 11.0])
def test_what_is_no_count_is_refused(events: float) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        fit_beta_binomial(array(1, events), array(10, 10))


def test_between_variance_by_the_published_formula() -> None:
    # (Q - (k - 1)) / (sum w - sum w^2 / sum w), w = 1 / variance: DerSimonian and Laird 1986.
    effects, within = array(1.0, 4.0, 2.0, 9.0), array(1.0, 0.5, 2.0, 1.5)
    w = 1 / within
    q = (w * (effects - (w * effects).sum() / w.sum()) ** 2).sum()
    assert between_variance(effects, within) == pytest.approx((q - 3) / (w.sum() - (w**2).sum() / w.sum()))
    assert between_variance(array(1.0, 1.1, 0.9), array(1.0, 1.0, 1.0)) == 0.0


def test_rankability_uses_the_median_institution() -> None:
    assert rankability(2.0, array(1.0, 2.0, 50.0)) == pytest.approx(0.5)


def test_icc_of_a_published_example() -> None:
    # Six subjects, two ratings: MS subjects 3.35, MS residual 1.9167, ICC 0.2721519
    # (rstudio-pubs-static.s3.amazonaws.com/260806_f0c3f054d14f4426a4a2d44308f49c85.html).
    values = array(9, 6, 8, 7, 10, 6, 7, 5, 6, 5, 7, 5)
    group = np.array([*range(6), *range(6)])
    assert icc_one_way(values, group) == pytest.approx(0.2721519, abs=5e-8)
    order = np.random.default_rng(2).permutation(12)
    assert icc_one_way(values[order], group[order] + 4) == icc_one_way(values, group)


def test_icc_finds_planted_variance_with_unequal_groups() -> None:
    random = np.random.default_rng(9)
    group = np.repeat(np.arange(400), random.integers(5, 40, 400))
    values = random.normal(0, 1, 400)[group] + random.normal(0, 3, group.size)
    assert icc_one_way(values, group) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("group", [[0, 0, 0], [0, 1, 2]])
def test_icc_is_not_defined_for_one_group_or_single_patients(group: list[int]) -> None:
    assert np.isnan(icc_one_way(array(1, 2, 3), np.array(group)))


# patients, events, reliability, verdict: with at least 10 patients, 10 events and reliability 0.7.
VERDICTS = [
    (200, 30, 0.9, "suitable"),
    (10, 10, 0.7, "suitable"),
    (9, 9, 0.99, "too_few_cases"),
    (200, 9, 0.99, "too_few_events"),
    (200, 30, 0.69, "too_unreliable"),
    (200, 30, np.nan, "too_unreliable"),
    (3, 1, 0.1, "too_few_cases"),
]


@pytest.mark.parametrize(("cases", "events", "reliability", "verdict"), VERDICTS)
def test_suitable_for_comparison(cases: int, events: int, reliability: float, verdict: str) -> None:
    found = suitability(array(cases), array(reliability), minimum_cases=10, events=array(events), minimum_events=10)
    assert found.tolist() == [verdict]


@given(st.integers(0, 300), st.floats(0, 1))
@settings(max_examples=40)
def test_without_a_rule_on_events_only_cases_and_reliability_count(cases: int, reliability: float) -> None:
    found = suitability(array(cases), array(reliability), minimum_cases=10).tolist() == ["suitable"]
    assert found == (cases >= 10 and reliability >= 0.7)
