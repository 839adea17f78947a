"""From `outcome_patient` to `indicator_result`: per institution and month, with interval and group figure."""

from __future__ import annotations

from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.intervals import Floats, t_interval, wilson_interval
from pipelines.proms.definition_rows import insert_rows

_RESULT_TABLE = """
CREATE OR REPLACE TABLE indicator_result (
    institution VARCHAR, outcome_set VARCHAR, indicator VARCHAR, indicator_version VARCHAR, statistic VARCHAR,
    period VARCHAR, denominator BIGINT, numerator BIGINT, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    group_denominator BIGINT, group_value DOUBLE, pending BIGINT, missing BIGINT, excluded BIGINT, as_of DATE)
"""

_STATISTIC_TABLE = "CREATE OR REPLACE TEMP TABLE indicator_statistic (indicator VARCHAR, statistic VARCHAR)"

# An excluded row without a date has no month; it counts in the total only. Sums are taken in a fixed order, so that
# the same patients give the same number to the last bit, and a rerun no new delivery.
_COUNTED = """
WITH patient AS (
    SELECT outcome_patient.*, indicator_statistic.statistic, strftime(index_date, '%Y-%m') AS period,
           CASE statistic WHEN 'proportion' THEN numerator::INTEGER::DOUBLE ELSE value END AS measured
    FROM outcome_patient
    JOIN indicator_statistic USING (indicator)
), summed AS (
    SELECT institution, outcome_set, indicator, indicator_version, statistic,
           CASE WHEN grouping(period) = 1 THEN 'total' ELSE period END AS period,
           count(*) FILTER (status = 'included') AS denominator,
           CASE statistic WHEN 'proportion' THEN count(*) FILTER (numerator) END AS numerator,
           avg(measured ORDER BY measured) AS value, stddev_samp(measured ORDER BY measured) AS standard_deviation,
           count(*) FILTER (status = 'pending') AS pending,
           count(*) FILTER (status = 'missing') AS missing,
           count(*) FILTER (status = 'excluded') AS excluded
    FROM patient
    GROUP BY GROUPING SETS (
        (institution, outcome_set, indicator, indicator_version, statistic, period),
        (institution, outcome_set, indicator, indicator_version, statistic))
    HAVING grouping(patient.period) = 1 OR patient.period IS NOT NULL
)
SELECT *, sum(denominator) OVER everyone AS group_denominator,
       sum(value * denominator) OVER everyone / nullif(sum(denominator) OVER everyone, 0) AS group_value
FROM summed
WINDOW everyone AS (PARTITION BY outcome_set, indicator, summed.period ORDER BY institution
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
ORDER BY indicator, institution, summed.period
"""

_RESULT = """
INSERT INTO indicator_result
SELECT institution, outcome_set, indicator, indicator_version, statistic, period, denominator, numerator, value,
       ci_low, ci_high, group_denominator, group_value, pending, missing, excluded, $as_of
FROM counted_result
"""


def summarise(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, as_of: date) -> None:
    """Create table `indicator_result` (docs/tables.md) from `outcome_patient`.

    One row per institution and month in which it has an index event, and one per institution for the `total` of all
    months. The group is all institutions together in the same period, each patient weighing the same. A proportion
    has a Wilson interval, a mean a t interval; without patients there is no value, with one no interval of a mean.
    """
    connection.execute(_RESULT_TABLE)
    connection.execute(_STATISTIC_TABLE)
    statistics = [(indicator.id, indicator.statistic) for indicator in outcome_set.indicators]
    insert_rows(connection, "indicator_statistic", statistics)
    counted: pa.Table = connection.sql(_COUNTED).to_arrow_table()
    low, high = _bounds(counted)
    counted = counted.append_column("ci_low", pa.array(low, from_pandas=True))
    counted = counted.append_column("ci_high", pa.array(high, from_pandas=True))  # from_pandas: NaN becomes null
    connection.register("counted_result", counted)
    try:
        connection.execute(_RESULT, {"as_of": as_of})
    finally:
        connection.unregister("counted_result")


def _bounds(counted: pa.Table) -> tuple[Floats, Floats]:
    denominator, numerator = _floats(counted, "denominator"), _floats(counted, "numerator")
    is_proportion = np.array([name == "proportion" for name in counted["statistic"].to_pylist()], dtype=bool)
    wilson = wilson_interval(numerator, np.where(is_proportion, denominator, 0.0))
    student = t_interval(
        _floats(counted, "value"),
        _floats(counted, "standard_deviation"),
        np.where(is_proportion, 0.0, denominator),
    )
    return np.where(is_proportion, wilson[0], student[0]), np.where(is_proportion, wilson[1], student[1])


def _floats(table: pa.Table, column: str) -> Floats:
    values: Floats = table[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
