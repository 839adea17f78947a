"""Scores that the record holds already, as Observations: taken over when the code is one of an instrument's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.instruments import Instrument

_TABLE = """
CREATE OR REPLACE TEMP TABLE prom_score_code (
    system VARCHAR, code VARCHAR, instrument VARCHAR, instrument_version VARCHAR, score VARCHAR, direction VARCHAR,
    lowest DOUBLE, highest DOUBLE)
"""

# An Observation with two codes of one score is one score. A code that two versions share tells no version.
_INSERT = """
INSERT INTO prom_score BY NAME
WITH known AS (
    SELECT system, code, instrument, score, direction, min(lowest) AS lowest, max(highest) AS highest,
           CASE WHEN count(DISTINCT instrument_version) = 1 THEN min(instrument_version) END AS instrument_version
    FROM prom_score_code
    GROUP BY ALL
), coded AS (
    SELECT DISTINCT observation.* EXCLUDE (score_loinc_code, score_snomed_code), known.* EXCLUDE (system, code)
    FROM prom_observation AS observation
    JOIN known ON (system = 'http://loinc.org' AND code = score_loinc_code)
        OR (system = 'http://snomed.info/sct' AND code = score_snomed_code)
)
SELECT * EXCLUDE (found), CASE WHEN missing_reason IS NULL THEN found END AS value
FROM (
SELECT institution, patient_key, resource_key, instrument, instrument_version, score, direction,
       effective_at::DATE AS scored_date, value_number AS found,
       CASE WHEN status = 'entered-in-error' THEN 'entered in error'
            WHEN status IS NULL OR status NOT IN ('final', 'amended', 'corrected') THEN 'result not final'
            WHEN value_number IS NULL THEN 'item missing'
            WHEN NOT coalesce(value_number >= lowest, true) OR NOT coalesce(value_number <= highest, true)
                THEN 'item out of range' END AS missing_reason,
       status, 'patient' AS answered_by, 'source' AS scored_by
FROM coded)
"""

_TABLE_NAMES = "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()"


def add_source_scores(connection: duckdb.DuckDBPyConnection, instruments: Sequence[Instrument]) -> None:
    """Add the scores of `prom_observation`, if the connection has it, to `prom_score` with `scored_by` = `source`.

    Only a final, amended or corrected result inside the range of the score counts. What the source scored with is not
    known here: the row names the version of the file that has the code.
    """
    if ("prom_observation",) not in connection.execute(_TABLE_NAMES).fetchall():
        return
    connection.execute(_TABLE)
    insert_rows(connection, "prom_score_code", _code_rows(instruments))
    connection.execute(_INSERT)


def _code_rows(instruments: Sequence[Instrument]) -> Iterator[tuple[object, ...]]:
    for instrument in instruments:
        for rule in instrument.scores:
            for code in rule.codes:
                yield (
                    code.system, code.code, instrument.id, instrument.version, rule.score, rule.direction, *rule.range
                )  # fmt: skip
