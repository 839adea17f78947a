"""The feedback report: one HTML file per institution, in Dutch, readable offline; and a page of links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from pipelines.database.store import DataQuality
from pipelines.feedback.chart_scripts import chart_scripts, dutch_locale
from pipelines.feedback.dutch import long_date, long_month, number, percent
from pipelines.feedback.indicator_view import Figure, IndicatorView, Row, records, view_indicator
from pipelines.feedback.page import render, write_page
from pipelines.feedback.trajectory_view import view_trajectories
from pipelines.feedback.verdict import by_weight
from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.shapes import ChangeBetween, ResponseRate, Window
from pipelines.proms.instruments import Instrument


def write_report(
    institution: str,
    *,
    results: pd.DataFrame,
    trajectories: pd.DataFrame,
    outcome_set: OutcomeSet,
    instruments: Sequence[Instrument],
    quality: DataQuality,
    versions: Mapping[str, str],
    as_of: date,
    out: Path,
) -> Path:
    """Write `<out>/<institution>.html` in place of an earlier one. The same input gives the same file.

    Other institutions are in the charts as dots without a name; their names are nowhere in the file.

    Args:
        institution: folder name of the institution.
        results: `indicator_result` of all institutions (docs/tables.md).
        trajectories: mean PROM score per `institution`, `joint`, `instrument`, `score` and `moment` (`pre`,
            `3m`, `12m`), with `n`, `mean`, `ci_low`, `ci_high` and `group_mean`.
        quality: what came in from the institution (`pipelines.database.store.read_quality`).
        versions: versions of mapping, codes, scoring and definitions.

    Raises:
        TransientError: the file could not be written.
    """
    rows = records(results[results["outcome_set"] == outcome_set.id])
    views = [
        view_indicator(indicator, institution, [row for row in rows if row["indicator"] == indicator.id])
        for indicator in sorted(outcome_set.indicators, key=lambda each: _reading_order(outcome_set, each))
    ]
    proms = view_trajectories(institution, trajectories, instruments)
    html = render(
        "report.html.j2",
        institution=institution,
        outcome_set=outcome_set,
        cohorts=_by_cohort(outcome_set, views, proms),
        notable=_notable(views),
        counts={"total": len(views), **_tones(views)},
        others=len({row["institution"] for row in rows} - {institution}),
        period=_period([row for row in rows if row["institution"] == institution]),
        quality=_quality(quality),
        instruments=instruments,
        versions=versions,
        as_of=long_date(as_of),
        charts=_charts(views, proms),
        locale=dutch_locale(),
        scripts=chart_scripts(),
    )
    return write_page(out / f"{institution}.html", html)


def write_index(reports: Sequence[Path], *, outcome_sets: Sequence[OutcomeSet], as_of: date, out: Path) -> Path:
    """Write `<out>/index.html`, which links every report below `out`, per outcome set.

    Raises:
        TransientError: the file could not be written.
    """
    groups = [
        (
            each.title_nl,
            [(page.stem, f"{each.id}/{quote(page.name)}") for page in reports if page.parent.name == each.id],
        )
        for each in outcome_sets
    ]
    html = render("index.html.j2", groups=[group for group in groups if group[1]], as_of=long_date(as_of))
    return write_page(out / "index.html", html)


def _reading_order(outcome_set: OutcomeSet, indicator: Indicator) -> tuple[int, str, int]:
    """Events first, then what patients report, then response; per instrument in the order of time."""
    match indicator.measure:
        case ChangeBetween(instrument=instrument, after=after):
            return 1, instrument, outcome_set.moments[after].to_day
        case ResponseRate(instrument=instrument, moments=moments):
            return 2, instrument, max(outcome_set.moments[moment].to_day for moment in moments)
    window = getattr(indicator.measure, "window", None)
    return 0, "", window.to_day if isinstance(window, Window) else 0


def _by_cohort(
    outcome_set: OutcomeSet, views: Sequence[IndicatorView], proms: Mapping[str, list[Figure]]
) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "title": cohort.title_nl,
            "views": [view for view in views if view.indicator.cohort == name],
            "proms": proms.get(name, []),
        }
        for name, cohort in outcome_set.cohorts.items()
    ]


def _notable(views: Sequence[IndicatorView]) -> list[IndicatorView]:
    by_id = {view.indicator.id: view for view in views}
    return [by_id[name] for name in by_weight({name: view.verdict for name, view in by_id.items()})]


def _tones(views: Sequence[IndicatorView]) -> dict[str, int]:
    tones = [view.verdict.tone for view in views]
    return {tone: tones.count(tone) for tone in ("within", "unknown")}


def _period(own: Sequence[Row]) -> str:
    months = sorted(str(row["period"]) for row in own if row["period"] != "total")
    if not months:
        return "geen gevallen"
    first, last = long_month(months[0]), long_month(months[-1])
    return first if first == last else f"{first} tot en met {last}"


def _quality(quality: DataQuality) -> dict[str, Any]:
    lines = quality["lines"]

    def share(count: int) -> str:
        return percent(count / lines) if lines else ""

    return {
        "lines": number(lines),
        "parts": [
            (name, number(count), share(count))
            for name, count in (
                ("Aanvaard", quality["accepted"]),
                ("Apart gezet (quarantaine)", quality["quarantined"]),
                ("Overgeslagen", quality["skipped"]),
            )
        ],
        "reasons": [(rule, number(count)) for rule, count in quality["top_reasons"]],
    }


def _charts(views: Sequence[IndicatorView], proms: Mapping[str, list[Figure]]) -> dict[str, object]:
    figures = [figure for view in views for figure in view.figures]
    figures += [figure for group in proms.values() for figure in group]
    return {figure.id: figure.spec for figure in figures if figure.spec}
