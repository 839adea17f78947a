"""Conditions of denominator and exclusions, as SQL of three values: true, false, or null when it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.indicators.measures.sql import closes, pairs, tally
from pipelines.indicators.shapes import Condition
from pipelines.sqlonfhir.values import quote


@dataclass(frozen=True, slots=True)
class ConditionSql:
    """A condition of an indicator, in SQL over the cases `c`.

    Attributes:
        tables: common table expressions it needs, each `name AS (...)`.
        join: what joins them to `c`.
        holds: the condition itself; an event that may still come makes it null, not false.
        doubt: why it is null once its window is over.
        evidence: the list of what made it true.
    """

    rule: str
    tables: list[str]
    join: str
    holds: str
    doubt: str
    evidence: str


def condition_sql(condition: Condition, number: int, role: str, *, about_death: bool) -> ConditionSql:
    """The SQL of a condition; `role` is that of its evidence, `about_death` says its event can be death."""
    name = f"condition_{number}"
    parts: list[tuple[str, str]] = []
    tables, join, evidence = [], "", "[]"
    if condition.event is not None and condition.window is not None:
        found = pairs("cases", condition.event, condition.window, same_side=condition.same_side)
        tables.append(f"{name} AS ({tally(found, condition.event, role, condition.at_least)})")
        join, evidence = f"LEFT JOIN {name} ON {name}.index_id = c.index_id", f"coalesce({name}.evidence, [])"
        over = f"coalesce({closes(condition.window)} <= $as_of, false)"
        known = "AND c.has_record" if about_death else ""
        parts.append(
            (
                f"CASE WHEN {name}.sure THEN true WHEN NOT coalesce({name}.possible, false) AND {over} {known}"
                " THEN false END",
                "event date incomplete",
            )
        )
    parts += _of_the_patient(condition)
    doubts = "".join(f" WHEN ({part}) IS NULL THEN {quote(reason)}" for part, reason in parts)
    return ConditionSql(
        condition.rule, tables, join, " AND ".join(f"({part})" for part, _ in parts), f"CASE {doubts} END", evidence
    )


def _of_the_patient(condition: Condition) -> list[tuple[str, str]]:
    oldest, youngest = "age_on(c.birth_low, c.index_date)", "age_on(c.birth_high, c.index_date)"
    parts = []
    if condition.age_from is not None:
        bound = condition.age_from
        parts.append(
            (f"CASE WHEN {youngest} >= {bound} THEN true WHEN {oldest} < {bound} THEN false END", "age unknown")
        )
    if condition.age_below is not None:
        bound = condition.age_below
        parts.append(
            (f"CASE WHEN {oldest} < {bound} THEN true WHEN {youngest} >= {bound} THEN false END", "age unknown")
        )
    if condition.sex is not None:
        parts.append((f"nullif(c.sex, 'unknown') = {quote(condition.sex)}", "sex unknown"))
    return parts
