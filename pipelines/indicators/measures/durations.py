"""Shape `duration`: the time from one point to the first event at or after it."""

from __future__ import annotations

from pipelines.indicators.measures.sql import EVER, in_range, pairs
from pipelines.indicators.shapes import Duration
from pipelines.sqlonfhir.values import quote

_FIRST = """
{name}_candidate AS MATERIALIZED ({candidates}), {name}_first AS (
    SELECT * FROM {name}_candidate WHERE inside
    QUALIFY row_number() OVER (PARTITION BY index_id ORDER BY high, low, instant NULLS FIRST, resource_key, text) = 1
), {name} AS (
    SELECT index_id, any_value(one.low) AS low, any_value(one.high) AS high, any_value(one.instant) AS instant,
           any_value(one.resource_key) AS resource_key, any_value(one.text) AS text, min(other.earliest) AS earliest,
           bool_or(one.index_id IS NULL
                   OR (other.resource_key <> one.resource_key AND coalesce(other.low <= one.high, true)
                       AND NOT coalesce(one.low = one.high AND other.low = other.high, false))) AS in_doubt
    FROM {name}_candidate AS other
    LEFT JOIN {name}_first AS one USING (index_id)
    GROUP BY index_id
)
"""

_INDEX_POINT = """
{name} AS (
    SELECT c.index_id, c.{column} AS low, c.{column} AS high, c.{column}_instant AS instant,
           NULL::VARCHAR AS resource_key, NULL::VARCHAR AS text, c.{column} AS earliest, false AS in_doubt
    FROM {cases} AS c {where}
)
"""

# The window of what ends the duration opens at its start: `begun` has the cases whose start is known.
_ANSWER = """
{since}, begun AS (
    SELECT c.*, since.low AS since_day, since.instant AS since_instant
    FROM followed AS c
    JOIN since USING (index_id)
    WHERE NOT since.in_doubt AND since.low = since.high AND {since_is_told}
), {until}, answer AS (
    SELECT c.index_id, NULL::VARCHAR AS status,
           CASE WHEN since.index_id IS NULL THEN 'no start'
                WHEN since.in_doubt OR since.low <> since.high THEN 'event date incomplete'
                WHEN NOT ({since_is_told}) THEN 'time not recorded'
                WHEN until.in_doubt OR until.low <> until.high THEN 'event date incomplete'
                WHEN until.index_id IS NULL AND {never_is_missing} THEN 'no end'
                WHEN until.index_id IS NOT NULL AND NOT ({until_is_told}) THEN 'time not recorded' END AS reason,
           {length} AS value, {numerator} AS numerator,
           CASE WHEN begun.index_id IS NULL AND since.index_id IS NOT NULL THEN {ever}
                ELSE until.earliest END AS found_low,
           CASE WHEN begun.index_id IS NULL AND since.index_id IS NOT NULL THEN {ever}
                WHEN NOT until.in_doubt THEN until.high END AS found_high,
           CASE WHEN reason IS NULL THEN list_filter([
               {{'role': 'measure', 'event': {since_event}, 'resource_key': since.resource_key, 'moment': since.text}},
               {{'role': 'measure', 'event': {until_event}, 'resource_key': until.resource_key, 'moment': until.text}}],
               lambda entry: entry.resource_key IS NOT NULL) ELSE [] END AS evidence
    FROM followed AS c
    LEFT JOIN since ON since.index_id = c.index_id
    LEFT JOIN begun ON begun.index_id = c.index_id
    LEFT JOIN until ON until.index_id = c.index_id
)
"""

_SECONDS = {"minutes": 60, "hours": 3600}


def duration(measure: Duration) -> str:
    """The common table expressions of a duration, the last one named `answer`."""
    clock = measure.unit != "days"
    if clock:
        microseconds = _SECONDS[measure.unit] * 1_000_000
        length = f"date_diff('microsecond', since.instant, until.instant) / {microseconds}.0"
    else:
        length = "(until.low - since.low)::DOUBLE"
    return _ANSWER.format(
        since=_since(measure),
        until=_until(measure, clock=clock),
        since_is_told="since.instant IS NOT NULL" if clock else "true",
        until_is_told="until.instant IS NOT NULL" if clock else "true",
        never_is_missing=measure.never == "missing",
        length=length,
        numerator="NULL::BOOLEAN"
        if measure.target is None
        else f"coalesce({in_range(f'round({length}, 9)', measure.target)}, false)",
        ever=EVER,
        since_event=quote(measure.since or ""),
        until_event=quote(measure.until or ""),
    )


def _since(measure: Duration) -> str:
    if measure.since is None:
        return _INDEX_POINT.format(name="since", cases="followed", column=f"index_{_of(measure.since_point)}", where="")
    candidates = pairs("followed", measure.since, measure.window, point=measure.since_point)
    return _FIRST.format(name="since", candidates=candidates)


def _until(measure: Duration, *, clock: bool) -> str:
    if measure.until is None:
        column = f"index_{_of(measure.until_point)}"
        where = f"WHERE c.{column} >= c.since_day"
        if clock:
            where += f" AND coalesce(c.{column}_instant >= c.since_instant, true)"
        return _INDEX_POINT.format(name="until", cases="begun", column=column, where=where)
    found = pairs("begun", measure.until, measure.window, point=measure.until_point)
    earlier = "AND coalesce(p.instant >= b.since_instant, true)" if clock else ""
    candidates = f"""
    SELECT p.* REPLACE (p.inside AND p.low >= b.since_day AS inside, greatest(p.earliest, b.since_day) AS earliest)
    FROM ({found}) AS p
    JOIN begun AS b USING (index_id)
    WHERE coalesce(p.high >= b.since_day, true) {earlier}
    """
    return _FIRST.format(name="until", candidates=candidates)


def _of(point: str) -> str:
    return "date" if point == "start" else "end"
