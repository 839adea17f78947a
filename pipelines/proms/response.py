"""Response: how many of those who were asked a questionnaire at a moment answered it, and what became of the others."""

from __future__ import annotations

from datetime import date

import duckdb

# An index event whose window has closed is in exactly one of scored .. no_response: these add up to `denominator`.
_RATES = """
CREATE OR REPLACE TABLE prom_response_rate AS
WITH slot AS (
    SELECT event.index_id, event.institution, event.cohort, asked.instrument, asked.moment,
           event.index_date + asked.to_day AS window_end,
           patient.death_high AS death_date
    FROM index_event AS event
    JOIN prom_asked AS asked USING (cohort)
    LEFT JOIN patient USING (institution, patient_key)
    WHERE event.excluded_reason IS NULL
), found AS (
    SELECT index_id, instrument, moment, min(CASE
               WHEN place IN ('chosen', 'another chosen') THEN 1
               WHEN place = 'no score' AND missing_reason NOT IN ('response not finished', 'entered in error',
                                                                  'result not final') THEN 2
               WHEN place = 'proxy refused' THEN 3
               WHEN place = 'no score' AND missing_reason <> 'entered in error' THEN 4
               WHEN place = 'too late' THEN 5 END) AS best
    FROM prom_moment
    GROUP BY ALL
), closed AS (
    SELECT slot.*, coalesce(found.best, 6) AS best, slot.window_end <= $as_of AS is_closed
    FROM slot
    LEFT JOIN found USING (index_id, instrument, moment)
)
SELECT $outcome_set AS outcome_set, institution, cohort, instrument, moment,
       count(*) AS index_events,
       count(*) FILTER (NOT is_closed) AS window_open,
       count(*) FILTER (is_closed) AS denominator,
       count(*) FILTER (is_closed AND best = 1) AS scored,
       count(*) FILTER (is_closed AND best = 2) AS not_scorable,
       count(*) FILTER (is_closed AND best = 3) AS proxy_refused,
       count(*) FILTER (is_closed AND best = 4) AS unfinished,
       count(*) FILTER (is_closed AND best = 5) AS late,
       count(*) FILTER (is_closed AND best = 6) AS no_response,
       count(*) FILTER (is_closed AND coalesce(death_date <= window_end, false)) AS deceased,
       (scored + not_scorable) / nullif(denominator, 0) AS response_rate,
       scored / nullif(denominator, 0) AS scored_rate, $as_of AS as_of
FROM closed
GROUP BY ALL
ORDER BY ALL
"""


def response_rates(connection: duckdb.DuckDBPyConnection, outcome_set: str, as_of: date) -> None:
    """Create table `prom_response_rate` (docs/tables.md): per institution, cohort, instrument and moment.

    Reads `index_event`, `prom_asked`, `prom_moment` and `patient`. The denominator is every index event whose
    window has closed on `as_of`, also of patients who died (`deceased` of them, as far as known): the same as that of
    the response indicators. A patient answered when a finished response lies in the window, scorable or not.
    """
    connection.execute(_RATES, {"outcome_set": outcome_set, "as_of": as_of})
