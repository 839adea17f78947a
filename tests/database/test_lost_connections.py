"""A database that goes away in the middle of a transaction: nothing half stays, and a rerun finishes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from example_rows import COUNTS, LANDED, outcomes, quarantined, results
from serving_databases import Databases, PostgresServer, only_postgres

from pipelines.database import bulk
from pipelines.database.models import Batch, IndicatorResult, OutcomePatient, Quarantine, UnmappedCode, table_of
from pipelines.database.session import open_database, transaction
from pipelines.database.store import read_results, record_batch, record_delivery, replace_results
from pipelines.database.terminology import replace_unmapped
from pipelines.errors import TerminalError, TransientError
from pipelines.terminology.unmapped import UNMAPPED_CODE_SCHEMA


def rows_of(engine: sa.Engine) -> tuple[int, list[str]]:
    with transaction(engine) as connection:
        patients = connection.execute(sa.select(sa.func.count()).select_from(table_of(OutcomePatient))).scalar_one()
        return patients, list(read_results(connection, "knee")["institution"])


def write(engine: sa.Engine, patients: int, institution: str) -> None:
    with transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee", patients), results("knee", institution))


@only_postgres
def test_a_broken_connection_leaves_the_old_rows_and_the_next_try_uses_a_new_one(
    engine: sa.Engine, postgres: PostgresServer
) -> None:
    write(engine, 2, "before")
    url = engine.url.render_as_string(hide_password=False)
    with pytest.raises(TransientError, match="DATABASE-UNREACHABLE"), transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee", 7), results("knee", "half"))
        assert postgres.terminate_backends(url) == 1
        replace_results(connection, "knee", outcomes("knee", 7), results("knee", "half"))
    assert rows_of(engine) == (2, ["before"])
    write(engine, 3, "after")
    assert rows_of(engine) == (3, ["after"])


@only_postgres
def test_a_connection_broken_during_a_copy_is_transient_too(
    engine: sa.Engine, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    write(engine, 2, "before")
    monkeypatch.setattr(bulk, "_CHUNK_ROWS", 1000)
    real, copies = bulk._copy, []

    def broken_off(connection: sa.Connection, name: str, rows: object) -> None:
        copies.append(name)
        if len(copies) == 2:
            postgres.terminate_backends(url)
        real(connection, name, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(bulk, "_copy", broken_off)
    with pytest.raises(TransientError, match="DATABASE-UNREACHABLE"):
        write(engine, 3000, "half")
    assert rows_of(engine) == (2, ["before"])
    write(engine, 3000, "after")
    assert rows_of(engine) == (3000, ["after"])


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


def test_a_killed_server_that_comes_back_has_the_old_rows_and_takes_the_new(own_server: PostgresServer) -> None:
    url = own_server.new_database()
    engine = open_database(url)
    write(engine, 2, "before")
    with pytest.raises(TransientError, match="DATABASE-UNREACHABLE"), transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee", 7), results("knee", "half"))
        own_server.kill()
    with pytest.raises(TransientError, match="DATABASE-UNREACHABLE"):
        open_database(url)
    own_server.start_again()
    assert rows_of(engine) == (2, ["before"])
    write(engine, 3, "after")
    assert rows_of(engine) == (3, ["after"])
    engine.dispose()


@only_postgres
def test_a_lock_that_another_keeps_is_transient(engine: sa.Engine) -> None:
    with (
        pytest.raises(TransientError, match="DATABASE-LOCKED"),
        transaction(engine) as connection,
        engine.connect() as other,
    ):
        other.exec_driver_sql("LOCK TABLE batch IN ACCESS EXCLUSIVE MODE")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        record_batch(
            connection, batch_id="b1", institution="a", landed_at=LANDED, counts=COUNTS, state="loaded", quarantine=[]
        )


@only_postgres
@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("40001", "DATABASE-LOCKED"),
        ("40P01", "DATABASE-LOCKED"),
        ("53100", "DATABASE-FULL"),
        ("57P01", "DATABASE-UNREACHABLE"),
    ],
)
def test_what_the_server_reports_is_transient_under_a_code_of_its_own(engine: sa.Engine, state: str, code: str) -> None:
    with pytest.raises(TransientError, match=code), transaction(engine) as connection:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_full_disk_under_sqlite_is_transient_and_leaves_the_old_rows(engine: sa.Engine) -> None:
    write(engine, 2, "before")
    with pytest.raises(TransientError, match="DATABASE-FULL"), transaction(engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        replace_results(connection, "knee", outcomes("knee", 9000), results("knee", "half"))
    engine.dispose()
    assert rows_of(engine) == (2, ["before"])


def test_a_server_that_is_not_there_is_transient_and_shows_no_password() -> None:
    with pytest.raises(TransientError, match="DATABASE-UNREACHABLE") as caught:
        open_database("postgresql+psycopg://someone:secretword@127.0.0.1:1/nothing")
    assert "secretword" not in str(caught.value)


def test_a_driver_without_copy_is_refused() -> None:
    with pytest.raises(TerminalError, match="DATABASE-URL"):
        open_database("postgresql+asyncpg://someone@127.0.0.1:1/nothing")


WORKERS, ROUNDS = 2, 4


def test_workers_with_the_same_batch_at_once_leave_what_one_leaves(databases: Databases, tmp_path: Path) -> None:
    together, alone = databases.of(tmp_path / "together"), databases.of(tmp_path / "alone")
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(WORKERS)
    workers = [context.Process(target=_work, args=(together, barrier)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    _work(alone, None)
    assert everything(together) == everything(alone)


def _work(url: str, barrier: object) -> None:
    """What a worker writes of one batch, again and again, trying again as Airflow does when it is told it may pass."""
    engine = open_database(url)
    for _ in range(ROUNDS):
        if barrier is not None:
            barrier.wait(60)  # type: ignore[attr-defined]
        while True:
            try:
                _write_batch(engine)
                break
            except TransientError as error:
                assert error.code == "DATABASE-LOCKED"
    engine.dispose()


def _write_batch(engine: sa.Engine) -> None:
    unmapped = {
        "institution": "a", "kind": "unknown", "system": None, "code": "x", "display": None, "zib_table": "t",
        "element": "e", "count": 1, "example_file": "x.ndjson", "example_line": 1, "cost": 0,
    }  # fmt: skip
    with transaction(engine) as connection:
        record_batch(
            connection, batch_id="b1", institution="a", landed_at=LANDED, counts=COUNTS, state="loaded",
            quarantine=[quarantined("A", line) for line in range(200)],
        )  # fmt: skip
        replace_unmapped(connection, "b1", pa.Table.from_pylist([unmapped] * 50, UNMAPPED_CODE_SCHEMA))
    with transaction(engine) as connection:
        replace_results(connection, "knee", outcomes("knee", 300), results("knee"))
        record_delivery(
            connection, registry="lroi", outcome_set="knee", as_of=LANDED.date(), content_sha256="x", path="p",
            created_at=LANDED,
        )  # fmt: skip


def everything(url: str) -> dict[str, list[str]]:
    engine = open_database(url)
    found = {}
    with transaction(engine) as connection:
        for model in (Batch, Quarantine, UnmappedCode, OutcomePatient, IndicatorResult):
            table = table_of(model)
            columns = [column for column in table.columns if column.name != "id"]
            found[table.name] = sorted(repr(tuple(row)) for row in connection.execute(sa.select(*columns)))
        found["delivery"] = [str(connection.exec_driver_sql("SELECT count(*) FROM delivery").scalar())]
    engine.dispose()
    return found
