"""Conversion between UCUM units, against the tables of UCUM (ucum.org/ucum)."""

import time

import duckdb
import pytest

from pipelines.sqlonfhir.units import is_unit, register_units


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    register_units(connection)
    return connection


def converted(connection: duckdb.DuckDBPyConnection, *arguments: float | str | None) -> float | None:
    query = "SELECT to_ucum(?::DOUBLE, ?::VARCHAR, ?::VARCHAR)"
    ((found,),) = connection.execute(query, arguments).fetchall()
    assert found is None or isinstance(found, float)
    return found


@pytest.mark.parametrize(
    ("value", "code", "target", "expected"),
    [
        (70.3, "kg", "kg", 70.3),
        (70300, "g", "kg", 70.3),
        (1, "[lb_av]", "kg", 0.45359237),
        (1.82, "m", "cm", 182),
        (72, "[in_i]", "cm", 182.88),
        (175, "cm", "m", 1.75),
        (100.4, "[degF]", "Cel", 38),
        (37, "Cel", "[degF]", 98.6),
        (310.15, "K", "Cel", 37),
        (-40, "Cel", "[degF]", -40),
        (0, "Cel", "K", 273.15),
        (120, "mm[Hg]", "kPa", 15.998658),
        (42, "mmol/mol", "%", 4.2),
        (42, "mmol/mol{Hb}", "mmol/mol", 42),
        (72, "/min", "/min", 72),
        (72, "{beats}/min", "/min", 72),
        (3, "{score}", "1", 3),
        (4.5, "10*9/L", "10*6/mL", 4.5),
        (2, "2.kg", "g", 4000),
        (2, "wk", "d", 14),
        (7.4, "[pH]", "[pH]", 7.4),
    ],
)
def test_a_value_is_converted(
    connection: duckdb.DuckDBPyConnection, value: float, code: str, target: str, expected: float
) -> None:
    # pint has the millimetre of mercury of NIST, 133.322387 Pa; UCUM rounds it to 133.322 Pa.
    assert converted(connection, value, code, target) == pytest.approx(expected, rel=3e-6)


def test_thousandths_stay_exact(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.sql("SELECT i, to_ucum(i * 100, 'g', 'kg') FROM range(2000) r(i)").fetchall()
    assert all(kilograms == grams / 10 for grams, kilograms in rows)


@pytest.mark.parametrize(
    ("value", "code", "target"),
    [
        (5, "mm", "kg"),
        (5, None, "kg"),
        (None, "g", "kg"),
        (5, "", "kg"),
        (5, "KG", "kg"),
        (5, "mm Hg", "kPa"),
        (5, "kilo", "kg"),
        (5, "g/dL", "mmol/L"),
        (5, "10*999", "1"),
        (5, "10*99999999", "1"),
        (5, "m999", "km999"),
        (1e308, "km", "mm"),
        (-1, "Pa", "B[SPL]"),
        (5, "(" * 500, "kg"),
        (5, "kg{é}", "kg"),
    ],
)
def test_what_cannot_be_converted_is_null(
    connection: duckdb.DuckDBPyConnection, value: float | None, code: str | None, target: str
) -> None:
    assert converted(connection, value, code, target) is None


def test_units_are_told_from_other_codes() -> None:
    assert all(map(is_unit, ("kg", "mm[Hg]", "{score}", "1", "%", "10*9/L", "mmol/l", "[drp]", "/min", "mg/dL", "a")))
    assert not any(map(is_unit, ("", "kilo", "mm Hg", "KG", "10*99999999")))


def test_three_hundred_thousand_rows_in_a_second(connection: duckdb.DuckDBPyConnection) -> None:
    units = "CASE i % 4 WHEN 0 THEN 'g' WHEN 1 THEN 'kg' WHEN 2 THEN '[lb_av]' END"
    connection.sql("SELECT to_ucum(1, 'g', 'kg')").fetchall()
    start = time.process_time()
    (row,) = connection.sql(f"SELECT count(to_ucum(i, {units}, 'kg')) FROM range(300000) r(i)").fetchall()
    assert row == (225_000,)
    assert time.process_time() - start < 1
