"""Observed against expected per institution: by hand, in any order, and at its edges."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.statistics.intervals import oe_interval
from pipelines.statistics.standardisation import standardise


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_two_hospitals_by_hand() -> None:
    # Hospital 0: 2 of 3 patients, expected 0.5 + 0.3 + 0.2 = 1. Hospital 1: 1 of 2, expected 0.8 + 0.7 = 1.5.
    outcome, risk = array(1, 1, 0, 1, 0), array(0.5, 0.3, 0.2, 0.8, 0.7)
    found = standardise(outcome, risk, np.array([0, 0, 0, 1, 1]), 3)
    assert found.patients.tolist() == [3, 2, 0]
    assert found.observed.tolist() == [2, 1, 0]
    assert found.expected == pytest.approx([1.0, 1.5, 0.0])
    assert found.ratio[:2] == pytest.approx([2.0, 1 / 1.5])
    assert found.rate[:2] == pytest.approx([2.0 * 0.6, 0.6 / 1.5])
    low, high = oe_interval(array(2, 1), array(1.0, 1.5))
    assert found.lower[:2] == pytest.approx(low)
    assert found.rate_upper[:2] == pytest.approx(high * 0.6)
    assert np.isnan([found.ratio[2], found.lower[2], found.rate[2]]).all(), "nobody, no result"


def test_a_reference_rate_replaces_that_of_the_patients() -> None:
    found = standardise(array(1, 0), array(0.5, 0.5), np.array([0, 0]), 1, reference_rate=0.2)
    assert found.rate[0] == pytest.approx(0.2)


@given(st.data(), st.integers(1, 80), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_invariants(data: st.DataObject, size: int, random) -> None:  # type: ignore[no-untyped-def]
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from([0, 1]), st.floats(0.01, 0.99), st.integers(0, 4)), min_size=size, max_size=size
        )
    )
    results = []
    for some in (rows, random.sample(rows, size)):
        outcome, risk, group = (np.array(column) for column in zip(*some, strict=True))
        results.append(standardise(outcome.astype(np.float64), risk, group, 5))
    found, shuffled = results
    for one, other in zip(astuple(found), astuple(shuffled), strict=True):
        assert np.array_equal(one, other, equal_nan=True), "not a bit depends on the order"
    known = found.patients > 0
    assert (found.lower[known] <= found.ratio[known]).all()
    assert (found.ratio[known] <= found.upper[known]).all()
    assert found.observed.sum() == sum(row[0] for row in rows)


@pytest.mark.parametrize("group", [[0, 2], [-1, 0], [0]])
def test_an_institution_outside_the_range_is_refused(group: list[int]) -> None:
    with pytest.raises(ValueError, match="group"):
        standardise(array(0, 1), array(0.1, 0.2), np.array(group), 2)
