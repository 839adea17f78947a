"""Delivering results to a registry: a CSV and a manifest in a folder named after their content."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.deliver.definition import Registry
from pipelines.deliver.folder import publish_folder
from pipelines.deliver.measure_report import measure_reports
from pipelines.deliver.protected import Protected, protect
from pipelines.indicators.definitions import Indicator
from pipelines.safe_text import as_text_cell

_COUNTS = {"denominator", "numerator", "group_denominator"}
_NUMBERS = {"value", "ci_low", "ci_high", "group_value"}
_ORDER = ["indicator", "institution", "period"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it lies on disk.

    Attributes:
        content_sha256: hash of the manifest, which holds the hash of the CSV: same hash, same delivery.
        path: folder with the CSV and `manifest.json`.
        rows: rows of the CSV without its header.
        suppressed: cells left empty, those of the group included.
    """

    registry: str
    outcome_set: str
    as_of: date
    content_sha256: str
    path: Path
    rows: int
    suppressed: int


def deliver(
    results: pd.DataFrame,
    registry: Registry,
    indicators: Mapping[str, Indicator],
    *,
    as_of: date,
    versions: Mapping[str, str],
    out: Path,
) -> Delivery:
    """Write a registry's delivery to `<out>/<registry>/<outcome_set>/<as_of>-<sha8>/`.

    The folder appears as a whole or not at all; delivering the same content again changes nothing and returns
    the same Delivery. Small cells are left empty, with as many others as it takes (`suppression`).

    Args:
        results: `indicator_result` of all institutions (docs/tables.md); other outcome sets are left out.
        indicators: those of the outcome set, by id.
        versions: versions of mapping, codes, scoring and definitions behind the results.

    Raises:
        TerminalError: no results, columns missing, or totals that are not the sum of their parts.
        TransientError: the folder could not be written.
    """
    protected = protect(results, registry)
    rows = protected.rows.sort_values(_ORDER)
    files = {registry.file.name: _csv(rows, registry)}
    if registry.measure_reports is not None:
        files[registry.measure_reports] = measure_reports(rows, indicators, as_of)
    manifest = _manifest(files, protected, registry, as_of, versions)
    digest = sha256(manifest).hexdigest()
    path = out / registry.id / registry.outcome_set / f"{as_of.isoformat()}-{digest[:8]}"
    publish_folder(path, {**files, "manifest.json": manifest})
    return Delivery(
        registry=registry.id,
        outcome_set=registry.outcome_set,
        as_of=as_of,
        content_sha256=digest,
        path=path,
        rows=len(protected.rows),
        suppressed=protected.own_cells + protected.group_cells,
    )


def _csv(rows: pd.DataFrame, registry: Registry) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=registry.file.separator, lineterminator="\r\n")
    writer.writerow(column.header for column in registry.columns)
    for row in rows.to_dict("records"):
        writer.writerow(_text(column.holds, row[column.holds], registry) for column in registry.columns)
    return buffer.getvalue().encode("utf-8")


def _text(holds: str, value: Any, registry: Registry) -> str:
    if holds in ("suppressed", "group_suppressed"):
        return registry.labels.suppressed if value else ""
    if pd.isna(value):
        return ""
    if holds in _COUNTS:
        return str(int(value))
    if holds in _NUMBERS:
        return f"{float(value):.{registry.file.decimals}f}".replace(".", registry.file.decimal_mark)
    if holds == "as_of":
        return pd.Timestamp(value).strftime(registry.file.date_format)
    if holds == "period" and value == "total":
        return registry.labels.total
    return as_text_cell(str(value))


def _manifest(
    files: Mapping[str, bytes], protected: Protected, registry: Registry, as_of: date, versions: Mapping[str, str]
) -> bytes:
    """Says what was delivered; the same input gives the same bytes, so it holds no clock time."""
    facts = {
        "registry": registry.id,
        "registry_name": registry.name,
        "outcome_set": registry.outcome_set,
        "as_of": as_of.isoformat(),
        "files": [
            {"name": name, "sha256": sha256(content).hexdigest(), "bytes": len(content), "rows": len(protected.rows)}
            for name, content in files.items()
        ],
        "columns": [column.model_dump() for column in registry.columns],
        "small_cells": {
            **registry.small_cells.model_dump(),
            "suppressed_cells": protected.own_cells,
            "suppressed_group_cells": protected.group_cells,
        },
        "versions": dict(sorted(versions.items())),
    }
    return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
