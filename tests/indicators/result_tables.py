"""Rows of `outcome_patient` and `outcome_variable` made by hand, and a small outcome set they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.indicators.definitions import Indicator, OutcomeSet, SetFile

_SET: dict[str, Any] = {
    "id": "toets",
    "version": "1.0.0",
    "title_nl": "Toets",
    "title_en": "Test",
    "description_nl": "Een set om mee te toetsen.",
    "events": {
        "start": {"title_nl": "een begin", "table": "zib_procedure"},
        "thing": {"title_nl": "iets", "table": "zib_procedure"},
    },
    "cohorts": {
        "each": {"title_nl": "Elke", "index": "start", "counts": "each"},
        "yearly": {"title_nl": "Per jaar", "index": "start", "counts": "per_year"},
    },
    "variables": {
        "sex": {"title_nl": "Geslacht", "source": "sex"},
        "age": {"title_nl": "Leeftijd", "source": "age", "bands": [50, 70]},
    },
    "sources": ["made up"],
    "operationalisation": [],
}
_WINDOW = {"from_day": 1, "to_day": 30}
_MEASURES: dict[str, tuple[str, dict[str, Any]]] = {
    "share": ("proportion", {"shape": "event_within", "event": "thing", "window": _WINDOW}),
    "mean": ("mean", {"shape": "value", "event": "thing", "window": _WINDOW, "pick": "last"}),
    "median": ("median", {"shape": "value", "event": "thing", "window": _WINDOW, "pick": "last"}),
    "count": ("count", {"shape": "share_of_volume"}),
    "survival": ("cumulative_incidence", {"shape": "time_to_event", "event": "thing", "horizon_days": 365}),
}


@dataclass(frozen=True)
class Case:
    """One case of one indicator."""

    institution: str
    day: date | None
    status: str = "included"
    numerator: bool | None = None
    value: float | None = None
    sex: str = "vrouw"
    age: str = "<50"


def small_set(
    measure: str,
    *,
    cohort: str = "each",
    case_mix: tuple[str, ...] = (),
    stratifiers: tuple[str, ...] = (),
    **fields: Any,
) -> OutcomeSet:
    """A set with one indicator, `the-indicator`."""
    header = SetFile.model_validate(_SET)
    statistic, declared = _MEASURES[measure]
    content = {
        "id": "the-indicator", "version": "1.0.0", "title_nl": "x", "title_en": "x", "description_nl": "x",
        "kind": "outcome", "statistic": statistic, "registry": "x", "cohort": cohort, "measure": declared,
        "unit_of_counting": "patient_year" if cohort == "yearly" else "procedure",
        "direction": "lower_is_better", "unit": "%", "suppression_threshold": 10, "benchmarks": [], "source": "x",
        "operationalisation": [], "case_mix": list(case_mix), "stratifiers": list(stratifiers),
    }  # fmt: skip
    indicator = Indicator.model_validate(content | fields)
    made_later = ("indicators", "value_sets", "charlson")
    kept = {name: getattr(header, name) for name in OutcomeSet.__slots__ if name not in made_later}
    return OutcomeSet(**kept, indicators=(indicator,), value_sets={}, charlson=None)


def fill(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, cases: list[Case]) -> None:
    """Create both tables from the cases; the n-th has index key `n`."""
    indicator = outcome_set.indicators[0]
    connection.execute(
        """CREATE OR REPLACE TABLE outcome_patient (institution VARCHAR, outcome_set VARCHAR, indicator VARCHAR,
           indicator_version VARCHAR, index_key VARCHAR, index_date DATE, status VARCHAR, numerator BOOLEAN,
           value DOUBLE)"""
    )
    connection.execute(
        """CREATE OR REPLACE TABLE outcome_variable (outcome_set VARCHAR, cohort VARCHAR, institution VARCHAR,
           index_key VARCHAR, index_date DATE, variable VARCHAR, category VARCHAR, number DOUBLE)"""
    )
    same = {"outcome_set": outcome_set.id, "indicator": indicator.id, "indicator_version": indicator.version}
    rows = [
        {**same, "institution": case.institution, "index_key": str(n), "index_date": case.day, "status": case.status,
         "numerator": case.numerator, "value": case.value}
        for n, case in enumerate(cases)
    ]  # fmt: skip
    about = [
        {"outcome_set": outcome_set.id, "cohort": indicator.cohort, "institution": case.institution,
         "index_key": str(n), "index_date": case.day, "variable": variable, "category": getattr(case, variable)}
        for n, case in enumerate(cases)
        for variable in ("sex", "age")
    ]  # fmt: skip
    for name, content in (("outcome_patient", rows), ("outcome_variable", about)):
        connection.register("content", pa.Table.from_pylist(content))
        connection.execute(f"INSERT INTO {name} BY NAME FROM content")
        connection.unregister("content")
