"""VLAD and risk-adjusted CUSUM: the published scores, exact limits, and what a reset does."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from pipelines.statistics.monitoring import (
    average_run_length,
    limit_for_run_length,
    risk_adjusted_cusum,
    vlad,
    vlad_exact_limits,
)

RISKS = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=60)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# Parsonnet score 0 or 50 (logit = -3.68 + 0.077 score), survived or died. Sources: Steiner et al. 2000, p. 446
# (-0.024, 0.67, -0.43, 0.26), and Steiner 2014, p. 234, as in the tests of the R package vlad (test-llr_score.R).
@pytest.mark.parametrize(
    ("odds_ratio", "scores"), [(2.0, [-0.024, 0.669, -0.433, 0.260]), (0.5, [0.012, -0.681, 0.316, -0.377])]
)
def test_scores_equal_those_published(odds_ratio: float, scores: list[float]) -> None:
    risk = expit(-3.68 + 0.077 * array(0, 0, 50, 50))
    found = risk_adjusted_cusum(array(0, 1, 0, 1), risk, limit=4.5, odds_ratio=odds_ratio)
    assert found.score == pytest.approx(scores, abs=5e-4)


def test_first_patient_of_rigdon_and_fricker() -> None:
    # Rigdon and Fricker, p. 225: logit = -3.67 + 0.077 * 19, survived: 0 and 0.05083 (test-racusum_scores.R of vlad).
    risk = expit(-3.67 + 0.077 * array(19))
    assert risk_adjusted_cusum(array(0), risk, limit=4.5).statistic[0] == 0.0
    assert risk_adjusted_cusum(array(0), risk, limit=4.5, odds_ratio=0.5).statistic[0] == pytest.approx(
        0.05083, abs=5e-6
    )


@given(RISKS, st.floats(0.1, 10).filter(lambda r: abs(r - 1) > 0.01))
@settings(max_examples=60, deadline=None)
def test_a_score_is_a_likelihood_ratio(risks: list[float], odds_ratio: float) -> None:
    """Under the expected risks its exponent is 1 on average, whatever the risk: no case mix is at an advantage."""
    risk = array(*risks)
    dead, alive = (
        risk_adjusted_cusum(np.full(risk.shape, y), risk, limit=1, odds_ratio=odds_ratio).score for y in (1.0, 0.0)
    )
    assert risk * np.exp(dead) + (1 - risk) * np.exp(alive) == pytest.approx(1.0)


@given(st.data(), RISKS)
@settings(max_examples=60, deadline=None)
def test_without_reset_it_is_the_rise_above_the_lowest_point(data: st.DataObject, risks: list[float]) -> None:
    outcomes = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(risks), max_size=len(risks)))
    found = risk_adjusted_cusum(array(*outcomes), array(*risks), limit=1, reset=False)
    walk = np.cumsum(found.score)
    assert found.statistic == pytest.approx(walk - np.minimum(0, np.minimum.accumulate(walk)), abs=1e-9)
    assert (found.statistic >= 0).all()


def test_a_signal_starts_anew_only_with_reset() -> None:
    deaths, risk = np.ones(12), np.full(12, 0.1)
    step = np.log(2) - np.log(1.1)
    found = risk_adjusted_cusum(deaths, risk, limit=3 * step - 0.01)
    assert np.flatnonzero(found.signal).tolist() == [2, 5, 8, 11]
    assert found.statistic[3] == pytest.approx(step)
    assert np.flatnonzero(risk_adjusted_cusum(deaths, risk, limit=3 * step - 0.01, reset=False).signal).size == 10


@pytest.mark.parametrize(
    ("outcomes", "risks", "options"),
    [
        ([0, 1], [0.1], {}),
        ([2], [0.1], {}),
        ([1], [1.1], {}),
        ([1], [float("nan")], {}),
        ([1], [0.1], {"odds_ratio": 1.0}),
        ([1], [0.1], {"odds_ratio": -2.0}),
        ([1], [0.1], {"limit": 0.0}),
    ],
)
def test_impossible_input_is_refused(outcomes: list[int], risks: list[float], options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"has to be|have to be"):
        risk_adjusted_cusum(array(*outcomes), array(*risks), **{"limit": 4.5, **options})


def test_vlad_adds_up_what_was_expected_and_not_seen() -> None:
    # Steiner 2014, p. 234 (test-calceo.R of the R package vlad): 0.025, -0.975, 0.542, -0.458 per patient.
    risk = expit(-3.68 + 0.077 * array(0, 0, 50, 50))
    found = vlad(array(0, 1, 0, 1), risk)
    assert np.diff(found.excess, prepend=0.0) == pytest.approx([0.025, -0.975, 0.542, -0.458], abs=5e-4)
    assert found.excess[-1] == pytest.approx(risk.sum() - 2)
    assert found.upper[-1] == pytest.approx(1.959964 * np.sqrt((risk * (1 - risk)).sum()))
    assert found.lower == pytest.approx(-found.upper)


def test_exact_limits_are_quantiles_of_the_poisson_binomial_distribution() -> None:
    risk = np.random.default_rng(8).uniform(0.02, 0.6, 40)
    lower, upper = vlad_exact_limits(risk)
    for patients in (1, 7, 40):
        so_far, law = risk[:patients].sum(), stats.poisson_binom(risk[:patients])
        assert so_far - lower[patients - 1] == pytest.approx(law.ppf(0.975))
        assert so_far - upper[patients - 1] == pytest.approx(law.ppf(0.025))


def test_exact_limits_hold_for_every_possible_course() -> None:
    risk = array(0.05, 0.3, 0.6, 0.1, 0.2, 0.45, 0.08, 0.7, 0.15)
    lower, upper = vlad_exact_limits(risk)
    beyond = np.zeros((2, risk.size))
    for course in product((0.0, 1.0), repeat=risk.size):
        outcome = array(*course)
        chance = float(np.where(outcome == 1, risk, 1 - risk).prod())
        excess = vlad(outcome, risk).excess
        beyond += chance * np.array([excess < lower - 1e-9, excess > upper + 1e-9])
    assert beyond.max() <= 0.025 + 1e-12


def test_exact_limits_approach_the_normal_ones() -> None:
    risk = np.full(1500, 0.2)
    lower, upper = vlad_exact_limits(risk)
    normal = vlad(np.zeros(1500), risk)
    assert lower[-1] == pytest.approx(normal.lower[-1], abs=1.0)
    assert upper[-1] == pytest.approx(normal.upper[-1], abs=1.0)


@pytest.mark.parametrize("risk", [0.02, 0.1, 0.4])
def test_a_chart_that_any_event_sets_off_runs_until_the_first_event(risk: float) -> None:
    assert average_run_length(array(risk), limit=0.1) == pytest.approx(1 / risk)
    doubled = 2 * risk / (1 + risk)
    assert average_run_length(array(risk), limit=0.1, true_odds_ratio=2.0) == pytest.approx(1 / doubled)


def test_run_length_on_a_lattice() -> None:
    """With (1 + p)^5 = 2 an event is four steps up and no event one step down: the chain is exact and small."""
    risk = 2 ** (1 / 5) - 1
    step = np.log(1 + risk)
    moves = np.zeros((10, 10))  # states 0..9 steps; the limit lies between 9 and 10
    for state in range(10):
        moves[state, max(0, state - 1)] += 1 - risk
        if state + 4 < 10:
            moves[state, state + 4] += risk
    exact = np.linalg.solve(np.eye(10) - moves, np.ones(10))[0]
    assert average_run_length(array(risk), limit=9.5 * step, states=950) == pytest.approx(exact, rel=1e-9)
    assert average_run_length(array(risk), limit=9.5 * step, states=400) == pytest.approx(exact, rel=0.02)


def test_run_length_equals_a_simulation() -> None:
    """One long course that starts anew after each signal: the mean distance between signals."""
    random = np.random.default_rng(18)
    risks = expit(random.normal(-2, 1, 5000))
    course = random.choice(risks, 200_000)
    outcome = (random.random(course.size) < course).astype(np.float64)
    signals = int(risk_adjusted_cusum(outcome, course, limit=2.0).signal.sum())
    assert signals > 400
    assert course.size / signals == pytest.approx(average_run_length(risks, limit=2.0), rel=3.3 / signals**0.5)


def test_the_limit_gives_the_run_length_asked_for() -> None:
    risks = expit(np.random.default_rng(19).normal(-2.5, 1, 150))
    for odds_ratio in (2.0, 0.5):
        limit = limit_for_run_length(risks, 2000.0, odds_ratio=odds_ratio)
        assert average_run_length(risks, limit=limit, odds_ratio=odds_ratio) == pytest.approx(2000, rel=0.01)
    longer = limit_for_run_length(risks, 4000.0)
    assert longer > limit_for_run_length(risks, 2000.0)
    assert average_run_length(risks, limit=longer, true_odds_ratio=2.0) < 400, "a real change is seen much sooner"
    with pytest.raises(ValueError, match="sign"):
        limit_for_run_length(risks, 1.0)
