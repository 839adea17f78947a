"""Months put together say exactly what all their patients together say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.feedback.periods import finest_periods
from pipelines.statistics.intervals import t_interval, wilson_interval


def summary(period: str, values: list[float], kind: str, group: tuple[int, float] = (100, 0.5)) -> dict[str, Any]:
    """One month of `indicator_result` from the values of its patients."""
    size, data = len(values), np.array(values)
    if kind == "proportion":
        low, high = wilson_interval(np.array([data.sum()]), np.array([float(size)]))
    else:
        spread = data.std(ddof=1) if size > 1 else np.nan
        low, high = t_interval(np.array([data.mean()]), np.array([spread]), np.array([float(size)]))
    return {
        "period": period, "denominator": size, "value": float(data.mean()),
        "numerator": int(data.sum()) if kind == "proportion" else None,
        "ci_low": None if np.isnan(low[0]) else float(low[0]),
        "ci_high": None if np.isnan(high[0]) else float(high[0]),
        "group_denominator": group[0], "group_value": group[1],
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=6), min_size=3, max_size=3))
def test_the_interval_of_a_quarter_is_that_of_all_its_patients(months: list[list[float]]) -> None:
    rows = [summary(f"2025-{i:02}", values, "mean") for i, values in enumerate(months, start=1)]
    patients = [value for values in months for value in values]
    minimum = max(map(len, months)) + 1
    width, periods = finest_periods("mean", rows, rows, min(minimum, len(patients)))
    assert (width, len(periods)) == (3, 1)
    expected = summary("2025-01", patients, "mean")
    for field in ("denominator", "value", "ci_low", "ci_high"):
        assert periods[0][field] == pytest.approx(expected[field], abs=1e-6)


def test_a_proportion_adds_up_and_gets_a_wilson_interval() -> None:
    rows = [summary(f"2025-{i:02}", [1, 0, 0, 0], "proportion") for i in (4, 5, 6)]
    width, periods = finest_periods("proportion", rows, rows, 10)
    expected = summary("2025-04", [1, 0, 0, 0] * 3, "proportion")
    assert width == 3
    assert periods[0]["label"] == "apr t/m jun 2025"
    assert [periods[0][field] for field in ("denominator", "value", "ci_low", "ci_high")] == pytest.approx(
        [expected[field] for field in ("denominator", "value", "ci_low", "ci_high")]
    )


def test_enough_patients_a_month_keep_their_months() -> None:
    rows = [summary(f"2025-{i:02}", [1, 0] * 5, "proportion") for i in (1, 2)]
    width, periods = finest_periods("proportion", rows, rows, 10)
    assert (width, [period["label"] for period in periods]) == (1, ["jan 2025", "feb 2025"])


def test_the_group_counts_months_without_own_patients_and_none_twice() -> None:
    own = [summary("2025-01", [1, 0], "proportion", group=(10, 0.5))]
    others = [
        summary("2025-01", [1, 0], "proportion", group=(10, 0.5)),
        summary("2025-02", [1, 0], "proportion", group=(30, 0.1)),
    ]
    _, periods = finest_periods("proportion", own, [*own, *others], 2 + 1)
    assert (periods[0]["group_denominator"], periods[0]["group_value"]) == (40, pytest.approx(0.2))


def test_too_few_even_in_a_year_stay_years() -> None:
    rows = [summary("2024-12", [1, 0], "proportion"), summary("2025-01", [1, 0], "proportion")]
    width, periods = finest_periods("proportion", rows, rows, 10)
    assert (width, [period["label"] for period in periods]) == (12, ["2024", "2025"])
