"""The migrated schema is the schema of the models, from empty, on every database."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipelines.database.models import Base
from pipelines.database.session import migration_config, open_database, transaction
from pipelines.errors import TerminalError, TransientError


def test_migrations_from_empty_give_the_schema_of_the_models(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_downgrade_leaves_nothing_but_alembics_own_table(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "base")
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]


def test_opening_twice_changes_nothing(url: str) -> None:
    open_database(url).dispose()
    engine = open_database(url)
    assert "delivery" in sa.inspect(engine).get_table_names()
    engine.dispose()


def test_four_processes_may_open_a_new_database_at_once(url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_opens, [url] * 4) == [True] * 4


def _opens(url: str) -> bool:
    engine = open_database(url)
    found = "indicator_result" in sa.inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_sqlite_keeps_foreign_keys_and_readers_beside_a_writer(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


@pytest.mark.parametrize("url", ["", "no url at all", "nosuchdb://host/x", "postgresql+nosuchdriver://host/x"])
def test_an_unusable_url_is_terminal_and_is_not_repeated(url: str) -> None:
    with pytest.raises(TerminalError, match="DATABASE-URL") as caught:
        open_database(url)
    assert url == "" or url not in str(caught.value)


def test_a_file_that_is_no_database_is_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("institution;value\n" * 100)
    with pytest.raises(TerminalError, match="DATABASE-FILE"):
        open_database(f"sqlite:///{tmp_path}/a.db")


def test_a_folder_that_is_a_file_is_terminal(tmp_path: Path) -> None:
    (tmp_path / "var").touch(mode=stat.S_IRUSR)
    with pytest.raises(TerminalError, match="DATABASE-FOLDER"):
        open_database(f"sqlite:///{tmp_path}/var/a.db")


def test_a_schema_from_the_future_is_terminal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_database(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(TerminalError, match="DATABASE-NEWER"):
        open_database(url)


def test_a_lock_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.database.session.BUSY_TIMEOUT_MS", 50)
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    with transaction(engine) as writer:
        writer.exec_driver_sql("DELETE FROM delivery")
        with pytest.raises(TransientError, match="DATABASE-LOCKED"), transaction(engine) as other:
            other.exec_driver_sql("DELETE FROM delivery")
    engine.dispose()
