"""Who is due for which questionnaire, from when until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb

from pipelines.indicators.definitions import OutcomeSet
from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.instruments import Instrument, find_instrument

_TABLES = """
CREATE OR REPLACE TEMP TABLE prom_planned (cohort VARCHAR, event VARCHAR);
CREATE OR REPLACE TEMP TABLE prom_questionnaire (instrument VARCHAR, instrument_version VARCHAR, questionnaire VARCHAR);
"""

# A finished response in the window, scorable or not, is an answer: nobody is asked the same thing twice.
_DUE = """
CREATE OR REPLACE TABLE prom_due AS
WITH expected AS (
    SELECT cohort, institution, patient_key, index_key, index_date, false AS planned
    FROM index_event
    WHERE excluded_reason IS NULL
    UNION ALL
    SELECT cohort, institution, patient_key, resource_key, low, true
    FROM event
    JOIN prom_planned USING (event)
    WHERE low = high AND low > $as_of AND patient_key IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY cohort, institution, patient_key, low ORDER BY resource_key) = 1
), deceased AS (
    SELECT institution, patient_key FROM patient WHERE died
), slot AS (
    SELECT expected.*, asked.instrument, asked.moment, index_date + asked.from_day AS due_from,
           index_date + asked.to_day AS due_until, index_date + asked.target_day AS target_date
    FROM expected
    JOIN prom_asked AS asked USING (cohort)
    ANTI JOIN deceased USING (institution, patient_key)
    WHERE index_date + asked.to_day >= $as_of AND (NOT planned OR asked.to_day <= 0)
), response AS (
    SELECT institution, patient_key, instrument, scored_date, answered_by,
           coalesce(missing_reason IN ('response not finished', 'result not final'), false) AS unfinished
    FROM prom_score
    WHERE scored_date <= $as_of AND coalesce(missing_reason <> 'entered in error', true)
), matched AS (
    SELECT slot.*, bool_or(NOT response.unfinished AND (response.answered_by <> 'proxy' OR $proxy <> 'refused'))
                       AS answered, bool_or(response.unfinished) AS started
    FROM slot
    LEFT JOIN response ON response.institution = slot.institution AND response.patient_key = slot.patient_key
        AND response.instrument = slot.instrument AND response.scored_date BETWEEN slot.due_from AND slot.due_until
    GROUP BY ALL
)
SELECT $outcome_set AS outcome_set, institution, patient_key, cohort, index_key, index_date, planned, instrument,
       instrument_version, questionnaire, moment, due_from, due_until, target_date,
       CASE WHEN due_from > $as_of THEN 'upcoming' WHEN started THEN 'started' ELSE 'open' END AS state, $as_of AS as_of
FROM matched
JOIN prom_questionnaire USING (instrument)
WHERE NOT coalesce(answered, false)
ORDER BY institution, due_from, patient_key, index_key, instrument, moment
"""


def due_list(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, instruments: Sequence[Instrument], as_of: date
) -> None:
    """Create table `prom_due` (docs/tables.md): every questionnaire still to be answered on or after `as_of`.

    A patient is due for a questionnaire of an index event until its window closes, unless a finished response lies in
    the window or the patient has died. Before an operation: also of operations that are planned. `state` is `upcoming`
    (the window is not open yet), `open`, or `started` (a response is in progress). Two operations of one patient are
    two rows, even where one response would do for both.

    Reads `index_event`, `event`, `prom_asked`, `prom_score` and `patient`.
    """
    connection.execute(_TABLES)
    cohorts = [(name, cohort.planned) for name, cohort in outcome_set.cohorts.items() if cohort.planned]
    insert_rows(connection, "prom_planned", cohorts)
    asked = {a.instrument: find_instrument(instruments, a.instrument, a.version) for a in outcome_set.proms.asked}
    questionnaires = [
        (name, found.version, f"{found.questionnaires[0]}|{found.accepted_versions[-1]}")
        for name, found in asked.items()
    ]
    insert_rows(connection, "prom_questionnaire", questionnaires)
    connection.execute(_DUE, {"outcome_set": outcome_set.id, "proxy": outcome_set.proms.proxy, "as_of": as_of})
