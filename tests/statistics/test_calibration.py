"""Discrimination and calibration against plain counting, and what a wrong risk does to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from pipelines.statistics.calibration import model_quality


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


PATIENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.05, 0.1, 0.25, 0.4, 0.6, 0.9])), min_size=8, max_size=60
).filter(lambda rows: {row[0] for row in rows} == {0.0, 1.0})


def test_the_c_statistic_of_a_documented_example() -> None:
    # roc_auc_score of scikit-learn, in its documentation: scores 0.1, 0.4, 0.35, 0.8, outcomes 0, 0, 1, 1 give 0.75.
    found = model_quality(array(0, 0, 1, 1), array(0.1, 0.4, 0.35, 0.8), same_data=False)
    assert found.c_statistic == 0.75
    assert found.brier == pytest.approx((0.01 + 0.16 + 0.65**2 + 0.04) / 4)


@given(PATIENTS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("error")
def test_counted_pair_by_pair_and_in_any_order(rows: list[tuple[float, float]], random) -> None:  # type: ignore[no-untyped-def]
    outcome, risk = np.array(rows).T
    found = model_quality(outcome, risk, same_data=False)
    pairs = np.sign(risk[outcome == 1][:, None] - risk[outcome == 0][None, :])
    assert found.c_statistic == pytest.approx((pairs.mean() + 1) / 2)
    shuffled = np.array(random.sample(rows, len(rows))).T
    assert repr(model_quality(*shuffled, same_data=False)) == repr(found)
    assert sum(group.patients for group in found.groups) == len(rows)
    assert sum(group.observed for group in found.groups) == outcome.sum()
    assert sum(group.expected for group in found.groups) == pytest.approx(risk.sum())


def test_hosmer_lemeshow_by_hand() -> None:
    # Two groups of ten: 2 observed of 1 expected, 4 of 5: (2-1)^2/(1*0.9) + (4-5)^2/(5*0.5).
    outcome = array(*[1] * 2, *[0] * 8, *[1] * 4, *[0] * 6)
    risk = array(*[0.1] * 10, *[0.5] * 10)
    found = model_quality(outcome, risk, same_data=False, groups=2)
    assert [(g.patients, g.observed, g.expected) for g in found.groups] == [
        (10, 2, pytest.approx(1)), (10, 4, pytest.approx(5)),
    ]  # fmt: skip
    assert found.hosmer_lemeshow == pytest.approx(1 / 0.9 + 1 / 2.5)
    assert found.p_value == pytest.approx(stats.chi2.sf(1 / 0.9 + 1 / 2.5, 1))
    assert np.isnan(model_quality(outcome, risk, same_data=True, groups=2).p_value), "no degree of freedom is left"


@pytest.fixture(scope="module")
def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of 40,000 patients, and the log odds of the risk they really ran."""
    random = np.random.default_rng(12)
    log_odds = random.normal(-2, 1, 40_000)
    return (random.random(40_000) < expit(log_odds)).astype(np.float64), log_odds


def test_right_risks_are_well_calibrated(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, log_odds = simulated
    found = model_quality(outcome, expit(log_odds), same_data=False)
    assert found.intercept == pytest.approx(0, abs=0.06)
    assert found.slope == pytest.approx(1, abs=0.06)
    assert found.p_value > 0.001
    assert len(found.groups) == 10
    assert {group.patients for group in found.groups} == {4000}


def test_wrong_risks_show_in_what_they_do_wrong(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, log_odds = simulated
    right = model_quality(outcome, expit(log_odds), same_data=False)
    low = model_quality(outcome, expit(log_odds - 0.7), same_data=False)
    assert low.intercept == pytest.approx(right.intercept + 0.7, abs=1e-6)
    assert low.slope == pytest.approx(right.slope, abs=1e-6)
    extreme = model_quality(outcome, expit(2 * log_odds), same_data=False)
    assert extreme.slope == pytest.approx(right.slope / 2, abs=1e-6)
    assert right.c_statistic == low.c_statistic == extreme.c_statistic
    for wrong in (low, extreme):
        assert wrong.brier > right.brier
        assert wrong.p_value < 1e-6


def test_equal_risks_do_not_discriminate() -> None:
    found = model_quality(array(0, 1, 0, 1, 0), np.full(5, 0.4), same_data=False)
    assert found.c_statistic == 0.5
    assert np.isnan(found.slope)
    assert found.intercept == pytest.approx(0, abs=1e-9)
    assert len(found.groups) == 1


def test_risks_that_separate_the_events_have_no_slope() -> None:
    found = model_quality(array(0, 0, 1, 1), array(0.1, 0.2, 0.2, 0.6), same_data=False)
    assert np.isnan(found.slope)
    assert found.c_statistic == 0.875


@pytest.mark.parametrize(
    ("outcome", "risk"), [([0, 1], [0.5]), ([0, 0], [0.5, 0.5]), ([0, 1], [0.0, 0.5]), ([0, 2], [0.1, 0.5])]
)
def test_impossible_input_is_refused(outcome: list[float], risk: list[float]) -> None:
    with pytest.raises(ValueError, match=r"have to|has to"):
        model_quality(array(*outcome), array(*risk), same_data=False)
