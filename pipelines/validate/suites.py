"""Splits the ZIB tables of a batch into what is accepted and what is set aside, by `expectations/`.

Every table is first judged by its own suite, then its references by what other tables still have: what is
accepted in the end keeps its references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pipelines.errors import TerminalError
from pipelines.quarantine import QuarantineRow
from pipelines.validate.cross_table import find_dangling
from pipelines.validate.gx_session import Outcome, gx_session
from pipelines.validate.rules import (
    ReferenceRule,
    Rule,
    Severity,
    Suite,
    load_reference_rules,
    load_suites,
)
from pipelines.validate.verdict import Verdict

Status = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one rule found in one table.

    Attributes:
        table: the ZIB table.
        rule_id: the rule.
        severity: ``error`` or ``warning``.
        checked: rows that had something to check.
        failed: rows of those that failed.
        status: ``not_applicable`` when nothing was checked.
    """

    table: str
    rule_id: str
    severity: Severity
    checked: int
    failed: int
    status: Status


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of a batch.

    Attributes:
        accepted: the tables without the rows that were set aside, in their original order and schema.
        quarantined: one row per row that was set aside, with the first error rule it failed. Accepted and
            quarantined rows together are exactly the rows that came in.
        checks: one per rule and table, in the order of the suites.
    """

    accepted: dict[str, pa.Table]
    quarantined: list[QuarantineRow]
    checks: list[Check]


def validate_tables(
    tables: Mapping[str, pa.Table],
    *,
    expectations: Path,
    as_of: date,
    known_patients: pa.Table | None = None,
) -> Validation:
    """Validates the tables of one batch.

    A row that fails an error rule is set aside with all other rows of its resource in that table: a half
    questionnaire must never be scored. Warnings only count. A row appears once in the quarantine, with the
    first rule it failed.

    Args:
        tables: by table name, as `docs/tables.md` describes them. Each needs a suite.
        expectations: folder with one suite per table and `cross_table.yaml`.
        as_of: the last day of the data; an event dated after it is an error.
        known_patients: patients accepted in earlier batches (`institution`, `patient_key`), for a batch
            that does not repeat them.

    Raises:
        TerminalError: ``EXPECTATIONS-MISSING`` when a table has no suite; ``EXPECTATIONS-INVALID``,
            ``EXPECTATION-COLUMN-UNKNOWN`` or ``EXPECTATION-FAILED`` when a rule cannot be used.
    """
    suites = load_suites(expectations)
    verdicts = {name: Verdict(_suite(name, suites, expectations), table) for name, table in tables.items()}

    checks = _judge_by_suites(verdicts, as_of)
    for reference in load_reference_rules(expectations):
        checks += _judge_references(verdicts, reference, known_patients)
    return Validation(
        accepted={name: verdict.accepted() for name, verdict in verdicts.items()},
        quarantined=[row for verdict in verdicts.values() for row in verdict.quarantine()],
        checks=checks,
    )


def _suite(table: str, suites: Mapping[str, Suite], expectations: Path) -> Suite:
    if table not in suites:
        raise TerminalError(
            "EXPECTATIONS-MISSING",
            f"table {table} has no suite, so nothing of it can be accepted",
            where=str(expectations),
            remedy=f"Write {table}.yaml; expectations/README.md shows how.",
        )
    return suites[table]


def _judge_by_suites(verdicts: Mapping[str, Verdict], as_of: date) -> list[Check]:
    filled = {name: verdict for name, verdict in verdicts.items() if verdict.table.num_rows}
    outcomes: dict[str, dict[str, Outcome]] = {}
    if filled:
        with gx_session() as session:
            outcomes = {name: session.run(each.suite, each.table, as_of) for name, each in filled.items()}
    checks = []
    for name, verdict in verdicts.items():
        for rule in verdict.suite.rules:
            outcome = outcomes[name][rule.rule_id] if name in filled else Outcome(checked=0, failed=0)
            checks.append(_check(name, rule, outcome.checked, outcome.failed))
            verdict.set_aside(rule, outcome.rows)
        verdict.set_aside_whole_resources()
    return checks


def _judge_references(
    verdicts: Mapping[str, Verdict], reference: ReferenceRule, known_patients: pa.Table | None
) -> list[Check]:
    targets = [verdicts[reference.target_table].accepted()] if reference.target_table in verdicts else []
    if known_patients is not None and reference.target_table == "zib_patient":
        targets.append(known_patients)
    checks = []
    for name in reference.tables:
        if name not in verdicts:
            continue
        verdict = verdicts[name]
        positions, rows = verdict.positions().to_pylist(), verdict.accepted()
        failed = find_dangling(rows, reference.column, targets, reference.target_column)
        checked = rows.num_rows - rows[reference.column].null_count
        checks.append(_check(name, reference.rule, checked, len(failed)))
        if reference.rule.severity == "error":
            verdict.set_aside(reference.rule, (positions[row] for row in failed))
            verdict.set_aside_whole_resources()
    return checks


def _check(table: str, rule: Rule, checked: int, failed: int) -> Check:
    status: Status = "not_applicable" if checked == 0 else "failed" if failed else "passed"
    return Check(table, rule.rule_id, rule.severity, checked, failed, status)
