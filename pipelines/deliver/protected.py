"""The rows of a delivery with their small cells left empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.deliver.definition import Registry
from pipelines.deliver.suppression import GROUP, TOTAL, Cell, Counts, hidden_cells
from pipelines.errors import TerminalError

_KEY = ["institution", "period"]
_OWN = ["denominator", "numerator", "value", "ci_low", "ci_high"]
_GROUP = ["group_denominator", "group_value"]
_NEEDED = ["outcome_set", "indicator", "indicator_version", "statistic", "as_of", *_KEY, *_OWN, *_GROUP]


@dataclass(frozen=True, slots=True)
class Protected:
    """Rows to publish, with the numbers of hidden cells empty and `suppressed`, `group_suppressed` added."""

    rows: pd.DataFrame
    own_cells: int
    group_cells: int


def protect(results: pd.DataFrame, registry: Registry) -> Protected:
    """Take the registry's outcome set and empty every cell that would give a small count away.

    Raises:
        TerminalError: nothing to deliver, a column missing, or totals that are not the sum of their parts:
            then no one can tell what follows from what is published.
    """
    absent = sorted(set(_NEEDED) - set(results.columns))
    if absent:
        raise _refused(f"columns are missing: {', '.join(absent)}", registry)
    rows = results.loc[results["outcome_set"] == registry.outcome_set, _NEEDED].reset_index(drop=True)
    # Events behind a survival curve are a count that only some cells of the table would have: they are not published.
    rows["numerator"] = rows["numerator"].where(rows["statistic"] == "proportion")
    if rows.empty:
        raise _refused("there are no results of this outcome set", registry)
    parts = [_protect_indicator(part.copy(), registry) for _, part in rows.groupby("indicator")]
    published = pd.concat(parts, ignore_index=True)
    hidden_groups = published.loc[published["group_suppressed"], ["indicator", "period"]]
    return Protected(
        rows=published,
        own_cells=int(published["suppressed"].sum()),
        group_cells=len(hidden_groups.drop_duplicates()),
    )


def _protect_indicator(rows: pd.DataFrame, registry: Registry) -> pd.DataFrame:
    cells = _own_cells(rows) | _group_cells(rows, registry)
    _check_sums(cells, str(rows["indicator"].iloc[0]), registry)
    hidden = hidden_cells(cells, registry.small_cells)
    rows["suppressed"] = [cell in hidden for cell in zip(rows["institution"], rows["period"], strict=True)]
    rows["group_suppressed"] = [(GROUP, period) in hidden for period in rows["period"]]
    rows[_OWN] = rows[_OWN].astype("Float64").mask(rows["suppressed"])
    rows[_GROUP] = rows[_GROUP].astype("Float64").mask(rows["group_suppressed"])
    return rows


def _own_cells(rows: pd.DataFrame) -> dict[Cell, Counts]:
    return {
        (str(row["institution"]), str(row["period"])): _counts(row["statistic"], row["denominator"], row["numerator"])
        for row in rows.to_dict("records")
    }


def _group_cells(rows: pd.DataFrame, registry: Registry) -> dict[Cell, Counts]:
    """The group's counts per period; its numerator is not in the rows, but follows from its value."""
    once = rows.drop_duplicates(["period", *_GROUP])
    if once["period"].duplicated().any():
        raise _refused("rows of one period name different groups", registry)
    cells: dict[Cell, Counts] = {}
    for row in once.to_dict("records"):
        size = _whole(row["group_denominator"])
        proportion = row["statistic"] == "proportion" and size
        events = round(size * float(row["group_value"])) if proportion else 0
        cells[(GROUP, str(row["period"]))] = _counts(row["statistic"], size, events)
    return cells


def _counts(statistic: str, denominator: Any, numerator: Any) -> Counts:
    size = _whole(denominator)
    if statistic != "proportion":
        return (size,)
    events = _whole(numerator)
    return (events, size - events)


def _whole(number: Any) -> int:
    return 0 if pd.isna(number) else int(number)


def _check_sums(cells: dict[Cell, Counts], indicator: str, registry: Registry) -> None:
    """Months must add up to the total of an institution, and institutions to the group.

    A total without months is right when it counts nobody: what has no complete date is in no month.
    """
    frame = pd.DataFrame(
        [(row or "", column == TOTAL, row is GROUP, column, *counts) for (row, column), counts in cells.items()]
    )
    parts = list(frame.columns[4:])
    by_row = frame.groupby([0, 1])[parts].sum().reset_index()
    by_column = frame.groupby([3, 2])[parts].sum().reset_index()
    for sums, margin in ((by_row, 1), (by_column, 2)):
        key = 0 if margin == 1 else 3
        totals = sums[sums[margin]].set_index(key)[parts]
        summed = sums[~sums[margin]].set_index(key)[parts]
        everyone = totals.index.union(summed.index)
        if not totals.reindex(everyone, fill_value=0).equals(summed.reindex(everyone, fill_value=0)):
            what = "months and the total" if margin == 1 else "institutions and the group"
            raise _refused(f"{what} do not add up for indicator {indicator}", registry)


def _refused(what: str, registry: Registry) -> TerminalError:
    return TerminalError(
        "DELIVERY-RESULTS",
        what,
        where=f"registry {registry.id}, outcome set {registry.outcome_set}",
        remedy="Compute the results of all institutions again (uitkomst run), then deliver.",
    )
