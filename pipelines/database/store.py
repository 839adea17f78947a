"""Writing and reading the serving tables. Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, date, datetime
from typing import Any, TypedDict

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.database.bulk import hold, insert_table
from pipelines.database.models import (
    Base,
    Batch,
    CaseMix,
    Delivery,
    IndicatorResult,
    OutcomePatient,
    PromDue,
    PromResponseRate,
    PromScore,
    Quarantine,
    columns_of,
    table_of,
)
from pipelines.database.quarantine import SET_ASIDE, Place, QuarantineChange, hold_batch, store_rows, take_rows
from pipelines.errors import TerminalError
from pipelines.quarantine import QuarantineRow


class BatchCounts(TypedDict):
    """Lines of one export: `lines` = `accepted` + `quarantined` + `skipped`."""

    files: int
    lines: int
    accepted: int
    quarantined: int
    skipped: int


class DataQuality(TypedDict):
    """What came in from one institution, over all its batches; `top_reasons` is (rule_id, rows)."""

    lines: int
    accepted: int
    quarantined: int
    skipped: int
    top_reasons: list[tuple[str, int]]


def replace_results(
    connection: Connection, outcome_set: str, outcome_patient: pa.Table, indicator_result: pa.Table
) -> None:
    """Replace everything stored of one outcome set with these two tables (columns: docs/tables.md).

    Raises:
        TerminalError: a column is missing, or a row is of another outcome set.
    """
    _replace(connection, outcome_set, ((OutcomePatient, outcome_patient), (IndicatorResult, indicator_result)))


def replace_proms(
    connection: Connection,
    outcome_set: str,
    prom_score: pa.Table,
    prom_due: pa.Table,
    prom_response_rate: pa.Table,
) -> None:
    """Replace the PROM tables stored of one outcome set (columns: docs/tables.md).

    Raises:
        TerminalError: a column is missing, or a row is of another outcome set.
    """
    _replace(
        connection,
        outcome_set,
        ((PromScore, prom_score), (PromDue, prom_due), (PromResponseRate, prom_response_rate)),
    )


def replace_case_mix(connection: Connection, outcome_set: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the case-mix models stored of one outcome set; `rows` have the columns of `case_mix_model`."""
    table = table_of(CaseMix)
    connection.execute(sa.delete(table).where(table.c.outcome_set == outcome_set))
    if rows:
        connection.execute(sa.insert(table), list(rows))


def read_outcomes(connection: Connection, indicator: str, patient_key: str) -> list[dict[str, Any]]:
    """Rows of `outcome_patient` of one patient in one indicator, by date."""
    table = table_of(OutcomePatient)
    rows = connection.execute(
        sa.select(*(table.c[name] for name in columns_of(OutcomePatient)))
        .where(table.c.indicator == indicator, table.c.patient_key == patient_key)
        .order_by(table.c.institution, table.c.index_date, table.c.id)
    )
    return [dict(row) for row in rows.mappings()]


def read_due(connection: Connection, outcome_set: str, until: date) -> list[dict[str, Any]]:
    """Rows of `prom_due` whose window opens on or before `until`, by institution and date."""
    table = table_of(PromDue)
    rows = connection.execute(
        sa.select(*(table.c[name] for name in columns_of(PromDue)))
        .where(table.c.outcome_set == outcome_set, table.c.due_from <= until)
        .order_by(table.c.institution, table.c.due_from, table.c.id)
    )
    return [dict(row) for row in rows.mappings()]


def read_response_rates(connection: Connection, outcome_set: str) -> pd.DataFrame:
    """`prom_response_rate` of one outcome set, ordered by institution, cohort, instrument and moment."""
    table = table_of(PromResponseRate)
    rows = connection.execute(
        sa.select(table)
        .where(table.c.outcome_set == outcome_set)
        .order_by(table.c.institution, table.c.cohort, table.c.instrument, table.c.moment)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def record_batch(
    connection: Connection,
    *,
    batch_id: str,
    institution: str,
    landed_at: datetime,
    counts: BatchCounts,
    state: str,
    quarantine: Iterable[QuarantineRow],
    accepted: Set[Place] = frozenset(),
) -> QuarantineChange:
    """Write a batch in place of what was stored of it, and bring its quarantine up to date.

    Args:
        landed_at: moment with a time zone; stored in UTC.
        quarantine: what is set aside now.
        accepted: of what was set aside before, the file and line of what is accepted now.

    Returns:
        what became of the rows that were set aside before.
    """
    hold_batch(connection, batch_id)
    batches = table_of(Batch)
    earlier = take_rows(connection, batch_id)
    connection.execute(sa.delete(batches).where(batches.c.batch_id == batch_id))
    connection.execute(
        sa.insert(batches).values(
            batch_id=batch_id,
            institution=institution,
            landed_at=landed_at.astimezone(UTC),
            state=state,
            **counts,
        )
    )
    now = [{"batch_id": batch_id, **row.as_dict()} for row in quarantine]
    return store_rows(connection, now, earlier, accepted, first_seen=landed_at.astimezone(UTC))


def record_delivery(
    connection: Connection,
    *,
    registry: str,
    outcome_set: str,
    as_of: date,
    content_sha256: str,
    path: str,
    created_at: datetime,
    state: str = "written",
) -> bool:
    """Enter a delivery in the ledger; False, and no change, when this content was delivered before."""
    table = table_of(Delivery)
    hold(connection, f"registry {registry}")
    same = sa.and_(table.c.registry == registry, table.c.content_sha256 == content_sha256)
    if connection.execute(sa.select(table.c.id).where(same)).first() is not None:
        return False
    connection.execute(
        sa.insert(table).values(
            registry=registry,
            outcome_set=outcome_set,
            as_of=as_of,
            content_sha256=content_sha256,
            state=state,
            path=path,
            created_at=created_at.astimezone(UTC),
        )
    )
    return True


def read_results(
    connection: Connection, outcome_set: str, period_kinds: Sequence[str] = ("month", "total")
) -> pd.DataFrame:
    """`indicator_result` of one outcome set over all strata together, by indicator, institution and period."""
    table = table_of(IndicatorResult)
    rows = connection.execute(
        sa.select(*(table.c[name] for name in columns_of(IndicatorResult)))
        .where(table.c.outcome_set == outcome_set, table.c.stratifier == "all", table.c.period_kind.in_(period_kinds))
        .order_by(table.c.indicator, table.c.institution, table.c.period)
    )
    frame = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    counts = ["denominator", "numerator", "group_denominator", "rank", "pending", "missing", "excluded", "outside"]
    numbers = ["value", "ci_low", "ci_high", "group_value", "benchmark", "expected", "oe", "oe_low", "oe_high"]
    return frame.astype(dict.fromkeys(counts, "Int64") | dict.fromkeys(numbers, "Float64"))


def read_quality(connection: Connection, institution: str, *, reasons: int = 10) -> DataQuality:
    """What came in from an institution, and its most frequent reasons for quarantine."""
    batches, quarantined = table_of(Batch), table_of(Quarantine)
    sums = [sa.func.coalesce(sa.func.sum(batches.c[name]), 0) for name in BatchCounts.__annotations__]
    totals = connection.execute(sa.select(*sums).where(batches.c.institution == institution)).one()
    rows = sa.func.count().label("rows")
    top = connection.execute(
        sa.select(quarantined.c.rule_id, rows)
        .where(quarantined.c.institution == institution, quarantined.c.state.in_(SET_ASIDE))
        .group_by(quarantined.c.rule_id)
        .order_by(rows.desc(), quarantined.c.rule_id)
        .limit(reasons)
    )
    _, lines, accepted, set_aside, skipped = (int(total) for total in totals)
    return DataQuality(
        lines=lines,
        accepted=accepted,
        quarantined=set_aside,
        skipped=skipped,
        top_reasons=[(rule_id, int(count)) for rule_id, count in top],
    )


def _replace(connection: Connection, outcome_set: str, tables: Iterable[tuple[type[Base], pa.Table]]) -> None:
    hold(connection, f"outcome set {outcome_set}")
    for model, rows in tables:
        table = table_of(model)
        connection.execute(sa.delete(table).where(table.c.outcome_set == outcome_set))
        _insert(connection, model, rows, outcome_set)


def _insert(connection: Connection, model: type[Base], rows: pa.Table, outcome_set: str) -> None:
    name, wanted = str(model.__tablename__), columns_of(model)
    absent = sorted(set(wanted) - set(rows.column_names))
    if absent:
        raise _wrong(f"columns are missing: {', '.join(absent)}", name)
    selected = rows.select(wanted)
    if set(selected["outcome_set"].unique().to_pylist()) - {outcome_set}:
        raise _wrong(f"rows of another outcome set than {outcome_set}", name)
    insert_table(connection, model, selected)


def _wrong(what: str, table: str) -> TerminalError:
    return TerminalError(
        "DATABASE-ROWS", what, where=f"table {table}", remedy="Give the columns that docs/tables.md lists."
    )
