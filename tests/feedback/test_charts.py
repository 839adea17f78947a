"""A chart holds no name of another institution and no number of too few patients."""

from __future__ import annotations

import json
from typing import Any

from pipelines.feedback.charts import comparison_chart, funnel_chart, trajectory_chart, trend_chart
from pipelines.feedback.funnel_points import funnel

GROUPS = [("noord", 4, 200), ("oost", 9, 310), ("west", 2, 7)]


def rows_with(spec: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Rows of the chart's data that hold a field, each once."""
    data = [layer.get("data", {}) for layer in spec["layer"]] + [spec.get("data", {})]
    rows = [row for part in data for row in part.get("values", [])]
    rows += [row for part in spec.get("datasets", {}).values() for row in part]
    return list({json.dumps(row, sort_keys=True): row for row in rows if field in row}.values())


def test_a_funnel_names_nobody_and_leaves_small_institutions_out() -> None:
    spec = funnel_chart(funnel(GROUPS), "noord", minimum=10)
    assert spec is not None
    dots = rows_with(spec, "series")
    assert [(dot["denominator"], dot["series"]) for dot in dots] == [
        (310, "andere instellingen"), (200, "uw instelling")
    ]  # fmt: skip
    assert not any(name in json.dumps(spec) for name, _, _ in GROUPS)


def test_a_funnel_of_small_institutions_is_not_drawn() -> None:
    assert funnel_chart(funnel(GROUPS[2:]), "west", minimum=10) is None


def test_a_comparison_orders_by_value_so_that_the_order_tells_nothing() -> None:
    rows = [
        {"institution": name, "denominator": size, "value": value, "ci_low": value - 1, "ci_high": value + 1,
         "group_value": 5.0}
        for name, size, value in (("oost", 40, 7.0), ("noord", 50, 3.0), ("west", 5, 1.0))
    ]  # fmt: skip
    spec = comparison_chart(rows, "noord", minimum=10, decimals=1)
    assert spec is not None
    assert [row["value"] for row in rows_with(spec, "rank")] == [3.0, 7.0]
    assert not any(name in json.dumps(spec) for name in ("oost", "noord", "west"))


def month(period: str, size: int) -> dict[str, Any]:
    return {"period": period, "label": "x", "denominator": size, "value": 0.123, "ci_low": 0.1, "ci_high": 0.2,
            "group_denominator": 90, "group_value": 0.15}  # fmt: skip


def test_a_month_with_too_few_patients_keeps_its_place_without_a_number() -> None:
    spec = trend_chart([month("2025-01", 12), month("2025-02", 9)], 1, minimum=10, number=".1%")
    assert spec is not None
    few = next(row for row in rows_with(spec, "start") if row["start"].startswith("2025-02"))
    assert (few["value"], few["ci_low"], few["denominator"]) == (None, None, None)
    assert few["few"] == "te weinig gegevens (minder dan 10)"


def test_a_trend_of_small_months_is_not_drawn() -> None:
    assert trend_chart([month("2025-01", 9)], 1, minimum=10, number=".1%") is None


def test_a_trajectory_leaves_out_a_moment_with_too_few_answers() -> None:
    rows = [
        {"moment": name, "n": size, "mean": 40.0, "ci_low": 38.0, "ci_high": 42.0, "group_mean": 41.0}
        for name, size in (("vooraf", 30), ("3 maanden", 4))
    ]
    spec = trajectory_chart(rows, minimum=10, decimals=1)
    assert spec is not None
    own = [row["moment"] for row in rows_with(spec, "series") if row["series"] == "uw instelling"]
    assert own == ["vooraf"]
    assert trajectory_chart(rows[1:], minimum=10, decimals=1) is None
