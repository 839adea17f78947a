"""How many failures of a rule are accepted in a batch: `expectations/thresholds.yaml`, applied to stored counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.validate.checks import Check
from pipelines.validate.rules import THRESHOLDS_FILE, Severity, invalid, read_mapping

Verdict = Literal["not_applicable", "passed", "within_threshold", "exceeded"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The share (0 to 1) of the checked rows that may fail, and why that much."""

    accepted_share: float
    reason: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds by rule_id, and per severity for the rules without one."""

    default: Mapping[Severity, Threshold]
    rules: Mapping[str, Threshold]

    def of(self, check: Check) -> Threshold:
        """The threshold that holds for a check."""
        return self.rules.get(check.rule_id) or self.default[check.severity]

    def judge(self, check: Check) -> Verdict:
        """``not_applicable`` when nothing was checked; ``passed`` only when nothing failed."""
        if check.checked == 0:
            return "not_applicable"
        if check.failed == 0:
            return "passed"
        within = check.failed / check.checked <= self.of(check).accepted_share
        return "within_threshold" if within else "exceeded"


def load_thresholds(expectations: Path) -> Thresholds:
    """The thresholds of a folder with suites; without the file no failure is accepted.

    Raises:
        TerminalError: ``EXPECTATIONS-INVALID`` when the file is not of the documented shape.
    """
    path = expectations / THRESHOLDS_FILE
    if not path.exists():
        nothing = Threshold(0.0, "there is no thresholds.yaml")
        return Thresholds({"error": nothing, "warning": nothing}, {})
    content = read_mapping(path)
    try:
        default: dict[Severity, Threshold] = {
            "error": _threshold(content["default"]["error"], path),
            "warning": _threshold(content["default"]["warning"], path),
        }
        rules = {each["rule_id"]: _threshold(each, path) for each in content.get("rules") or []}
    except (KeyError, TypeError) as error:
        raise invalid(path, f"a threshold lacks {error}") from None
    return Thresholds(default, rules)


def _threshold(entry: Mapping[str, Any], path: Path) -> Threshold:
    share = entry["accepted_share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise invalid(path, "an accepted_share is not a number from 0 to 1")
    return Threshold(float(share), str(entry["reason"]))
