"""The account of a mapping: every input line ends as accepted, quarantined or skipped, with a code."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipelines.quarantine import QuarantineRow


@dataclass(slots=True)
class FileAccount:
    """The lines (or Bundle entries) of one file; what concerns a file as a whole counts as one."""

    name: str
    bytes: int
    accepted: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> int:
        """Everything that came in."""
        return self.accepted + self.quarantined.total() + self.skipped.total()

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "file": self.name,
            "bytes": self.bytes,
            "lines": self.lines,
            "accepted": self.accepted,
            "quarantined": dict(sorted(self.quarantined.items())),
            "skipped": dict(sorted(self.skipped.items())),
        }


class QuarantineFile:
    """Appends quarantine rows to an NDJSON file, so that a million of them need no memory."""

    def __init__(self, path: Path, institution: str) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._institution = institution

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(
        self,
        account: FileAccount,
        line: int | None,
        rule_id: str,
        reason: str,
        *,
        resource_type: str | None = None,
        resource_key: str | None = None,
    ) -> None:
        """Write one row and count it in `account`."""
        account.quarantined[rule_id] += 1
        row = QuarantineRow(self._institution, account.name, line, resource_type, resource_key, rule_id, reason, "zib")
        self._file.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
