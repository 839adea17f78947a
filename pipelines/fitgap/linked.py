"""Index events and what hangs on them: patients, responses and scores in and around the windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import duckdb

from pipelines.fitgap.tables import columns_of
from pipelines.indicators.elements import (
    AtMoment,
    Check,
    IndexPatients,
    Requirement,
    Responses,
    Role,
    Selected,
    tables_of,
)
from pipelines.indicators.selections import Rows, Selection, label
from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.instruments import Instrument
from pipelines.proms.scoring import score
from pipelines.sqlonfhir.values import quote

_INDEX = """
CREATE OR REPLACE TEMP TABLE fit_index AS
SELECT DISTINCT institution, patient AS patient_key, name, date AS index_date
FROM ({rows})
WHERE patient IS NOT NULL AND date IS NOT NULL;
CREATE OR REPLACE TEMP TABLE fit_index_of AS
SELECT institution, patient_key, list(DISTINCT name) AS index_of FROM fit_index GROUP BY ALL;
"""

_PATIENTS = """
CREATE OR REPLACE TEMP TABLE fit_patient AS
SELECT source.*, coalesce(fit_index_of.index_of, []) AS index_of
FROM fit_zib_patient AS source
LEFT JOIN fit_index_of ON fit_index_of.institution = source.institution AND fit_index_of.patient_key = source.patient
"""

_RESPONSES = """
CREATE OR REPLACE TEMP TABLE fit_response AS
WITH response AS (
    SELECT institution, resource_key, any_value(code) AS questionnaire, any_value(patient) AS patient,
           any_value(date) AS date, any_value(is_backlog) AS is_backlog, any_value(available) AS available
    FROM fit_prom_answer
    WHERE status IN ('completed', 'amended')
    GROUP BY ALL
)
SELECT response.*, fit_instrument.instrument, coalesce(fit_index_of.index_of, []) AS index_of
FROM response
LEFT JOIN fit_instrument USING (questionnaire)
LEFT JOIN fit_index_of ON fit_index_of.institution = response.institution
    AND fit_index_of.patient_key = response.patient
"""

_NO_SCORES = """
CREATE OR REPLACE TABLE prom_score (
    institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, instrument VARCHAR, score VARCHAR,
    scored_date DATE, value DOUBLE)
"""

_MOMENTS = """
WITH followed AS (
    SELECT fit_index.*, wanted.element, wanted.instrument, wanted.score, wanted.from_day, wanted.to_day
    FROM fit_index
    JOIN fit_wanted AS wanted USING (name)
    WHERE fit_index.index_date + wanted.to_day <= $as_of
), answered AS (
    SELECT DISTINCT followed.institution, followed.element, followed.patient_key, followed.index_date
    FROM followed
    JOIN prom_score ON prom_score.institution = followed.institution
        AND prom_score.patient_key = followed.patient_key AND prom_score.instrument = followed.instrument
        AND prom_score.score = followed.score AND prom_score.value IS NOT NULL
        AND prom_score.scored_date - followed.index_date BETWEEN followed.from_day AND followed.to_day
), counted AS (
    SELECT institution, element, count(*) AS followed FROM followed GROUP BY ALL
), hit AS (
    SELECT institution, element, count(*) AS answered FROM answered GROUP BY ALL
), every AS (
    SELECT institution, element, count(*) AS events FROM fit_index JOIN fit_wanted USING (name) GROUP BY ALL
)
SELECT institution, element, events, coalesce(followed, 0), coalesce(answered, 0)
FROM every
LEFT JOIN counted USING (institution, element)
LEFT JOIN hit USING (institution, element)
"""


def prepare_linked(
    connection: duckdb.DuckDBPyConnection,
    requirements: Sequence[Requirement],
    members: Mapping[Rows, str],
    instruments: Sequence[Instrument],
) -> None:
    """Make `fit_index`, `fit_patient`, `fit_response` and `prom_score` from the tables of `prepare_rows`."""
    indexes = {r.scope.index for r in requirements if isinstance(r.scope, AtMoment | IndexPatients)}
    indexes |= set(_index_of(requirements).values())
    selected = [
        f"SELECT institution, patient, date, {quote(label(index))} AS name FROM fit_{rows.table} WHERE {members[rows]}"
        for index in sorted(indexes, key=label)
        for rows in index
    ]
    nothing = (
        "SELECT NULL::VARCHAR AS institution, NULL::VARCHAR AS patient, NULL::DATE AS date, '' AS name WHERE false"
    )
    connection.execute(_INDEX.format(rows=" UNION ALL ".join([nothing, *selected])))
    tables = {table for requirement in requirements for table in tables_of(requirement)}
    if "zib_patient" in tables:
        connection.execute(_PATIENTS)
    if "prom_answer" in tables:
        connection.execute("CREATE OR REPLACE TEMP TABLE fit_instrument (questionnaire VARCHAR, instrument VARCHAR)")
        claims = [(url, instrument.id) for instrument in instruments for url in instrument.questionnaires]
        insert_rows(connection, "fit_instrument", claims)
        connection.execute(_RESPONSES)
        if columns_of(connection, "prom_answer"):
            score(connection, instruments)
        else:
            connection.execute(_NO_SCORES)


def measure_moments(
    connection: duckdb.DuckDBPyConnection, requirements: Sequence[Requirement], as_of: date
) -> Iterator[tuple[str, str, Check, int, int]]:
    """Institution, element, check, and how many of how many: per moment, index events with a score in its window.

    `followed`: events whose window has passed, of all events. `moment` and `answered`: events with a score that can be
    used, of those followed.
    """
    wanted = {r.element: r.scope for r in requirements if isinstance(r.scope, AtMoment)}
    if not wanted:
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE fit_wanted (element VARCHAR, name VARCHAR, instrument VARCHAR, score VARCHAR,"
        " from_day INTEGER, to_day INTEGER)"
    )
    rows = [
        (element, label(at.index), at.instrument, at.score, at.from_day, at.to_day) for element, at in wanted.items()
    ]
    insert_rows(connection, "fit_wanted", rows)
    for institution, element, events, followed, answered in connection.execute(_MOMENTS, {"as_of": as_of}).fetchall():
        yield str(institution), element, Check.FOLLOWED, int(followed), int(events)
        for check in (Check.MOMENT, Check.ANSWERED):
            yield str(institution), element, check, int(answered), int(followed)


def indexes_of(requirements: Sequence[Requirement], instruments: Collection[str]) -> list[str]:
    """The index events of the indicators that need any of these instruments."""
    index = _index_of(requirements)
    asking = {
        (need.outcome_set, need.indicator)
        for need in requirements
        if isinstance(need.scope, Responses) and not set(need.scope.instruments).isdisjoint(instruments)
    }
    return sorted({label(index[each]) for each in asking if each in index})


def _index_of(requirements: Sequence[Requirement]) -> dict[tuple[str, str], Selection]:
    """The index event of each indicator."""
    return {
        (need.outcome_set, need.indicator): need.scope.selection
        for need in requirements
        if need.role == Role.INDEX_EVENT and isinstance(need.scope, Selected)
    }


def patients_sql(index: Selection) -> str:
    """The condition of the rows of `fit_patient` that have such an index event."""
    return f"list_contains(index_of, {quote(label(index))})"
