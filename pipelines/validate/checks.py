"""What the rules found: counts per table and rule, with a few places to look, and never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.validate.gx_session import Outcome
from pipelines.validate.rules import Rule, Severity

Status = Literal["passed", "failed", "not_applicable"]
EXAMPLES = 3
"""How many places are kept of a rule that failed."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one rule found in one table.

    Attributes:
        table: the ZIB table.
        rule_id: the rule.
        severity: ``error`` or ``warning``.
        rows: rows the rule was asked about: those its condition holds for.
        checked: rows of those that had something to check.
        failed: rows of those that failed.
        examples: file and line of the first few that failed.
    """

    table: str
    rule_id: str
    severity: Severity
    rows: int
    checked: int
    failed: int
    examples: tuple[tuple[str, int | None], ...] = ()

    @property
    def status(self) -> Status:
        """``not_applicable`` when nothing was checked."""
        return "not_applicable" if self.checked == 0 else "failed" if self.failed else "passed"

    def as_dict(self) -> dict[str, Any]:
        """For `checks.json`."""
        return {
            "table": self.table,
            "rule_id": self.rule_id,
            "severity": self.severity,
            "rows": self.rows,
            "checked": self.checked,
            "failed": self.failed,
            "status": self.status,
            "examples": [{"file": file, "line": line} for file, line in self.examples],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Check:
        """The inverse of `as_dict`."""
        places = tuple((each["file"], each["line"]) for each in content["examples"])
        names = ("table", "rule_id", "severity", "rows", "checked", "failed")
        return cls(**{name: content[name] for name in names}, examples=places)


@dataclass(slots=True)
class Tally:
    """The outcomes of one rule over the chunks of a table, added up."""

    rule: Rule
    rows: int = 0
    checked: int = 0
    failed: int = 0
    examples: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add a chunk."""
        self.rows += outcome.rows
        self.checked += outcome.checked
        self.failed += outcome.failed
        self.examples = sorted([*self.examples, *sorted(outcome.failed_rows)[:EXAMPLES]])[:EXAMPLES]

    def check(self, table: str, places: Sequence[tuple[str, int | None]]) -> Check:
        """The sum, with the places of its examples."""
        rule = self.rule
        return Check(table, rule.rule_id, rule.severity, self.rows, self.checked, self.failed, tuple(places))
