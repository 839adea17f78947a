"""Table `outcome_variable`: what tells cases apart at their index event, for case mix and strata."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.measures.answers import last_value
from pipelines.indicators.measures.charlson import fill_charlson
from pipelines.indicators.measures.sql import closes, pairs, tally
from pipelines.indicators.references import about_death
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.variables import UNKNOWN, Age, Comorbidity, LastValue, Presence, SameResource, Sex, Variable
from pipelines.sqlonfhir.values import quote

_TABLE = """
CREATE OR REPLACE TABLE outcome_variable (
    outcome_set VARCHAR, cohort VARCHAR, institution VARCHAR, index_key VARCHAR, index_date DATE, patient_key VARCHAR,
    variable VARCHAR, category VARCHAR, number DOUBLE)
"""

_ROWS = """
INSERT INTO outcome_variable
WITH cases AS (SELECT * FROM index_event WHERE excluded_reason IS NULL) {tables}
SELECT {outcome_set}, c.cohort, c.institution, c.index_key, c.index_date, c.patient_key, {variable},
       {category} AS category, {number} AS number
FROM cases AS c
{join}
"""


def fill_variables(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], as_of: date
) -> None:
    """Create table `outcome_variable`: every variable of the set for every case that is followed, in every cohort."""
    connection.execute(_TABLE)
    if outcome_set.charlson is not None:
        fill_charlson(connection, outcome_set.charlson, roles)
    for name, variable in outcome_set.variables.items():
        tables, join, category, number = _variable(variable, outcome_set)
        statement = _ROWS.format(
            tables=tables,
            join=join,
            category=category,
            number=number,
            outcome_set=quote(outcome_set.id),
            variable=quote(name),
        )
        connection.execute(statement, {"as_of": as_of} if "$as_of" in statement else {})


def _variable(variable: Variable, outcome_set: OutcomeSet) -> tuple[str, str, str, str]:
    """Common table expressions, joins to the cases `c`, category and number."""
    match variable:
        case Age():
            ages = "age_on(c.birth_low, c.index_date)", "age_on(c.birth_high, c.index_date)"
            age = f"CASE WHEN {ages[0]} = {ages[1]} THEN {ages[0]} END"
            return "", "", _band(variable.bands, f"({age})"), f"({age})::DOUBLE"
        case Sex():
            return (
                "",
                "",
                f"CASE c.sex WHEN 'female' THEN 'vrouw' WHEN 'male' THEN 'man' ELSE {quote(UNKNOWN)} END",
                "NULL",
            )
        case LastValue():
            tables = f", {last_value('cases', variable.event, variable.window)}"
            value = "CASE WHEN NOT doubt.in_doubt THEN best.value END"
            join = "LEFT JOIN doubt ON doubt.index_id = c.index_id LEFT JOIN best ON best.index_id = c.index_id"
            return tables, join, _band(variable.bands, f"({value})"), value
        case Presence():
            return _presence(variable, outcome_set)
        case SameResource():
            whens = " ".join(
                f"WHEN (c.institution, c.index_key) IN (SELECT (institution, resource_key) FROM event WHERE event ="
                f" {quote(name)}) THEN {quote(outcome_set.events[name].title_nl)}"
                for name in variable.events
            )
            return "", "", f"CASE {whens} ELSE {quote(variable.otherwise_nl)} END", "NULL"
        case Comorbidity():
            join = "LEFT JOIN charlson_case AS score ON score.index_id = c.index_id"
            return "", join, _band(variable.bands, "score.score"), "score.score::DOUBLE"


def _presence(variable: Presence, outcome_set: OutcomeSet) -> tuple[str, str, str, str]:
    found = tally(pairs("cases", variable.event, variable.window), variable.event, "", 1)
    known = "AND c.has_record" if about_death(variable.event, outcome_set.events) else ""
    over = f"coalesce({closes(variable.window)} <= $as_of, false)"
    category = (
        f"CASE WHEN tally.sure THEN 'ja' WHEN NOT coalesce(tally.possible, false) AND {over} {known} THEN 'nee'"
        f" ELSE {quote(UNKNOWN)} END"
    )
    return f", tally AS ({found})", "LEFT JOIN tally ON tally.index_id = c.index_id", category, "NULL"


def _band(bands: list[float], number: str) -> str:
    """The name of the band a number is in, as `variables.py` names it."""
    names = [f"{bound:g}" for bound in bands]
    whens = f"WHEN {number} IS NULL THEN {quote(UNKNOWN)} WHEN {number} < {bands[0]!r} THEN {quote('<' + names[0])}"
    for low, high, below in zip(names, names[1:], bands[1:], strict=False):
        whens += f" WHEN {number} < {below!r} THEN {quote(f'{low}-<{high}')}"
    return f"CASE {whens} ELSE {quote('>=' + names[-1])} END"
