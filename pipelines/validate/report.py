"""The validation report of a batch: what `checks.json` holds, judged by today's thresholds, as JSON and as a page.

It knows counts, rules and places (file and line), and no value of a record.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.feedback.dutch import long_date, number, percent
from pipelines.feedback.page import render, write_page
from pipelines.quarantine import QuarantineRow
from pipelines.validate.checks import EXAMPLES, Check
from pipelines.validate.dutch_names import ADVICE, REASONS, TABLES, VERDICTS
from pipelines.validate.rules import Rule, load_reference_rules, load_suites
from pipelines.validate.thresholds import Thresholds, load_thresholds

SHAPE = 1
"""Version of the shape of `validation.json` (docs/validation.md)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A check with its rule, and what the thresholds say of it."""

    check: Check
    rule: Rule
    accepted_share: float
    verdict: str

    @property
    def share(self) -> float | None:
        """Failed rows as a share of those checked; None when nothing was checked."""
        return self.check.failed / self.check.checked if self.check.checked else None


def quarantine_summary(rows: Iterable[QuarantineRow]) -> list[dict[str, Any]]:
    """Per rule: the step, how many rows were set aside, and the first few places; most rows first."""
    counts: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row.rule_id, row.step)
        counts[key] += 1
        place = {"file": row.source_file, "line": row.source_line}
        found = places.setdefault(key, [])
        if len(found) < EXAMPLES and place not in found:
            found.append(place)
    return [
        {"rule_id": rule_id, "step": step, "rows": rows_, "examples": places[rule_id, step]}
        for (rule_id, step), rows_ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]


def judge_checks(content: Mapping[str, Any], expectations: Path) -> list[Judged]:
    """The checks of a `checks.json`, judged by the thresholds of today; a rule that no longer exists is left out."""
    thresholds = load_thresholds(expectations)
    rules = _rules(expectations)
    checks = [Check.from_dict(each) for each in content["checks"]]
    return [_judged(check, rules[check.rule_id], thresholds) for check in checks if check.rule_id in rules]


def write_validation_report(content: Mapping[str, Any], expectations: Path, out: Path) -> list[Judged]:
    """Write `validation.json` and `validation.html` of a batch into an existing folder; gives the judged checks.

    Args:
        content: what `checks.json` holds.
    """
    judged = judge_checks(content, expectations)
    report = as_json(content, judged)
    aside = out / "validation.aside"
    aside.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(out / "validation.json")
    write_page(out / "validation.html", render("validation.html.j2", **_context(content, judged, expectations)))
    return judged


def as_json(content: Mapping[str, Any], judged: Sequence[Judged]) -> dict[str, Any]:
    """The report as `validation.json` has it."""
    counted = Counter(each.verdict for each in judged)
    return {
        "shape": SHAPE,
        "batch": content["batch"],
        "verdict": "exceeded" if counted["exceeded"] else "within_threshold",
        "verdicts": {name: counted[name] for name in VERDICTS},
        "tables": content["tables"],
        "quarantine": content["quarantine"],
        "skipped": content["skipped"],
        "resources": content["resources"],
        "checks": [
            {
                **each.check.as_dict(),
                "share": each.share,
                "accepted_share": each.accepted_share,
                "verdict": each.verdict,
                "sentence_nl": each.rule.sentence_nl,
                "owner": each.rule.owner,
            }
            for each in judged
        ],
    }


def _rules(expectations: Path) -> dict[str, Rule]:
    suites = load_suites(expectations).values()
    rules = [rule for suite in suites for rule in suite.rules]
    rules += [reference.rule for reference in load_reference_rules(expectations)]
    return {rule.rule_id: rule for rule in rules}


def _judged(check: Check, rule: Rule, thresholds: Thresholds) -> Judged:
    return Judged(check, rule, thresholds.of(check).accepted_share, thresholds.judge(check))


def _context(content: Mapping[str, Any], judged: Sequence[Judged], expectations: Path) -> dict[str, Any]:
    rules = _rules(expectations)
    batch = content["batch"]
    tables = []
    for name, counts in content["tables"].items():
        own = [each for each in judged if each.check.table == name]
        if counts["rows"] == 0:
            continue
        tables.append(
            {
                "id": name,
                "title": TABLES.get(name, name),
                "rows": number(counts["rows"]),
                "aside": number(counts["rows"] - counts["accepted"]),
                "failed": [_line(each) for each in sorted(own, key=_order) if each.check.failed],
                "passed": [each.rule for each in own if each.verdict == "passed"],
                "empty": [each.rule for each in own if each.verdict == "not_applicable"],
            }
        )
    attention = [each for each in sorted(judged, key=_order) if each.verdict == "exceeded"]
    counted = Counter(each.verdict for each in judged)
    resources = content["resources"]
    return {
        "batch": batch,
        "landed": long_date(datetime.fromisoformat(batch["landed_at"]).date()),
        "lines": {name: number(batch[name]) for name in ("lines", "accepted", "quarantined", "skipped")},
        "quarantine": [_aside(each, rules) for each in content["quarantine"]],
        "skipped": [(REASONS.get(code, code), number(count)) for code, count in content["skipped"].items()],
        "attention": [{**_line(each), "table": TABLES.get(each.check.table, each.check.table)} for each in attention],
        "tables": tables,
        "nothing": [TABLES.get(name, name) for name, counts in content["tables"].items() if counts["rows"] == 0],
        "counts": {name: number(counted[name]) for name in VERDICTS},
        "verdict_names": VERDICTS,
        "sample": resources["policy"] == "sample",
        "resources_checked": number(sum(stratum["checked"] for stratum in resources["strata"])),
        "resources_total": number(sum(stratum["total"] for stratum in resources["strata"])),
        "resources_failed": number(sum(stratum["failed"] for stratum in resources["strata"])),
    }


def _order(each: Judged) -> tuple[bool, bool, float]:
    return (each.verdict != "exceeded", each.rule.severity != "error", -(each.share or 0.0))


def _line(each: Judged) -> dict[str, Any]:
    return {
        "id": f"{each.check.table}-{each.rule.rule_id}",
        "rule_id": each.rule.rule_id,
        "sentence": each.rule.sentence_nl,
        "severity": "fout" if each.rule.severity == "error" else "waarschuwing",
        "checked": number(each.check.checked),
        "failed": number(each.check.failed),
        "share": percent(each.share or 0.0),
        "accepted": percent(each.accepted_share),
        "verdict": VERDICTS[each.verdict],
        "exceeded": each.verdict == "exceeded",
        "advice": ADVICE[each.rule.severity],
        "places": [_place(file, line) for file, line in each.check.examples],
    }


def _aside(each: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    rule = rules.get(each["rule_id"])
    return {
        "rule_id": each["rule_id"],
        "sentence": rule.sentence_nl if rule else REASONS.get(each["rule_id"], "De regel kon niet worden gelezen."),
        "rows": number(each["rows"]),
        "places": [_place(place["file"], place["line"]) for place in each["examples"]],
    }


def _place(file: str, line: int | None) -> str:
    return file if line is None else f"{file}, regel {number(line)}"
