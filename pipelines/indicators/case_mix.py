"""Case-mix adjustment: what outcome each case would have had in an average institution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.statistics.calibration import ModelQuality, model_quality
from pipelines.statistics.case_mix import CaseMixError, CaseMixModel, Category, expected_risk, fit_case_mix
from pipelines.statistics.intervals import Floats

EVENTS_PER_COEFFICIENT = 10
"""Peduzzi et al. 1996, doi:10.1016/S0895-4356(96)00236-3: with fewer, coefficients are biased."""

_CASES = """
SELECT patient.institution, patient.index_key, patient.index_date, patient.numerator, variable.variable,
       variable.category
FROM outcome_patient AS patient
JOIN outcome_variable AS variable
    ON variable.institution = patient.institution AND variable.index_key = patient.index_key
    AND variable.index_date = patient.index_date
WHERE patient.indicator = $indicator AND patient.status = 'included' AND variable.cohort = $cohort
    AND list_contains($variables, variable.variable)
"""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The case-mix model of an indicator and how good it is, or why there is none (`problem`, no patient value)."""

    indicator: str
    indicator_version: str
    model: CaseMixModel | None
    quality: ModelQuality | None
    problem: str | None

    def as_row(self, outcome_set: str, as_of: date) -> dict[str, Any]:
        """As a row of `case_mix_model` (docs/tables.md)."""
        model, quality = self.model, self.quality
        return {
            "outcome_set": outcome_set,
            "indicator": self.indicator,
            "indicator_version": self.indicator_version,
            "model": None if model is None else model.to_dict(),
            "data_version": None if model is None else model.data_version,
            "patients": None if model is None else model.patients,
            "events": None if model is None else model.events,
            "c_statistic": None if quality is None else quality.c_statistic,
            "brier": None if quality is None else quality.brier,
            "calibration_intercept": None if quality is None else quality.intercept,
            "calibration_slope": None if quality is None or np.isnan(quality.slope) else quality.slope,
            "hosmer_lemeshow_p": None if quality is None or np.isnan(quality.p_value) else quality.p_value,
            "problem": self.problem,
            "as_of": as_of,
        }


def adjust(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, models: Mapping[str, CaseMixModel]
) -> list[Adjustment]:
    """Fill `case_expected` with the risk of every included case of the indicators with case mix.

    The model of an indicator is the one in `models`, else it is fitted on all included cases of all institutions.
    """
    found = []
    for indicator in outcome_set.indicators:
        if indicator.case_mix:
            adjustment, risks = _adjusted(connection, indicator, models.get(indicator.id))
            found.append(adjustment)
            if risks is not None:
                connection.register("computed_risk", pa.Table.from_pandas(risks, preserve_index=False))
                connection.execute("INSERT INTO case_expected BY NAME FROM computed_risk")
                connection.unregister("computed_risk")
    return found


def _adjusted(
    connection: duckdb.DuckDBPyConnection, indicator: Indicator, model: CaseMixModel | None
) -> tuple[Adjustment, pd.DataFrame | None]:
    cases = _cases(connection, indicator)
    outcome = cases["numerator"].to_numpy(dtype=np.float64)
    values = {name: cases[name].to_numpy(dtype=object) for name in indicator.case_mix}
    try:
        same_data = model is None
        model = model or _fit(outcome, values)
        risk = expected_risk(model, values)
        both = 0 < outcome.sum() < outcome.size
        quality = model_quality(outcome, risk, same_data=same_data) if both else None
    except CaseMixError as error:
        return Adjustment(indicator.id, indicator.version, model, None, str(error)), None
    risks = cases[["institution", "index_key", "index_date"]].assign(indicator=indicator.id, risk=risk)
    return Adjustment(indicator.id, indicator.version, model, quality, None), risks


def _cases(connection: duckdb.DuckDBPyConnection, indicator: Indicator) -> pd.DataFrame:
    """One row per included case: where it is, its answer, and its category of each variable."""
    parameters = {"indicator": indicator.id, "cohort": indicator.cohort, "variables": indicator.case_mix}
    long: pd.DataFrame = connection.sql(_CASES, params=parameters).to_arrow_table().to_pandas()
    wide = long.pivot(
        index=["institution", "index_key", "index_date", "numerator"], columns="variable", values="category"
    )
    return wide.reindex(columns=indicator.case_mix).reset_index()


def _fit(outcome: Floats, values: Mapping[str, NDArray[Any]]) -> CaseMixModel:
    """Fit on the categories that occur; the most frequent of a variable is its reference."""
    terms = []
    for name, column in values.items():
        counts = pd.Series(column).value_counts()
        levels = sorted(counts.index, key=lambda level: (-counts[level], level))
        if len(levels) > 1:
            terms.append(Category(name, tuple(levels)))
    if not terms:
        raise CaseMixError("the cases do not differ in any variable of the case mix")
    rarest = min(outcome.sum(), outcome.size - outcome.sum())
    needed = EVENTS_PER_COEFFICIENT * sum(len(term.levels) - 1 for term in terms)
    if rarest < needed:
        raise CaseMixError(f"too few events for this case mix: {needed} are needed")
    return fit_case_mix(outcome, values, terms)
