"""What is written is read back, a rerun changes nothing, and a failure leaves nothing half."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

import pytest
import sqlalchemy as sa
from example_rows import COUNTS, LANDED, outcomes, quarantined, results

from pipelines.database.models import Batch, OutcomePatient, Quarantine, table_of
from pipelines.database.session import transaction
from pipelines.database.store import read_quality, read_results, record_batch, record_delivery, replace_results
from pipelines.errors import TerminalError


def count(connection: sa.Connection, model: Any) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table_of(model))).scalar_one()


def test_results_come_back_and_a_second_write_replaces_the_first(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee"), results("knee"))
        replace_results(connection, "hip", outcomes("hip"), results("hip"))
        replace_results(connection, "knee", outcomes("knee", 3), results("knee", "b", None))
    with transaction(engine) as connection:
        assert count(connection, OutcomePatient) == 5
        evidence = connection.execute(sa.select(OutcomePatient.evidence)).scalars().first()
        frame = read_results(connection, "knee")
    assert evidence == [{"role": "index", "event": "e", "resource_key": "k1", "moment": "2026-01-05"}]
    assert frame[["institution", "denominator", "group_value"]].to_numpy().tolist() == [["b", 4, 0.2]]
    assert frame["value"].isna().all()


def test_reading_an_unknown_set_gives_no_rows_and_all_columns(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        frame = read_results(connection, "unknown")
    assert frame.empty
    assert {"indicator", "as_of", "group_value"} <= set(frame.columns)


def test_a_failure_leaves_the_old_rows_of_both_tables(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee"), results("knee"))
    with pytest.raises(TerminalError, match="DATABASE-ROWS"), transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee", 9), results("knee").drop_columns(["value"]))
    with transaction(engine) as connection:
        assert count(connection, OutcomePatient) == 2
        assert len(read_results(connection, "knee")) == 1


def test_rows_of_another_outcome_set_are_refused(engine: sa.Engine) -> None:
    with pytest.raises(TerminalError, match="another outcome set"), transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("hip"), results("knee"))


def test_a_batch_recorded_twice_is_one_batch_that_remembers_its_quarantine(engine: sa.Engine) -> None:
    for rows in ([quarantined("A", 1), quarantined("B", 2)], [quarantined("B", 2)]):
        with transaction(engine) as connection:
            record_batch(
                connection, batch_id="b1", institution="a", landed_at=LANDED, counts=COUNTS, state="done",
                quarantine=rows,
            )  # fmt: skip
    with transaction(engine) as connection:
        assert (count(connection, Batch), count(connection, Quarantine)) == (1, 2)
        landed = connection.execute(sa.select(Batch.landed_at)).scalar_one()
    assert landed.replace(tzinfo=landed.tzinfo or UTC) == LANDED


def test_quality_sums_the_batches_of_an_institution(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        for batch_id, institution in (("b1", "a"), ("b2", "a"), ("b3", "other")):
            record_batch(
                connection, batch_id=batch_id, institution=institution, landed_at=LANDED, counts=COUNTS,
                state="done", quarantine=[quarantined("A", 1), quarantined("B", 2), quarantined("B", 3)]
                if institution == "a" else [],
            )  # fmt: skip
        quality = read_quality(connection, "a", reasons=1)
        nothing = read_quality(connection, "nobody")
    assert quality == {
        "lines": 20, "accepted": 14, "quarantined": 4, "skipped": 2, "top_reasons": [("B", 4)]
    }  # fmt: skip
    assert (nothing["lines"], nothing["top_reasons"]) == (0, [])


def test_the_same_content_is_entered_in_the_ledger_once_per_registry(engine: sa.Engine) -> None:
    def deliver(registry: str, sha: str) -> bool:
        with transaction(engine) as connection:
            return record_delivery(
                connection, registry=registry, outcome_set="knee", as_of=date(2026, 3, 1),
                content_sha256=sha, path="deliveries/x", created_at=LANDED,
            )  # fmt: skip

    assert [deliver("lroi", "x"), deliver("lroi", "x"), deliver("dica", "x"), deliver("lroi", "y")] == [
        True, False, True, True
    ]  # fmt: skip
