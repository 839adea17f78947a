"""What became of a batch, put together from what its steps left in its folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.database.quarantine import Place
from pipelines.extract.landing import Batch
from pipelines.quarantine import QuarantineRow
from pipelines.validate.report import quarantine_summary
from pipelines.zib.codings import CODING_TABLE

if TYPE_CHECKING:
    from pipelines.validate.batch import BatchValidation


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch: lines by outcome, and reasons by rule. `reused` when an earlier run loaded it.

    Of CSV files, by name: the columns that no mapping names, those that a mapping names and the file lacks, and the
    files that no mapping is about.
    """

    batch_id: str
    institution: str
    lines: int
    accepted: int
    quarantined: int
    skipped: int
    reasons: dict[str, int]
    reused: bool = False
    columns_not_mapped: dict[str, list[str]] = field(default_factory=dict)
    columns_missing: dict[str, list[str]] = field(default_factory=dict)
    files_not_mapped: list[str] = field(default_factory=list)


def read_quarantine(path: Path) -> list[QuarantineRow]:
    """The rows of a `quarantine.ndjson`."""
    with path.open(encoding="utf-8") as file:
        # One array reads twice as fast as its lines one by one.
        return [QuarantineRow(**row) for row in json.loads(f"[{','.join(file)}]")]


def accepted_places(folder: Path, places: set[Place]) -> set[Place]:
    """Those of `places` that accepted rows come from; a file as a whole counts when any of its rows is accepted."""
    if not places:
        return set()
    wanted = {file for file, _ in places}
    found: set[Place] = set()
    for path in folder.glob("*.parquet"):
        if path.stem == CODING_TABLE:
            continue
        for batch in pq.ParquetFile(path).iter_batches(columns=["source_file", "source_line"]):
            files = batch["source_file"].cast(pa.string())
            rows = batch.filter(pc.is_in(files, value_set=pa.array(sorted(wanted), pa.string())))
            found.update(zip(rows["source_file"].to_pylist(), rows["source_line"].to_pylist(), strict=True))
    return places & (found | {(file, None) for file, _ in found})


def result_of(batch: Batch, report: Mapping[str, Any], quarantine: Sequence[QuarantineRow]) -> BatchResult:
    """Lines as the mapping counted them, less the lines that validation set aside."""
    totals = report["totals"]
    late = {(row.source_file, row.source_line) for row in quarantine if row.step == "validate"}
    return BatchResult(
        batch.batch_id,
        batch.institution,
        lines=totals["lines"],
        accepted=totals["accepted"] - len(late),
        quarantined=totals["quarantined"] + len(late),
        skipped=totals["skipped"],
        reasons=dict(Counter(row.rule_id for row in quarantine).most_common()),
        columns_not_mapped=report.get("csv_columns_not_mapped", {}),
        columns_missing=report.get("csv_columns_missing", {}),
        files_not_mapped=report.get("csv_files_not_mapped", []),
    )


def checks_of(
    batch: Batch,
    counts: BatchResult,
    report: Mapping[str, Any],
    quarantine: Sequence[QuarantineRow],
    validation: BatchValidation,
) -> dict[str, Any]:
    """What `checks.json` holds: counts that can be judged again, and places, without a value."""
    skipped: Counter[str] = Counter()
    for file in report["files"]:
        skipped.update(file["skipped"])
    totals = {name: getattr(counts, name) for name in ("lines", "accepted", "quarantined", "skipped")}
    return {
        "batch": {
            "institution": batch.institution,
            "batch_id": batch.batch_id,
            "landed_at": batch.landed_at,
            **totals,
        },
        "quarantine": quarantine_summary(quarantine),
        "skipped": dict(skipped.most_common()),
        **validation.as_dict(),
    }
