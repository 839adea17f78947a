"""PROM answers to scores in DuckDB: which instrument and version a response is of, and a row for every score.

The tables are joined in SQL; the scoring itself is `pipelines.proms.engine`, on whole columns of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.engine import MISSING, REASONS, Scores, score_answers
from pipelines.proms.instruments import Instrument
from pipelines.proms.source_scores import add_source_scores

_TABLES = """
CREATE OR REPLACE TEMP TABLE prom_version (url VARCHAR, version VARCHAR, slot INTEGER);
CREATE OR REPLACE TEMP TABLE prom_item_name (slot INTEGER, name VARCHAR, item INTEGER, is_coded BOOLEAN);
CREATE OR REPLACE TEMP TABLE prom_item_code (slot INTEGER, item INTEGER, code VARCHAR, code_value DOUBLE);
CREATE OR REPLACE TEMP TABLE prom_rule (
    slot INTEGER, rule INTEGER, instrument VARCHAR, instrument_version VARCHAR, score VARCHAR, direction VARCHAR,
    missing_rule VARCHAR);
CREATE OR REPLACE TEMP TABLE prom_reason (reason UTINYINT, missing_reason VARCHAR);
"""

# A response that names no version is of the only file there is; where there are several it is not guessed.
_RESPONSE = """
CREATE OR REPLACE TEMP TABLE prom_response AS
WITH response AS (
    SELECT institution, resource_key, coalesce(questionnaire, '') AS questionnaire,
           any_value(questionnaire_version) AS questionnaire_version, any_value(patient_key) AS patient_key,
           any_value(status) AS status, max(authored_at)::DATE AS scored_date,
           CASE WHEN count(source_related_person_key) > 0 THEN 'proxy'
                WHEN count(source_practitioner_key) + count(source_practitioner_role_key) > 0 THEN 'professional'
                ELSE 'patient' END AS answered_by
    FROM prom_answer
    GROUP BY ALL
), file AS (
    SELECT url, count(DISTINCT slot) AS files, min(slot) AS only_slot, any_value(instrument) AS instrument
    FROM prom_version JOIN prom_rule USING (slot)
    GROUP BY url
), placed AS (
    SELECT response.*, file.instrument AS claimed_by,
           CASE WHEN questionnaire_version IS NOT NULL THEN prom_version.slot
                WHEN file.files = 1 THEN file.only_slot END AS slot
    FROM response
    LEFT JOIN file ON file.url = questionnaire
    LEFT JOIN prom_version ON prom_version.url = questionnaire AND prom_version.version = questionnaire_version
)
SELECT row_number() OVER (ORDER BY institution, resource_key, questionnaire) - 1 AS response, *,
       CASE WHEN claimed_by IS NULL THEN 'unknown instrument'
            WHEN slot IS NULL AND questionnaire_version IS NULL THEN 'version not stated'
            WHEN slot IS NULL THEN 'unknown version'
            WHEN status = 'entered-in-error' THEN 'entered in error'
            WHEN status IS NULL OR status NOT IN ('completed', 'amended', 'stopped') THEN 'response not finished'
       END AS refused
FROM placed
"""

# Per item one number; the markers of the engine stand for what is no number: +inf unreadable, -inf two answers.
_ANSWER = """
WITH reading AS (
    SELECT prom_response.slot, response, prom_item_name.item,
           CASE WHEN prom_item_name.is_coded THEN
                    coalesce(prom_item_code.code_value, CASE WHEN value_code IS NOT NULL OR value_number IS NOT NULL
                                                             THEN 'inf'::DOUBLE END)
                ELSE coalesce(value_number, try_cast(value_code AS DOUBLE),
                              CASE WHEN value_code IS NOT NULL THEN 'inf'::DOUBLE END) END AS read,
           CASE WHEN isnan(read) THEN 'inf'::DOUBLE ELSE read END AS value
    FROM prom_answer
    JOIN prom_response ON prom_response.institution = prom_answer.institution
        AND prom_response.resource_key = prom_answer.resource_key
        AND prom_response.questionnaire = prom_answer.questionnaire
    JOIN prom_item_name ON prom_item_name.slot = prom_response.slot
    LEFT JOIN prom_item_code ON prom_item_code.slot = prom_response.slot
        AND prom_item_code.item = prom_item_name.item AND prom_item_code.code = lower(value_code)
    WHERE refused IS NULL AND lower(link_id) = name
)
SELECT slot, response, item, CASE WHEN min(value) < max(value) THEN '-inf'::DOUBLE ELSE max(value) END AS value
FROM reading
WHERE value IS NOT NULL
GROUP BY ALL
ORDER BY slot, response, item
"""

_SCORE = """
CREATE OR REPLACE TABLE prom_score AS
SELECT institution, patient_key, resource_key, questionnaire, instrument, instrument_version, score, direction,
       scored_date, raw, value, se, complete_items, items, missing_rule, missing_reason, status, answered_by, scored_by
FROM (
    SELECT response.*, prom_rule.instrument, prom_rule.instrument_version, prom_rule.score, prom_rule.direction,
           raw, value, se, complete_items, items, CASE WHEN imputed THEN prom_rule.missing_rule END AS missing_rule,
           prom_reason.missing_reason, 'uitkomststroom' AS scored_by
    FROM prom_scored
    JOIN prom_response AS response USING (response)
    JOIN prom_rule ON prom_rule.slot = response.slot AND prom_rule.rule = prom_scored.rule
    JOIN prom_reason USING (reason)
    UNION ALL BY NAME
    SELECT response.*, coalesce(prom_rule.instrument, claimed_by) AS instrument, prom_rule.instrument_version,
           prom_rule.score, prom_rule.direction, refused AS missing_reason, 'uitkomststroom' AS scored_by
    FROM prom_response AS response
    LEFT JOIN prom_rule ON prom_rule.slot = response.slot
    WHERE refused IS NOT NULL
)
ORDER BY institution, resource_key, instrument, score
"""

_SCORED_SCHEMA = pa.schema(
    [
        ("response", pa.int64()), ("rule", pa.int32()), ("raw", pa.float64()), ("value", pa.float64()),
        ("se", pa.float64()), ("complete_items", pa.int32()), ("items", pa.int32()), ("imputed", pa.bool_()),
        ("reason", pa.uint8()),
    ]
)  # fmt: skip


def score(
    connection: duckdb.DuckDBPyConnection, instruments: Sequence[Instrument], *, response_pattern: bool = False
) -> None:
    """Create table `prom_score` (docs/tables.md) from `prom_answer` and, where it is there, `prom_observation`.

    One row per response and score. A score that cannot be given is a row with `missing_reason`; a response of an
    unknown instrument or version is one row. Responses that are completed, amended or stopped are scored: their
    answers are final, and what is missing is judged by the instrument's own rule.

    Args:
        response_pattern: also give the PROMIS response-pattern scores.
    """
    connection.execute(_TABLES)
    insert_rows(connection, "prom_version", _version_rows(instruments))
    insert_rows(connection, "prom_item_name", _name_rows(instruments))
    insert_rows(connection, "prom_item_code", _code_rows(instruments))
    insert_rows(connection, "prom_rule", _rule_rows(instruments))
    insert_rows(connection, "prom_reason", list(enumerate(REASONS)))
    connection.execute(_RESPONSE)
    scored = _scored(connection, instruments, response_pattern)
    connection.register("prom_scored", scored)
    connection.execute(_SCORE)
    connection.unregister("prom_scored")
    add_source_scores(connection, instruments)


def _scored(
    connection: duckdb.DuckDBPyConnection, instruments: Sequence[Instrument], response_pattern: bool
) -> pa.Table:
    """The scores of all responses, instrument by instrument."""
    answers = connection.sql(_ANSWER).fetchnumpy()
    responses = connection.sql(
        "SELECT slot, response FROM prom_response WHERE refused IS NULL ORDER BY slot, response"
    ).fetchnumpy()
    tables = []
    for slot in np.unique(responses["slot"]):
        own = responses["response"][responses["slot"] == slot]
        mine = slice(*np.searchsorted(answers["slot"], [slot, slot + 1]))
        instrument = instruments[int(slot)]
        matrix = np.full((len(instrument.items), len(own)), MISSING)
        columns = np.searchsorted(own, answers["response"][mine])
        matrix[answers["item"][mine].astype(np.intp), columns] = answers["value"][mine]
        given = {item.link_id: matrix[number] for number, item in enumerate(instrument.items)}
        scores = score_answers(instrument, given, len(own), response_pattern=response_pattern)
        order = {rule.score: number for number, rule in enumerate(instrument.scores)}
        tables += [_score_table(own, order[scores_of.rule.score], scores_of) for scores_of in scores]
    return pa.concat_tables(tables) if tables else _SCORED_SCHEMA.empty_table()


def _score_table(responses: np.ndarray, rule: int, scores: Scores) -> pa.Table:
    rows = len(responses)
    se = np.full(rows, np.nan) if scores.se is None else scores.se
    columns = [
        pa.array(responses, pa.int64()),
        pa.array(np.full(rows, rule), pa.int32()),
        *(pa.array(column, pa.float64(), from_pandas=True) for column in (scores.raw, scores.value, se)),
        pa.array(scores.complete, pa.int32()),
        pa.array(np.full(rows, scores.items), pa.int32()),
        pa.array(scores.imputed),
        pa.array(scores.reason),
    ]
    return pa.Table.from_arrays(columns, schema=_SCORED_SCHEMA)


def _version_rows(instruments: Sequence[Instrument]) -> Iterator[tuple[object, ...]]:
    for slot, instrument in enumerate(instruments):
        for url in instrument.questionnaires:
            for version in instrument.accepted_versions:
                yield url, version, slot


def _name_rows(instruments: Sequence[Instrument]) -> Iterator[tuple[object, ...]]:
    for slot, instrument in enumerate(instruments):
        for number, item in enumerate(instrument.items):
            for name in item.names:
                yield slot, name.lower(), number, item.answers is not None


def _code_rows(instruments: Sequence[Instrument]) -> Iterator[tuple[object, ...]]:
    for slot, instrument in enumerate(instruments):
        for number, item in enumerate(instrument.items):
            for code, value in (item.answers or {}).items():
                yield slot, number, code.lower(), float(value)


def _rule_rows(instruments: Sequence[Instrument]) -> Iterator[tuple[object, ...]]:
    for slot, instrument in enumerate(instruments):
        for number, rule in enumerate(instrument.scores):
            yield slot, number, instrument.id, instrument.version, rule.score, rule.direction, rule.missing.rule
