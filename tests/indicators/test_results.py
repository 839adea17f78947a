"""indicator_result: what an institution sees, on numbers small enough to check by hand."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest
from patient_story import read_story
from patient_tables import MAPPINGS, Record, fill_tables, knie_heupartrose

from pipelines.deliver.definition import load_registry
from pipelines.deliver.protected import protect
from pipelines.indicators.evaluation import evaluate

AS_OF = date(2026, 1, 1)
COLUMNS = ("denominator", "numerator", "value", "ci_low", "ci_high", "group_denominator", "group_value",
           "pending", "missing", "excluded")  # fmt: skip


def result(record: Record, indicator: str, institution: str = "H1", period: str = "total") -> dict[str, object] | None:
    connection = duckdb.connect()
    fill_tables(connection, record)
    evaluate(connection, knie_heupartrose(), AS_OF)
    row = connection.execute(
        f"SELECT {', '.join(COLUMNS)} FROM indicator_result WHERE indicator = ? AND institution = ? AND period = ?",
        [indicator, institution, period],
    ).fetchone()
    return None if row is None else dict(zip(COLUMNS, row, strict=True))


def together(*records: Record) -> Record:
    return Record(
        [row for record in records for row in record.patients],
        [row for record in records for row in record.procedures],
        [row for record in records for row in record.scores],
    )


ALIVE = "0 | hip replacement, left"
DIED = "0 | hip replacement, left\n10 | dies"
NEXT_MONTH = "31 | hip replacement, left"
HOSPITALS = together(
    *(read_story(ALIVE, "H1", f"A{n}") for n in range(8)),
    read_story(DIED, "H1", "B"),
    read_story(NEXT_MONTH, "H1", "C"),
    *(read_story(DIED, "H2", f"D{n}") for n in range(2)),
    read_story("? | hip replacement, left", "H2", "E"),
)


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
    undated = "? | hip replacement, left"
    for record in (HOSPITALS, together(HOSPITALS, read_story(undated, "H3", "F")), read_story(undated)):
        connection = duckdb.connect()
        fill_tables(connection, record)
        evaluate(connection, knie_heupartrose(), AS_OF)
        results = connection.sql("FROM indicator_result").df()
        assert len(protect(results, registry).rows) == len(results)


def improved(before: int, after: int) -> str:
    return f"-1 | HOOS-PS {before}\n0 | hip replacement, left\n91 | HOOS-PS {after}"


def test_a_mean_with_its_t_interval() -> None:
    # Changes 10, 20, 30: mean 20, standard deviation 10, t(2; 0.975) = 4.302653, half width 10 / sqrt 3 * t.
    record = together(
        read_story(improved(50, 40), "H1", "A"), read_story(improved(50, 30), "H1", "B"),
        read_story(improved(50, 20), "H1", "C"), read_story(improved(50, 50), "H2", "D"),
        read_story("0 | hip replacement, left", "H1", "E"),
    )  # fmt: skip
    assert result(record, "hip-hoos-ps-change-3m") == {
        "denominator": 3, "numerator": None, "value": pytest.approx(20),
        "ci_low": pytest.approx(-4.841377, abs=1e-6), "ci_high": pytest.approx(44.841377, abs=1e-6),
        "group_denominator": 4, "group_value": pytest.approx(15), "pending": 0, "missing": 1, "excluded": 0,
    }  # fmt: skip


def test_a_mean_of_one_patient_has_no_interval() -> None:
    row = result(read_story(improved(50, 40)), "hip-hoos-ps-change-3m")
    assert row is not None
    assert (row["value"], row["ci_low"], row["ci_high"]) == (10, None, None)


@pytest.mark.parametrize("indicator", ["hip-hoos-ps-change-3m", "hip-revision-1y"])
def test_without_patients_there_is_no_value(indicator: str) -> None:
    row = result(read_story("? | hip replacement, left"), indicator)
    assert row is not None
    assert row["denominator"] == 0
    assert {row[name] for name in ("value", "ci_low", "ci_high", "group_value")} == {None}


def test_without_operations_there_are_no_results() -> None:
    assert result(Record(), "hip-revision-1y") is None


def test_every_row_names_set_version_kind_and_reference_date() -> None:
    connection = duckdb.connect()
    fill_tables(connection, read_story(ALIVE))
    evaluate(connection, knie_heupartrose(), AS_OF)
    rows = connection.execute("SELECT DISTINCT outcome_set, indicator, indicator_version, as_of FROM indicator_result")
    expected = {
        ("knie-heupartrose", indicator.id, indicator.version, AS_OF) for indicator in knie_heupartrose().indicators
    }
    found = set(rows.fetchall())
    assert found
    assert found <= expected
    kinds = dict(connection.execute("SELECT DISTINCT indicator, kind FROM indicator_result").fetchall())
    assert kinds["hip-revision-1y"] == "proportion"
    assert kinds["hip-eq5d-change-12m"] == "mean"
