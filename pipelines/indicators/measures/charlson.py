"""The Charlson score of every case, from the ICD-10 codes of problems known up to its index date."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from pipelines.formulae.charlson import Charlson
from pipelines.formulae.charlson_macros import register_charlson
from pipelines.indicators.table_roles import TableRoles

_TABLE = "zib_problem"

# ICD-10 and its Dutch edition; all codings of a problem count, not only the first.
_CASES = """
CREATE OR REPLACE TEMP TABLE charlson_diagnosis AS
SELECT DISTINCT c.institution, c.index_id AS patient_key, coding.code
FROM index_event AS c
JOIN {table} AS p ON p.institution = c.institution AND p.{patient} = c.patient_key
JOIN zib_coding AS coding ON coding.institution = p.institution AND coding.codings_id = p.{codings}
WHERE c.excluded_reason IS NULL AND p.{status} IS DISTINCT FROM 'entered-in-error'
  AND coding.system IN ('http://hl7.org/fhir/sid/icd-10', 'http://hl7.org/fhir/sid/icd-10-nl')
  AND final_day(coalesce(p.{start}, p.recorded_date_text)) <= c.index_date
"""

_SCORES = """
CREATE OR REPLACE TEMP TABLE charlson_case AS
SELECT patient_key AS index_id, score FROM charlson_score('charlson_diagnosis', 'charlson-1987')
"""


def fill_charlson(connection: duckdb.DuckDBPyConnection, charlson: Charlson, roles: Mapping[str, TableRoles]) -> None:
    """Create the temporary table `charlson_case` (index_id, score); a case without a known ICD-10 code has no row."""
    register_charlson(connection, charlson)
    names = {row[0] for row in connection.execute("SELECT DISTINCT table_name FROM duckdb_columns()").fetchall()}
    if {_TABLE, "zib_coding"} <= names:
        role = roles[_TABLE]
        statement = _CASES.format(
            table=_TABLE, patient=role.patient, codings=role.codings, status=role.status, start=role.start_text
        )
        connection.execute(statement)
        connection.execute(_SCORES)
    else:
        connection.execute("CREATE OR REPLACE TEMP TABLE charlson_case (index_id BIGINT, score INTEGER)")
