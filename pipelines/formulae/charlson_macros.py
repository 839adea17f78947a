"""The Charlson comorbidity index as a DuckDB table macro, made of the definition that the numpy function uses."""

from __future__ import annotations

import duckdb

from pipelines.formulae.charlson import ICD10_CODE, Charlson

# Every distinct code is compared with the prefixes once; a list has some 300 of them.
_MACRO = """
CREATE OR REPLACE TEMP MACRO charlson_score(diagnoses, weighting, hierarchy := true) AS TABLE
WITH diagnosis AS (
    SELECT institution, patient_key,
           CASE WHEN regexp_full_match(code, '{pattern}')
                THEN upper(regexp_replace(code, '^{pattern}$', '\\1\\2')) END AS code
    FROM query_table(diagnoses)
    WHERE institution IS NOT NULL AND patient_key IS NOT NULL
), prefix(category, prefix) AS (
    VALUES {prefixes}
), member AS (
    SELECT DISTINCT code, category
    FROM (SELECT DISTINCT code FROM diagnosis WHERE code IS NOT NULL)
    JOIN prefix ON starts_with(code, prefix.prefix)
), patient AS (
    SELECT institution, patient_key,
           coalesce(list(DISTINCT category ORDER BY category) FILTER (category IS NOT NULL), []::VARCHAR[]) AS present
    FROM diagnosis
    LEFT JOIN member USING (code)
    GROUP BY institution, patient_key
), counted AS (
    SELECT institution, patient_key, CASE weighting {weights} END AS weights,
           list_filter(present, lambda name:
               NOT (hierarchy AND coalesce(list_contains(present, {hidden_by}[name]), false))) AS categories
    FROM patient
)
SELECT institution, patient_key, categories,
       CASE WHEN weights IS NOT NULL
            THEN coalesce(list_sum(list_transform(categories, lambda name: weights[name])), 0)::INTEGER END AS score
FROM counted
"""


def register_charlson(connection: duckdb.DuckDBPyConnection, charlson: Charlson) -> None:
    """Define ``charlson_score(diagnoses, weighting, hierarchy := true)`` on `connection`, for one variant.

    `diagnoses` is the name of a table or view, as text, with the columns institution, patient_key and code (ICD-10
    codes only). It gives one row per patient of that table: institution, patient_key, categories (VARCHAR[], those
    counted, sorted) and score (INTEGER). A score of 0 says that no listed code was recorded. Another weighting than
    those of `charlson.weights` gives NULL. Rows without institution or patient are left out.
    """
    prefixes = ", ".join(
        f"({_text(category)}, {_text(prefix)})"
        for category, prefixes in charlson.prefixes.items()
        for prefix in prefixes
    )
    weights = " ".join(f"WHEN {_text(name)} THEN {_map(points)}" for name, points in charlson.weights.items())
    connection.execute(
        _MACRO.format(pattern=ICD10_CODE, prefixes=prefixes, weights=weights, hidden_by=_map(charlson.hidden_by))
    )


def _map(entries: dict[str, int] | dict[str, str]) -> str:
    values = (value if isinstance(value, int) else _text(value) for value in entries.values())
    return f"MAP {{{', '.join(f'{_text(key)}: {value}' for key, value in zip(entries, values, strict=True))}}}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
