"""Databases to test on: SQLite always, PostgreSQL when UITKOMST_TEST_POSTGRES names an empty one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines.database.session import open_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/folder/uitkomst.db"
        return
    postgres = os.environ.get("UITKOMST_TEST_POSTGRES")
    if not postgres:
        pytest.skip("UITKOMST_TEST_POSTGRES names no PostgreSQL database to test on")
    _empty(postgres)
    yield postgres
    _empty(postgres)


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


def _empty(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        everything = sa.MetaData()
        everything.reflect(connection)
        everything.drop_all(connection)
    engine.dispose()
