"""Exports mapped and validated as the chain does it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.chain import Chain
from pipelines.extract.exports import find_exports

AS_OF = date(2025, 6, 30)


@dataclass(frozen=True)
class Judged:
    """What the steps `zib` and `validate` say of one export.

    Attributes:
        checks: of `checks.json`.
        quarantine: rows of `quarantine.ndjson`.
    """

    checks: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]

    @property
    def verdicts(self) -> dict[tuple[str, str], tuple[str, int, int, int]]:
        """(status, rows, checked, failed) by table and rule."""
        return {
            (check["table"], check["rule_id"]): (check["status"], check["rows"], check["checked"], check["failed"])
            for check in self.checks
        }

    @property
    def failed(self) -> dict[str, int]:
        """How many rows failed, by rule; a resource that does not fit its FHIR model counts as one."""
        counts = Counter({"RESOURCE-INVALID": sum(row["rule_id"] == "RESOURCE-INVALID" for row in self.quarantine)})
        for check in self.checks:
            counts[check["rule_id"]] += check["failed"]
        return {rule: count for rule, count in sorted(counts.items()) if count}


def judge(home: Path, exports: Path) -> Judged:
    """Land, map and validate the one export below `exports`."""
    chain = Chain.at(home)
    (export,) = find_exports(exports)
    batch = chain.land(export, now=datetime(2025, 7, 1, tzinfo=UTC))
    chain.map(batch)
    chain.validate(batch)
    (checks,) = home.glob("batches/*/*/checks.json")
    quarantine = (checks.parent / "quarantine.ndjson").read_text(encoding="utf-8")
    return Judged(json.loads(checks.read_bytes())["checks"], [json.loads(line) for line in quarantine.splitlines()])
