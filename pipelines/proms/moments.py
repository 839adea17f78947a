"""From scores to moments: which response counts as before, after 3 months and so on, for every index event.

The rules, each held by a test in tests/proms/test_moments.py:

- A response belongs to the moment whose window holds its date; windows of a set do not overlap. Outside every window it
  is `too early` or `too late` for the nearest moment, and does not count.
- Of several responses in a window the one nearest to the target day counts, at a tie the earlier one.
- A response without a score never takes the place of one with a score.
- On one day a corrected (`amended`) response comes before a `completed` one, and that before a `stopped` one; a score
  computed here comes before one that the source computed.
- Answers of a proxy: as the set says (accepted, last choice, refused).
- A response that is not finished has no score, so it is never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb

from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.plan import Moment, PromPlan

_ASKED = """
CREATE OR REPLACE TEMP TABLE prom_asked (
    cohort VARCHAR, instrument VARCHAR, instrument_version VARCHAR, moment VARCHAR, from_day INTEGER, to_day INTEGER,
    target_day INTEGER)
"""

_LINK = """
CREATE OR REPLACE TABLE prom_moment AS
WITH asked AS (
    SELECT DISTINCT cohort, instrument FROM prom_asked
), pair AS (
    SELECT event.index_id, event.cohort, event.institution, event.patient_key, event.index_key, event.index_date,
           scored.resource_key, scored.instrument, scored.score, scored.direction, scored.value, scored.scored_date,
           scored.status, scored.answered_by, scored.scored_by, scored.missing_reason,
           scored.scored_date - event.index_date AS days
    FROM prom_score AS scored
    JOIN index_event AS event USING (institution, patient_key)
    JOIN asked USING (cohort, instrument)
    WHERE event.excluded_reason IS NULL AND scored.score IS NOT NULL AND coalesce(scored.scored_date <= $as_of, true)
), near AS (
    SELECT pair.*, prom_asked.moment, days - target_day AS days_off,
           greatest(from_day - days, 0) AS days_early, greatest(days - to_day, 0) AS days_late
    FROM pair
    JOIN prom_asked USING (cohort, instrument)
    QUALIFY row_number() OVER (PARTITION BY index_id, resource_key, score
                               ORDER BY days_early + days_late, abs(days_off), from_day) = 1
), judged AS (
    SELECT *, CASE WHEN days IS NULL THEN 'no date'
                   WHEN days_early > 0 THEN 'too early'
                   WHEN days_late > 0 THEN 'too late'
                   WHEN missing_reason IS NOT NULL THEN 'no score'
                   WHEN answered_by = 'proxy' AND $proxy = 'refused' THEN 'proxy refused' END AS set_aside
    FROM near
), placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY index_id, instrument, score, moment, set_aside IS NULL
        ORDER BY answered_by = 'proxy' AND $proxy = 'last_choice', abs(days_off), days_off, scored_by = 'source',
                 CASE status WHEN 'amended' THEN 0 WHEN 'corrected' THEN 0 WHEN 'stopped' THEN 2 ELSE 1 END,
                 resource_key) AS place_in_window
    FROM judged
)
SELECT index_id, cohort, institution, patient_key, index_key, index_date, resource_key, instrument, score, direction,
       value, scored_date, status, answered_by, missing_reason, days, moment, days_early, days_late,
       coalesce(set_aside, CASE WHEN place_in_window = 1 THEN 'chosen' ELSE 'another chosen' END) AS place
FROM placed
"""


def link_moments(
    connection: duckdb.DuckDBPyConnection, plan: PromPlan, moments: Mapping[str, Moment], as_of: date
) -> None:
    """Create table `prom_moment` (docs/tables.md) from `prom_score` and `index_event`.

    One row per index event and score of a questionnaire that its cohort is asked, up to `as_of`. `moment` is the moment
    the response belongs to, or the nearest one; `place` says whether it counts: `chosen`, `another chosen`, `no score`,
    `too early`, `too late`, `proxy refused` or `no date`.
    """
    connection.execute(_ASKED)
    insert_rows(
        connection,
        "prom_asked",
        [
            (
                cohort,
                a.instrument,
                a.version,
                name,
                moments[name].from_day,
                moments[name].to_day,
                moments[name].target_day,
            )
            for a in plan.asked
            for cohort in a.cohorts
            for name in a.moments
        ],
    )
    connection.execute(_LINK, {"as_of": as_of, "proxy": plan.proxy})
