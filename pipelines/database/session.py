"""Opening the serving database at its newest schema, and writing to it in one transaction."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from pipelines.errors import TerminalError, TransientError, UitkomstError

BUSY_TIMEOUT_MS = 30_000
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 7_041_876  # any fixed number: PostgreSQL names advisory locks by number
# A server that is gone without a word is noticed within a minute instead of the two hours of Linux.
_POSTGRES_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOCKED = ("40001", "40P01", "55P03")  # serialization_failure, deadlock_detected, lock_not_available
_FULL = ("53100",)  # disk_full
_EXAMPLE = "Use for example sqlite:////srv/uitkomst/uitkomst.db or postgresql+psycopg://user@host/database."


def open_database(url: str) -> Engine:
    """Open the database and migrate it to the newest schema; safe when several processes do so at once.

    Args:
        url: SQLAlchemy URL. For a SQLite file the parent folder is made. SQLite runs in WAL mode, which
            needs a local disk: use PostgreSQL when the database is on a network share.

    Raises:
        TerminalError: the URL, its driver or the file is wrong, or the schema is newer than this program.
        TransientError: the database is locked or cannot be reached.
    """
    engine = _engine(url)
    with _reported(engine), engine.connect() as connection:
        _migrate(connection)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: commits at the end, rolls back on any error.

    Raises:
        TransientError: `DATABASE-LOCKED`, `DATABASE-FULL`, or `DATABASE-UNREACHABLE` when the connection was lost.
    """
    with _reported(engine), engine.begin() as connection:
        yield connection


def migration_config(connection: Connection) -> Config:
    """Alembic configuration of the packaged migrations, bound to `connection`; needs no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        engine = sa.create_engine(parsed, **_engine_options(parsed))
        weakref.finalize(engine, engine.pool.dispose)  # SQLite folds its WAL into the file at the last close
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise TerminalError(
            "DATABASE-URL",
            "the database URL cannot be used: it is malformed, or its driver is not installed",
            where="setting database url",
            remedy=_EXAMPLE,
        ) from error
    if parsed.get_backend_name() == "sqlite":
        _make_parent(parsed)
        event.listen(engine, "connect", _set_pragmas)
    return engine


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {}
    if url.get_dialect().driver != "psycopg":
        raise ArgumentError("no other driver has the COPY that bulk loads use")
    options = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in url.query}
    return {"connect_args": options, "pool_pre_ping": True}  # a pooled connection may be of a server that restarted


def _make_parent(url: URL) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TerminalError(
            "DATABASE-FOLDER",
            f"the folder of the database cannot be made: {error.strerror}",
            where=str(folder),
            remedy="Choose a folder that this user may write in.",
        ) from error


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")  # first: the next ones may meet a lock
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _migrate(connection: Connection) -> None:
    config = migration_config(connection)
    head = ScriptDirectory.from_config(config).get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()  # the look above opened a transaction
    if current == head:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    command.upgrade(config, "head")
    connection.commit()


@contextmanager
def _reported(engine: Engine) -> Iterator[None]:
    """Turn a driver's errors about reaching the database into errors an operator can act on."""
    where, driver = engine.url.render_as_string(hide_password=True), engine.dialect.loaded_dbapi
    try:
        yield
    except CommandError as error:
        raise TerminalError(
            "DATABASE-NEWER",
            "the database has a schema revision that this version does not know",
            where=where,
            remedy="Use the version of Uitkomststroom that made it, or a newer one.",
        ) from error
    except (DBAPIError, driver.Error) as error:  # the second: during a COPY
        reported = _unreachable(driver, error.orig if isinstance(error, DBAPIError) else error, where)
        if reported is None:
            raise
        raise reported from error


def _unreachable(driver: Any, error: BaseException | None, where: str) -> UitkomstError | None:
    text, state = str(error).lower(), getattr(error, "sqlstate", None)
    if "locked" in text or "busy" in text or state in _LOCKED:
        return TransientError(
            "DATABASE-LOCKED", "the database stayed locked", where=where, remedy="Try again in a minute."
        )
    if "is full" in text or state in _FULL:
        return TransientError(
            "DATABASE-FULL", "the disk of the database is full", where=where, remedy="Free disk space and run again."
        )
    if "unable to open" in text or "readonly" in text or "not a database" in text:
        return TerminalError(
            "DATABASE-FILE",
            "the file cannot be opened and written as a SQLite database",
            where=where,
            remedy="Point the database url at a SQLite file, or a new one, that this user may write.",
        )
    if isinstance(error, driver.OperationalError):
        return TransientError(
            "DATABASE-UNREACHABLE",
            "the database cannot be reached or broke off",
            where=where,
            remedy="Check that the server runs and that user, password and database exist; then try again.",
        )
    return None
