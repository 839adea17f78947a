"""DuckDB and the naive evaluator agree on patients nobody thought of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_evaluator import Outcome, evaluate_naively
from patient_tables import BOTH, LEFT, RIGHT, SNOMED, Patient, Procedure, Record, Score, fill_tables, knie_heupartrose

from pipelines.indicators.evaluation import evaluate

START = date(2023, 1, 31)
# Days around every edge of a window, so that most generated patients sit on one.
DAYS = sorted(
    {edge + off for edge in (0, 30, 63, 91, 110, 323, 365, 407) for off in (-1, 0, 1)} | {-183, -182, -181, -40, 200}
)
DATES = st.sampled_from([START + timedelta(days=day) for day in DAYS])
OWN = "http://uitkomststroom.nl/fhir/CodeSystem/procedure"
CODES = [
    (SNOMED, "52734007"),
    (SNOMED, "265157000"),
    (SNOMED, "609588000"),
    (OWN, "revision-hip-arthroplasty"),
    (OWN, "revision-knee-arthroplasty"),
    ("http://hl7.org/fhir/sid/icd-9-cm", "00.70"),
    ("http://hl7.org/fhir/sid/icd-10-nl", "52734007"),
    (SNOMED, "80146002"),
]
SCORES = [
    ("hoos-ps", "score"),
    ("koos-ps", "score"),
    ("nrs-pain", "activity"),
    ("nrs-pain", "rest"),
    ("eq-5d-5l", "index"),
]
INSTITUTIONS = st.sampled_from(["H1", "H2"])
PATIENT_KEYS = st.sampled_from(["P1", "P2", "P3"])


def keyed(rows: list[Callable[[str], Any]]) -> list[Any]:
    """Give the n-th row resource key n, so that every row has its own."""
    return [row(f"{n:03}") for n, row in enumerate(rows)]


@st.composite
def records(draw: st.DrawFn) -> Record:
    procedure = st.builds(
        lambda *a: lambda key: Procedure(a[0], key, a[1], *a[2], *a[3:]),
        INSTITUTIONS, st.one_of(st.none(), PATIENT_KEYS, PATIENT_KEYS, PATIENT_KEYS), st.sampled_from(CODES),
        st.one_of(DATES, DATES, DATES, st.none()), st.sampled_from([LEFT, LEFT, RIGHT, BOTH, None]),
        st.sampled_from(["completed", "completed", "completed", "not-done"]),
        st.one_of(st.just(()), st.lists(st.sampled_from(CODES), max_size=2).map(tuple)),
    )  # fmt: skip
    score = st.builds(
        lambda *a: lambda key: Score(a[0], "s" + key, a[1], *a[2], *a[3:]),
        INSTITUTIONS, PATIENT_KEYS, st.sampled_from(SCORES), st.one_of(DATES, DATES, DATES, st.none()),
        st.one_of(st.integers(0, 10).map(float), st.none()),
    )  # fmt: skip
    vital = st.tuples(st.sampled_from([True, False, None]), st.one_of(st.none(), DATES))
    patients = [
        Patient(institution, f"p{institution}{patient_key}", patient_key, *state)
        for institution in ("H1", "H2")
        for patient_key in ("P1", "P2", "P3")
        if (state := draw(st.one_of(vital, vital, vital, st.none()))) is not None
    ]
    return Record(
        patients,
        keyed(draw(st.lists(procedure, min_size=1, max_size=14))),
        keyed(draw(st.lists(score, max_size=30))),
    )


AS_OF = st.sampled_from([START + timedelta(days=day) for day in (*DAYS, 500, 730, 774)])


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def outcomes(connection: duckdb.DuckDBPyConnection, record: Record, as_of: date) -> list[Outcome]:
    fill_tables(connection, record)
    evaluate(connection, knie_heupartrose(), as_of)
    rows = connection.execute(
        """SELECT institution, indicator, patient_key, index_key, index_date, status, reason, numerator, value, evidence
           FROM outcome_patient"""
    ).fetchall()
    return [Outcome(*row[:-1], evidence=tuple(row[-1])) for row in rows]


def in_order(rows: list[Outcome]) -> list[Outcome]:
    return sorted(rows, key=lambda row: (row.indicator, row.index_key, row.institution))


@settings(max_examples=40, deadline=None)
@given(record=records(), as_of=AS_OF)
def test_duckdb_agrees_with_the_naive_evaluator(
    connection: duckdb.DuckDBPyConnection, record: Record, as_of: date
) -> None:
    expected = evaluate_naively(record, knie_heupartrose(), as_of)
    assert in_order(outcomes(connection, record, as_of)) == in_order(expected)


@settings(max_examples=6, deadline=None)
@given(record=records(), as_of=AS_OF)
def test_the_rows_of_a_patient_follow_from_that_patient_alone(
    connection: duckdb.DuckDBPyConnection, record: Record, as_of: date
) -> None:
    together = outcomes(connection, record, as_of)
    apart = []
    for patient_key in ("P1", "P2", "P3", None):
        alone = Record(*([row for row in rows if row.patient_key == patient_key] for rows in vars(record).values()))
        apart += outcomes(connection, alone, as_of)
    assert in_order(together) == in_order(apart)


@settings(max_examples=10, deadline=None)
@given(record=records(), as_of=AS_OF)
def test_what_happens_after_the_reference_date_changes_nothing(
    connection: duckdb.DuckDBPyConnection, record: Record, as_of: date
) -> None:
    known = Record(
        [
            replace(row, deceased=None, death_date=None) if row.death_date and row.death_date > as_of else row
            for row in record.patients
        ],
        [row for row in record.procedures if row.start_date is None or row.start_date <= as_of],
        [row for row in record.scores if row.scored_date is None or row.scored_date <= as_of],
    )
    assert in_order(outcomes(connection, known, as_of)) == in_order(outcomes(connection, record, as_of))


@settings(max_examples=10, deadline=None)
@given(record=records(), as_of=AS_OF)
def test_results_add_up_to_the_patients_behind_them(
    connection: duckdb.DuckDBPyConnection, record: Record, as_of: date
) -> None:
    rows = outcomes(connection, record, as_of)
    totals = connection.execute(
        """SELECT institution, indicator, denominator, numerator, value, pending, missing, excluded, group_denominator
           FROM indicator_result WHERE period = 'total'"""
    ).fetchall()
    assert {row[:2] for row in totals} == {(row.institution, row.indicator) for row in rows}
    for institution, indicator, denominator, numerator, value, pending, missing, excluded, everyone in totals:
        mine = [row for row in rows if (row.institution, row.indicator) == (institution, indicator)]
        included = [row for row in mine if row.status == "included"]
        assert denominator == len(included)
        assert denominator + pending + missing + excluded == len(mine)
        assert everyone == sum(row.indicator == indicator and row.status == "included" for row in rows)
        outcome = [float(row.numerator) if row.numerator is not None else row.value for row in included]
        if numerator is not None:
            assert numerator == sum(outcome)
        assert value == (pytest.approx(sum(outcome) / len(outcome)) if outcome else None)


@settings(max_examples=10, deadline=None)
@given(record=records(), as_of=AS_OF)
def test_months_add_up_to_the_total(connection: duckdb.DuckDBPyConnection, record: Record, as_of: date) -> None:
    outcomes(connection, record, as_of)
    differing = connection.execute(
        """WITH summed AS (
               SELECT institution, indicator, period = 'total' AS is_total, sum(denominator) AS denominator,
                      sum(numerator) AS numerator, sum(pending) AS pending, sum(missing) AS missing
               FROM indicator_result GROUP BY ALL)
           SELECT count(*) FROM summed AS total
           LEFT JOIN summed AS months ON months.institution = total.institution
               AND months.indicator = total.indicator AND NOT months.is_total
           WHERE total.is_total AND (coalesce(months.denominator, 0) <> total.denominator
               OR coalesce(months.numerator, 0) <> coalesce(total.numerator, 0)
               OR coalesce(months.pending, 0) <> total.pending OR coalesce(months.missing, 0) <> total.missing)"""
    ).fetchone()
    assert differing == (0,)
