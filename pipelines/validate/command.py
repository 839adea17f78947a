"""`uitkomst validation`: stored counts judged again by the thresholds of today, without running the checks again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import TerminalError
from pipelines.validate.data_docs import write_data_docs
from pipelines.validate.report import write_validation_report

EXCEEDED_EXIT_CODE = 1
"""Of the command, when any check of any batch is over its threshold."""


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """One batch judged again: how many checks have each verdict, and where its page is."""

    institution: str
    batch_id: str
    verdicts: Counter[str]
    page: Path


def judge_batches(
    home: Path, expectations: Path, out: Path | None, *, institution: str | None, batch_id: str | None
) -> list[JudgedBatch]:
    """Judge the batches below `home/batches` and write `validation.html`, `validation.json` and `data-docs` of each.

    Args:
        out: folder for `<institution>/<batch>/`; by default they are written beside the counts.
        institution: only this one.
        batch_id: only the batch whose id starts so.

    Raises:
        TerminalError: `BATCH-UNKNOWN` when no validated batch is meant.
    """
    found = []
    for path in sorted(home.glob("batches/*/*/checks.json")):
        folder = path.parent
        if institution not in (None, folder.parent.name) or not folder.name.startswith(batch_id or ""):
            continue
        content = json.loads(path.read_bytes())
        if "batch" in content:  # a batch of an earlier version has to be run again first
            found.append(_judge(content, expectations, _target(out, folder)))
    if not found:
        raise TerminalError(
            "BATCH-UNKNOWN",
            "no validated batch answers to this institution and id",
            where=str(home / "batches"),
            remedy="Run `uitkomst run` first, or name another institution or batch.",
        )
    return found


def _target(out: Path | None, folder: Path) -> Path:
    target = folder if out is None else out / folder.parent.name / folder.name
    target.mkdir(parents=True, exist_ok=True)
    return target


def _judge(content: Mapping[str, Any], expectations: Path, target: Path) -> JudgedBatch:
    judged = write_validation_report(content, expectations, target)
    write_data_docs(content, expectations, target / "data-docs")
    batch = content["batch"]
    verdicts = Counter(each.verdict for each in judged)
    return JudgedBatch(batch["institution"], batch["batch_id"], verdicts, target / "validation.html")
