"""What a report says about one indicator of one institution: figures, words, judgement and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.feedback.charts import Spec, comparison_chart, funnel_chart, trend_chart
from pipelines.feedback.dutch import SHARES, decimals_of, measured, number
from pipelines.feedback.funnel_points import FunnelPoint, funnel
from pipelines.feedback.periods import PERIOD_NAMES, finest_periods
from pipelines.feedback.verdict import NOT_JUDGED, TOO_FEW, Verdict, judge_mean, judge_proportion
from pipelines.indicators.definitions import Benchmark, Indicator

Row = dict[str, Any]
NOTHING = "\u2013"  # the dash of an empty cell


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its words. Without a `spec` the `note` says why there is none.

    Attributes:
        id: id of its element on the page.
        remark: a few words after the caption: a unit, or which way is better.
        description: what a reader who does not see the chart needs to know.
    """

    id: str
    caption: str
    remark: str
    description: str
    note: str
    spec: Spec | None


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """One row of the table and one section of the report; every text is ready to show."""

    indicator: Indicator
    verdict: Verdict
    value: str
    interval: str
    group: str
    count: str
    pending: str
    missing: str
    sentence: str
    benchmarks: tuple[tuple[str, Benchmark], ...]
    figures: tuple[Figure, ...]


def records(frame: pd.DataFrame) -> list[Row]:
    """Rows with None for whatever is missing and plain Python numbers."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def view_indicator(indicator: Indicator, institution: str, rows: Sequence[Row]) -> IndicatorView:
    """Put together what the report says about an indicator.

    Args:
        rows: `indicator_result` of this indicator, all institutions and periods.
    """
    totals = [row for row in rows if row["period"] == "total"]
    own = next((row for row in totals if row["institution"] == institution), None)
    enough = own is not None and own["denominator"] >= indicator.suppression_threshold
    points = funnel_points(totals) if indicator.statistic == "proportion" else []
    verdict = judge(indicator, own, totals, points) if own is not None and enough else TOO_FEW
    return IndicatorView(
        indicator=indicator,
        verdict=verdict,
        value=_shown(indicator, own, "value") if enough else NOTHING,
        interval=_interval(indicator, own) if enough else NOTHING,
        group=_group(indicator, totals),
        count=_count(indicator, own, enough),
        pending=number(own["pending"]) if own else "0",
        missing=number(own["missing"]) if own else "0",
        sentence=_sentence(indicator, own, totals) if enough else _too_few(indicator, own),
        benchmarks=tuple(
            (measured(published.value, indicator.statistic, indicator.unit), published)
            for published in indicator.benchmarks
        ),
        figures=(
            _against_others(indicator, institution, totals, points),
            _over_time(indicator, institution, rows),
        ),
    )


def funnel_points(totals: Sequence[Row]) -> list[FunnelPoint]:
    """The funnel of a proportion from the `total` rows of all institutions."""
    return funnel([(row["institution"], row["numerator"], row["denominator"]) for row in totals])


def judge(indicator: Indicator, own: Row, totals: Sequence[Row], points: Sequence[FunnelPoint]) -> Verdict:
    """How an institution with enough patients compares with the group.

    Args:
        own: the institution's row of `totals`; its denominator is above zero.
        points: the funnel of a proportion; unused otherwise.
    """
    compared = sum(row["denominator"] > 0 for row in totals)
    if indicator.statistic == "count":
        return NOT_JUDGED
    if indicator.statistic != "proportion":
        return judge_mean(
            own["ci_low"],
            own["ci_high"],
            own["group_value"],
            patients=own["denominator"],
            direction=indicator.direction,
            institutions=compared,
        )
    point = next(point for point in points if point.institution == own["institution"])
    return judge_proportion(point.position, indicator.direction, compared)


def _against_others(
    indicator: Indicator, institution: str, totals: Sequence[Row], points: Sequence[FunnelPoint]
) -> Figure:
    minimum = indicator.suppression_threshold
    if indicator.statistic == "proportion":
        spec = funnel_chart(points, institution, minimum)
        caption, remark = "Alle instellingen naar aantal patiënten", "trechter"
        what = "Streepjes: 95%-grenzen. Dunne lijnen: 99,8%-grenzen. Donkere lijn: de groep."
    else:
        spec = comparison_chart(totals, institution, minimum, decimals_of(indicator.unit))
        caption, remark = "Alle instellingen met 95%-interval", indicator.unit
        what = "Donkere lijn: de groep."
    return Figure(
        id=f"{indicator.id}-others",
        caption=caption,
        remark=remark,
        description=f"{indicator.title_nl}, uw instelling tussen de andere. De cijfers staan in de tabel.",
        note=what if spec else f"Geen instelling heeft {minimum} of meer patiënten.",
        spec=spec,
    )


def _over_time(indicator: Indicator, institution: str, rows: Sequence[Row]) -> Figure:
    minimum = indicator.suppression_threshold
    monthly = [row for row in rows if row["period"] != "total"]
    own = [row for row in monthly if row["institution"] == institution and row["denominator"]]
    # Only proportions and means of longer periods follow from those of months.
    adds_up = indicator.statistic in ("proportion", "mean") and own
    months, periods = finest_periods(indicator.statistic, own, monthly, minimum) if adds_up else (12, [])
    style = ".1%" if indicator.statistic == "proportion" else f",.{decimals_of(indicator.unit)}f"
    spec = trend_chart(periods, months, minimum, style) if periods else None
    hidden = sum(period["denominator"] < minimum for period in periods)
    return Figure(
        id=f"{indicator.id}-trend",
        caption=f"Per {PERIOD_NAMES[months]} van het begin, met 95%-interval",
        remark="" if indicator.statistic in SHARES else indicator.unit,
        description=f"{indicator.title_nl}, verloop van uw instelling naast de groep.",
        note=_trend_note(hidden, minimum) if spec else _no_trend(indicator, minimum),
        spec=spec,
    )


def _no_trend(indicator: Indicator, minimum: int) -> str:
    if indicator.statistic not in ("proportion", "mean"):
        return "Van deze uitkomst wordt geen verloop getoond."
    return f"Geen periode heeft {minimum} of meer patiënten."


def _trend_note(hidden: int, minimum: int) -> str:
    if not hidden:
        return ""
    periods = "1 periode" if hidden == 1 else f"{hidden} perioden"
    return f"Grijze streepjes onderaan: {periods} met minder dan {minimum} patiënten, niet getoond."


def _shown(indicator: Indicator, row: Mapping[str, Any] | None, field: str) -> str:
    if row is None or row[field] is None:
        return NOTHING
    return measured(float(row[field]), indicator.statistic, indicator.unit)


def _interval(indicator: Indicator, own: Row | None) -> str:
    if own is None or own["ci_low"] is None:
        return NOTHING
    return f"{_shown(indicator, own, 'ci_low')} tot {_shown(indicator, own, 'ci_high')}"


def _group(indicator: Indicator, totals: Sequence[Row]) -> str:
    if not totals or (totals[0]["group_denominator"] or 0) < indicator.suppression_threshold:
        return NOTHING
    return _shown(indicator, totals[0], "group_value")


def _count(indicator: Indicator, own: Row | None, enough: bool) -> str:
    if own is None:
        return "0"
    if indicator.statistic == "proportion" and enough:
        return f"{number(own['numerator'])} van {number(own['denominator'])}"
    return number(own["denominator"])


def _sentence(indicator: Indicator, own: Row | None, totals: Sequence[Row]) -> str:
    value, group = _shown(indicator, own, "value"), _group(indicator, totals)
    unit = "" if indicator.statistic in SHARES else f" {indicator.unit}"
    who = f"{_count(indicator, own, True)} patiënten"
    said = [f"{value}{unit} ({who}; 95%-interval {_interval(indicator, own)}).", f"De groep: {group}{unit}."]
    if own is not None and own.get("oe") is not None:
        bounds = f"{number(own['oe_low'], 2)} tot {number(own['oe_high'], 2)}"
        expected = f"verwacht werden er {number(own['expected'], 1)}, gezien de kenmerken van de patiënten"
        said.append(f"Gecorrigeerd: {expected} (verhouding {number(own['oe'], 2)}; 95%-interval {bounds}).")
    if own is not None and own.get("comparable") == "too_unreliable":
        said.append(
            "Niet geschikt om instellingen te rangschikken: daarvoor verschillen zij te weinig bij deze aantallen."
        )
    return " ".join(said)


def _too_few(indicator: Indicator, own: Row | None) -> str:
    seen = own["denominator"] if own else 0
    patients = "geen patiënten" if seen == 0 else "1 patiënt" if seen == 1 else f"{seen} patiënten"
    return (
        f"Te weinig gegevens: {patients} met een volledige meting of follow-up; "
        f"cijfers worden getoond vanaf {indicator.suppression_threshold}."
    )
