"""The DuckDB macros give what the numpy functions give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.formulae import arrays as f
from pipelines.formulae import coefficients as c
from pipelines.formulae.macros import register


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        register(connection)
        yield connection


def in_sql(connection: duckdb.DuckDBPyConnection, call: str, columns: dict[str, Sequence[object]]) -> list[Any]:
    """The results of `call` on a table with these columns, in order."""
    types = {"sex": "VARCHAR", "g": "VARCHAR", "a": "VARCHAR"}
    unnested = ", ".join(f"unnest(${name}::{types.get(name, 'DOUBLE')}[]) AS {name}" for name in columns)
    rows = connection.execute(
        f"WITH patient AS (SELECT {unnested}) SELECT {call} FROM patient", {k: list(v) for k, v in columns.items()}
    ).fetchall()
    return [value for (value,) in rows]


def same_numbers(sql: Sequence[float | None], numpy: np.ndarray) -> None:
    ours = np.array([np.nan if value is None else value for value in sql], np.float64)
    np.testing.assert_allclose(ours, np.atleast_1d(numpy), rtol=1e-12, atol=0.0, equal_nan=True)
    assert not any(value is not None and np.isnan(value) for value in sql)  # NULL in SQL, never NaN


NUMBER = st.none() | st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0]) | st.floats(-1, 1e6)


def mostly(low: float, high: float) -> st.SearchStrategy[float | None]:
    # Twice, so that most patients get a result.
    return st.floats(low, high) | st.floats(low, high) | NUMBER


PATIENT = st.fixed_dictionaries(
    {
        "creatinine": mostly(0.2, 30),
        "age": mostly(18, 120),
        "sex": st.sampled_from(["male", "female", "other", None]),
        "egfr": mostly(0, 250),
        "uacr": mostly(0, 5000),
        "weight": mostly(2, 300),
        "height": mostly(40, 220),
        "g": st.sampled_from([*c.KDIGO_RISK, "G6", None]),
        "a": st.sampled_from(["A1", "A2", "A3", "A4", None]),
    }
)
PATIENTS = st.lists(PATIENT, min_size=1, max_size=30)
for_all_patients = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def columns_of(patients: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [patient[name] for patient in patients] for name in patients[0]}


NUMERIC: list[tuple[str, Callable[..., np.ndarray], tuple[str, ...]]] = [
    ("creatinine_mg_dl", f.creatinine_mg_dl, ("creatinine",)),
    ("uacr_mg_g", f.uacr_mg_g, ("uacr",)),
    ("egfr_ckd_epi_2009", f.egfr_ckd_epi_2009, ("creatinine", "age", "sex")),
    ("egfr_ckd_epi_2021", f.egfr_ckd_epi_2021, ("creatinine", "age", "sex")),
    ("body_mass_index", f.body_mass_index, ("weight", "height")),
]
NAMED: list[tuple[str, Callable[..., np.ndarray], tuple[str, ...]]] = [
    ("kdigo_gfr_category", f.kdigo_gfr_category, ("egfr",)),
    ("kdigo_albuminuria_category_mg_mmol", f.kdigo_albuminuria_category_mg_mmol, ("uacr",)),
    ("kdigo_albuminuria_category_mg_g", f.kdigo_albuminuria_category_mg_g, ("uacr",)),
    ("kdigo_risk", f.kdigo_risk, ("g", "a")),
]


@pytest.mark.parametrize(("macro", "function", "names"), NUMERIC, ids=[macro for macro, _, _ in NUMERIC])
@for_all_patients
@given(patients=PATIENTS)
def test_numbers_are_those_of_numpy(
    connection: duckdb.DuckDBPyConnection,
    macro: str,
    function: Callable[..., np.ndarray],
    names: tuple[str, ...],
    patients: list[dict[str, Any]],
) -> None:
    columns = columns_of(patients)
    found = in_sql(connection, f"{macro}({', '.join(names)})", {name: columns[name] for name in names})
    same_numbers(found, function(*(columns[name] for name in names)))


@pytest.mark.parametrize(("macro", "function", "names"), NAMED, ids=[macro for macro, _, _ in NAMED])
@for_all_patients
@given(patients=PATIENTS)
def test_categories_are_those_of_numpy(
    connection: duckdb.DuckDBPyConnection,
    macro: str,
    function: Callable[..., np.ndarray],
    names: tuple[str, ...],
    patients: list[dict[str, Any]],
) -> None:
    columns = columns_of(patients)
    found = in_sql(connection, f"{macro}({', '.join(names)})", {name: columns[name] for name in names})
    assert found == list(function(*(columns[name] for name in names)))


@pytest.mark.parametrize(("region", "years"), list(c.KFRE_4_VARIABLE.survival))
@for_all_patients
@given(patients=PATIENTS)
def test_kfre_is_that_of_numpy(
    connection: duckdb.DuckDBPyConnection, region: c.Region, years: int, patients: list[dict[str, Any]]
) -> None:
    columns = columns_of(patients)
    names = ("egfr", "uacr", "age", "sex")
    call = f"kfre_4_variable({', '.join(names)}, '{region}', {years})"
    found = in_sql(connection, call, {name: columns[name] for name in names})
    same_numbers(found, f.kfre_4_variable(*(columns[name] for name in names), region=region, years=years))


def test_a_very_small_risk_keeps_its_digits(connection: duckdb.DuckDBPyConnection) -> None:
    (risk,) = connection.execute(
        "SELECT kfre_4_variable(59.9, 0.001, 120, 'female', 'non_north_american', 2)"
    ).fetchone() or (None,)
    assert risk is not None
    assert 0 < risk < 2e-6
    same_numbers([risk], f.kfre_4_variable(59.9, 0.001, 120, "female", region="non_north_american", years=2))


def test_another_region_or_horizon_gives_null(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT kfre_4_variable(30, 30, 60, 'male', region, years)"
        " FROM (VALUES ('europe', 2), ('north_american', 3), (NULL, 2), ('north_american', NULL)) AS t(region, years)"
    ).fetchall()
    assert found == [(None,)] * 4


def test_zero_albumin_stops_no_query(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT kfre_4_variable(30, uacr, 60, 'male', 'north_american', 2) IS NULL"
        " FROM (VALUES (0.0), (-1.0), (NULL), (30.0)) AS t(uacr)"
    ).fetchall()
    assert found == [(True,), (True,), (True,), (False,)]


def test_from_umol_and_mg_mmol_in_one_query(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE lab AS SELECT 250 AS creatinine, 65 AS age, 'male' AS sex, 30.0 AS acr"
    )
    found = connection.execute("""
        SELECT kdigo_risk(kdigo_gfr_category(egfr), kdigo_albuminuria_category_mg_mmol(acr)),
               kfre_4_variable(egfr, uacr_mg_g(acr), age, sex, 'non_north_american', 5)
        FROM (SELECT *, egfr_ckd_epi_2009(creatinine_mg_dl(creatinine), age, sex) AS egfr FROM lab)
    """).fetchone()
    egfr = f.egfr_ckd_epi_2009(f.creatinine_mg_dl(250), 65, "male")
    risk = f.kfre_4_variable(egfr, f.uacr_mg_g(30), 65, "male", region="non_north_american", years=5)
    assert found is not None
    assert found[0] == "very_high"
    assert found[1] == pytest.approx(float(risk), rel=1e-12)


def test_every_function_has_a_macro_with_the_same_arguments(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(
        "SELECT function_name, parameters FROM duckdb_functions() WHERE function_type = 'macro' AND NOT internal"
    ).fetchall()
    macros = {name: list(parameters) for name, parameters in rows}
    functions = {
        name: list(inspect.signature(function).parameters)
        for name, function in inspect.getmembers(f, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == f.__name__
    }
    assert macros == functions


def test_every_macro_is_in_the_documents(connection: duckdb.DuckDBPyConnection) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "formulae.md").read_text(encoding="utf-8")
    rows = connection.execute(
        "SELECT function_name, parameters FROM duckdb_functions() WHERE function_type = 'macro' AND NOT internal"
    ).fetchall()
    assert len(rows) == 10
    assert [name for name, parameters in rows if f"`{name}({', '.join(parameters)})`" not in page] == []


def test_the_macros_are_not_stored_in_a_database_file(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(path) as first:
        register(first)
        register(first)
    with duckdb.connect(path) as second, pytest.raises(duckdb.CatalogException):
        second.execute("SELECT body_mass_index(70, 175)")
