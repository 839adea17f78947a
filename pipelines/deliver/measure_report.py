"""Delivered results as FHIR R4 `MeasureReport` resources: one per indicator, institution and period.

They hold what the registry's CSV holds, after the protection of small cells: a hidden number is absent with reason
`masked` (http://terminology.hl7.org/CodeSystem/data-absent-reason).
"""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd

from pipelines.deliver.suppression import TOTAL
from pipelines.feedback.dutch import SHARES
from pipelines.indicators.definitions import Indicator
from pipelines.indicators.fhir_measure import POPULATIONS, code_of, improvement_notation, measure_url

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_INTERVAL = "http://uitkomststroom.nl/fhir/StructureDefinition/confidence-interval-95"
_MASKED = {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}


def measure_reports(rows: pd.DataFrame, indicators: Mapping[str, Indicator], as_of: date) -> bytes:
    """The reports as NDJSON, in the order of the rows.

    Args:
        rows: the protected rows of a delivery (`protect`): month and `total` per institution and indicator.
        indicators: by id.
        as_of: the end of the total, and the date of the reports.
    """
    first = min((period for period in rows["period"] if period != TOTAL), default=f"{as_of:%Y-%m}")
    reports = (_report(row, indicators[str(row["indicator"])], first, as_of) for row in rows.to_dict("records"))
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in reports)


def _report(row: Mapping[Any, Any], indicator: Indicator, first: str, as_of: date) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "identifier": [{"value": "/".join(str(row[name]) for name in ("institution", "indicator", "period"))}],
        "status": "complete",
        "type": "summary",
        "measure": f"{measure_url(indicator)}|{indicator.version}",
        "date": as_of.isoformat(),
        "reporter": {"display": str(row["institution"])},
        "period": _period(str(row["period"]), first, as_of),
        "group": [{"population": _populations(row, indicator), **_score(row, indicator)}],
        **improvement_notation(indicator),
    }


def _period(period: str, first: str, as_of: date) -> dict[str, str]:
    if period == TOTAL:
        return {"start": f"{first}-01", "end": as_of.isoformat()}
    year, month = (int(part) for part in period.split("-"))
    return {"start": f"{period}-01", "end": min(date(year, month, monthrange(year, month)[1]), as_of).isoformat()}


def _populations(row: Mapping[Any, Any], indicator: Indicator) -> list[dict[str, Any]]:
    counted = {"count": "initial-population", "proportion": "denominator"}
    code = counted.get(indicator.statistic, "measure-population")
    found = [_population(code, row["denominator"], hidden=row["suppressed"])]
    if indicator.statistic == "proportion":
        found.append(_population("numerator", row["numerator"], hidden=row["suppressed"]))
    return found


def _population(code: str, count: Any, *, hidden: bool) -> dict[str, Any]:
    coded = {"code": code_of(POPULATIONS, code)}
    return coded | ({"_count": _MASKED} if hidden else {"count": int(count)})


def _score(row: Mapping[Any, Any], indicator: Indicator) -> dict[str, Any]:
    if row["suppressed"]:
        return {"measureScore": {"_value": _MASKED}}
    if pd.isna(row["value"]):
        return {}
    unit = "1" if indicator.statistic in SHARES else indicator.unit
    score: dict[str, Any] = {"value": float(row["value"]), "unit": unit}
    if not (pd.isna(row["ci_low"]) or pd.isna(row["ci_high"])):
        bounds = {"low": {"value": float(row["ci_low"])}, "high": {"value": float(row["ci_high"])}}
        score["extension"] = [{"url": _INTERVAL, "valueRange": bounds}]
    return {"measureScore": score}
