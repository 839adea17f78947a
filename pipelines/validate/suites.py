"""Splits the ZIB tables of a batch into what is accepted and what is set aside, by `expectations/`.

Every table is first judged by its own suite, patients first; then its references by what other tables still have:
what is accepted in the end keeps its references.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipelines.errors import TerminalError
from pipelines.quarantine import QuarantineRow
from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.validate.checks import EXAMPLES, Check, Tally
from pipelines.validate.cross_table import find_dangling, targets_of
from pipelines.validate.frames import frame_sql, prepare_patients
from pipelines.validate.gx_session import GxSession, gx_session
from pipelines.validate.rules import ReferenceRule, Rule, Suite, load_reference_rules, load_suites
from pipelines.validate.value_sets import ValueSets, require
from pipelines.validate.workspace import Workspace

CHUNK_ROWS = 100_000
"""Rows that Great Expectations judges at a time: its fixed cost is some 10 ms per rule, its memory grows with rows."""

UNJUDGED = frozenset({"zib_coding"})
"""Tables without rows of their own: they belong to the rows of the others."""

_SAME_RESOURCE = " (another row of the same resource failed)"
_INVALID = "RESOURCE-INVALID"
_PATIENT = "zib_patient"


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of a batch. The accepted rows were written as files.

    Attributes:
        accepted: how many rows were accepted, by table.
        quarantined: one row per row that was set aside, with the first error rule it failed. Accepted and
            quarantined rows together are exactly the rows that came in, less those of resources known to be invalid.
        checks: one per rule and table, in the order of the suites.
    """

    accepted: dict[str, int]
    quarantined: list[QuarantineRow]
    checks: list[Check]


def validate_tables(
    tables: Mapping[str, Path],
    accepted: Path,
    *,
    work: Path,
    expectations: Path,
    value_sets: ValueSets,
    as_of: date,
    known_patients: pa.Table | None = None,
    invalid: Sequence[tuple[str, int]] = (),
    chunk_rows: int = CHUNK_ROWS,
) -> Validation:
    """Validates the tables of one batch.

    A row that fails an error rule is set aside with all other rows of its resource in that table: a half
    questionnaire must never be scored. Warnings only count. A row appears once in the quarantine, with the
    first rule it failed. Memory holds one chunk of rows, what DuckDB keeps below its limit, and the rows set aside.

    Args:
        tables: Parquet file by table name, as `docs/tables.md` describes them. Each needs a suite.
        accepted: existing folder for the accepted rows, one Parquet file per table.
        work: existing folder for what does not fit in memory.
        expectations: folder with one suite per table and `cross_table.yaml`.
        value_sets: what coded elements are checked against.
        as_of: the last day of the data; an event dated after it is an error.
        known_patients: patients accepted in earlier batches (`institution`, `patient_key`, `birth_date_text`,
            `death_date_text`), for a batch that does not repeat them.
        invalid: file and line of resources that are set aside for another reason.

    Raises:
        TerminalError: ``EXPECTATIONS-MISSING`` when a table has no suite; ``EXPECTATIONS-INVALID``,
            ``EXPECTATION-COLUMN-UNKNOWN``, ``EXPECTATION-FAILED`` or ``VALUE-SET-DEFINITION`` when a rule cannot be
            used.
    """
    suites = load_suites(expectations)
    judged = sorted((name for name in tables if name not in UNJUDGED), key=lambda name: name != _PATIENT)
    chosen = [_suite(name, suites, expectations) for name in judged]
    references = load_reference_rules(expectations)
    with open_duckdb(work) as connection:
        workspace = Workspace(connection, tables)
        judgement = _Judgement(workspace, value_sets, as_of, known_patients, chunk_rows)
        workspace.set_aside_places(_INVALID, invalid)
        checks = judgement.by_suites(chosen)
        for number, reference in enumerate(references):
            checks += judgement.by_reference(reference, 1000 + number)
        return Validation(
            accepted={name: workspace.write_accepted(name, accepted / f"{name}.parquet") for name in tables},
            quarantined=[row for suite in chosen for row in _quarantine(workspace, suite, references)],
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


class _Judgement:
    def __init__(
        self,
        workspace: Workspace,
        value_sets: ValueSets,
        as_of: date,
        known_patients: pa.Table | None,
        chunk_rows: int,
    ) -> None:
        self._workspace = workspace
        self._value_sets = value_sets
        self._as_of = as_of
        self._chunk_rows = chunk_rows
        self._knows_patients = known_patients is not None
        workspace.hold("value_set_members", value_sets.members)
        if known_patients is not None:
            workspace.hold("known_patients", known_patients)

    def by_suites(self, suites: Sequence[Suite]) -> list[Check]:
        checks = []
        prepare_patients(self._workspace, self._knows_patients)
        with ExitStack() as stack:
            session: GxSession | None = None
            for suite in suites:
                require(self._value_sets, set(suite.bindings.values()), f"{suite.table}.yaml")
                if session is None and self._workspace.rows[suite.table]:
                    session = stack.enter_context(gx_session())
                checks += self._by_suite(suite, session)
                if suite.table == _PATIENT:
                    prepare_patients(self._workspace, self._knows_patients)
        return checks

    def _by_suite(self, suite: Suite, session: GxSession | None) -> list[Check]:
        tallies = {rule.rule_id: Tally(rule) for rule in suite.rules}
        found: list[tuple[str, int, tuple[int, ...]]] = []
        sql = frame_sql(suite, self._workspace, suite.bindings)
        chunks = self._workspace.stream(sql, self._chunk_rows) if self._workspace.rows[suite.table] else ()
        for chunk in chunks:
            if session is None:
                break
            enough = [rule_id for rule_id, tally in tallies.items() if len(tally.examples) == EXAMPLES]
            outcomes = session.run(suite, chunk, self._as_of, enough_examples=enough)
            for priority, (rule_id, outcome) in enumerate(outcomes.items()):
                tallies[rule_id].add(outcome)
                if tallies[rule_id].rule.severity == "error":
                    found.append((rule_id, priority, outcome.failed_rows))
        for rule_id, priority, rows in found:
            self._workspace.set_aside(suite.table, rule_id, priority, rows)
        self._workspace.set_aside_whole_resources(suite.table)
        return [
            tally.check(suite.table, self._workspace.places(suite.table, tally.examples)) for tally in tallies.values()
        ]

    def by_reference(self, reference: ReferenceRule, priority: int) -> list[Check]:
        checks = []
        for table in reference.tables:
            if table not in self._workspace.columns:
                continue
            checked, dangling = self._dangling(table, reference)
            rule = reference.rule
            places = self._workspace.places(table, dangling[:EXAMPLES])
            checks.append(Check(table, rule.rule_id, rule.severity, checked, checked, len(dangling), tuple(places)))
            if rule.severity == "error":
                self._workspace.set_aside(table, rule.rule_id, priority, dangling)
                self._workspace.set_aside_whole_resources(table)
        return checks

    def _dangling(self, table: str, reference: ReferenceRule) -> tuple[int, list[int]]:
        if reference.column not in self._workspace.columns[table]:
            raise TerminalError(
                "EXPECTATION-COLUMN-UNKNOWN",
                f"rule {reference.rule.rule_id} reads column {reference.column}, which the table does not have",
                where=table,
                remedy="Correct cross_table.yaml, or add the column to the ZIB's view.",
            )
        if not self._workspace.rows[table]:
            return 0, []
        targets = targets_of(self._workspace, reference, known_patients=self._knows_patients)
        return find_dangling(self._workspace, table, reference.column, targets)


def _quarantine(workspace: Workspace, suite: Suite, references: Sequence[ReferenceRule]) -> Iterator[QuarantineRow]:
    """One row per row that is set aside for a rule, in the order of the table."""
    rules: dict[str, Rule] = {rule.rule_id: rule for rule in [*(each.rule for each in references), *suite.rules]}
    for institution, file, line, key, rule_id, associated in workspace.places_set_aside(suite.table):
        if rule_id == _INVALID:
            continue
        reason = f"{suite.table}: {rules[rule_id].reason}{_SAME_RESOURCE if associated else ''}"
        yield QuarantineRow(institution, file, line, suite.resource_type, key, rule_id, reason, "validate")
