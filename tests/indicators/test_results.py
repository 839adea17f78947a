"""indicator_result: what an institution sees, on numbers small enough to check by hand."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest
from outcome_sets import MAPPINGS, ROLES, instruments, outcome_set

from pipelines.deliver.definition import load_registry
from pipelines.deliver.protected import protect
from pipelines.indicators.evaluation import evaluate
from pipelines.indicators.stories import Line, StoryTables, written

AS_OF = date(2026, 1, 1)
COLUMNS = ("denominator", "numerator", "value", "ci_low", "ci_high", "group_denominator", "group_value",
           "pending", "missing", "excluded")  # fmt: skip


Told = tuple[str, str, list[Line]]
"""Institution, patient, and what happens."""


def evaluated(people: list[Told]) -> duckdb.DuckDBPyConnection:
    """A connection with the results of patients of several hospitals."""
    connection = duckdb.connect()
    tables = StoryTables(outcome_set(), ROLES, instruments())
    for institution, patient, story in people:
        tables.tell(f"{institution}.{patient}", {}, story)
    tables.fill(connection)
    for table in ("zib_patient", "zib_procedure", "prom_score"):
        connection.execute(f"UPDATE {table} SET institution = split_part(resource_key, '.', 1)")
    connection.execute(
        """INSERT INTO zib_coding SELECT DISTINCT h, codings_id, position, system, code FROM zib_coding,
           (VALUES ('H1'), ('H2'), ('H3')) AS hospital (h)"""
    )
    evaluate(connection, outcome_set(), ROLES, AS_OF)
    return connection


def result(
    people: list[Told], indicator: str, institution: str = "H1", period: str = "total"
) -> dict[str, object] | None:
    row = (
        evaluated(people)
        .execute(
            f"SELECT {', '.join(COLUMNS)} FROM indicator_result WHERE indicator = ? AND institution = ? AND period = ?",
            [indicator, institution, period],
        )
        .fetchone()
    )
    return None if row is None else dict(zip(COLUMNS, row, strict=True))


def hip(day: int | None) -> Line:
    return Line(written(day), "primary-hip", side="left")


DIED = [hip(0), Line(written(10), "died")]
HOSPITALS: list[Told] = [
    *(("H1", f"A{n}", [hip(0)]) for n in range(8)),
    ("H1", "B", DIED),
    ("H1", "C", [hip(31)]),
    *(("H2", f"D{n}", DIED) for n in range(2)),
    ("H2", "E", [hip(None)]),
]


def test_a_proportion_with_its_wilson_interval_and_group() -> None:
    # 1 of 10; Wilson bounds from R (stats/proportion_ci.csv of the reference set).
    assert result(HOSPITALS, "hip-mortality-30d") == {
        "denominator": 10, "numerator": 1, "value": pytest.approx(0.1),
        "ci_low": pytest.approx(0.0178762130950729), "ci_high": pytest.approx(0.404150026795238),
        "group_denominator": 12, "group_value": pytest.approx(3 / 12), "pending": 0, "missing": 0, "excluded": 0,
    }  # fmt: skip


def test_a_month_has_its_own_numbers_and_its_own_group() -> None:
    january = result(HOSPITALS, "hip-mortality-30d", period="2024-01")
    assert january is not None
    assert (january["denominator"], january["numerator"], january["group_denominator"]) == (9, 1, 11)
    february = result(HOSPITALS, "hip-mortality-30d", period="2024-02")
    assert february is not None
    assert (february["denominator"], february["numerator"], february["group_denominator"]) == (1, 0, 1)


def test_an_operation_without_a_date_counts_as_excluded_in_the_total_only() -> None:
    total = result(HOSPITALS, "hip-mortality-30d", "H2")
    assert total is not None
    assert (total["denominator"], total["excluded"]) == (2, 1)
    month = result(HOSPITALS, "hip-mortality-30d", "H2", "2024-01")
    assert month is not None
    assert (month["denominator"], month["excluded"]) == (2, 0)


def test_operations_without_a_complete_date_do_not_stop_a_delivery() -> None:
    registry = load_registry(MAPPINGS / "registries" / "lroi.yaml")
    undated: list[Told] = [("H3", "F", [hip(None)])]
    for people in (HOSPITALS, [*HOSPITALS, *undated], undated):
        stored = "FROM indicator_result WHERE stratifier = 'all' AND period_kind IN ('month', 'total')"
        results = evaluated(people).sql(stored).df()
        assert len(protect(results, registry).rows) == len(results)


def improved(before: int, after: int) -> list[Line]:
    score = "hoos-ps", "score"
    return [
        Line(written(-1), score=score, value=before), hip(0), Line(written(91), score=score, value=after),
    ]  # fmt: skip


def test_a_mean_with_its_t_interval() -> None:
    # Changes 10, 20, 30: mean 20, standard deviation 10, t(2; 0.975) = 4.302653, half width 10 / sqrt 3 * t.
    people: list[Told] = [
        ("H1", "A", improved(50, 40)), ("H1", "B", improved(50, 30)), ("H1", "C", improved(50, 20)),
        ("H2", "D", improved(50, 50)), ("H1", "E", [hip(0)]),
    ]  # fmt: skip
    assert result(people, "hip-hoos-ps-change-3m") == {
        "denominator": 3, "numerator": None, "value": pytest.approx(20),
        "ci_low": pytest.approx(-4.841377, abs=1e-6), "ci_high": pytest.approx(44.841377, abs=1e-6),
        "group_denominator": 4, "group_value": pytest.approx(15), "pending": 0, "missing": 1, "excluded": 0,
    }  # fmt: skip


def test_a_mean_of_one_patient_has_no_interval() -> None:
    row = result([("H1", "A", improved(50, 40))], "hip-hoos-ps-change-3m")
    assert row is not None
    assert (row["value"], row["ci_low"], row["ci_high"]) == (10, None, None)


@pytest.mark.parametrize("indicator", ["hip-hoos-ps-change-3m", "hip-revision-1y"])
def test_without_patients_there_is_no_value(indicator: str) -> None:
    row = result([("H1", "A", [hip(None)])], indicator)
    assert row is not None
    assert row["denominator"] == 0
    assert {row[name] for name in ("value", "ci_low", "ci_high", "group_value")} == {None}


def test_without_operations_there_are_no_results() -> None:
    assert result([], "hip-revision-1y") is None


def test_every_row_names_set_statistic_and_reference_date() -> None:
    connection = evaluated([("H1", "A", [hip(0)])])
    rows = connection.execute("SELECT DISTINCT outcome_set, indicator, indicator_version, as_of FROM indicator_result")
    expected = {("knie-heupartrose", indicator.id, indicator.version, AS_OF) for indicator in outcome_set().indicators}
    found = set(rows.fetchall())
    assert found
    assert found <= expected
    statistics = dict(connection.execute("SELECT DISTINCT indicator, statistic FROM indicator_result").fetchall())
    assert statistics["hip-revision-1y"] == "proportion"
    assert statistics["hip-eq5d-change-12m"] == "mean"
