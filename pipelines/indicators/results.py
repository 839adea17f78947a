"""From `outcome_patient` to `indicator_result`: per institution, period and stratum, with interval and comparison."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.indicators.case_mix import Adjustment, adjust
from pipelines.indicators.comparison import compare
from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.result_sums import add_up, declare, values_of
from pipelines.indicators.shapes import TimeToEvent
from pipelines.statistics.case_mix import CaseMixModel
from pipelines.statistics.intervals import median_interval, oe_interval, poisson_interval, t_interval, wilson_interval
from pipelines.statistics.survival import kaplan_meier

_KEY = ["indicator", "period_kind", "period", "stratifier", "stratum"]

_RESULT_TABLE = """
CREATE OR REPLACE TABLE indicator_result (
    institution VARCHAR, outcome_set VARCHAR, indicator VARCHAR, indicator_version VARCHAR, statistic VARCHAR,
    period_kind VARCHAR, period VARCHAR, stratifier VARCHAR, stratum VARCHAR, denominator BIGINT, numerator BIGINT,
    value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, group_denominator BIGINT, group_value DOUBLE, benchmark DOUBLE,
    expected DOUBLE, oe DOUBLE, oe_low DOUBLE, oe_high DOUBLE, reliability DOUBLE, comparable VARCHAR, rank BIGINT,
    pending BIGINT, missing BIGINT, excluded BIGINT, outside BIGINT, as_of DATE)
"""


def summarise(
    connection: duckdb.DuckDBPyConnection,
    outcome_set: OutcomeSet,
    as_of: date,
    models: Mapping[str, CaseMixModel] | None = None,
) -> list[Adjustment]:
    """Create table `indicator_result` (docs/tables.md) from `outcome_patient` and `outcome_variable`.

    The group is all institutions together in the same period and stratum, each case weighing the same (of a count: the
    mean per institution). A proportion has a Wilson interval, a mean a t interval, a median that of its order
    statistics, a count an exact Poisson interval, a cumulative incidence the log-log interval of Kaplan-Meier. Without
    cases there is no value.

    Args:
        models: case-mix models by indicator, to apply instead of fitting new ones.

    Returns:
        the case-mix adjustment of every indicator that asks for one.
    """
    declare(connection, outcome_set)
    adjustments = adjust(connection, outcome_set, models or {})
    sums = add_up(connection, as_of).to_pandas()
    results = compare(_measured(connection, outcome_set, sums), outcome_set, as_of)
    versions = {each.id: each.version for each in outcome_set.indicators}
    results = results.assign(
        outcome_set=outcome_set.id, indicator_version=results["indicator"].map(versions), as_of=as_of
    )
    connection.execute(_RESULT_TABLE)
    rows = pa.Table.from_pandas(results, preserve_index=False)
    connection.register("computed_result", rows)
    try:
        connection.execute("INSERT INTO indicator_result BY NAME FROM computed_result")
    finally:
        connection.unregister("computed_result")
    return adjustments


def _measured(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, sums: pd.DataFrame) -> pd.DataFrame:
    """The sums with value, interval, group value and observed over expected."""
    count = sums["denominator"].to_numpy(dtype=np.float64)
    total, squares = (sums[name].to_numpy(dtype=np.float64) for name in ("total", "squares"))
    is_proportion, is_mean, is_count = (
        (sums["statistic"] == name).to_numpy() for name in ("proportion", "mean", "count")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
        spread = np.sqrt(np.maximum(squares - total * mean, 0.0) / (count - 1))
    wilson = wilson_interval(np.where(is_proportion, total, 0.0), np.where(is_proportion, count, 0.0))
    student = t_interval(mean, spread, np.where(is_mean, count, 0.0))
    poisson = poisson_interval(count)
    kinds = [is_proportion, is_mean, is_count]
    expected = sums["expected"].to_numpy(dtype=np.float64)
    observed = np.where(np.isnan(expected), 0.0, total)
    oe_low, oe_high = oe_interval(observed, np.nan_to_num(expected))
    group_count, group_total = (sums[name].to_numpy(dtype=np.float64) for name in ("group_denominator", "group_total"))
    with np.errstate(invalid="ignore", divide="ignore"):
        group_mean = group_total / group_count
        volume = group_count / sums["group_size"].to_numpy(dtype=np.float64)
        oe = np.where(expected > 0, observed / expected, np.nan)
    measured = sums.assign(
        value=np.select(kinds, [mean, mean, count], np.nan),
        ci_low=np.select(kinds, [wilson[0], student[0], poisson[0]], np.nan),
        ci_high=np.select(kinds, [wilson[1], student[1], poisson[1]], np.nan),
        group_value=np.select(kinds, [group_mean, group_mean, volume], np.nan),
        numerator=sums["met"].where(is_proportion | (sums["statistic"] == "cumulative_incidence")),
        standard_error=np.where(is_mean & (count > 1), spread / np.sqrt(np.maximum(count, 1)), np.nan),
        oe=oe,
        oe_low=oe_low,
        oe_high=oe_high,
    )
    return _with_curves(connection, outcome_set, measured.drop(columns=["met", "total", "squares", "group_total"]))


def _with_curves(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, measured: pd.DataFrame
) -> pd.DataFrame:
    """Medians and cumulative incidences, which do not follow from sums."""
    horizons = {
        each.id: each.measure.horizon_days for each in outcome_set.indicators if isinstance(each.measure, TimeToEvent)
    }
    own: list[tuple[Any, ...]] = []
    group: list[tuple[Any, ...]] = []
    for key, values, events in values_of(connection):
        estimate = _estimate(np.asarray(values, dtype=np.float64), events, horizons.get(str(key[0])))
        (group if key[5] is None else own).append((*key[: 5 if key[5] is None else 6], *estimate))
    if not own:
        return measured
    curves = pd.DataFrame(own, columns=[*_KEY, "institution", "own_value", "own_low", "own_high"])
    joint = pd.DataFrame(group, columns=[*_KEY, "joint_value", "joint_low", "joint_high"])
    joined = measured.merge(curves, on=[*_KEY, "institution"], how="left").merge(joint, on=_KEY, how="left")
    for name, source in (("value", "own_value"), ("ci_low", "own_low"), ("ci_high", "own_high"),
                         ("group_value", "joint_value")):  # fmt: skip
        joined[name] = joined[name].fillna(joined[source])
    return joined.drop(columns=[name for name in joined.columns if name.startswith(("own_", "joint_"))])


def _estimate(values: np.ndarray[Any, Any], events: list[bool], horizon: int | None) -> tuple[float, float, float]:
    """A median, or with a horizon the chance of the event up to then, with its interval."""
    if horizon is None:
        return median_interval(values)
    curve = kaplan_meier(values, np.asarray(events, dtype=np.float64), float(horizon))
    return 1 - curve.survival, 1 - curve.upper, 1 - curve.lower
