"""Every version of the schema, with rows in it, goes up to the newest and down to nothing without losing a row."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from pipelines.database.session import migration_config

ROWS = 3
COMPUTED_AGAIN = {"outcome_patient", "indicator_result"}
"""What the next run computes from the lake: a migration may empty these, and no other table."""
Stored = dict[str, dict[str, list[Any]]]
"""By table and column the values, in the order of the rows."""


def _revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", "pipelines:database/migrations")
    config.set_main_option("path_separator", "os")
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


REVISIONS = _revisions()


def migrate(engine: sa.Engine, revision: str, *, up: bool) -> None:
    with engine.begin() as connection:
        (command.upgrade if up else command.downgrade)(migration_config(connection), revision)


def fill(engine: sa.Engine) -> None:
    """Rows of every kind of value in every table; the last has a null wherever one may stand."""
    schema = sa.MetaData()
    schema.reflect(engine)
    with engine.begin() as connection:
        for table in schema.sorted_tables:
            if table.name != "alembic_version":
                columns = [column for column in table.columns if column.name != "id"]
                rows = [{column.name: _value(column, number) for column in columns} for number in range(ROWS)]
                connection.execute(sa.insert(table), rows)


def _value(column: sa.Column[Any], number: int) -> Any:
    if column.nullable and number == ROWS - 1:
        return None
    if column.foreign_keys:
        column = next(iter(column.foreign_keys)).column
    match column.type:
        case sa.DateTime():
            return datetime(2026, 3, 1 + number, 12, 30, 15, 250, tzinfo=UTC)
        case sa.Date():
            return date(2026, 3, 1 + number)
        case sa.Boolean():
            return number % 2 == 0
        case sa.Float():
            return number + 0.1
        case sa.Integer():
            return 2**40 + number
        case sa.JSON():
            return [f"{column.name}-{number}", 'quote"', "ë"]
        case sa.String():
            return f"{column.name}-{number}"
    raise AssertionError(f"no example value for a column of type {column.type}")


def stored(engine: sa.Engine) -> Stored:
    schema = sa.MetaData()
    schema.reflect(engine)
    found: Stored = {}
    with engine.connect() as connection:
        for table in schema.sorted_tables:
            if table.name != "alembic_version":
                order = [table.c.id] if "id" in table.c else list(table.primary_key.columns)
                rows = connection.execute(sa.select(table).order_by(*order)).mappings().all()
                found[table.name] = {name: [row[name] for row in rows] for name in table.columns.keys()}  # noqa: SIM118
    return found


def assert_kept(before: Stored, after: Stored) -> None:
    """The same rows in every table of both, with the same values in every column of both."""
    for table in before.keys() & after.keys():
        if table in COMPUTED_AGAIN and not any(after[table].values()):
            continue
        for column in before[table].keys() & after[table].keys():
            assert after[table][column] == before[table][column], (table, column)


@pytest.fixture
def empty(url: str) -> Any:
    from pipelines.database.session import open_database

    engine = open_database(url)
    migrate(engine, "base", up=False)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_every_version_survive_the_way_up_and_every_step_down(revision: str, empty: sa.Engine) -> None:
    migrate(empty, revision, up=True)
    fill(empty)
    before = stored(empty)
    assert all(len(values) == ROWS for columns in before.values() for values in columns.values())
    migrate(empty, "head", up=True)
    assert_kept(before, stored(empty))
    for lower in [*REVISIONS[:-1][::-1], "base"]:
        above = stored(empty)
        migrate(empty, lower, up=False)
        assert_kept(above, stored(empty))
    assert stored(empty) == {}


def test_the_newest_version_filled_goes_down_to_every_version_and_up_again(empty: sa.Engine) -> None:
    migrate(empty, "head", up=True)
    fill(empty)
    for lower in REVISIONS[:-1][::-1]:
        migrate(empty, lower, up=False)
        below = stored(empty)
        migrate(empty, "head", up=True)
        assert_kept(below, stored(empty))
