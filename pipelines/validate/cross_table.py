"""References that lead nowhere: the rules of `expectations/cross_table.yaml`.

Great Expectations has no joins, so DuckDB does these.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.validate.rules import ReferenceRule
from pipelines.validate.workspace import ROW, Workspace


def find_dangling(
    workspace: Workspace, table: str, column: str, targets: Iterable[tuple[str, str]]
) -> tuple[int, list[int]]:
    """How many accepted rows of a table have a key, and the positions of those whose key names no accepted row.

    Args:
        table: the table that refers; rows without a key are left out, a rule of the suite is about those.
        column: the key column of `table`.
        targets: SQL of a relation with `institution`, and its column the key should be found in.
    """
    known = " UNION ALL ".join(f'SELECT institution, "{key}" AS key FROM {relation}' for relation, key in targets)
    known = known or "SELECT NULL::VARCHAR AS institution, NULL::VARCHAR AS key LIMIT 0"
    rows = f'SELECT institution, "{column}" AS key, {ROW} FROM {workspace.accepted(table)} WHERE key IS NOT NULL'
    counted = workspace.connection.execute(f"SELECT count(*) FROM ({rows})").fetchone()
    dangling = workspace.connection.execute(
        f"SELECT {ROW} FROM ({rows}) ANTI JOIN ({known}) AS known USING (institution, key) ORDER BY {ROW}"
    ).fetchnumpy()[ROW]
    return (counted[0] if counted else 0), [int(row) for row in dangling]


def targets_of(workspace: Workspace, rule: ReferenceRule, *, known_patients: bool) -> list[tuple[str, str]]:
    """The relations a rule's key may name a row of: accepted rows of this batch, and patients of earlier batches."""
    targets = [
        (workspace.accepted(target.table), target.column)
        for target in rule.targets
        if target.table in workspace.columns
    ]
    if known_patients and any(target.table == "zib_patient" for target in rule.targets):
        targets.append(("known_patients", "patient_key"))
    return targets
