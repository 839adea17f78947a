"""Cases added up per institution, period and stratum, set-based in DuckDB.

Numbers are summed as decimals, which gives one result whatever the order of the rows: a rerun makes no new delivery.
"""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa

from pipelines.indicators.definitions import OutcomeSet
from pipelines.proms.definition_rows import insert_rows

EVERYONE = "all"
"""The stratifier, and the stratum, of a result over all cases."""

_DECLARED = """
CREATE OR REPLACE TEMP TABLE declared_indicator (
    indicator VARCHAR, cohort VARCHAR, statistic VARCHAR, per_year BOOLEAN, benchmark DOUBLE);
CREATE OR REPLACE TEMP TABLE declared_stratifier (indicator VARCHAR, variable VARCHAR);
CREATE OR REPLACE TEMP TABLE case_expected (
    indicator VARCHAR, institution VARCHAR, index_key VARCHAR, index_date DATE, risk DOUBLE);
"""

# A case per stratifier, and once for all of them together; a case without a date has no month.
_CASES = f"""
CREATE OR REPLACE TEMP TABLE result_case AS
WITH judged AS (
    SELECT patient.institution, patient.indicator, declared.cohort, declared.statistic, patient.index_key,
           patient.index_date, date_trunc('month', patient.index_date)::DATE AS month, patient.status,
           patient.numerator, case_expected.risk,
           CASE declared.statistic WHEN 'proportion' THEN patient.numerator::INTEGER ELSE patient.value END AS measured
    FROM outcome_patient AS patient
    JOIN declared_indicator AS declared USING (indicator)
    LEFT JOIN case_expected
        ON case_expected.indicator = patient.indicator AND case_expected.institution = patient.institution
        AND case_expected.index_key = patient.index_key AND case_expected.index_date = patient.index_date
)
SELECT * EXCLUDE (cohort, index_key, index_date), '{EVERYONE}' AS stratifier, '{EVERYONE}' AS stratum FROM judged
UNION ALL
SELECT judged.* EXCLUDE (cohort, index_key, index_date), variable.variable, variable.category
FROM judged
JOIN declared_stratifier USING (indicator)
JOIN outcome_variable AS variable
    ON variable.variable = declared_stratifier.variable AND variable.cohort = judged.cohort
    AND variable.institution = judged.institution AND variable.index_key = judged.index_key
    AND variable.index_date = judged.index_date
"""

# A stratum of one month or quarter holds too few cases to show: strata have years, the last twelve months, the total.
_PERIODS = """
CREATE OR REPLACE TEMP TABLE result_period AS
WITH month AS (
    SELECT unnest(generate_series(min(month)::TIMESTAMP, date_trunc('month', $as_of), INTERVAL 1 MONTH))::DATE AS month
    FROM result_case
)
SELECT 'month' AS period_kind, strftime(month, '%Y-%m') AS period, month, false AS per_year, false AS for_strata
FROM month
UNION ALL
SELECT 'quarter', year(month) || '-Q' || quarter(month), month, false, false FROM month
UNION ALL
SELECT 'year', year(month)::VARCHAR, month, per_year, true FROM month, (VALUES (false), (true)) AS either(per_year)
UNION ALL
SELECT 'rolling_12_months', strftime(last.month, '%Y-%m'), month.month, false, last.month = date_trunc('month', $as_of)
FROM month AS last
JOIN month ON month.month BETWEEN last.month - INTERVAL 11 MONTH AND last.month
"""


def _placed(relation: str) -> str:
    """The rows of a relation once for every period that they count in."""
    return f"""
    SELECT {relation}.*, period_kind, period
    FROM {relation}
    JOIN declared_indicator USING (indicator)
    JOIN result_period USING (month, per_year)
    WHERE stratifier = '{EVERYONE}' OR for_strata
    UNION ALL
    SELECT *, 'total', 'total' FROM {relation}
    """


_SUMS = f"""
CREATE OR REPLACE TEMP TABLE result_sum AS
WITH monthly AS (
    SELECT institution, indicator, month, stratifier, stratum,
           count(*) FILTER (status = 'included') AS denominator, count(*) FILTER (numerator) AS met,
           sum(measured::DECIMAL(38, 9)) AS total, sum((measured * measured)::DECIMAL(38, 9)) AS squares,
           sum(risk::DECIMAL(38, 9)) FILTER (status = 'included') AS expected,
           count(*) FILTER (status = 'pending') AS pending, count(*) FILTER (status = 'missing') AS missing,
           count(*) FILTER (status = 'excluded') AS excluded, count(*) FILTER (status = 'outside') AS outside
    FROM result_case
    GROUP BY ALL
), placed AS ({_placed("monthly")})
SELECT institution, indicator, period_kind, period, stratifier, stratum,
       sum(denominator) AS denominator, sum(met) AS met, sum(total) AS total, sum(squares) AS squares,
       sum(expected) AS expected, sum(pending) AS pending, sum(missing) AS missing, sum(excluded) AS excluded,
       sum(outside) AS outside
FROM placed
GROUP BY ALL
"""

_RESULTS = """
SELECT result_sum.* REPLACE (
           denominator::BIGINT AS denominator, met::BIGINT AS met, total::DOUBLE AS total, squares::DOUBLE AS squares,
           expected::DOUBLE AS expected, pending::BIGINT AS pending, missing::BIGINT AS missing,
           excluded::BIGINT AS excluded, outside::BIGINT AS outside),
       statistic, benchmark,
       (sum(denominator) OVER alike)::BIGINT AS group_denominator, (sum(total) OVER alike)::DOUBLE AS group_total,
       count(*) OVER alike AS group_size
FROM result_sum
JOIN declared_indicator USING (indicator)
WINDOW alike AS (PARTITION BY indicator, period_kind, period, stratifier, stratum)
ORDER BY indicator, institution, period_kind, period, stratifier, stratum
"""

# The values themselves, for statistics that do not follow from sums; institution null is the whole group.
_VALUES = f"""
WITH placed AS ({_placed("result_case")})
SELECT indicator, period_kind, period, stratifier, stratum, institution,
       list(measured ORDER BY measured, numerator) AS measured, list(numerator ORDER BY measured, numerator) AS events
FROM placed
WHERE statistic IN ('median', 'cumulative_incidence') AND status = 'included'
GROUP BY GROUPING SETS ((indicator, period_kind, period, stratifier, stratum),
                        (indicator, period_kind, period, stratifier, stratum, institution))
"""


def declare(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet) -> None:
    """Load what the sums need of the definitions; `case_expected` is there to be filled."""
    connection.execute(_DECLARED)
    insert_rows(
        connection,
        "declared_indicator",
        [
            (
                each.id,
                each.cohort,
                each.statistic,
                outcome_set.cohorts[each.cohort].counts == "per_year",
                each.benchmarks[0].value if each.benchmarks else None,
            )
            for each in outcome_set.indicators
        ],
    )
    stratifiers = [(each.id, name) for each in outcome_set.indicators for name in each.stratifiers]
    insert_rows(connection, "declared_stratifier", stratifiers)


def add_up(connection: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """One row per institution, indicator, period and stratum that has a case, with its counts and sums.

    Reads `outcome_patient`, `outcome_variable` and `case_expected`. A period is a month (`YYYY-MM`), a quarter
    (`YYYY-Qn`), a year, the twelve months up to a month, or the `total`; of a cohort that counts patients per calendar
    year only the year and the total exist. A stratum has years, the twelve months up to `as_of` and the total
    (operationalisation).
    """
    connection.execute(_CASES)
    connection.execute(_PERIODS, {"as_of": as_of})
    connection.execute(_SUMS)
    return connection.sql(_RESULTS).to_arrow_table()


def values_of(connection: duckdb.DuckDBPyConnection) -> list[tuple[tuple[str | None, ...], list[float], list[bool]]]:
    """The values behind medians and survival curves, right after `add_up`.

    Returns:
        key (indicator, period_kind, period, stratifier, stratum, institution or None for the group), values, and
        whether each ended with the event.
    """
    return [(row[:6], row[6], row[7]) for row in connection.execute(_VALUES).fetchall()]
