"""The charts of a report as Vega-Lite. Another institution is a dot without a name; colour is never alone.

A chart is a design, made once, and its data. A design has no theme: fonts, colours of axes and the Dutch notation of
numbers are set once for the page, in `templates/charts.js`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np

from pipelines.feedback.funnel_points import FunnelPoint
from pipelines.statistics.funnel import funnel_limits

OWN, OTHERS, GROUP = "uw instelling", "andere instellingen", "groep"
OWN_COLOUR, OTHER_COLOUR, GROUP_COLOUR, LIMIT_COLOUR = "#0b5394", "#7b8794", "#3e4c59", "#9aa5b1"
_HEIGHT = 230
_GRID_STEPS = 80
_PERCENT = ".1%"
_PERIOD_FORMATS = {1: "%b %Y", 3: "%qe kw. %Y", 6: "%b %Y", 12: "%Y"}  # by months in the period

Spec = dict[str, Any]
Row = Mapping[str, Any]


def funnel_chart(points: Sequence[FunnelPoint], institution: str, minimum: int) -> Spec | None:
    """Proportion against number of patients, with 95% and 99.8% limits around the joint proportion.

    Args:
        points: all institutions; those with fewer than `minimum` patients are not drawn.
    """
    drawn = [point for point in points if point.denominator >= minimum]
    if not drawn:
        return None
    target = sum(p.numerator for p in points) / sum(p.denominator for p in points)
    limits = _limit_rows(target, [point.denominator for point in drawn])
    low, high = _funnel_domain(limits, [point.value for point in drawn])
    dots = [
        {
            "denominator": p.denominator,
            "value": p.value,
            "series": OWN if p.institution == institution else OTHERS,
        }
        for p in sorted(drawn, key=lambda p: (p.institution == institution, p.denominator))
    ]
    return {
        **_funnel_design(),
        "params": [{"name": "low", "value": low}, {"name": "high", "value": high}],
        "datasets": {"institutions": dots, "limits": limits, "group": [{"group": target}]},
    }


def comparison_chart(rows: Sequence[Row], institution: str, minimum: int, decimals: int) -> Spec | None:
    """Means of all institutions from low to high, with their 95% intervals and the mean of the group.

    Args:
        rows: `institution`, `denominator`, `value`, `ci_low`, `ci_high`, `group_value`.
    """
    known = [row for row in rows if row["denominator"] >= minimum and row["ci_low"] is not None]
    if not known:
        return None
    dots = [
        {
            "rank": rank,
            "value": row["value"],
            "ci_low": row["ci_low"],
            "ci_high": row["ci_high"],
            "denominator": row["denominator"],
            "series": OWN if row["institution"] == institution else OTHERS,
        }
        for rank, row in enumerate(sorted(known, key=lambda row: float(row["value"])), start=1)
    ]
    data = {"institutions": dots, "group": [{"group": known[0]["group_value"]}]}
    return {**_comparison_design(f",.{decimals}f"), "datasets": data}


def trend_chart(rows: Sequence[Row], months: int, minimum: int, number: str) -> Spec | None:
    """Value and 95% interval per period beside the group; a period with too few patients is a grey tick.

    Args:
        rows, months: periods and their length as `finest_periods` gives them.
        number: d3 format of the value.
    """
    periods = [_period(row, minimum) for row in rows]
    if not any(period["value"] is not None for period in periods):
        return None
    few = [period for period in periods if period["few"]]
    return {**_trend_design(number, months, bool(few)), "datasets": {"periods": periods, "few": few}}


def trajectory_chart(rows: Sequence[Row], minimum: int, decimals: int) -> Spec | None:
    """Mean score at each moment with its 95% interval, beside the mean of the group.

    Args:
        rows: `moment` (Dutch), `n`, `mean`, `ci_low`, `ci_high`, `group_mean`, in the order of time.
    """
    own = [
        {"moment": row["moment"], "series": OWN, "value": row["mean"], "denominator": row["n"],
         "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
        for row in rows if row["n"] >= minimum and row["mean"] is not None
    ]  # fmt: skip
    group = [
        {"moment": row["moment"], "series": GROUP, "value": row["group_mean"]}
        for row in rows
        if row["group_mean"] is not None
    ]
    if not own:
        return None
    moments = tuple(str(row["moment"]) for row in rows)
    data = {"own": own, "group": group, "both": [*group, *own]}
    return {**_trajectory_design(f",.{decimals}f", moments), "datasets": data}


@cache
def _funnel_design() -> Spec:
    ends = [alt.ExprRef("low"), alt.ExprRef("high")]
    scale = alt.Scale(domain=ends, nice=False)
    x = alt.X("denominator:Q", title="aantal patiënten", axis=alt.Axis(format=",d", tickCount=6))
    dashes = {"95": [5, 4], "998": [1, 0]}
    lines = [
        _over("limits")
        .mark_line(color=LIMIT_COLOUR, strokeWidth=1.25, clip=True, strokeDash=dashes[width])
        .encode(x=x, y=alt.Y(f"{side}_{width}:Q", title=None, scale=scale))
        for width in dashes
        for side in ("lower", "upper")
    ]
    marks = (
        _over("institutions")
        .mark_point(filled=True, opacity=1)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format="~%")),
            **_series(OWN, OTHERS),
            tooltip=_tooltip(_PERCENT),
        )
    )
    return _design(*lines, _group_rule(_PERCENT), marks)


@cache
def _comparison_design(number: str) -> Spec:
    base = _over("institutions").encode(
        x=alt.X("rank:O", title="instellingen, van laag naar hoog", axis=alt.Axis(labels=False, ticks=False))
    )
    bars = base.mark_rule(strokeWidth=2).encode(y=_y("ci_low", number), y2="ci_high:Q", color=_colour(OWN, OTHERS))
    marks = base.mark_point(filled=True, opacity=1).encode(
        y=_y("value", number), **_series(OWN, OTHERS), tooltip=_tooltip(number)
    )
    return _design(_group_rule(number), bars, marks)


@cache
def _trend_design(number: str, months: int, has_few: bool) -> Spec:
    ticks: Any = 6 if months == 1 else {"interval": "month", "step": months}
    axis = alt.Axis(format=_PERIOD_FORMATS[months], tickCount=ticks, labelOverlap=True)
    x = alt.X("start:T", title=None, axis=axis, scale=alt.Scale(padding=14))
    base = _over("periods").encode(x=x)
    group = base.transform_calculate(series=f"'{GROUP}'").transform_filter("isValid(datum.group)")
    own = base.transform_calculate(series=f"'{OWN}'")
    shown = own.transform_filter("isValid(datum.value)")
    bars = shown.mark_rule(strokeWidth=2, opacity=0.25, color=OWN_COLOUR).encode(y=_y("ci_low", number), y2="ci_high:Q")
    lines = [
        group.mark_line(strokeWidth=1.5).encode(y=_y("group", number), **_line_series()),
        own.mark_line(strokeWidth=1.5).encode(y=_y("value", number), **_line_series()),
    ]
    dots = shown.mark_point(filled=True, size=70, opacity=1, shape="diamond", color=OWN_COLOUR).encode(
        y=_y("value", number), tooltip=[_period_tip(), *_tooltip(number)[1:]]
    )
    few = (
        _over("few")
        .mark_tick(thickness=4, size=12, color=LIMIT_COLOUR, orient="vertical")
        .encode(x=x, y=alt.value(_HEIGHT), tooltip=[_period_tip(), alt.Tooltip("few:N", title="waarde")])
    )
    return _design(bars, *lines, dots, *([few] if has_few else []))


@cache
def _trajectory_design(number: str, moments: tuple[str, ...]) -> Spec:
    x = alt.X(
        "moment:N",
        title=None,
        sort=list(moments),
        scale=alt.Scale(domain=list(moments)),
        axis=alt.Axis(labelAngle=0),
    )
    bars = (
        _over("own")
        .transform_filter("isValid(datum.ci_low)")
        .mark_rule(strokeWidth=2, opacity=0.45, color=OWN_COLOUR)
        .encode(x=x, y=_y("ci_low", number), y2="ci_high:Q")
    )
    lines = [  # the dash is not an encoding, because the legend already shows the points
        _over(rows).mark_line(strokeWidth=1.5, color=colour, strokeDash=dash).encode(x=x, y=_y("value", number))
        for rows, colour, dash in (("group", GROUP_COLOUR, [5, 4]), ("own", OWN_COLOUR, [1, 0]))
    ]
    dots = (
        _over("both")
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=x,
            y=_y("value", number),
            color=_colour(OWN, GROUP),
            shape=alt.Shape("series:N", title=None, scale=_scale({OWN: "diamond", GROUP: "circle"})),
            tooltip=_tooltip(number),
        )
    )
    return _design(bars, *lines, dots)


def _over(name: str) -> alt.Chart:
    """A layer over the rows that a chart gives under that name."""
    return alt.Chart(alt.NamedData(name))


def _limit_rows(target: float, denominators: Sequence[int]) -> list[dict[str, float]]:
    smallest, largest = min(denominators), max(denominators)
    step = max(1, (largest - smallest) // _GRID_STEPS)
    sizes = sorted({*range(smallest, largest + 1, step), largest})
    limits = funnel_limits(target, np.array(sizes, dtype=np.float64))
    columns = {
        "lower_95": limits.lower_95, "upper_95": limits.upper_95,
        "lower_998": limits.lower_998, "upper_998": limits.upper_998,
    }  # fmt: skip
    return [
        {"denominator": size} | {name: round(float(bound[i]), 5) for name, bound in columns.items()}
        for i, size in enumerate(sizes)
    ]


def _funnel_domain(limits: Sequence[Row], values: Sequence[float]) -> tuple[float, float]:
    """Room for every institution and most of the funnel; its wide mouth may run out of the picture."""
    middle = limits[len(limits) // 4]
    top = min(1.0, 1.12 * max(*values, middle["upper_998"]))
    bottom = min(*values, middle["lower_998"])
    return (0.0 if bottom < top / 2 else bottom - (top - bottom) / 8), top


def _group_rule(number: str) -> alt.Chart:
    rule: alt.Chart = _over("group").mark_rule(color=GROUP_COLOUR, strokeWidth=1.25)
    return rule.encode(y=alt.Y("group:Q", title=None), tooltip=alt.Tooltip("group:Q", title=GROUP, format=number))


def _period(row: Row, minimum: int) -> dict[str, Any]:
    enough = row["denominator"] >= minimum
    has_group = row["group_denominator"] >= minimum
    return {
        "start": f"{row['period']}-01T00:00:00",  # local time: a bare date is read as UTC and shifts a month
        "label": row["label"],
        "value": row["value"] if enough else None,
        "ci_low": row["ci_low"] if enough else None,
        "ci_high": row["ci_high"] if enough else None,
        "denominator": row["denominator"] if enough else None,
        "few": None if enough else f"te weinig gegevens (minder dan {minimum})",
        "group": row["group_value"] if has_group else None,
    }


def _y(field: str, number: str) -> alt.Y:
    axis = "%" if number == _PERCENT else number
    return alt.Y(f"{field}:Q", title=None, axis=alt.Axis(format=axis), scale=alt.Scale(zero=number == _PERCENT))


def _scale(values: Mapping[str, Any]) -> alt.Scale:
    return alt.Scale(domain=list(values), range=list(values.values()))


def _colour(own: str, other: str) -> alt.Color:
    colours = {own: OWN_COLOUR, other: GROUP_COLOUR if other == GROUP else OTHER_COLOUR}
    return alt.Color("series:N", title=None, scale=_scale(colours))


def _series(own: str, other: str) -> dict[str, Any]:
    """Own and others apart in colour, shape and size."""
    return {
        "color": _colour(own, other),
        "shape": alt.Shape("series:N", title=None, scale=_scale({own: "diamond", other: "circle"})),
        "size": alt.condition(f"datum.series === '{own}'", alt.value(170), alt.value(45)),
    }


def _line_series() -> dict[str, Any]:
    """Own and group apart in colour and dash, in one legend."""
    return {
        "color": _colour(OWN, GROUP),
        "strokeDash": alt.StrokeDash("series:N", title=None, scale=_scale({OWN: [1, 0], GROUP: [5, 4]})),
    }


def _period_tip() -> alt.Tooltip:
    return alt.Tooltip("label:N", title="periode")


def _tooltip(number: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("series:N", title="wie"),
        alt.Tooltip("value:Q", title="waarde", format=number),
        alt.Tooltip("denominator:Q", title="patiënten", format=",d"),
    ]


def _design(*layers: alt.Chart) -> Spec:
    """The specification without data, made once per kind of chart: Altair takes 50 ms for one."""
    chart = alt.layer(*layers).properties(width="container", height=_HEIGHT)
    spec: Spec = chart.to_dict(validate=False)
    for theme in ("$schema", "config"):
        spec.pop(theme, None)
    return spec
