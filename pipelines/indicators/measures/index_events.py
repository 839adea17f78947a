"""Table `index_event`: the cases of every cohort, with what is known of their patient (docs/indicators.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb

from pipelines.indicators.definitions import Cohort, OutcomeSet
from pipelines.indicators.measures.sql import deaths
from pipelines.indicators.references import PATIENT_TABLE
from pipelines.indicators.table_roles import TableRoles
from pipelines.sqlonfhir.values import quote

# A patient with several records has a sex and a date of birth when they agree.
_PATIENT = """
CREATE OR REPLACE TEMP TABLE patient AS
WITH record AS (
    SELECT institution, {patient} AS patient_key,
           CASE WHEN min(gender) = max(gender) THEN min(gender) END AS sex,
           CASE WHEN min(birth_date_text) = max(birth_date_text) THEN min(birth_date_text) END AS born
    FROM zib_patient
    WHERE {patient} IS NOT NULL
    GROUP BY ALL
), death AS (
    SELECT institution, {patient} AS patient_key, resource_key, {text} AS text
    FROM {deaths}
    WHERE {patient} IS NOT NULL
)
SELECT institution, patient_key, sex, first_day(born) AS birth_low, final_day(born) AS birth_high,
       death.resource_key IS NOT NULL AS died, death.resource_key AS death_key, death.text AS death_text,
       first_day(death.text) AS death_low, final_day(death.text) AS death_high
FROM record
LEFT JOIN (FROM death WHERE coalesce(first_day(text) <= $as_of, true)) AS death USING (institution, patient_key)
"""

_NO_PATIENT = """
CREATE OR REPLACE TEMP TABLE patient (
    institution VARCHAR, patient_key VARCHAR, sex VARCHAR, birth_low DATE, birth_high DATE, died BOOLEAN,
    death_key VARCHAR, death_text VARCHAR, death_low DATE, death_high DATE)
"""

_TABLE = """
CREATE OR REPLACE TEMP TABLE index_event (
    index_id BIGINT, cohort VARCHAR, institution VARCHAR, patient_key VARCHAR, index_key VARCHAR, index_date DATE,
    excluded_reason VARCHAR, index_date_instant TIMESTAMPTZ, index_text VARCHAR, side VARCHAR, index_end DATE,
    index_end_instant TIMESTAMPTZ, end_fault VARCHAR, stay_key VARCHAR, stay_text VARCHAR, has_record BOOLEAN,
    sex VARCHAR, birth_low DATE, birth_high DATE, died BOOLEAN, death_key VARCHAR, death_text VARCHAR, death_low DATE,
    death_high DATE)
"""

_COHORT = """
INSERT INTO index_event
WITH begun AS (
    SELECT *, CASE WHEN patient_key IS NULL THEN 'patient unknown'
                   WHEN {incomplete} THEN 'index date incomplete' END AS fault
    FROM event
    WHERE event = {index}
    QUALIFY row_number() OVER (PARTITION BY institution, resource_key ORDER BY low NULLS LAST, text, end_text) = 1
), {counted}, placed AS ({placed})
SELECT (SELECT coalesce(max(index_id), 0) FROM index_event) + row_number() OVER (), {cohort}, placed.institution,
       placed.patient_key, placed.resource_key, placed.index_date, placed.fault, placed.instant, placed.text,
       placed.side, placed.index_end, placed.index_end_instant, placed.end_fault, placed.stay_key, placed.stay_text,
       patient.patient_key IS NOT NULL, patient.sex, patient.birth_low, patient.birth_high,
       coalesce(patient.died, false), patient.death_key, patient.death_text, patient.death_low, patient.death_high
FROM placed
LEFT JOIN patient USING (institution, patient_key)
"""

_DATED = "CASE WHEN low = high THEN low END AS index_date"

_EACH = f"counted AS (SELECT *, {_DATED} FROM begun)"

# Rows with a fault are apart: the first day that a partial date can be is no day that it stands for.
_EACH_DAY = f"""
counted AS (
    SELECT *, {_DATED}
    FROM begun
    QUALIFY fault IS NOT NULL OR row_number() OVER (
        PARTITION BY institution, patient_key, low, fault IS NULL {{side}} ORDER BY resource_key) = 1
)
"""

# From the first on: the next that counts is the first one further than so many days from the one before.
_APART = """
days AS (
    SELECT DISTINCT institution, patient_key, coalesce({side}, '') AS joint, low FROM begun WHERE fault IS NULL
), counting AS (
    SELECT institution, patient_key, joint, min(low) AS low FROM days GROUP BY ALL
    UNION ALL
    SELECT days.institution, days.patient_key, days.joint, min(days.low)
    FROM counting
    JOIN days ON days.institution = counting.institution AND days.patient_key = counting.patient_key
        AND days.joint = counting.joint AND days.low > counting.low + {apart}
    GROUP BY days.institution, days.patient_key, days.joint, counting.low
), counted AS (
    SELECT begun.*, CASE WHEN begun.low = begun.high THEN begun.low END AS index_date
    FROM begun
    LEFT JOIN counting ON counting.institution = begun.institution AND counting.patient_key = begun.patient_key
        AND counting.joint = coalesce({side}, '') AND counting.low = begun.low
    WHERE begun.fault IS NOT NULL OR counting.low IS NOT NULL
    QUALIFY begun.fault IS NOT NULL OR row_number() OVER (
        PARTITION BY begun.institution, begun.patient_key, coalesce({side}, ''), begun.low, begun.fault IS NULL
        ORDER BY begun.resource_key) = 1
)
"""

_FIRST = f"""
counted AS (
    SELECT *, {_DATED}
    FROM begun
    QUALIFY patient_key IS NULL OR row_number() OVER (
        PARTITION BY institution, patient_key ORDER BY fault IS NOT NULL, low NULLS LAST, resource_key) = 1
)
"""

# A partial date leaves the day open, never the year.
_PER_YEAR = """
years AS (
    SELECT *, unnest(CASE WHEN fault IS NULL
                          THEN range(year(low), greatest(year(low), year(coalesce(end_low, $as_of))) + 1)
                          ELSE [NULL] END) AS of_year
    FROM begun
), counted AS (
    SELECT *, make_date(of_year, 1, 1) AS index_date
    FROM years
    QUALIFY fault IS NOT NULL
        OR row_number() OVER (
            PARTITION BY institution, patient_key, of_year ORDER BY low DESC, resource_key) = 1
)
"""

_NO_STAY = "NULL::VARCHAR AS stay_key, NULL::VARCHAR AS stay_text"

_OWN_END = f"""
SELECT *, CASE WHEN end_low = end_high THEN end_low END AS index_end, end_instant AS index_end_instant,
       CASE WHEN end_text IS NOT NULL AND coalesce(end_low <> end_high, true)
            THEN 'event date incomplete' END AS end_fault, {_NO_STAY}
FROM counted
"""

_YEAR_END = f"""
SELECT *, make_date(year(index_date), 12, 31) AS index_end, NULL::TIMESTAMPTZ AS index_end_instant,
       NULL::VARCHAR AS end_fault, {_NO_STAY}
FROM counted
"""

# A stay that holds the index date for certain comes before one that may; of several the one that ends last.
_STAY_END = """
SELECT * EXCLUDE (holds, other_key, other_text, other_low, other_high, other_end),
       CASE WHEN holds AND other_low = other_high THEN other_low END AS index_end,
       CASE WHEN other_key IS NULL THEN 'no stay found'
            WHEN NOT holds OR (other_end IS NOT NULL AND coalesce(other_low <> other_high, true))
            THEN 'event date incomplete' END AS end_fault,
       CASE WHEN holds THEN other_key END AS stay_key, CASE WHEN holds THEN other_text END AS stay_text
FROM (
    SELECT counted.*, stay.resource_key AS other_key, stay.text AS other_text, stay.end_low AS other_low,
           stay.end_high AS other_high, stay.end_instant AS index_end_instant, stay.end_text AS other_end,
           coalesce(stay.high <= counted.index_date
                    AND (stay.end_text IS NULL OR stay.end_low >= counted.index_date), false) AS holds
    FROM counted
    LEFT JOIN event AS stay ON stay.event = {stay} AND stay.institution = counted.institution
        AND stay.patient_key = counted.patient_key
        AND coalesce(stay.low <= counted.index_date, true) AND coalesce(stay.end_high >= counted.index_date, true)
)
QUALIFY row_number() OVER (PARTITION BY institution, resource_key
                           ORDER BY holds DESC, other_high DESC NULLS FIRST, other_key, other_text) = 1
"""


def fill_patients(connection: duckdb.DuckDBPyConnection, roles: Mapping[str, TableRoles], as_of: date) -> None:
    """Create the temporary table `patient`: sex, dates of birth and death of every patient with a record."""
    found = connection.execute("SELECT 1 FROM duckdb_columns() WHERE table_name = ?", [PATIENT_TABLE]).fetchone()
    if found is None:
        connection.execute(_NO_PATIENT)
        return
    role = roles[PATIENT_TABLE]
    dead = deaths(PATIENT_TABLE, role)
    statement = _PATIENT.format(patient=role.patient, text=role.start_text, deaths=dead)
    connection.execute(statement, {"as_of": as_of})


def fill_index_events(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, as_of: date) -> None:
    """Create the temporary table `index_event` from `event` and `patient`.

    A case with an `excluded_reason` is not followed. Without `index_end` and `end_fault` the case has not ended yet.
    """
    connection.execute(_TABLE)
    for name, cohort in outcome_set.cohorts.items():
        statement = _COHORT.format(
            index=quote(cohort.index),
            cohort=quote(name),
            incomplete="low IS NULL" if cohort.counts == "per_year" else "low IS DISTINCT FROM high OR low IS NULL",
            counted=_counted(cohort),
            placed=_placed(cohort),
        )
        if "counting" in statement:
            statement = statement.replace("WITH begun", "WITH RECURSIVE begun", 1)
        connection.execute(statement, {"as_of": as_of} if "$as_of" in statement else {})


def _counted(cohort: Cohort) -> str:
    match cohort.counts:
        case "each":
            return _EACH
        case "first":
            return _FIRST
        case "per_year":
            return _PER_YEAR
        case "each_day" if cohort.apart_days:
            return _APART.format(side="begun.side" if cohort.by_side else "NULL", apart=cohort.apart_days)
        case "each_day":
            return _EACH_DAY.format(side=", side" if cohort.by_side else "")


def _placed(cohort: Cohort) -> str:
    if cohort.counts == "per_year":
        return _YEAR_END
    return _OWN_END if cohort.stay is None else _STAY_END.format(stay=quote(cohort.stay))
