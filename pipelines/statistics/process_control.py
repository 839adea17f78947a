"""Control charts over time: XmR, p and u, the four rules of "Making Data Count", and assurance against a target.

XmR, rules and assurance as NHSRplotthedots 0.2.2 (github.com/nhs-r-community/NHSRplotthedots: R/ptd_spc_standard.R,
R/ptd_calculate_point_type.R, R/ptd_calculate_assurance_type.R), the reference implementation of "Making Data Count"
(NHS England). That package only makes XmR charts; the same rules on p- and u-charts are an operationalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Direction = Literal["higher_is_better", "lower_is_better"]
SpecialCause = Literal[
    "none",
    "above_limit", "below_limit",
    "increasing_trend", "decreasing_trend",
    "two_of_three_above", "two_of_three_below",
    "shift_above", "shift_below",
]  # fmt: skip
PointType = Literal["common_cause", "improvement", "concern", "high", "low"]
Assurance = Literal["pass", "fail", "hit_and_miss"]

RUN = 7  # points of a shift or trend, the default of NHSRplotthedots
_XMR_LIMIT = 2.66  # 3 / 1.128 rounded: from the mean moving range to three standard deviations
_MOVING_RANGE_LIMIT = 3.267  # times the mean moving range: a larger one does not count when screened
_HIGH = ("above_limit", "increasing_trend", "two_of_three_above", "shift_above")


@dataclass(frozen=True, slots=True)
class ControlChart:
    """A chart of one series; every array has shape (points,), in the order of time.

    Attributes:
        values: what is plotted.
        centre: mean of the process.
        lower: lower process limit.
        upper: upper process limit.
        side: 1 above the centre, -1 below, 0 on it or without a value.
        outside: beyond a process limit.
        near_limit: within the limits, but in the outer third.
        special_cause: the rule that the point breaks (`SpecialCause`), the first of: limit, trend, two of three, shift.
    """

    values: Floats
    centre: Floats
    lower: Floats
    upper: Floats
    side: NDArray[np.int8]
    outside: Bools
    near_limit: Bools
    special_cause: NDArray[np.str_]


def xmr_chart(
    values: Floats,
    *,
    screen_outliers: bool = True,
    baseline_points: int | None = None,
    rebase_at: Sequence[int] = (),
    run: int = RUN,
) -> ControlChart:
    """Chart of individual values: mean +- 2.66 times the mean moving range.

    Args:
        values: one per period, in the order of time; shape (points,), without gaps (NaN).
        screen_outliers: leave out moving ranges of 3.267 times their mean or more, then take the mean again.
        baseline_points: calculate mean and limits from the first so many points of each part; all when None.
        rebase_at: indices of points where a new part starts, with a mean and limits of its own.
        run: points in a shift or a trend.

    Returns:
        the chart; a part of one point has NaN limits.

    Raises:
        ValueError: no values, or a NaN among them.
    """
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a chart needs at least one value, and no gaps")
    parts = [
        _xmr_part(part, screen_outliers, baseline_points, run)
        for part in np.split(np.asarray(values, dtype=np.float64), sorted(rebase_at))
        if part.size
    ]
    names = ControlChart.__dataclass_fields__
    return ControlChart(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _xmr_part(values: Floats, screen_outliers: bool, baseline_points: int | None, run: int) -> ControlChart:
    baseline = values[:baseline_points]
    moving_range = np.abs(np.diff(baseline))
    mean_range = float(moving_range.mean()) if moving_range.size else np.nan
    if screen_outliers and mean_range > 0:
        mean_range = float(moving_range[moving_range < _MOVING_RANGE_LIMIT * mean_range].mean())
    return _chart(values, float(baseline.mean()), np.full(values.shape, _XMR_LIMIT * mean_range), run)


def p_chart(numerators: Floats, denominators: Floats, run: int = RUN) -> ControlChart:
    """Chart of proportions: centre p the joint proportion, limits p +- 3 sqrt(p (1 - p) / n), within 0..1.

    Pyzdek, The Handbook for Quality Management, appendix "Control chart equations", p. 405.

    Args:
        numerators: events per period, shape (points,), in the order of time.
        denominators: patients per period; one without patients has NaN value and limits, and breaks a run.
    """
    centre = _joint(numerators, denominators)
    sizes = np.where(denominators > 0, denominators, np.nan)
    half = 3 * np.sqrt(centre * (1 - centre) / sizes)
    return _chart(numerators / sizes, centre, half, run, 0.0, 1.0)


def u_chart(events: Floats, exposure: Floats, run: int = RUN) -> ControlChart:
    """Chart of rates: centre u the joint rate, limits u +- 3 sqrt(u / n), not below 0; source as `p_chart`.

    Args:
        events: events per period, shape (points,), in the order of time.
        exposure: what they are counted over (patient days, procedures); as `denominators` of `p_chart`.
    """
    centre = _joint(events, exposure)
    sizes = np.where(exposure > 0, exposure, np.nan)
    return _chart(events / sizes, centre, 3 * np.sqrt(centre / sizes), run, 0.0)


def point_types(chart: ControlChart, direction: Direction | None) -> NDArray[np.str_]:
    """What each point says (`PointType`), shape (points,).

    Args:
        direction: which way is better; None gives `high` and `low` instead of `improvement` and `concern`.
    """
    better, worse = {
        "higher_is_better": ("improvement", "concern"),
        "lower_is_better": ("concern", "improvement"),
        None: ("high", "low"),
    }[direction]
    high, none = np.isin(chart.special_cause, _HIGH), chart.special_cause == "none"
    return np.select([none, high], ["common_cause", better], worse)


def assurance(chart: ControlChart, target: float, direction: Direction) -> Assurance:
    """Whether the process as it is now will meet the target always, never, or by chance (its last limits decide)."""
    lower, upper = float(chart.lower[-1]), float(chart.upper[-1])
    if target > upper:
        return "fail" if direction == "higher_is_better" else "pass"
    if target < lower:
        return "pass" if direction == "higher_is_better" else "fail"
    return "hit_and_miss"


def _joint(numerators: Floats, denominators: Floats) -> float:
    total = float(denominators.sum())
    return float(numerators.sum()) / total if total > 0 else np.nan


def _chart(
    values: Floats, centre: float, half_width: Floats, run: int, lowest: float = -np.inf, highest: float = np.inf
) -> ControlChart:
    lower, upper = centre - half_width, centre + half_width
    side = np.nan_to_num(np.sign(values - centre)).astype(np.int8)
    outside = (values > upper) | (values < lower)
    near = ~outside & (np.abs(values - centre) > half_width * 2 / 3)
    return ControlChart(
        values=values,
        centre=np.full(values.shape, centre),
        lower=np.clip(lower, lowest, None),
        upper=np.clip(upper, None, highest),
        side=side,
        outside=outside,
        near_limit=near,
        special_cause=_special_causes(values, side, outside, near, run),
    )


def _special_causes(values: Floats, side: NDArray[np.int8], outside: Bools, near: Bools, run: int) -> NDArray[np.str_]:
    above = side > 0
    shift = _in_window(side != 0, side, run)
    steps = np.sign(np.diff(values, prepend=np.nan))
    trend = _points_of_trends(steps, run)
    following = np.append(steps[1:], steps[-1])
    # A point where one trend turns into the other belongs to the one that follows.
    rising = np.where(trend & np.append(trend[1:], False), following, steps) > 0
    two_of_three = near & _in_two_of_three(near, side)
    conditions = [
        outside & above, outside,
        trend & rising, trend,
        two_of_three & above, two_of_three,
        shift & above, shift,
    ]  # fmt: skip
    names = SpecialCause.__args__[1:]  # type: ignore[attr-defined]
    return np.select(conditions, list(names), "none")


def _windows_to_points(whole: Bools, points: int, width: int) -> Bools:
    """Points that are part of at least one window that is `whole` (windows in the order of their first point)."""
    marks = np.zeros(points + 1, dtype=np.int64)
    starts = np.flatnonzero(whole)
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + width, -1)
    return np.asarray(np.cumsum(marks)[:points] > 0)


def _in_window(valid: Bools, labels: NDArray[np.int8], width: int) -> Bools:
    """Points in a run of `width` valid points with one label."""
    if labels.size < width:
        return np.zeros(labels.shape, dtype=np.bool_)
    windows = sliding_window_view(labels, width)
    whole = (windows == windows[:, :1]).all(axis=1) & sliding_window_view(valid, width).all(axis=1)
    return _windows_to_points(whole, labels.size, width)


def _points_of_trends(steps: Floats, run: int) -> Bools:
    """Points of a run that rises or falls at every one of its `run` - 1 steps; steps[i] leads to point i."""
    if steps.size < run:
        return np.zeros(steps.shape, dtype=np.bool_)
    windows = sliding_window_view(steps[1:], run - 1)
    whole = (windows == 1).all(axis=1) | (windows == -1).all(axis=1)
    return _windows_to_points(whole, steps.size, run)


def _in_two_of_three(near: Bools, side: NDArray[np.int8]) -> Bools:
    if near.size < 3:
        return np.zeros(near.shape, dtype=np.bool_)
    one_side = np.abs(sliding_window_view(side, 3).sum(axis=1)) == 3
    whole = one_side & (sliding_window_view(near, 3).sum(axis=1) >= 2)
    return _windows_to_points(whole, near.size, 3)
