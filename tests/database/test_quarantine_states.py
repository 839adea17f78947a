"""The quarantine remembers: what came back, what failed again, and since when."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import command

from pipelines.database.models import Quarantine, table_of
from pipelines.database.quarantine import (
    Place,
    QuarantineChange,
    QuarantineFilter,
    batches_with,
    count_rules,
    read_rows,
)
from pipelines.database.session import migration_config, transaction
from pipelines.database.store import BatchCounts, read_quality, record_batch
from pipelines.quarantine import QuarantineRow

COUNTS = BatchCounts(files=2, lines=10, accepted=7, quarantined=2, skipped=1)
LANDED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def row(rule_id: str, line: int | None, file: str = "x.ndjson") -> QuarantineRow:
    return QuarantineRow("a", file, line, "Patient", None, rule_id, "why", "zib")


def record(
    connection: sa.Connection, *rows: QuarantineRow, accepted: set[Place] = frozenset(), landed: datetime = LANDED
) -> QuarantineChange:
    return record_batch(
        connection, batch_id="b1", institution="a", landed_at=landed, counts=COUNTS, state="loaded",
        quarantine=rows, accepted=accepted,
    )  # fmt: skip


def states(connection: sa.Connection) -> dict[tuple[str, int | None], str]:
    table = table_of(Quarantine)
    return {
        (rule, line): state
        for rule, line, state in connection.execute(sa.select(table.c.rule_id, table.c.source_line, table.c.state))
    }


def test_a_retry_says_per_row_what_became_of_it(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        first = record(connection, row("A", 1), row("A", 2), row("A", 3), row("B", None, "y.ndjson"))
        second = record(
            connection, row("A", 2), row("C", 9), accepted={("x.ndjson", 1), ("y.ndjson", None)},
            landed=LANDED.replace(month=4),
        )  # fmt: skip
        assert (first, second) == (QuarantineChange(new=4), QuarantineChange(back=2, skipped=1, remaining=1, new=1))
        assert states(connection) == {
            ("A", 1): "back", ("A", 2): "still_failing", ("A", 3): "skipped", ("B", None): "back", ("C", 9): "open"
        }  # fmt: skip
        rows = {
            r["source_line"]: r["first_seen"].replace(tzinfo=UTC) for r in read_rows(connection, QuarantineFilter())
        }
        assert rows == {2: LANDED, 9: LANDED.replace(month=4)}
        assert read_quality(connection, "a")["top_reasons"] == [("A", 1), ("C", 1)]


def test_what_fails_for_another_rule_did_not_come_back(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        record(connection, row("A", 1))
        change = record(connection, row("B", 1))
        assert change == QuarantineChange(remaining=1)
        assert states(connection) == {("B", 1): "still_failing"}


def test_what_came_back_and_fails_once_more_is_counted_once(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        record(connection, row("A", 1))
        record(connection, accepted={("x.ndjson", 1)})
        assert record(connection, row("A", 1)) == QuarantineChange(new=1)
        assert states(connection) == {("A", 1): "open"}


def test_rules_are_counted_with_a_place_to_look_and_batches_found(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        record(connection, row("A", 1), row("B", 2), row("B", 3), row("C", 4))
        record(connection, row("B", 3), row("B", 2), row("C", 4), accepted={("x.ndjson", 1)})
        counts = {count.rule_id: count for count in count_rules(connection, QuarantineFilter())}
        assert [(c.open, c.still_failing, c.back) for c in counts.values()] == [(0, 2, 0), (0, 1, 0), (0, 0, 1)]
        assert (counts["B"].example, counts["A"].example) == ("a/x.ndjson:3", "")
        assert batches_with(connection, QuarantineFilter(rule="A")) == []
        assert batches_with(connection, QuarantineFilter(rule="B", institution="a")) == [("a", "b1")]
        assert batches_with(connection, QuarantineFilter(rule="B", batch="b2")) == []


def test_what_is_about_a_whole_file_comes_before_its_lines(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        record(connection, row("A", 10), row("A", 9), row("A", None), row("A", 1, "X.ndjson"))
        places = [(r["source_file"], r["source_line"]) for r in read_rows(connection, QuarantineFilter())]
    assert places == [("X.ndjson", 1), ("x.ndjson", None), ("x.ndjson", 9), ("x.ndjson", 10)]


def test_the_first_migration_of_the_quarantine_keeps_what_is_in_it_up_and_down(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "0001")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO batch VALUES ('b1','a','2026-03-01 12:00:00',1,2,0,2,0,'loaded')")
        connection.exec_driver_sql(
            "INSERT INTO quarantine (batch_id, institution, source_file, source_line, rule_id, reason, step)"
            " VALUES ('b1','a','x.ndjson',1,'A','why','zib'), ('b1','a','x.ndjson',NULL,'B','why','zib')"
        )
    with engine.begin() as connection:
        command.upgrade(migration_config(connection), "head")
    with engine.begin() as connection:
        rows = sorted(read_rows(connection, QuarantineFilter()), key=lambda row: row["rule_id"])
        assert [(r["rule_id"], r["state"], r["first_seen"].month) for r in rows] == [("A", "open", 3), ("B", "open", 3)]
        connection.exec_driver_sql("UPDATE quarantine SET state = 'back' WHERE rule_id = 'B'")
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "0001")
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT rule_id FROM quarantine").scalars().all() == ["A"]
    assert [key["referred_table"] for key in sa.inspect(engine).get_foreign_keys("quarantine")] == ["batch"]
