"""What each indicator of knee and hip osteoarthritis says about a patient; read the tables as patient stories.

Day 0 is the operation. Unless a case says otherwise it is now day 1000.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import duckdb
import pytest
from patient_story import day, read_story
from patient_tables import Record, fill_tables, knie_heupartrose

from pipelines.indicators.evaluation import evaluate


class Case(NamedTuple):
    """One story and what one indicator makes of it: one line per index operation, in order of date."""

    promise: str
    indicator: str
    story: str
    expected: list[str]
    today: int = 1000


def outcomes(record: Record, today: int = 1000) -> dict[tuple[str, str | None], list[str]]:
    """Per indicator and patient the rows in words: 'yes', 'no', an improvement, or the status with its reason."""
    connection = duckdb.connect()
    fill_tables(connection, record)
    evaluate(connection, knie_heupartrose(), day(today))
    rows = connection.execute(
        """SELECT indicator, patient_key, status, reason, numerator, value FROM outcome_patient
           ORDER BY index_date NULLS LAST, index_key"""
    ).fetchall()
    found: dict[tuple[str, str | None], list[str]] = {}
    for indicator, patient_key, *row in rows:
        found.setdefault((indicator, patient_key), []).append(_in_words(*row))
    return found


def _in_words(status: str, reason: str | None, numerator: bool | None, value: float | None) -> str:
    if status != "included":
        assert (numerator, value) == (None, None)
        return f"{status}: {reason}"
    if value is not None:
        return f"{value:+.10g}"
    return "yes" if numerator else "no"


REVISION = [
    Case("no revision", "hip-revision-1y", "0 | hip replacement, left", ["no"]),
    Case("a revision on the day of the operation does not count", "hip-revision-1y", """
          0 | hip replacement, left
          0 | hip revision, left""", ["no"]),
    Case("a revision the next day counts", "hip-revision-1y", """
          0 | hip replacement, left
          1 | hip revision, left""", ["yes"]),
    Case("day 365 is within a year", "hip-revision-1y", """
          0 | hip replacement, left
        365 | hip revision, left""", ["yes"]),
    Case("day 366 is not", "hip-revision-1y", """
          0 | hip replacement, left
        366 | hip revision, left""", ["no"]),
    Case("a revision before the operation belongs to an older prosthesis", "hip-revision-1y", """
        -10 | hip revision, left
          0 | hip replacement, left""", ["no"]),
    Case("another side is another joint", "hip-revision-1y", """
          0 | hip replacement, left
        100 | hip revision, right""", ["no"]),
    Case("a revision with unknown side counts", "hip-revision-1y", """
          0 | hip replacement, left
        100 | hip revision, side unknown""", ["yes"]),
    Case("an operation with unknown side takes any revision", "hip-revision-1y", """
          0 | hip replacement, side unknown
        100 | hip revision, right""", ["yes"]),
    Case("a revision of both sides counts for each", "hip-revision-1y", """
          0 | hip replacement, left
        100 | hip revision, both""", ["yes"]),
    Case("another joint does not count", "hip-revision-1y", """
          0 | hip replacement, left
        100 | knee revision, left""", ["no"]),
    Case("a knee revision counts for the knee", "knee-revision-1y", """
          0 | knee replacement, right
        100 | knee revision, right""", ["yes"]),
    Case("a planned revision does not count", "hip-revision-1y", """
          0 | hip replacement, left
        100 | hip revision, left, planned""", ["no"]),
    Case("a revision without a complete date cannot be placed", "hip-revision-1y", """
          0 | hip replacement, left
          ? | hip revision, left""", ["missing: event date incomplete"]),
    Case("unless there is one with a date in the window", "hip-revision-1y", """
          0 | hip replacement, left
          ? | hip revision, left
        100 | hip revision, left""", ["yes"]),
    Case("the other side without a date does not matter", "hip-revision-1y", """
          0 | hip replacement, left
          ? | hip revision, right""", ["no"]),
    Case("on day 364 it is too early to tell, even after a revision", "hip-revision-1y", """
          0 | hip replacement, left
        100 | hip revision, left""", ["pending: follow-up not complete"], today=364),
    Case("on day 365 it can be told", "hip-revision-1y", """
          0 | hip replacement, left
        365 | hip revision, left""", ["yes"], today=365),
    Case("who died stays in", "hip-revision-1y", """
          0 | hip replacement, left
         50 | dies""", ["no"]),
]  # fmt: skip

INDEX = [
    Case("no operation, no row", "hip-revision-1y", "0 | appendectomy", []),
    Case("a planned operation is no index event", "hip-revision-1y", "0 | hip replacement, left, planned", []),
    Case("an operation after today is not looked at", "hip-revision-1y", "11 | hip replacement, left", [], today=10),
    Case("today's operation is", "hip-mortality-30d", "10 | hip replacement, left",
         ["pending: follow-up not complete"], today=10),
    Case("a date that is not complete is excluded", "hip-revision-1y", "? | hip replacement, left",
         ["excluded: index date incomplete"]),
    Case("the same operation recorded twice counts once", "hip-revision-1y", """
          0 | hip replacement, left
          0 | hip replacement, left""", ["no"]),
    Case("both hips on one day count twice", "hip-revision-1y", """
          0 | hip replacement, left
          0 | hip replacement, right
        100 | hip revision, right""", ["no", "yes"]),
    Case("both hips in one record count once", "hip-revision-1y", """
          0 | hip replacement, both
        100 | hip revision, right""", ["yes"]),
    Case("each operation has its own year", "hip-revision-1y", """
          0 | hip replacement, left
        200 | hip replacement, right
        400 | hip revision, right""", ["no", "yes"]),
]  # fmt: skip

MORTALITY = [
    Case("alive", "hip-mortality-30d", "0 | hip replacement, left", ["no"]),
    Case("death on the day of the operation counts", "hip-mortality-30d", """
          0 | hip replacement, left
          0 | dies""", ["yes"]),
    Case("day 30 counts", "hip-mortality-30d", """
          0 | hip replacement, left
         30 | dies""", ["yes"]),
    Case("day 31 does not", "hip-mortality-30d", """
          0 | hip replacement, left
         31 | dies""", ["no"]),
    Case("a death without a complete date cannot be placed", "hip-mortality-30d", """
          0 | hip replacement, left
          ? | dies""", ["missing: death date incomplete"]),
    Case("a death before the operation is a mistake in the record", "hip-mortality-30d", """
         -1 | dies
          0 | hip replacement, left""", ["missing: death before operation"]),
    Case("on day 29 it is too early, even after a death", "hip-mortality-30d", """
          0 | hip replacement, left
          5 | dies""", ["pending: follow-up not complete"], today=29),
    Case("on day 30 it can be told", "hip-mortality-30d", """
          0 | hip replacement, left
          5 | dies""", ["yes"], today=30),
    Case("a death after today is not looked at", "hip-mortality-30d", """
          0 | hip replacement, left
         31 | dies""", ["no"], today=30),
]  # fmt: skip

CHANGE = [
    Case("less difficulty is improvement: HOOS-PS runs from good to bad", "hip-hoos-ps-change-3m", """
        -14 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["+40"]),
    Case("less pain is improvement", "hip-nrs-activity-change-3m", """
        -14 | NRS activity 8
          0 | hip replacement, left
         91 | NRS activity 3""", ["+5"]),
    Case("more quality of life is improvement: EQ-5D runs from bad to good", "hip-eq5d-change-3m", """
        -14 | EQ-5D 0.25
          0 | hip replacement, left
         91 | EQ-5D 0.75""", ["+0.5"]),
    Case("a patient who got worse counts as such", "knee-koos-ps-change-12m", """
        -14 | KOOS-PS 40
          0 | knee replacement, left
        365 | KOOS-PS 55.5""", ["-15.5"]),
    Case("pain at rest is another score", "hip-nrs-activity-change-3m", """
        -14 | NRS rest 8
          0 | hip replacement, left
         91 | NRS activity 3""", ["missing: no score before"]),
    Case("before: the latest counts", "hip-hoos-ps-change-3m", """
       -100 | HOOS-PS 90
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["+40"]),
    Case("before: the day of the operation and 182 days earlier are the edges", "hip-hoos-ps-change-3m", """
       -182 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["+40"]),
    Case("before: 183 days is too old", "hip-hoos-ps-change-3m", """
       -183 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["missing: no score before"]),
    Case("3 months: day 62 is too early", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         62 | HOOS-PS 20""", ["missing: no score after"]),
    Case("3 months: day 63 is in", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         63 | HOOS-PS 20""", ["+40"]),
    Case("3 months: day 110 is in", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
        110 | HOOS-PS 20""", ["+40"]),
    Case("3 months: day 111 is too late", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
        111 | HOOS-PS 20""", ["missing: no score after"]),
    Case("12 months: day 323 is in", "hip-hoos-ps-change-12m", """
          0 | HOOS-PS 60
          0 | hip replacement, left
        323 | HOOS-PS 20""", ["+40"]),
    Case("12 months: day 407 is in", "hip-hoos-ps-change-12m", """
          0 | HOOS-PS 60
          0 | hip replacement, left
        407 | HOOS-PS 20""", ["+40"]),
    Case("12 months: day 322 and 408 are out", "hip-hoos-ps-change-12m", """
          0 | HOOS-PS 60
          0 | hip replacement, left
        322 | HOOS-PS 30
        408 | HOOS-PS 20""", ["missing: no score after"]),
    Case("after: the score nearest to day 91 counts", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         80 | HOOS-PS 50
         95 | HOOS-PS 20""", ["+40"]),
    Case("after: at equal distance the earlier", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         95 | HOOS-PS 50
         87 | HOOS-PS 20""", ["+40"]),
    Case("an incomplete questionnaire is passed over", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS incomplete
        105 | HOOS-PS 20""", ["+40"]),
    Case("no questionnaires at all", "hip-hoos-ps-change-3m", "0 | hip replacement, left",
         ["missing: no score before and after"]),
    Case("on day 109 it is too early, even with both questionnaires", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["pending: follow-up not complete"], today=109),
    Case("on day 110 it can be told", "hip-hoos-ps-change-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["+40"], today=110),
]  # fmt: skip

RESPONSE = [
    Case("both questionnaires", "hip-prom-response-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS 20""", ["yes"]),
    Case("only the one before", "hip-prom-response-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left""", ["no"]),
    Case("none", "hip-prom-response-3m", "0 | hip replacement, left", ["no"]),
    Case("a questionnaire that cannot be scored is no response", "hip-prom-response-3m", """
         -1 | HOOS-PS 60
          0 | hip replacement, left
         91 | HOOS-PS incomplete""", ["no"]),
    Case("the knee questionnaire does not count for the hip", "hip-prom-response-3m", """
         -1 | KOOS-PS 60
          0 | hip replacement, left
         91 | KOOS-PS 20""", ["no"]),
    Case("who died in between stays in", "knee-prom-response-12m", """
         -1 | KOOS-PS 60
          0 | knee replacement, left
         50 | dies""", ["no"]),
    Case("on day 406 it is too early", "knee-prom-response-12m", """
         -1 | KOOS-PS 60
          0 | knee replacement, left
        365 | KOOS-PS 20""", ["pending: follow-up not complete"], today=406),
    Case("on day 407 it can be told", "knee-prom-response-12m", """
         -1 | KOOS-PS 60
          0 | knee replacement, left
        365 | KOOS-PS 20""", ["yes"], today=407),
]  # fmt: skip

CASES = [*REVISION, *INDEX, *MORTALITY, *CHANGE, *RESPONSE]


@cache
def outcomes_of_all_stories(today: int) -> dict[tuple[str, str | None], list[str]]:
    """Every story of that day is another patient of one hospital: together, because one by one is slow."""
    records = [read_story(case.story, patient_key=f"P{n}") for n, case in enumerate(CASES) if case.today == today]
    return outcomes(Record(*([row for r in records for row in getattr(r, name)] for name in vars(records[0]))), today)


@pytest.mark.parametrize("n", range(len(CASES)), ids=[f"{case.indicator}: {case.promise}" for case in CASES])
def test_story(n: int) -> None:
    case = CASES[n]
    assert outcomes_of_all_stories(case.today).get((case.indicator, f"P{n}"), []) == case.expected


def test_an_operation_without_a_patient_is_excluded() -> None:
    record = read_story("0 | hip replacement, left")
    orphan = [replace(procedure, patient_key=None) for procedure in record.procedures]
    assert outcomes(Record([], orphan, []))["hip-revision-1y", None] == ["excluded: patient unknown"]


def test_without_a_patient_record_nobody_knows_who_died() -> None:
    record = read_story("0 | hip replacement, left")
    found = outcomes(Record([], record.procedures, []))
    assert found["hip-mortality-30d", "P1"] == ["missing: no patient record"]


def test_a_patient_with_the_same_key_elsewhere_is_somebody_else() -> None:
    here = read_story("0 | hip replacement, left", institution="H1")
    there = read_story("100 | hip revision, left", institution="H2")
    found = outcomes(Record(here.patients, [*here.procedures, *there.procedures], []))
    assert found["hip-revision-1y", "P1"] == ["no"]


def test_a_code_of_another_system_in_the_value_set_counts_too() -> None:
    record = read_story("0 | hip replacement, left\n100 | hip revision, left")
    index, revision = record.procedures
    icd_9 = replace(revision, system="http://hl7.org/fhir/sid/icd-9-cm", code="00.70")
    assert outcomes(Record(record.patients, [index, icd_9], []))["hip-revision-1y", "P1"] == ["yes"]


def test_any_coding_of_an_operation_counts_and_the_operation_counts_once() -> None:
    record = read_story("0 | hip replacement, left")
    (hip,) = record.procedures
    local = replace(hip, system="http://local", code="HEUP", more_codes=((hip.system, hip.code),) * 2)
    assert outcomes(replace(record, procedures=[local])) == outcomes(record)
    unknown = replace(hip, system="http://local", code=hip.code)
    assert outcomes(replace(record, procedures=[unknown])) == {}


def test_the_evidence_names_what_is_behind_a_row() -> None:
    connection = duckdb.connect()
    story = """-1 | HOOS-PS 60
                0 | hip replacement, left
               91 | HOOS-PS 20
              100 | hip revision, left
               20 | dies"""
    fill_tables(connection, read_story(story))
    evaluate(connection, knie_heupartrose(), day(1000))
    rows = connection.execute("SELECT indicator, evidence FROM outcome_patient").fetchall()
    evidence = dict(rows)
    assert evidence["hip-hoos-ps-change-3m"] == ["P1-2", "P1-1", "P1-3"]
    assert evidence["hip-revision-1y"] == ["P1-2", "P1-4"]
    assert evidence["hip-mortality-30d"] == ["P1-2", "P1-0"]
    assert evidence["hip-nrs-activity-change-3m"] == ["P1-2"]
