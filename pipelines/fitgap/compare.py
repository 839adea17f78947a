"""What changed since an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Run = Mapping[str, Any]
"""A run as it is stored (docs/fit-gap.md)."""


def compare(before: Run, after: Run) -> dict[str, Any]:
    """Verdicts and shares that differ, for every institution, indicator and element that both runs hold.

    Returns:
        `run` and `as_of` of the earlier run; `indicators` with the verdict before and after; `elements` with the
        share before and after, per check.
    """
    earlier = {each["institution"]: each for each in before["institutions"]}
    indicators: list[dict[str, Any]] = []
    elements: list[dict[str, Any]] = []
    for institution in after["institutions"]:
        old = earlier.get(institution["institution"])
        if old is not None:
            name = {"institution": institution["institution"]}
            indicators += [name | change for change in _verdicts(old, institution)]
            elements += [name | change for change in _shares(old, institution)]
    return {"run": before["run"], "as_of": before["as_of"], "indicators": indicators, "elements": elements}


def _verdicts(old: Run, new: Run) -> list[dict[str, Any]]:
    known = {(each["outcome_set"], each["indicator"]): each["status"] for each in old["indicators"]}
    return [
        {"outcome_set": each["outcome_set"], "indicator": each["indicator"], "before": before, "after": each["status"]}
        for each in new["indicators"]
        if (before := known.get((each["outcome_set"], each["indicator"]))) not in (None, each["status"])
    ]


def _shares(old: Run, new: Run) -> list[dict[str, Any]]:
    known = {each["element"]: each["checks"] for each in old["elements"]}
    changes = []
    for element in new["elements"]:
        for check, result in element["checks"].items():
            before = known.get(element["element"], {}).get(check)
            if before is not None and before["share"] != result["share"]:
                change = {"before": before["share"], "after": result["share"]}
                wholes = {"whole_before": before["whole"], "whole_after": result["whole"]}
                changes.append({"element": element["element"], "check": check} | change | wholes)
    return changes
