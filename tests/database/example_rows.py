"""Rows of the serving tables to write and read back."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pyarrow as pa

from pipelines.database.models import OutcomePatient, columns_of
from pipelines.database.store import BatchCounts
from pipelines.quarantine import QuarantineRow

COUNTS = BatchCounts(files=2, lines=10, accepted=7, quarantined=2, skipped=1)
LANDED = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=1)))


def outcomes(outcome_set: str, rows: int = 2) -> pa.Table:
    row = dict.fromkeys(columns_of(OutcomePatient)) | {
        "institution": "a", "outcome_set": outcome_set, "indicator": "i", "indicator_version": "1",
        "index_date": date(2026, 1, 5), "status": "included", "numerator": True,
        "evidence": [{"role": "index", "event": "e", "resource_key": "k1", "moment": "2026-01-05"}],
    }  # fmt: skip
    return pa.Table.from_pylist([row] * rows)


def results(outcome_set: str, institution: str = "a", value: float | None = 0.25) -> pa.Table:
    empty = dict.fromkeys(("benchmark", "expected", "oe", "oe_low", "oe_high", "reliability", "rank"))
    return pa.Table.from_pylist([empty | {
        "institution": institution, "outcome_set": outcome_set, "indicator": "i", "indicator_version": "1",
        "statistic": "proportion", "period_kind": "total", "period": "total", "stratifier": "all", "stratum": "all",
        "denominator": 4, "numerator": 1, "value": value, "ci_low": 0.1, "ci_high": 0.5, "group_denominator": 8,
        "group_value": 0.2, "comparable": "too_few_cases", "pending": 0, "missing": 1, "excluded": 0, "outside": 0,
        "as_of": date(2026, 3, 1),
    }])  # fmt: skip


def quarantined(rule_id: str, line: int) -> QuarantineRow:
    return QuarantineRow("a", "x.ndjson", line, "Patient", None, rule_id, "why", "extract")
