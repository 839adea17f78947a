"""Monthly results put together into quarters, half years or years, so that a trend has enough patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from scipy import stats

from pipelines.feedback.dutch import short_month
from pipelines.statistics.intervals import t_interval, wilson_interval

Row = Mapping[str, Any]

PERIOD_NAMES = {1: "maand", 3: "kwartaal", 6: "half jaar", 12: "jaar"}  # by their months


def finest_periods(
    kind: str, own: Sequence[Row], everyone: Sequence[Row], minimum: int
) -> tuple[int, list[dict[str, Any]]]:
    """The shortest periods of which at least half have `minimum` patients, else years.

    Args:
        kind: `proportion` or `mean`.
        own: monthly `indicator_result` of the institution.
        everyone: the same of all institutions, for the group in months without own patients.

    Returns:
        the months in a period, and per period in order of time its first month as `period`, a Dutch `label`,
        `denominator`, `value`, `ci_low`, `ci_high`, `group_denominator` and `group_value`.
    """
    for months in PERIOD_NAMES:
        periods = _in_periods(kind, own, everyone, months)
        enough = sum(period["denominator"] >= minimum for period in periods)
        if 2 * enough >= len(periods):
            return months, periods
    return months, periods


def _in_periods(kind: str, own: Sequence[Row], everyone: Sequence[Row], months: int) -> list[dict[str, Any]]:
    groups = {row["period"]: row for row in everyone}
    by_start: dict[str, list[Row]] = {}
    for start, rows in groupby(sorted(own, key=_period), key=lambda row: _start(row["period"], months)):
        by_start[start] = list(rows)
    return [
        {
            "period": start,
            "label": _label(start, months),
            **(_proportion(rows) if kind == "proportion" else _mean(rows)),
            **_group([row for period, row in groups.items() if _start(period, months) == start]),
        }
        for start, rows in by_start.items()
    ]


def _period(row: Row) -> str:
    return str(row["period"])


def _start(period: str, months: int) -> str:
    year, month = period.split("-")
    return f"{year}-{(int(month) - 1) // months * months + 1:02}"


def _label(start: str, months: int) -> str:
    if months == 1:
        return short_month(start)
    year, month = start.split("-")
    if months == 12:
        return year
    last = short_month(f"{year}-{int(month) + months - 1:02}")
    return f"{short_month(start).split()[0]} t/m {last}"


def _proportion(rows: Sequence[Row]) -> dict[str, Any]:
    size, events = (sum(row[name] or 0 for row in rows) for name in ("denominator", "numerator"))
    low, high = wilson_interval(np.array([events], dtype=float), np.array([size], dtype=float))
    return _numbers(size, events / size if size else None, low[0], high[0])


def _mean(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean and t interval of all patients together, exactly: each month's spread follows from its interval."""
    known = [row for row in rows if row["denominator"]]
    size = sum(row["denominator"] for row in known)
    if not size:
        return _numbers(0, None, np.nan, np.nan)
    mean = sum(row["denominator"] * row["value"] for row in known) / size
    squares = sum(_squares(row) + row["denominator"] * (row["value"] - mean) ** 2 for row in known)
    spread = (squares / (size - 1)) ** 0.5 if size > 1 else np.nan
    low, high = t_interval(np.array([mean]), np.array([spread]), np.array([size], dtype=float))
    return _numbers(size, mean, low[0], high[0])


def _squares(row: Row) -> float:
    """Sum of squares around the mean of one month, from its 95% t interval; one patient has none."""
    size = int(row["denominator"])
    if size < 2 or row["ci_low"] is None:
        return 0.0
    half = (row["ci_high"] - row["ci_low"]) / 2
    spread = half * size**0.5 / float(stats.t.ppf(0.975, size - 1))
    return float((size - 1) * spread**2)


def _numbers(size: int, value: float | None, low: float, high: float) -> dict[str, Any]:
    return {
        "denominator": size,
        "value": value,
        "ci_low": None if np.isnan(low) else float(low),
        "ci_high": None if np.isnan(high) else float(high),
    }


def _group(rows: Sequence[Row]) -> dict[str, Any]:
    known = [row for row in rows if row["group_denominator"]]
    size = sum(row["group_denominator"] for row in known)
    total = sum(row["group_denominator"] * row["group_value"] for row in known)
    return {"group_denominator": size, "group_value": total / size if size else None}
