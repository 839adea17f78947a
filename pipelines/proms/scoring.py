"""PROM answers to scores, set-based in DuckDB.

Every scoring kind is one shape: an allowed answer of an item is a *level* that is worth *points*; the points of a
response are summed, and the kind says how the sum becomes the score. An answer without a level is out of range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from pipelines.proms.definition_rows import insert_rows
from pipelines.proms.instruments import Instrument, ScoreRule, SumThenTable, ValueSetDecrements

_TABLES = """
CREATE OR REPLACE TEMP TABLE score_rule (
    questionnaire VARCHAR, instrument VARCHAR, instrument_version VARCHAR, score VARCHAR, direction VARCHAR,
    kind VARCHAR, start_value DOUBLE, any_problem DOUBLE, decimals INTEGER);
CREATE OR REPLACE TEMP TABLE score_level (
    instrument VARCHAR, score VARCHAR, link_id VARCHAR, level DOUBLE, points DOUBLE, is_problem BOOLEAN);
CREATE OR REPLACE TEMP TABLE score_table (instrument VARCHAR, score VARCHAR, raw_sum DOUBLE, value DOUBLE);
"""

_SCORE = """
CREATE OR REPLACE TABLE prom_score AS
WITH reading AS (
    SELECT institution, resource_key, patient_key, questionnaire, authored_at, link_id,
           coalesce(value_number, try_cast(value_code AS DOUBLE)) AS value,
           CASE WHEN value IS NULL THEN value_code END AS unreadable
    FROM prom_answer
    WHERE status IN ('completed', 'amended')
), answer AS (
    SELECT institution, resource_key, questionnaire, link_id, max(value) AS value,
           count(value) + count(unreadable) > 0 AS is_answered,
           coalesce(min(value) <> max(value) OR min(unreadable) <> max(unreadable), false)
               OR (count(value) > 0 AND count(unreadable) > 0) AS is_conflicting
    FROM reading
    GROUP BY ALL
), response AS (
    SELECT institution, resource_key, questionnaire, any_value(patient_key) AS patient_key,
           max(authored_at)::DATE AS scored_date
    FROM reading
    GROUP BY ALL
), expected AS (
    SELECT DISTINCT instrument, score, link_id FROM score_level
), judged AS (
    SELECT response.institution, response.resource_key, response.questionnaire, expected.instrument, expected.score,
           coalesce(answer.is_answered, false) AS is_answered, coalesce(answer.is_conflicting, false) AS is_conflicting,
           score_level.points, score_level.is_problem
    FROM response
    JOIN score_rule USING (questionnaire)
    JOIN expected USING (instrument, score)
    LEFT JOIN answer USING (institution, resource_key, questionnaire, link_id)
    LEFT JOIN score_level ON score_level.instrument = expected.instrument AND score_level.score = expected.score
        AND score_level.link_id = expected.link_id AND score_level.level = answer.value
), summed AS (
    SELECT institution, resource_key, questionnaire, instrument, score,
           sum(points) AS points, bool_or(is_problem) AS any_problem,
           CASE WHEN bool_or(is_conflicting) THEN 'conflicting answers'
                WHEN bool_or(is_answered AND points IS NULL) THEN 'item out of range'
                WHEN bool_or(NOT is_answered) THEN 'item missing' END AS missing_reason
    FROM judged
    GROUP BY ALL
)
SELECT response.institution, response.patient_key, response.resource_key, rule.instrument, rule.instrument_version,
       rule.score, rule.direction, response.scored_date,
       CASE WHEN summed.missing_reason IS NOT NULL THEN NULL
            WHEN rule.kind = 'single_item' THEN summed.points
            WHEN rule.kind = 'sum_then_table' THEN score_table.value
            WHEN rule.kind = 'value_set_decrements' THEN round(
                rule.start_value + summed.points + CASE WHEN summed.any_problem THEN rule.any_problem ELSE 0 END,
                rule.decimals)
       END AS value,
       summed.missing_reason
FROM summed
JOIN response USING (institution, resource_key, questionnaire)
JOIN score_rule AS rule USING (questionnaire, instrument, score)
LEFT JOIN score_table ON score_table.instrument = summed.instrument AND score_table.score = summed.score
    AND score_table.raw_sum = summed.points
"""

_UNSCORED = """
SELECT coalesce(questionnaire, '') AS questionnaire, count(DISTINCT (institution, resource_key)) AS responses
FROM prom_answer
WHERE coalesce(questionnaire, '') NOT IN (SELECT unnest($known::VARCHAR[]))
GROUP BY ALL
ORDER BY ALL
"""


def score(connection: duckdb.DuckDBPyConnection, instruments: Sequence[Instrument]) -> None:
    """Create table `prom_score` (docs/tables.md) from `prom_answer`: one row per response and score.

    Only responses with status completed or amended count. A score is never guessed: when an item it needs is
    missing, out of range (also: not a whole number) or answered in two ways, `value` is null and `missing_reason`
    says so. A response to a questionnaire that no instrument claims gives no row; see `unscored_questionnaires`.
    """
    connection.execute(_TABLES)
    insert_rows(connection, "score_rule", [row for instrument in instruments for row in _rule_rows(instrument)])
    insert_rows(connection, "score_level", [row for instrument in instruments for row in _level_rows(instrument)])
    insert_rows(connection, "score_table", [row for instrument in instruments for row in _table_rows(instrument)])
    connection.execute(_SCORE)


def unscored_questionnaires(
    connection: duckdb.DuckDBPyConnection, instruments: Sequence[Instrument]
) -> list[tuple[str, int]]:
    """Canonical URLs in `prom_answer` that no instrument claims ('' for none), with their number of responses."""
    known = [url for instrument in instruments for url in instrument.questionnaires]
    return [(str(url), int(count)) for url, count in connection.execute(_UNSCORED, {"known": known}).fetchall()]


def _rule_rows(instrument: Instrument) -> Iterator[tuple[object, ...]]:
    for url in instrument.questionnaires:
        for rule in instrument.scores:
            start, any_problem, decimals = (
                (rule.start, rule.any_problem, rule.decimals) if isinstance(rule, ValueSetDecrements) else (0.0, 0.0, 0)
            )
            yield (
                url, instrument.id, instrument.version, rule.score, rule.direction,
                rule.kind, start, any_problem, decimals,
            )  # fmt: skip


def _level_rows(instrument: Instrument) -> Iterator[tuple[object, ...]]:
    for rule in instrument.scores:
        for link_id in rule.items:
            item = instrument.item(link_id)
            for level in range(item.min, item.max + 1):
                points = _points(rule, link_id, level, item.min)
                yield instrument.id, rule.score, link_id, float(level), points, level > item.min


def _points(rule: ScoreRule, link_id: str, level: int, first_level: int) -> float:
    if isinstance(rule, ValueSetDecrements):
        return rule.decrements[link_id][level - first_level]
    return float(level)


def _table_rows(instrument: Instrument) -> Iterator[tuple[object, ...]]:
    for rule in instrument.scores:
        if isinstance(rule, SumThenTable):
            for raw_sum, value in rule.table.items():
                yield instrument.id, rule.score, float(raw_sum), value
