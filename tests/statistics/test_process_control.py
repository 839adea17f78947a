"""Control charts: row for row as NHSRplotthedots, and the rules as a plain reading of them."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_vectors import numbers, rows_of

from pipelines.statistics.process_control import ControlChart, assurance, p_chart, point_types, u_chart, xmr_chart

CAUSES = {
    "Common Cause": "none",
    "Above UCL": "above_limit",
    "Below LCL": "below_limit",
    "7 Point Trend (Increasing)": "increasing_trend",
    "7 Point Trend (Decreasing)": "decreasing_trend",
    "2 in 3 Above CL": "two_of_three_above",
    "2 in 3 Below CL": "two_of_three_below",
    "7 Points Above CL": "shift_above",
    "7 Points Below CL": "shift_below",
}
TYPES = {"common_cause": "common_cause", "special_cause_improvement": "improvement", "special_cause_concern": "concern"}
ASSURANCES = {"consistent_pass": "pass", "consistent_fail": "fail", "inconsistent": "hit_and_miss"}
TARGET = 52.0  # that of the vectors


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_every_row_equals_nhsrplotthedots() -> None:
    rows = rows_of("nhsrplotthedots_xmr")
    seen = set()
    for (series, screened, way), group in groupby(rows, lambda r: (r["series"], r["screen_outliers"], r["direction"])):
        part = list(group)
        chart = xmr_chart(numbers(part, "y"), screen_outliers=screened == "TRUE")
        direction = "higher_is_better" if way == "1" else "lower_is_better"
        for found, column in ((chart.centre, "mean_col"), (chart.lower, "lpl"), (chart.upper, "upl")):
            assert found == pytest.approx(numbers(part, column), abs=1e-9), (series, column)
        assert chart.side.tolist() == numbers(part, "relative_to_mean").tolist()
        assert chart.outside.tolist() == [row["outside_limits"] == "TRUE" for row in part]
        assert chart.near_limit.tolist() == [row["close_to_limits"] == "TRUE" for row in part]
        assert chart.special_cause.tolist() == [CAUSES[row["special_cause_type"]] for row in part], series
        assert point_types(chart, direction).tolist() == [TYPES[row["point_type"]] for row in part]
        assert assurance(chart, TARGET, direction) == ASSURANCES[part[0]["assurance"]]
        seen |= set(chart.special_cause.tolist())
    assert seen == set(CAUSES.values()) - {"decreasing_trend"}, "the vectors hold all rules but a falling trend"


# Fifteen points between 0 and 2, so that the mean is 1 and the mean moving range 1 or near; one rule each.
QUIET = [0.0, 1.0, 2.0, 1.0] * 4
RULES = [
    ("far above", [*QUIET, 9.0], "above_limit", 1),
    ("far below", [*QUIET, -7.0], "below_limit", 1),
    ("seven rising", [*QUIET, 0.1, 0.5, 0.9, 1.3, 1.7, 2.1, 2.5], "increasing_trend", 7),
    ("seven falling", [*QUIET, 2.5, 2.1, 1.7, 1.3, 0.9, 0.5, 0.1], "decreasing_trend", 7),
    ("seven above", [*QUIET, 1.9, 1.5, 1.9, 1.5, 1.9, 1.5, 1.9], "shift_above", 7),
    ("seven below", [*QUIET, 0.1, 0.5, 0.1, 0.5, 0.1, 0.5, 0.1], "shift_below", 7),
]


@pytest.mark.parametrize(("what", "values", "cause", "points"), RULES, ids=[rule[0] for rule in RULES])
def test_a_rule_marks_its_points(what: str, values: list[float], cause: str, points: int) -> None:
    marked = np.flatnonzero(xmr_chart(array(*values)).special_cause == cause)
    assert len(marked) >= points
    assert marked[-1] == len(values) - 1


def test_six_in_a_row_are_not_yet_a_shift_or_a_trend() -> None:
    assert not np.isin(xmr_chart(array(*QUIET, 1.9, 1.5, 1.9, 1.5, 1.9, 1.5)).special_cause, "shift_above").any()
    trend = xmr_chart(array(*QUIET[:-1], 2.5, 2.1, 1.7, 1.3, 0.9, 0.5))
    assert "decreasing_trend" not in trend.special_cause
    assert "decreasing_trend" in xmr_chart(trend.values, run=6).special_cause


def test_two_of_three_near_a_limit() -> None:
    values = array(*QUIET, *QUIET, 3.2, 1.2, 3.2, 0.0)
    chart = xmr_chart(values)
    assert np.flatnonzero(chart.special_cause == "two_of_three_above").tolist() == [32, 34], "not the one between"
    assert chart.near_limit[[32, 34]].all()


def test_a_point_on_the_mean_breaks_two_of_three() -> None:
    values = array(*([-1, 1] * 12), 4.5, 0, 4.5, *([-1] * 9))
    chart = xmr_chart(values)
    assert chart.side[25] == 0
    assert chart.near_limit[[24, 26]].all()
    assert "two_of_three_above" not in chart.special_cause
    values[[25, 30]] = 0.5, -1.5
    assert "two_of_three_above" in xmr_chart(values).special_cause


def test_improvement_is_what_the_direction_says() -> None:
    chart = xmr_chart(array(*QUIET, 9.0))
    assert point_types(chart, "higher_is_better")[-1] == "improvement"
    assert point_types(chart, "lower_is_better")[-1] == "concern"
    assert point_types(chart, None)[-1] == "high"
    assert point_types(chart, None)[0] == "common_cause"


# lower and upper limit, and the target 4: as in the tests of NHSRplotthedots (test-ptd_calculate_assurance_type.R).
@pytest.mark.parametrize(
    ("lower", "upper", "higher", "below"),
    [(1, 3, "fail", "pass"), (5, 7, "pass", "fail"), (1, 5, "hit_and_miss", "hit_and_miss")],
)
def test_assurance(lower: float, upper: float, higher: str, below: str) -> None:
    one = np.zeros(1)
    chart = ControlChart(
        one, one, array(lower), array(upper), one.astype(np.int8), one > 0, one > 0, np.array(["none"])
    )
    assert assurance(chart, 4, "higher_is_better") == higher
    assert assurance(chart, 4, "lower_is_better") == below


def test_a_new_part_has_its_own_mean_and_a_baseline_stays() -> None:
    values = array(*QUIET, *(v + 50 for v in QUIET))
    parts = xmr_chart(values, rebase_at=[16])
    first = xmr_chart(values[:16])
    assert parts.centre[:16] == pytest.approx(first.centre)
    assert parts.centre[16:] == pytest.approx(first.centre + 50)
    assert not parts.outside.any()
    fixed = xmr_chart(values, baseline_points=16)
    assert fixed.centre == pytest.approx(np.full(32, first.centre[0]))
    assert fixed.outside[16:].all()


def test_one_point_and_equal_points() -> None:
    assert np.isnan(xmr_chart(array(3.0)).upper).all()
    assert xmr_chart(array(3.0)).special_cause.tolist() == ["none"]
    flat = xmr_chart(np.full(9, 3.0))
    assert (flat.upper == 3.0).all()
    assert (flat.special_cause == "none").all()
    for values in (np.array([]), array(1.0, np.nan)):
        with pytest.raises(ValueError, match="gaps"):
            xmr_chart(values)


SERIES = st.lists(st.integers(-20, 20), min_size=1, max_size=40)


@given(SERIES)
@settings(max_examples=150, deadline=None)
def test_the_rules_equal_a_plain_reading(series: list[int]) -> None:
    chart = xmr_chart(array(*series))
    assert chart.special_cause.tolist() == [plain_rule(chart, i) for i in range(len(series))]


def plain_rule(chart: ControlChart, i: int) -> str:
    """The rule that point i breaks, point by point as the guidance words it."""
    side, near, values = chart.side, chart.near_limit, chart.values
    where = "above" if side[i] > 0 else "below"
    if chart.outside[i]:
        return f"{where}_limit"
    sevens = [range(j, j + 7) for j in range(max(0, i - 6), i + 1) if j + 7 <= len(values)]
    rising = [w for w in sevens if all(values[k + 1] > values[k] for k in w[:-1])]
    falling = [w for w in sevens if all(values[k + 1] < values[k] for k in w[:-1])]
    if rising or falling:
        latest = max(rising + falling, key=lambda w: w[0])
        return "increasing_trend" if latest in rising else "decreasing_trend"
    threes = [range(j, j + 3) for j in range(max(0, i - 2), i + 1) if j + 3 <= len(values)]
    if near[i] and any(sum(near[k] for k in w) >= 2 and len({side[k] for k in w}) == 1 for w in threes):
        return f"two_of_three_{where}"
    if any({side[k] for k in w} in ({1}, {-1}) for w in sevens):
        return f"shift_{where}"
    return "none"


@given(SERIES)
@settings(max_examples=60, deadline=None)
def test_upside_down_is_the_mirror_image(series: list[int]) -> None:
    chart, mirrored = xmr_chart(array(*series)), xmr_chart(-array(*series))
    assert point_types(chart, "higher_is_better").tolist() == point_types(mirrored, "lower_is_better").tolist()
    assert chart.upper == pytest.approx(-mirrored.lower, nan_ok=True)


def test_p_and_u_charts_follow_the_published_formulae() -> None:
    # A worked p-chart: samples of 400, p = 0.15, upper limit 0.2036, lower 0.0964 (justaaa.com, question 90864).
    chart = p_chart(array(60, 60, 60), array(400, 400, 400))
    assert (chart.lower[0], chart.upper[0]) == pytest.approx((0.0964, 0.2036), abs=5e-5)
    # u = 2, n = 9: 2 +- 3 sqrt(2 / 9).
    rates = u_chart(array(18, 2), array(9, 1))
    assert rates.upper[0] == pytest.approx(2 + 3 * (2 / 9) ** 0.5)
    assert rates.lower[1] == 0.0
    small = p_chart(array(1, 19), array(10, 190))
    assert small.lower[0] == 0.0
    assert p_chart(array(9, 171), array(10, 190)).upper[0] == 1.0


def test_a_period_without_patients_has_no_point_and_breaks_a_run() -> None:
    numerators = array(*([60] * 6), 0, *([60] * 6), 0, 0)
    denominators = array(*([400] * 6), 0, *([400] * 6), 400, 400)
    chart = p_chart(numerators, denominators)
    assert np.isnan([chart.values[6], chart.upper[6]]).all()
    assert chart.special_cause.tolist()[:13] == ["none"] * 13
    assert chart.special_cause[-1] == "below_limit"
    assert "shift_above" in p_chart(np.delete(numerators, 6), np.delete(denominators, 6)).special_cause


def test_a_p_chart_of_a_changed_proportion_signals() -> None:
    assert p_chart(array(*([40] * 12), 75), array(*([400] * 13))).special_cause[-1] == "above_limit"
