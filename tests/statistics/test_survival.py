"""Kaplan-Meier: the published example, and what it has to be without censoring or without events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.statistics.intervals import clopper_pearson_interval
from pipelines.statistics.survival import kaplan_meier


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# Weeks of remission of 21 patients on 6-MP (Freireich et al. 1963; + is the end of follow-up):
# 6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+
WEEKS = array(6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35)
RELAPSE = array(1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0)
# week, at risk, survival, lower, upper: R's survival package with conf.type = "log-log", as published with the example.
PUBLISHED = [
    (6, 21, 0.857, 0.620, 0.952),
    (7, 17, 0.807, 0.563, 0.923),
    (10, 15, 0.753, 0.503, 0.889),
    (13, 12, 0.690, 0.432, 0.849),
    (16, 11, 0.627, 0.368, 0.805),
    (22, 7, 0.538, 0.268, 0.747),
    (23, 6, 0.448, 0.188, 0.680),
]


@pytest.mark.parametrize(("week", "at_risk", "survival", "lower", "upper"), PUBLISHED)
def test_the_published_example(week: int, at_risk: int, survival: float, lower: float, upper: float) -> None:
    found = kaplan_meier(WEEKS, RELAPSE, week)
    assert (found.survival, found.lower, found.upper) == pytest.approx((survival, lower, upper), abs=5e-4)
    assert (found.patients, found.at_risk) == (21, at_risk)


def test_the_first_steps_by_hand() -> None:
    # 21 at risk, 3 events: 18/21. Then 17 at risk, 1 event: 18/21 * 16/17. Greenwood: 3/(21*18) + 1/(17*16).
    found = kaplan_meier(WEEKS, RELAPSE, 8)
    survival = 18 / 21 * 16 / 17
    shift = 1.959964 * (3 / (21 * 18) + 1 / (17 * 16)) ** 0.5 / abs(np.log(survival))
    assert found.survival == pytest.approx(survival)
    assert found.lower == pytest.approx(survival ** np.exp(shift), abs=1e-7)
    assert found.upper == pytest.approx(survival ** np.exp(-shift), abs=1e-7)
    assert found.events == 4


def test_beyond_the_follow_up_nothing_is_known() -> None:
    assert kaplan_meier(WEEKS, RELAPSE, 35).survival == pytest.approx(0.448, abs=5e-4)
    assert np.isnan(kaplan_meier(WEEKS, RELAPSE, 36).survival)
    everyone = kaplan_meier(array(3, 5), array(1, 1), 99)
    assert everyone.survival == 0.0, "nobody is left: that is known for good"


def test_without_events_or_survivors_the_bounds_are_exact_binomial_ones() -> None:
    none = kaplan_meier(WEEKS, RELAPSE, 5)
    low, high = clopper_pearson_interval(array(21), array(21))
    assert (none.survival, none.lower, none.upper) == (1.0, pytest.approx(low[0]), pytest.approx(high[0]))
    gone = kaplan_meier(array(2, 2, 2, 2), array(1, 1, 1, 1), 2)
    low, high = clopper_pearson_interval(array(0), array(4))
    assert (gone.survival, gone.lower, gone.upper) == (0.0, 0.0, pytest.approx(high[0]))


PATIENTS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1])), min_size=1, max_size=50)


@given(PATIENTS, st.integers(0, 30), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_invariants(patients: list[tuple[int, int]], horizon: int, random) -> None:  # type: ignore[no-untyped-def]
    time, event = np.array(patients, dtype=np.float64).T
    found = kaplan_meier(time, event, horizon)
    shuffled = np.array(random.sample(patients, len(patients)), dtype=np.float64).T
    assert repr(kaplan_meier(*shuffled, horizon)) == repr(found), "the order does not matter"
    assert repr(kaplan_meier(time * 7, event, horizon * 7)) == repr(found), "nor does the unit"
    if np.isnan(found.survival):
        assert not ((time >= horizon) | (event == 1)).all()
        return
    assert 0 <= found.lower <= found.survival <= found.upper <= 1
    later = kaplan_meier(time, event, horizon + 1)
    assert np.isnan(later.survival) or later.survival <= found.survival


@given(st.lists(st.integers(0, 30), min_size=1, max_size=50), st.integers(0, 29))
@settings(max_examples=60, deadline=None)
def test_without_censoring_it_is_a_proportion(times: list[int], horizon: int) -> None:
    found = kaplan_meier(array(*times), np.ones(len(times)), horizon)
    assert found.survival == pytest.approx(sum(t > horizon for t in times) / len(times))


@pytest.mark.parametrize(
    ("time", "event", "horizon"), [([], [], 1), ([1, 2], [1], 1), ([-1], [1], 1), ([1], [2], 1), ([np.nan], [1], 1)]
)
def test_impossible_input_is_refused(time: list[float], event: list[float], horizon: float) -> None:
    with pytest.raises(ValueError, match="have to be"):
        kaplan_meier(array(*time), array(*event), horizon)
