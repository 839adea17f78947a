"""Result tables for the tests, from counts per institution and month."""

from __future__ import annotations

from datetime import date

import pandas as pd

from pipelines.indicators.definitions import Indicator

Numbers = dict[tuple[str, str], tuple[int, int]]  # (institution, month): (denominator, numerator)
AS_OF = date(2026, 3, 1)


def indicator(name: str, statistic: str = "proportion") -> Indicator:
    """An indicator under the name that the results have."""
    window = {"from_day": 0, "to_day": 1}
    within = {"shape": "event_within", "event": "x", "window": window}
    value = {"shape": "value", "event": "x", "window": window, "pick": "last"}
    return Indicator.model_validate({
        "id": name, "version": "1.0.0", "title_nl": "x", "title_en": "x", "description_nl": "x", "kind": "outcome",
        "statistic": statistic, "unit_of_counting": "procedure", "registry": "LROI", "cohort": "hip",
        "measure": within if statistic == "proportion" else value, "unit": "%",
        "direction": "lower_is_better", "suppression_threshold": 10, "benchmarks": [], "source": "x",
        "operationalisation": [],
    })  # fmt: skip


def with_margins(cells: Numbers) -> dict[tuple[str | None, str], tuple[int, int]]:
    """The cells with their totals per institution, per month and over all; None is the group."""
    table: dict[tuple[str | None, str], tuple[int, int]] = {}
    for (institution, month), (size, events) in cells.items():
        for row in (institution, None):
            for column in (month, "total"):
                before = table.get((row, column), (0, 0))
                table[row, column] = (before[0] + size, before[1] + events)
    return table


def results(cells: Numbers, indicator: str = "revisie", kind: str = "proportion") -> pd.DataFrame:
    """`indicator_result` of one indicator; a mean gets the value 10."""
    table = with_margins(cells)
    rows = []
    for (institution, period), (size, events) in table.items():
        if institution is None:
            continue
        group_size, group_events = table[None, period]
        value = (events / size if size else None) if kind == "proportion" else 10.0
        group = (group_events / group_size if group_size else None) if kind == "proportion" else 10.0
        rows.append({
            "institution": institution, "outcome_set": "knie-heupartrose", "indicator": indicator,
            "indicator_version": "1.0.0", "statistic": kind, "period": period, "denominator": size,
            "numerator": events if kind == "proportion" else None, "value": value, "ci_low": value,
            "ci_high": value, "group_denominator": group_size, "group_value": group, "pending": 0,
            "missing": 0, "excluded": 0, "as_of": AS_OF,
        })  # fmt: skip
    return pd.DataFrame(rows)
