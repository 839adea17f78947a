"""The quarantine in the serving database: what is set aside, what came back, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.database.bulk import hold, insert_rows
from pipelines.database.models import Batch, Quarantine, columns_of, table_of

Place = tuple[str, int | None]
"""File and line; the line is None for what concerns a file as a whole."""

SET_ASIDE = ("open", "still_failing")
"""The states of what is in quarantine now; `back` and `skipped` are its history."""


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which rows are meant; None means all."""

    institution: str | None = None
    batch: str | None = None
    rule: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The same in SQL."""
        table = table_of(Quarantine)
        wanted = {"institution": self.institution, "batch_id": self.batch, "rule_id": self.rule}
        return [table.c[name] == value for name, value in wanted.items() if value is not None]


@dataclass(frozen=True, slots=True)
class QuarantineChange:
    """What a new look at a batch did to its quarantine, in rows.

    Attributes:
        back: set aside before, accepted now.
        skipped: set aside before, found to need no row now.
        remaining: set aside before and still.
        new: set aside now, not before.
    """

    back: int = 0
    skipped: int = 0
    remaining: int = 0
    new: int = 0

    def __add__(self, other: QuarantineChange) -> QuarantineChange:
        return QuarantineChange(
            self.back + other.back,
            self.skipped + other.skipped,
            self.remaining + other.remaining,
            self.new + other.new,
        )


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How much one rule set aside, and the first place to look."""

    rule_id: str
    open: int
    still_failing: int
    back: int
    institutions: int
    batches: int
    example: str


def hold_batch(connection: Connection, batch_id: str) -> None:
    """Keep other transactions from recording this batch until this one ends."""
    hold(connection, f"batch {batch_id}")


def places_set_aside(connection: Connection, batch_id: str) -> set[Place]:
    """File and line of everything of a batch that is in quarantine; stays true until the transaction ends."""
    hold_batch(connection, batch_id)
    table = table_of(Quarantine)
    rows = connection.execute(
        sa.select(table.c.source_file, table.c.source_line)
        .where(table.c.batch_id == batch_id, table.c.state.in_(SET_ASIDE))
        .distinct()
    )
    return {(file, line) for file, line in rows}


def take_rows(connection: Connection, batch_id: str) -> list[dict[str, Any]]:
    """Remove the rows of a batch and give them."""
    table = table_of(Quarantine)
    mine = table.c.batch_id == batch_id
    columns = (table.c[name] for name in columns_of(Quarantine))
    rows = [dict(row) for row in connection.execute(sa.select(*columns).where(mine).order_by(table.c.id)).mappings()]
    connection.execute(sa.delete(table).where(mine))
    return rows


def store_rows(
    connection: Connection,
    now: Iterable[Mapping[str, Any]],
    earlier: Sequence[dict[str, Any]],
    accepted: Set[Place],
    *,
    first_seen: datetime,
) -> QuarantineChange:
    """Store what is set aside `now`, and keep of `earlier` what no longer is, as history.

    What is set aside at a place that was in quarantine before keeps the moment it was first seen.
    """
    seen: dict[Place, datetime] = {}
    for row in earlier:
        if row["state"] in SET_ASIDE:
            seen.setdefault(_place(row), row["first_seen"])
    rows = [
        {
            **row,
            "state": "still_failing" if _place(row) in seen else "open",
            "first_seen": seen.get(_place(row), first_seen),
        }
        for row in now
    ]
    failing = {_place(row) for row in rows}
    # A place that failed again is no longer history, however it fared in between.
    history = [_settled(row, accepted) for row in earlier if _place(row) not in failing]
    insert_rows(connection, Quarantine, [*rows, *history])
    gone = [row for row in history if _place(row) in seen]
    return QuarantineChange(
        back=sum(row["state"] == "back" for row in gone),
        skipped=sum(row["state"] == "skipped" for row in gone),
        remaining=sum(row["state"] == "still_failing" for row in rows),
        new=sum(row["state"] == "open" for row in rows),
    )


def count_rules(connection: Connection, selected: QuarantineFilter, limit: int | None = None) -> list[RuleCount]:
    """Rows per rule, the rule with the most rows in quarantine first."""
    table = table_of(Quarantine)
    counts = {
        state: sa.func.sum(sa.case((table.c.state == state, 1), else_=0)).label(state) for state in (*SET_ASIDE, "back")
    }
    rows = connection.execute(
        sa.select(
            table.c.rule_id,
            *counts.values(),
            sa.func.count(table.c.institution.distinct()).label("institutions"),
            sa.func.count(table.c.batch_id.distinct()).label("batches"),
            sa.func.min(sa.case((table.c.state.in_(SET_ASIDE), table.c.id), else_=None)).label("first"),
        )
        .where(*selected.conditions())
        .group_by(table.c.rule_id)
        .order_by((counts["open"] + counts["still_failing"]).desc(), table.c.rule_id)
        .limit(limit)
    ).all()
    examples = _examples(connection, [row.first for row in rows if row.first is not None])
    return [
        RuleCount(
            row.rule_id,
            int(row.open),
            int(row.still_failing),
            int(row.back),
            row.institutions,
            row.batches,
            examples.get(row.first, ""),
        )
        for row in rows
    ]


def read_rows(connection: Connection, selected: QuarantineFilter, limit: int | None = None) -> list[dict[str, Any]]:
    """What is in quarantine, by institution, batch, file and line."""
    table = table_of(Quarantine)
    rows = connection.execute(
        sa.select(*(table.c[name] for name in columns_of(Quarantine)))
        .where(table.c.state.in_(SET_ASIDE), *selected.conditions())
        .order_by(
            table.c.institution, table.c.batch_id, table.c.source_file, table.c.source_line.nulls_first(), table.c.id
        )
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def batches_with(connection: Connection, selected: QuarantineFilter) -> list[tuple[str, str]]:
    """Institution and batch id of the batches that have such rows in quarantine, in landing order."""
    table, batches = table_of(Quarantine), table_of(Batch)
    rows = connection.execute(
        sa.select(batches.c.institution, batches.c.batch_id)
        .where(
            batches.c.batch_id.in_(
                sa.select(table.c.batch_id).where(table.c.state.in_(SET_ASIDE), *selected.conditions())
            )
        )
        .order_by(batches.c.institution, batches.c.landed_at, batches.c.batch_id)
    )
    return [(institution, batch_id) for institution, batch_id in rows]


def batches_of(connection: Connection, institution: str) -> list[tuple[str, str]]:
    """Institution and batch id of all batches of an institution, in the order in which they were landed."""
    table = table_of(Batch)
    rows = connection.execute(
        sa.select(table.c.institution, table.c.batch_id)
        .where(table.c.institution == institution)
        .order_by(table.c.landed_at, table.c.batch_id)
    )
    return [(name, batch_id) for name, batch_id in rows]


def _examples(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    table = table_of(Quarantine)
    rows = connection.execute(
        sa.select(table.c.id, table.c.institution, table.c.source_file, table.c.source_line).where(table.c.id.in_(ids))
    ).all()
    return {row.id: f"{row.institution}/{place_text(row.source_file, row.source_line)}" for row in rows}


def place_text(file: str, line: int | None) -> str:
    """``file:line``, or just the file."""
    return file if line is None else f"{file}:{line}"


def _place(row: Mapping[str, Any]) -> Place:
    return row["source_file"], row["source_line"]


def _settled(row: dict[str, Any], accepted: Set[Place]) -> dict[str, Any]:
    if row["state"] not in SET_ASIDE:
        return row
    return {**row, "state": "back" if _place(row) in accepted else "skipped"}
