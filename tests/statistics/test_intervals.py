"""Confidence intervals against R."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.statistics.intervals import t_interval, wilson_interval

REFERENCE = Path(__file__).resolve().parents[2] / "../shared/reference/stats/proportion_ci.csv"


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# events, patients, lower, upper. Source: R, Wilson without continuity correction.
WILSON = [
    (0, 10, 0.0, 0.277532799862889),
    (1, 10, 0.0178762130950729, 0.404150026795238),
    (3, 25, 0.0416681715044036, 0.299557939209273),
    (8, 100, 0.0410934614843806, 0.149981077009487),
]


@pytest.mark.parametrize(("events", "patients", "lower", "upper"), WILSON)
def test_wilson_equals_r(events: int, patients: int, lower: float, upper: float) -> None:
    low, high = wilson_interval(array(events), array(patients))
    assert low[0] == pytest.approx(lower, abs=1e-12)
    assert high[0] == pytest.approx(upper, abs=1e-12)


def test_wilson_equals_every_vector_of_r() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference folder ../shared is not here")
    with REFERENCE.open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    low, high = wilson_interval(array(*(row["x"] for row in rows)), array(*(row["n"] for row in rows)))
    assert low.tolist() == pytest.approx([row["wilson_lo"] for row in rows], abs=1e-12)
    assert high.tolist() == pytest.approx([row["wilson_hi"] for row in rows], abs=1e-12)


def test_nobody_has_no_interval_and_does_not_disturb_the_others() -> None:
    low, high = wilson_interval(array(0, 1), array(0, 10))
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert low[1] == pytest.approx(0.0178762130950729)


def test_t_interval_of_a_known_table_value() -> None:
    # t(9; 0.975) = 2.262157 (Student's table); standard deviation 1, n = 10, half width 2.262157 / sqrt 10.
    low, high = t_interval(array(5, 5, 5), array(1, np.nan, np.nan), array(10, 1, 0))
    assert low[0] == pytest.approx(5 - 2.262157 / 10**0.5, abs=1e-6)
    assert high[0] == pytest.approx(5 + 2.262157 / 10**0.5, abs=1e-6)
    assert np.isnan([*low[1:], *high[1:]]).all()
