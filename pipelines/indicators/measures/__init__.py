"""From the tables of a connection to `outcome_patient`: one SQL template per measure shape, set-based in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.measures.event_rows import fill_events
from pipelines.indicators.measures.frame import OUTCOME_TABLE, frame
from pipelines.indicators.measures.index_events import fill_index_events, fill_patients
from pipelines.indicators.measures.moments import define_moments
from pipelines.indicators.measures.variable_rows import fill_variables
from pipelines.indicators.shapes import ChangeBetween, ResponseRate
from pipelines.indicators.table_roles import TableRoles
from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.moments import link_moments

WantedScore = tuple[str, str, str, str]
"""Cohort, instrument, score and moment."""

_WANTED = """
CREATE OR REPLACE TEMP TABLE wanted (
    wanted_id INTEGER, cohort VARCHAR, instrument VARCHAR, score VARCHAR, moment VARCHAR)
"""

# `goodness` is the score turned so that higher is better: improvement is after minus before for all.
_MOMENT_SCORE = """
CREATE OR REPLACE TEMP TABLE moment_score AS
SELECT index_id, wanted_id, resource_key, scored_date,
       CASE direction WHEN 'higher_is_better' THEN 1 ELSE -1 END * value AS goodness
FROM prom_moment
JOIN wanted USING (cohort, instrument, score, moment)
WHERE place = 'chosen'
"""

_NO_MOMENT_SCORE = """
CREATE OR REPLACE TEMP TABLE moment_score (
    index_id BIGINT, wanted_id INTEGER, resource_key VARCHAR, scored_date DATE, goodness DOUBLE)
"""


def measure(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], as_of: date
) -> None:
    """Create tables `outcome_patient` and `outcome_variable` (docs/tables.md), as they are on `as_of`.

    Reads the ZIB tables of the set's events, `zib_patient`, `zib_coding` and `prom_score`; a table that is not there
    has no rows. Patients can be measured in any grouping: the rows of one patient follow from the rows of that patient
    alone (and of what they link to). Leaves the temporary tables `event`, `index_event` and `moment_score`.
    """
    wanted = _wanted_scores(outcome_set)
    connection.execute(OUTCOME_TABLE)
    define_moments(connection)
    fill_patients(connection, roles, as_of)
    fill_events(connection, outcome_set, roles, as_of)
    fill_index_events(connection, outcome_set, as_of)
    connection.execute(_WANTED)
    insert_rows(connection, "wanted", [(number, *names) for names, number in wanted.items()])
    if connection.execute("SELECT 1 FROM duckdb_columns() WHERE table_name = 'prom_score'").fetchone():
        link_moments(connection, outcome_set.proms, outcome_set.moments, as_of)
        connection.execute(_MOMENT_SCORE)
    else:
        connection.execute(_NO_MOMENT_SCORE)
    for indicator in outcome_set.indicators:
        connection.execute(frame(indicator, outcome_set, wanted), {"as_of": as_of})
    fill_variables(connection, outcome_set, roles, as_of)


def _wanted_scores(outcome_set: OutcomeSet) -> dict[WantedScore, int]:
    """Every score at a moment that an indicator needs, numbered."""
    wanted: dict[WantedScore, int] = {}
    for indicator in outcome_set.indicators:
        match indicator.measure:
            case ChangeBetween() as change:
                moments = [change.before, change.after]
            case ResponseRate() as response:
                moments = response.moments
            case _:
                continue
        score = indicator.cohort, indicator.measure.instrument, indicator.measure.score
        for moment in moments:
            wanted.setdefault((*score, moment), len(wanted))
    return wanted
