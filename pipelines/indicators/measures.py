"""From index events to `outcome_patient`: one SQL template per measure shape, set-based in DuckDB.

A template gives one row per followed index event: did it happen (`numerator`), what changed (`value`), what is behind
it (`evidence`), and why it cannot be told (`missing_reason`). The frame around it is the same for all shapes.
"""

from __future__ import annotations

from datetime import date

import duckdb

from pipelines.indicators.definitions import (
    ChangeBetween,
    DeathWithin,
    Indicator,
    OutcomeSet,
    ProcedureWithin,
    ResponseRate,
)
from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.moments import link_moments

BILATERAL = "51440002"  # Nictiz LateraliteitCodelijst 2.16.840.1.113883.2.4.3.11.60.40.2.20.7.2

_OUTCOME_TABLE = """
CREATE OR REPLACE TABLE outcome_patient (
    institution VARCHAR, outcome_set VARCHAR, indicator VARCHAR, indicator_version VARCHAR, patient_key VARCHAR,
    index_key VARCHAR, index_date DATE, period VARCHAR, status VARCHAR, reason VARCHAR, numerator BOOLEAN,
    value DOUBLE, evidence VARCHAR[])
"""

_DEFINITION_TABLES = """
CREATE OR REPLACE TEMP TABLE code_member (value_set VARCHAR, system VARCHAR, code VARCHAR);
CREATE OR REPLACE TEMP TABLE cohort (cohort VARCHAR, value_set VARCHAR, status VARCHAR);
CREATE OR REPLACE TEMP TABLE wanted (
    wanted_id INTEGER, cohort VARCHAR, instrument VARCHAR, score VARCHAR, moment VARCHAR);
"""

# DISTINCT: a procedure of which several codings are in the value set is one procedure.
# `side` is null when the side is unknown or both, because neither can rule a side out.
_CODED_PROCEDURE = f"""
CREATE OR REPLACE TEMP TABLE coded_procedure AS
WITH listed AS (
    SELECT DISTINCT value_set, institution, codings_id
    FROM zib_coding
    JOIN code_member USING (system, code)
)
SELECT value_set, institution, patient_key, resource_key, status, start_date, laterality_snomed_code AS laterality,
       nullif(laterality_snomed_code, '{BILATERAL}') AS side
FROM zib_procedure
JOIN listed USING (institution)
WHERE procedure_codings_id = codings_id
"""

# Several operations on one joint, side and date are one index event: the smallest key stands for it.
_INDEX_EVENT = """
CREATE OR REPLACE TEMP TABLE index_event AS
WITH operation AS (
    SELECT cohort.cohort, institution, patient_key, resource_key AS index_key, start_date AS index_date,
           side, laterality, strftime(start_date, '%Y-%m') AS period,
           CASE WHEN patient_key IS NULL THEN 'patient unknown'
                WHEN start_date IS NULL THEN 'index date incomplete' END AS excluded_reason
    FROM coded_procedure
    JOIN cohort USING (value_set, status)
    WHERE coalesce(start_date <= $as_of, true)
), once AS (
    SELECT *
    FROM operation
    QUALIFY excluded_reason IS NOT NULL OR row_number() OVER (
        PARTITION BY cohort, institution, patient_key, index_date, laterality ORDER BY index_key) = 1
)
SELECT row_number() OVER () AS index_id, * EXCLUDE (laterality) FROM once
"""

# `goodness` is the score turned so that higher is better: improvement is after minus before for all.
_MOMENT_SCORE = """
CREATE OR REPLACE TEMP TABLE moment_score AS
SELECT index_id, wanted_id, resource_key,
       CASE direction WHEN 'higher_is_better' THEN 1 ELSE -1 END * value AS goodness
FROM prom_moment
JOIN wanted USING (cohort, instrument, score, moment)
WHERE place = 'chosen'
"""

# No event after $as_of is looked at: only an index event whose whole window has passed is `followed`.
_FRAME = """
INSERT INTO outcome_patient
WITH judged AS (
    SELECT *, CASE WHEN excluded_reason IS NOT NULL THEN 'excluded'
                   WHEN index_date + $window_end::INTEGER > $as_of THEN 'pending' END AS set_aside
    FROM index_event
    WHERE cohort = $cohort
), followed AS (
    SELECT * FROM judged WHERE set_aside IS NULL
), {shape}
SELECT judged.institution, $outcome_set, $indicator, $indicator_version, judged.patient_key, judged.index_key,
       judged.index_date, judged.period,
       CASE WHEN judged.set_aside IS NOT NULL THEN judged.set_aside
            WHEN observed.missing_reason IS NOT NULL THEN 'missing' ELSE 'included' END AS status,
       CASE judged.set_aside WHEN 'excluded' THEN judged.excluded_reason
                             WHEN 'pending' THEN 'follow-up not complete'
                             ELSE observed.missing_reason END AS reason,
       CASE WHEN status = 'included' THEN observed.numerator END AS numerator,
       CASE WHEN status = 'included' THEN observed.value END AS value,
       list_concat([judged.index_key], coalesce(observed.evidence, []::VARCHAR[])) AS evidence
FROM judged
LEFT JOIN observed USING (index_id)
"""

_PROCEDURE_WITHIN = """
observed AS (
    SELECT followed.index_id, NULL::DOUBLE AS value,
           coalesce(bool_or(event.start_date IS NOT NULL), false) AS numerator,
           array_agg(event.resource_key ORDER BY event.start_date, event.resource_key)
               FILTER (event.start_date IS NOT NULL) AS evidence,
           CASE WHEN NOT numerator AND count(event.resource_key) > 0 THEN 'event date incomplete' END AS missing_reason
    FROM followed
    LEFT JOIN coded_procedure AS event
        ON event.institution = followed.institution AND event.patient_key = followed.patient_key
        AND event.value_set = $value_set AND event.status = $status
        AND (event.start_date IS NULL
             OR event.start_date - followed.index_date BETWEEN $from_day AND $window_end)
        AND coalesce(event.side = followed.side, true)
    GROUP BY followed.index_id
)
"""

_DEATH_WITHIN = """
patient AS (
    SELECT institution, patient_key, bool_or(deceased) AS deceased, min(death_date) AS death_date,
           min(resource_key) AS resource_key
    FROM zib_patient
    GROUP BY ALL
), observed AS (
    SELECT followed.index_id, NULL::DOUBLE AS value,
           coalesce(patient.death_date - followed.index_date BETWEEN $from_day AND $window_end, false) AS numerator,
           CASE WHEN numerator THEN [patient.resource_key] END AS evidence,
           CASE WHEN patient.patient_key IS NULL THEN 'no patient record'
                WHEN patient.deceased AND patient.death_date IS NULL THEN 'death date incomplete'
                WHEN patient.death_date < followed.index_date THEN 'death before operation' END AS missing_reason
    FROM followed
    LEFT JOIN patient USING (institution, patient_key)
)
"""

_PAIR = """
pair AS (
    SELECT followed.index_id, before.goodness AS before_goodness, after.goodness AS after_goodness,
           before.goodness IS NOT NULL AS has_before, after.goodness IS NOT NULL AS has_after,
           list_filter([before.resource_key, after.resource_key], lambda key: key IS NOT NULL) AS evidence
    FROM followed
    LEFT JOIN moment_score AS before ON before.index_id = followed.index_id AND before.wanted_id = $before
    LEFT JOIN moment_score AS after ON after.index_id = followed.index_id AND after.wanted_id = $after
)
"""

_CHANGE_BETWEEN = f"""
{_PAIR}, observed AS (
    SELECT index_id, NULL::BOOLEAN AS numerator, after_goodness - before_goodness AS value, evidence,
           CASE WHEN NOT has_before AND NOT has_after THEN 'no score before and after'
                WHEN NOT has_before THEN 'no score before'
                WHEN NOT has_after THEN 'no score after' END AS missing_reason
    FROM pair
)
"""

_RESPONSE_RATE = f"""
{_PAIR}, observed AS (
    SELECT index_id, has_before AND has_after AS numerator, NULL::DOUBLE AS value, evidence,
           NULL::VARCHAR AS missing_reason
    FROM pair
)
"""

WantedScore = tuple[str, str, str, str]  # cohort, instrument, score, moment


def measure(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, as_of: date) -> None:
    """Create table `outcome_patient` (docs/tables.md): one row per indicator and index event.

    Reads `zib_patient`, `zib_procedure`, `zib_coding` and `prom_score`. Patients can be measured in any grouping: the
    rows of one patient follow from the rows of that patient alone.
    """
    wanted = _wanted_scores(outcome_set)
    connection.execute(_OUTCOME_TABLE)
    _load_definitions(connection, outcome_set, wanted)
    connection.execute(_CODED_PROCEDURE)
    connection.execute(_INDEX_EVENT, {"as_of": as_of})
    link_moments(connection, outcome_set.proms, outcome_set.moments, as_of)
    connection.execute(_MOMENT_SCORE)
    for indicator in outcome_set.indicators:
        shape, parameters = _shape(indicator, wanted)
        frame: dict[str, object] = {
            "cohort": indicator.cohort,
            "outcome_set": outcome_set.id,
            "indicator": indicator.id,
            "indicator_version": indicator.version,
            "window_end": outcome_set.window_end(indicator),
            "as_of": as_of,
        }
        connection.execute(_FRAME.format(shape=shape), frame | parameters)


def _wanted_scores(outcome_set: OutcomeSet) -> dict[WantedScore, int]:
    """Every score at a moment that an indicator needs, numbered."""
    wanted: dict[WantedScore, int] = {}
    for indicator in outcome_set.indicators:
        pair = indicator.measure
        if isinstance(pair, ChangeBetween | ResponseRate):
            for moment in (pair.before, pair.after):
                wanted.setdefault((indicator.cohort, pair.instrument, pair.score, moment), len(wanted))
    return wanted


def _load_definitions(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, wanted: dict[WantedScore, int]
) -> None:
    connection.execute(_DEFINITION_TABLES)
    value_sets = outcome_set.value_sets.items()
    insert_rows(connection, "code_member", [(name, c.system, c.code) for name, vs in value_sets for c in vs.codes])
    cohorts = outcome_set.cohorts.items()
    insert_rows(connection, "cohort", [(name, cohort.value_set, cohort.status) for name, cohort in cohorts])
    insert_rows(connection, "wanted", [(wanted_id, *names) for names, wanted_id in wanted.items()])


def _shape(indicator: Indicator, wanted: dict[WantedScore, int]) -> tuple[str, dict[str, object]]:
    """The template of the indicator's shape and the parameters it adds to the frame's."""
    match indicator.measure:
        case ProcedureWithin() as within:
            return _PROCEDURE_WITHIN, within.model_dump(include={"value_set", "status", "from_day"})
        case DeathWithin() as within:
            return _DEATH_WITHIN, within.model_dump(include={"from_day"})
        case ChangeBetween() as pair:
            return _CHANGE_BETWEEN, _pair_parameters(indicator.cohort, pair, wanted)
        case ResponseRate() as pair:
            return _RESPONSE_RATE, _pair_parameters(indicator.cohort, pair, wanted)


def _pair_parameters(
    cohort: str, pair: ChangeBetween | ResponseRate, wanted: dict[WantedScore, int]
) -> dict[str, object]:
    score = cohort, pair.instrument, pair.score
    return {"before": wanted[(*score, pair.before)], "after": wanted[(*score, pair.after)]}
