"""DuckDB and the naive evaluator agree on patients nobody thought of, for every shape and option of the language."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from every_shape import ROLES, START, World, every_shape, fill, make_world
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_evaluator import Evaluator, Outcome, evaluate_naively
from naive_shapes import Evidence
from naive_variables import variable_rows

from pipelines.indicators.measures import measure

SEEDS = st.integers(0, 2**32)
DAYS = st.sampled_from([-20, 0, 5, 11, 30, 40, 45, 100, 300, 700])


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def outcomes(connection: duckdb.DuckDBPyConnection, world: World, as_of: date) -> list[Outcome]:
    fill(connection, world, every_shape(), ROLES)
    measure(connection, every_shape(), ROLES, as_of)
    rows = connection.execute(
        """SELECT institution, indicator, patient_key, index_key, index_date, index_end, status, reason, numerator,
                  value, evidence FROM outcome_patient"""
    ).fetchall()
    return [Outcome(*row[:-1], evidence=tuple(Evidence(*e.values()) for e in row[-1])) for row in rows]


def by_case(rows: list[Outcome]) -> dict[tuple[Any, ...], Outcome]:
    found = {(row.indicator, row.institution, row.index_key, row.index_date): row for row in rows}
    assert len(found) == len(rows)
    return found


def same(one: Outcome | None, other: Outcome | None) -> bool:
    """Equal, but for the last digits of a value (a formula on another machine), and the end of a case not followed."""
    if one is None or other is None:
        return False
    values = one.value, other.value
    close = values[0] == values[1] or (None not in values and values[0] == pytest.approx(values[1], rel=1e-12))
    end = one.index_end == other.index_end or one.status == "excluded"
    plain = [{**vars(row), "value": None, "index_end": None} for row in (one, other)]
    return close and end and plain[0] == plain[1]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=SEEDS, days=DAYS)
def test_duckdb_agrees_with_the_naive_evaluator(connection: duckdb.DuckDBPyConnection, seed: int, days: int) -> None:
    world, as_of = make_world(seed, 400), START + timedelta(days=days)
    expected = by_case(evaluate_naively(world, every_shape(), ROLES, as_of))
    found = by_case(outcomes(connection, world, as_of))
    differing = [
        (key, expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if not same(expected.get(key), found.get(key))
    ]
    assert not differing, "\n".join(f"{k}\n  naive  {e}\n  duckdb {f}" for k, e, f in sorted(differing, key=str)[:5])


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=SEEDS, days=DAYS)
def test_duckdb_agrees_on_every_variable(connection: duckdb.DuckDBPyConnection, seed: int, days: int) -> None:
    world, as_of = make_world(seed, 300), START + timedelta(days=days)
    outcomes(connection, world, as_of)
    naive = Evaluator(world, every_shape(), ROLES, as_of)
    for name in every_shape().variables:
        found = connection.execute(
            """SELECT cohort, institution, index_key, index_date::VARCHAR, category, number FROM outcome_variable
               WHERE variable = ?""",
            [name],
        ).fetchall()
        expected = variable_rows(naive, name)
        assert len(found) == len(expected), name
        assert set(found) == expected, name


def test_every_status_and_reason_came_by(connection: duckdb.DuckDBPyConnection) -> None:
    """Agreement on rows that never say anything would prove nothing."""
    found = [
        row for days in (35, 400) for row in outcomes(connection, make_world(1, 400), START + timedelta(days=days))
    ]
    rows = {(row.status, row.reason) for row in found}
    assert {status for status, _ in rows} == {"included", "missing", "pending", "excluded", "outside"}
    assert {reason for status, reason in rows if status == "missing"} >= {
        "event date incomplete", "no patient record", "death before index", "no stay found", "no value", "age unknown",
        "sex unknown", "no start", "no end", "time not recorded", "no score before", "no score after",
        "no score before and after", "transfer",
    }  # fmt: skip
    assert {"still admitted", "follow-up not complete"} <= {reason for _, reason in rows}
    answers = {(row.indicator, row.numerator) for row in found if row.status == "included"}
    for indicator in every_shape().indicators:
        if indicator.statistic == "proportion":
            assert {(indicator.id, True), (indicator.id, False)} <= answers, indicator.id


def in_words(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute("SELECT outcome_patient::VARCHAR FROM outcome_patient ORDER BY 1").fetchall()
    more = connection.execute("SELECT outcome_variable::VARCHAR FROM outcome_variable ORDER BY 1").fetchall()
    return [row for (row,) in (*rows, *more)]


def measured(world: World, connection: duckdb.DuckDBPyConnection) -> list[str]:
    fill(connection, world, every_shape(), ROLES)
    measure(connection, every_shape(), ROLES, START + timedelta(days=60))
    return in_words(connection)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(7, 120)


@pytest.fixture(scope="module")
def plain(world: World, connection: duckdb.DuckDBPyConnection) -> list[str]:
    return measured(world, connection)


def test_the_order_of_rows_and_rows_that_came_twice_change_nothing(
    world: World, plain: list[str], connection: duckdb.DuckDBPyConnection
) -> None:
    random = Random(3)
    tables = {name: random.sample(rows * 2, len(rows) * 2) for name, rows in world.tables.items()}
    assert measured(World(tables, world.codings), connection) == plain


def test_patients_can_be_measured_in_any_grouping(
    world: World, plain: list[str], connection: duckdb.DuckDBPyConnection
) -> None:
    apart = []
    for part in (0, 1):
        tables = {
            name: [
                row
                for row in rows
                if name == "zib_health_professional_role" or int(row["resource_key"][1:5]) % 2 == part
            ]
            for name, rows in world.tables.items()
        }
        apart += measured(World(tables, world.codings), connection)
    assert sorted(apart) == plain


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_the_clock_of_the_machine_changes_nothing(world: World, plain: list[str], zone: str) -> None:
    """In a process of its own: DuckDB and Python read TZ when they start."""
    code = (
        "import sys, duckdb; sys.path.insert(0, sys.argv[1])\n"
        "from test_agreement import make_world, measured\n"
        f"connection = duckdb.connect(); connection.execute(\"SET TimeZone = '{zone}'\")\n"
        "print('\\n'.join(measured(make_world(7, 120), connection)))"
    )
    here = str(Path(__file__).parent)
    environment = {**os.environ, "TZ": zone, "PYTHONPATH": str(Path(here).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", code, here], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == plain
