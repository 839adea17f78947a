"""Confidence intervals: equal to R and to published tables, and covering as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_vectors import numbers, rows_of
from scipy import stats

from pipelines.statistics.intervals import (
    Floats,
    Interval,
    byar_interval,
    clopper_pearson_interval,
    median_interval,
    oe_interval,
    poisson_interval,
    t_interval,
    wilson_interval,
)

ProportionInterval = Callable[[Floats, Floats, float], Interval]
OF_PROPORTIONS = pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


# events, patients, lower, upper. Source: R.
WILSON = [
    (0, 10, 0.0, 0.277532799862889),
    (1, 10, 0.0178762130950729, 0.404150026795238),
    (3, 25, 0.0416681715044036, 0.299557939209273),
    (8, 100, 0.0410934614843806, 0.149981077009487),
]
EXACT = [
    (0, 10, 0.0, 0.308497107818761),
    (1, 10, 0.00252857854446179, 0.445016117028195),
    (8, 100, 0.0351715625181628, 0.151557635864421),
    (20, 20, 0.831566529016915, 1.0),
]


@pytest.mark.parametrize(("interval", "rows"), [(wilson_interval, WILSON), (clopper_pearson_interval, EXACT)])
def test_proportions_equal_r(interval: ProportionInterval, rows: list[tuple[float, ...]]) -> None:
    events, patients, lower, upper = (array(*column) for column in zip(*rows, strict=True))
    low, high = interval(events, patients, 0.95)
    assert low == pytest.approx(lower, abs=1e-12)
    assert high == pytest.approx(upper, abs=1e-12)


@pytest.mark.parametrize(("interval", "name"), [(wilson_interval, "wilson"), (clopper_pearson_interval, "cp")])
def test_proportions_equal_every_vector_of_r(interval: ProportionInterval, name: str) -> None:
    rows = rows_of("proportion_ci")
    low, high = interval(numbers(rows, "x"), numbers(rows, "n"), 0.95)
    assert low == pytest.approx(numbers(rows, f"{name}_lo"), abs=1e-12)
    assert high == pytest.approx(numbers(rows, f"{name}_hi"), abs=1e-12)


def test_nobody_has_no_interval_and_does_not_disturb_the_others() -> None:
    low, high = wilson_interval(array(0, 1), array(0, 10))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] == pytest.approx(0.0178762130950729)


@OF_PROPORTIONS
@given(data=st.data(), patients=st.integers(1, 300), level=st.floats(0.5, 0.999))
@settings(max_examples=60, deadline=None)
def test_a_proportion_lies_in_its_interval_and_relabelling_mirrors_it(
    interval: ProportionInterval, data: st.DataObject, patients: int, level: float
) -> None:
    events = data.draw(st.integers(0, patients))
    low, high = interval(array(events, patients - events, 2 * events), array(patients, patients, 2 * patients), level)
    assert 0 <= low[0] <= events / patients + 1e-12
    assert events / patients - 1e-12 <= high[0] <= 1
    assert (low[0], high[0]) == pytest.approx((1 - high[1], 1 - low[1]), abs=1e-9)
    assert high[2] - low[2] < high[0] - low[0], "twice the patients, a narrower interval"


def coverage(interval: ProportionInterval, patients: int, proportion: float) -> float:
    """The probability that the interval holds the true proportion: all possible counts, no simulation."""
    counts = np.arange(patients + 1.0)
    low, high = interval(counts, np.full(counts.shape, float(patients)), 0.95)
    inside = (low <= proportion) & (proportion <= high)
    return float(stats.binom.pmf(counts, patients, proportion)[inside].sum())


@pytest.mark.parametrize("patients", [10, 30, 100, 400])
def test_coverage_of_proportions(patients: int) -> None:
    truths = np.linspace(0.01, 0.99, 197)
    exact = [coverage(clopper_pearson_interval, patients, p) for p in truths]
    wilson = [coverage(wilson_interval, patients, p) for p in truths]
    assert min(exact) >= 0.95, "the exact interval never covers too little"
    assert np.mean(wilson) == pytest.approx(0.95, abs=0.01), "Wilson covers as it says on average"
    assert np.mean(exact) > np.mean(wilson)


def test_t_interval_of_a_known_table_value() -> None:
    # t(9; 0.975) = 2.262157 (Student's table); standard deviation 1, n = 10, half width 2.262157 / sqrt 10.
    low, high = t_interval(array(5, 5, 5), array(1, np.nan, np.nan), array(10, 1, 0))
    assert low[0] == pytest.approx(5 - 2.262157 / 10**0.5, abs=1e-6)
    assert high[0] == pytest.approx(5 + 2.262157 / 10**0.5, abs=1e-6)
    assert np.isnan([*low[1:], *high[1:]]).all()


def test_exact_counts_equal_garwoods_table() -> None:
    # No events: 3.689, as the R package epitools documents `pois.exact`. 3 and 18: R, times the expected 5.2 and 9.7.
    low, high = poisson_interval(array(0, 3, 18))
    assert low == pytest.approx([0.0, 0.118975408249154 * 5.2, 1.09978770931954 * 9.7], abs=1e-9)
    assert high == pytest.approx([3.689, 1.68601405187352 * 5.2, 2.9327587904668 * 9.7], abs=2e-4)


def test_ratios_equal_every_vector_of_r() -> None:
    rows = rows_of("oe_ratio_ci")
    observed, expected = numbers(rows, "O"), numbers(rows, "E")
    for method, level, name in (("exact", 0.95, "exact95"), ("exact", 0.998, "exact998"), ("byar", 0.95, "byar95")):
        low, high = oe_interval(observed, expected, level, method)  # type: ignore[arg-type]
        assert low == pytest.approx(numbers(rows, f"{name}_lo"), abs=1e-9)
        assert high == pytest.approx(numbers(rows, f"{name}_hi"), abs=1e-9)


def test_byar_is_as_close_to_exact_as_is_published() -> None:
    # Public Health England, Technical Guide Confidence Intervals (2018): within 0.2% for ten events or more.
    events = np.arange(10.0, 2000.0)
    for byar, exact in zip(byar_interval(events), poisson_interval(events), strict=True):
        assert np.abs(byar / exact - 1).max() < 0.002


def test_nothing_expected_has_no_ratio() -> None:
    assert np.isnan(oe_interval(array(0, 2), array(0, 0))).all()


@pytest.mark.parametrize("mean", [0.3, 2.0, 9.7, 40.0])
def test_coverage_of_counts(mean: float) -> None:
    counts = np.arange(200.0)
    low, high = poisson_interval(counts)
    inside = (low <= mean) & (mean <= high)
    assert stats.poisson.pmf(counts, mean)[inside].sum() >= 0.95


# patients, rank of the lower bound, of the upper, confidence. Source: table A.7 "Confidence Intervals for the
# Population Median" of a statistics textbook (coursehero.com/file/5646626/A7).
MEDIANS = [(6, 1, 6, 0.969), (9, 2, 8, 0.961), (10, 2, 9, 0.979), (17, 5, 13, 0.951), (20, 6, 15, 0.959)]


@pytest.mark.parametrize(("patients", "lower", "upper", "confidence"), MEDIANS)
def test_median_equals_the_table(patients: int, lower: int, upper: int, confidence: float) -> None:
    values = np.arange(1.0, patients + 1)
    assert median_interval(values[::-1]) == (float(np.median(values)), lower, upper)
    cumulative = stats.binom(patients, 0.5).cdf
    assert cumulative(upper - 1) - cumulative(lower - 1) == pytest.approx(confidence, abs=6e-4)


def test_five_patients_are_too_few_for_the_interval_of_a_median() -> None:
    median, low, high = median_interval(array(3, 1, 2, 5, 4))
    assert median == 3
    assert np.isnan([low, high]).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_median_lies_in_its_interval_in_any_order(values: list[float]) -> None:
    median, low, high = median_interval(array(*values))
    assert low <= median <= high
    assert (median, low, high) == median_interval(np.sort(array(*values)))
