"""Pieces of SQL that several templates share."""

from __future__ import annotations

from pipelines.indicators.events import Comparison
from pipelines.indicators.shapes import Point, Window
from pipelines.indicators.table_roles import TableRoles
from pipelines.sqlonfhir.values import quote

BOTH_SIDES = "51440002"  # Nictiz LateraliteitCodelijst 2.16.840.1.113883.2.4.3.11.60.40.2.20.7.2
EVIDENCE = "STRUCT(role VARCHAR, event VARCHAR, resource_key VARCHAR, moment VARCHAR)"
EVER = "'-infinity'::DATE"


def deaths(table: str, role: TableRoles) -> str:
    """The rows of the table of patients that tell of a death, as a relation.

    A patient dies once: of several records the one with a complete date, then the earliest, speaks.
    """
    text = role.start_text
    return f"""
    (SELECT * FROM {table} WHERE {role.deceased} OR {text} IS NOT NULL
     QUALIFY row_number() OVER (
         PARTITION BY institution, coalesce({role.patient}, resource_key)
         ORDER BY coalesce(first_day({text}) = final_day({text}), false) DESC, first_day({text}), resource_key) = 1)
    """


def in_range(value: str, comparison: Comparison) -> str:
    """Whether an SQL expression is in the range; null when it has no value."""
    operators = {"at_least": ">=", "more_than": ">", "at_most": "<=", "less_than": "<"}
    bounds = comparison.model_dump(exclude_none=True)
    return "(" + " AND ".join(f"{value} {operators[name]} {bound!r}" for name, bound in bounds.items()) + ")"


def point_day(point: Point) -> str:
    """The day of a case that a window counts from; null when it has no end (yet)."""
    return "c.index_date" if point == "start" else "c.index_end"


def opens(window: Window) -> str:
    """The first day of a window of case `c`."""
    return EVER if window.from_day is None else f"({point_day(window.from_point)} + ({window.from_day}))"


def closes(window: Window) -> str:
    """The last day of a window of case `c`."""
    return f"({point_day(window.to_point)} + ({window.to_day}))"


def pairs(cases: str, event: str, window: Window, *, same_side: bool = False, point: Point = "start") -> str:
    """Every case of the relation `cases` with the events of that name that can lie in its window.

    Columns: index_id, resource_key, low, high, instant, text, value, `inside` (lies in the window whichever of its days
    it was) and `earliest` (the first day in the window that it can be).
    """
    end = "" if point == "start" else "end_"
    side = (
        f"AND coalesce(nullif(e.side, {quote(BOTH_SIDES)}) = nullif(c.side, {quote(BOTH_SIDES)}), true)"
        if same_side
        else ""
    )
    return f"""
    SELECT c.index_id, e.resource_key, e.{end}low AS low, e.{end}high AS high, e.{end}instant AS instant,
           e.{end}text AS text, e.value,
           coalesce(e.{end}low >= {opens(window)} AND e.{end}high <= {closes(window)}, false) AS inside,
           greatest(coalesce(e.{end}low, {EVER}), {opens(window)}) AS earliest
    FROM {cases} AS c
    JOIN event AS e ON e.event = {quote(event)} AND e.institution = c.institution AND e.patient_key = c.patient_key
    WHERE e.resource_key <> c.index_key {side}
      AND coalesce(e.{end}high >= {opens(window)}, true) AND coalesce(e.{end}low <= {closes(window)}, true)
    """


def tally(found: str, event: str, role: str, days: int) -> str:
    """Per case, over pairs: whether `days` different days have the event for certain (`sure`) or can have.

    Without `sure` and `possible` it is certain that they have not. `found_low` is the first day by which they can have,
    and `found_high` the one by which they have. A partial date inside the window is a day, but maybe not another one.
    """
    entry = f"{{'role': {quote(role)}, 'event': {quote(event)}, 'resource_key': one.resource_key, 'moment': one.text}}"
    if days == 1:
        sure, high = "bool_or(inside)", "min(high) FILTER (inside)"
        evidence = f"list({entry} ORDER BY low, high, one.resource_key) FILTER (inside)"
    else:
        sure = f"count(*) FILTER (complete) >= {days}"
        high = f"(list(low ORDER BY low) FILTER (complete))[{days}]"
        evidence = f"list({entry} ORDER BY low) FILTER (complete)"
    return f"""
    SELECT index_id, {sure} AS sure, count(*) >= {days} AS possible,
           (list(earliest ORDER BY earliest))[{days}] AS found_low, {high} AS found_high,
           ({evidence})[1:{days}] AS evidence
    FROM (SELECT index_id, low, high, inside, complete, earliest,
                 min({{'resource_key': resource_key, 'text': text}}) AS one
          FROM (SELECT *, coalesce(inside AND low = high, false) AS complete FROM ({found}))
          GROUP BY index_id, low, high, inside, complete, earliest, CASE WHEN NOT complete THEN resource_key END)
    GROUP BY index_id
    """
