"""Scores from answers: published vectors, and answers that cannot be scored."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.proms.scoring import score

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "../shared/reference/proms"
CANONICAL = "http://uitkomststroom.nl/fhir/Questionnaire/"
HOOS_PS = ["1_stairs", "2_bath_shower", "3_sit", "4_running", "5_turn_on_leg"]
KOOS_PS = ["1_rise_from_bed", "2_socks", "3_rise_from_chair", "4_pickup_from_floor", "5_turn_on_knee",
           "6_kneel", "7_staying_squat"]  # fmt: skip
EQ_5D = ["mobility", "self_care", "usual_activities", "pain_discomfort", "anxiety_depression"]

Answer = tuple[str, str, str, str, float | None, str | None]  # response, instrument, status, link_id, number, code
Result = dict[tuple[str, str], tuple[float | None, str | None]]


@cache
def all_instruments() -> list[Instrument]:
    return load_instruments(ROOT / "mappings" / "proms")


@pytest.fixture
def instruments() -> list[Instrument]:
    return all_instruments()


def load_answers(answers: Iterable[Answer]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        """CREATE TABLE prom_answer (
            institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, questionnaire VARCHAR,
            questionnaire_version VARCHAR, status VARCHAR, authored_at TIMESTAMP, source_related_person_key VARCHAR,
            source_practitioner_key VARCHAR, source_practitioner_role_key VARCHAR, link_id VARCHAR,
            value_number DOUBLE, value_code VARCHAR)"""
    )
    columns = [list(column) for column in zip(*answers, strict=True)]
    if columns:
        connection.execute(
            f"""INSERT INTO prom_answer
                SELECT 'H1', response, 'patient-of-' || response, '{CANONICAL}' || instrument, NULL, status,
                       TIMESTAMP '2024-03-01 13:45:00', NULL, NULL, NULL, link_id, number, code
                FROM (SELECT unnest(?) AS response, unnest(?) AS instrument, unnest(?) AS status, unnest(?) AS link_id,
                             unnest(?::DOUBLE[]) AS number, unnest(?::VARCHAR[]) AS code)""",
            columns,
        )
    return connection


def scores_of(answers: Iterable[Answer], instruments: Sequence[Instrument]) -> Result:
    connection = load_answers(answers)
    score(connection, instruments)
    rows = connection.execute("SELECT resource_key, score, value, missing_reason FROM prom_score").fetchall()
    assert len({row[:2] for row in rows}) == len(rows), "one row per response and score"
    return {(key, name): (value, reason) for key, name, value, reason in rows}


def filled_in(response: str, instrument: str, link_ids: list[str], values: Sequence[float]) -> list[Answer]:
    return [(response, instrument, "completed", id_, value, None) for id_, value in zip(link_ids, values, strict=True)]


# instrument, answers in item order, score on the 0 (no difficulty) .. 100 scale.
# Source: the vectors of awell-health/awell-score @c37843e (minimum, median, maximum).
SHORT_FORMS = [
    ("hoos-ps", HOOS_PS, [0, 0, 0, 0, 0], 0.0),
    ("hoos-ps", HOOS_PS, [2, 2, 2, 2, 2], 37.7),
    ("hoos-ps", HOOS_PS, [4, 4, 4, 4, 4], 100.0),
    ("hoos-ps", HOOS_PS, [1, 0, 0, 0, 0], 4.6),
    ("koos-ps", KOOS_PS, [0, 0, 0, 0, 0, 0, 0], 0.0),
    ("koos-ps", KOOS_PS, [2, 2, 2, 2, 2, 2, 2], 40.3),
    ("koos-ps", KOOS_PS, [4, 4, 4, 4, 4, 4, 4], 100.0),
    ("koos-ps", KOOS_PS, [4, 4, 3, 0, 0, 0, 0], 35.3),  # raw 11: 64.7 mirrored, not the 67.7 of a misprint
]


@pytest.mark.parametrize(("instrument", "link_ids", "answers", "expected"), SHORT_FORMS)
def test_short_form_follows_the_published_table(
    instruments: list[Instrument], instrument: str, link_ids: list[str], answers: list[float], expected: float
) -> None:
    scored = scores_of(filled_in("r", instrument, link_ids, answers), instruments)
    assert scored == {("r", "score"): (expected, None)}


@pytest.mark.parametrize(("ours", "reference"), [("hoos-ps", "hoos_ps"), ("koos-ps", "koos_ps")])
def test_every_raw_sum_gives_the_reference_score(instruments: list[Instrument], ours: str, reference: str) -> None:
    path = REFERENCE / f"{reference}.json"
    if not path.exists():
        pytest.skip("the reference folder ../shared is not here")
    facts = json.loads(path.read_text(encoding="utf-8"))
    link_ids = [item["id"] for item in facts["items"]]
    answers, expected = [], {}
    for row in facts["table"]:
        points = [max(0, min(4, row["raw"] - 4 * place)) for place in range(len(link_ids))]
        answers += filled_in(f"raw {row['raw']}", ours, link_ids, points)
        expected[f"raw {row['raw']}", "score"] = (float(row["score_100_worst"]), None)
    assert scores_of(answers, instruments) == expected


# EQ-5D-5L state and Dutch index. Source: R package eq5d (fragla/eq5d @bfdc7ca), its own tests and runs of it.
EQ_5D_STATES = [
    ("11111", 1.0), ("21111", 0.918), ("11211", 0.914), ("11121", 0.887), ("21232", 0.717), ("22222", 0.705),
    ("33333", 0.511), ("32523", 0.455), ("54321", 0.429), ("55511", 0.39), ("11155", 0.117), ("12345", 0.047),
    ("44444", -0.289), ("55555", -0.446),
]  # fmt: skip


def test_eq_5d_states_have_the_index_of_the_r_package(instruments: list[Instrument]) -> None:
    answers = [a for state, _ in EQ_5D_STATES for a in filled_in(state, "eq-5d-5l", EQ_5D, [int(d) for d in state])]
    scored = scores_of(answers, instruments)
    assert {state: scored[state, "index"] for state, _ in EQ_5D_STATES} == {s: (u, None) for s, u in EQ_5D_STATES}


def test_all_3125_eq_5d_states_follow_the_formula(instruments: list[Instrument]) -> None:
    # Versteegh 2016 in thousandths, written out again here so that the YAML file is checked against something else.
    loss = {
        "mobility": (0, 35, 57, 166, 203),
        "self_care": (0, 38, 61, 168, 168),
        "usual_activities": (0, 39, 87, 192, 192),
        "pain_discomfort": (0, 66, 92, 360, 415),
        "anxiety_depression": (0, 70, 145, 356, 421),
    }
    states = list(itertools.product(range(1, 6), repeat=5))
    answers = [a for state in states for a in filled_in(str(state), "eq-5d-5l", EQ_5D, state)]
    scored = scores_of(answers, instruments)
    for state in states:
        lost = sum(loss[name][level - 1] for name, level in zip(EQ_5D, state, strict=True))
        expected = (1000 - lost - (47 if max(state) > 1 else 0)) / 1000
        assert scored[str(state), "index"] == (pytest.approx(expected, abs=1e-12), None)


def test_eq_5d_sample_of_r(instruments: list[Instrument]) -> None:
    path = REFERENCE / "vectors/eq5d5l_nl_sample_R.csv"
    if not path.exists():
        pytest.skip("the reference folder ../shared is not here")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = [
        answer
        for line, row in enumerate(rows)
        for answer in filled_in(str(line), "eq-5d-5l", EQ_5D, [int(row[d]) for d in ("MO", "SC", "UA", "PD", "AD")])
    ]
    scored = scores_of(answers, instruments)
    assert [scored[str(line), "index"][0] for line in range(len(rows))] == [float(row["u"]) for row in rows]


# What was answered to NRS pain during activity, and what comes of it.
NRS_ACTIVITY = [
    ("a number", [(7.0, None)], (7.0, None)),
    ("a numeric code", [(None, "7")], (7.0, None)),
    ("the number before the code", [(7.0, "3")], (7.0, None)),
    ("the same answer twice", [(7.0, None), (None, "7")], (7.0, None)),
    ("two answers", [(7.0, None), (8.0, None)], (None, "conflicting answers")),
    ("an answer and an unreadable code", [(7.0, None), (None, "veel")], (None, "conflicting answers")),
    ("nothing", [], (None, "item missing")),
    ("an empty answer", [(None, None)], (None, "item missing")),
    ("above the range", [(11.0, None)], (None, "item out of range")),
    ("below the range", [(-1.0, None)], (None, "item out of range")),
    ("not a whole number", [(6.5, None)], (None, "item out of range")),
    ("not a number", [(None, "veel")], (None, "item out of range")),
    ("NaN", [(float("nan"), None)], (None, "item out of range")),
    ("infinity", [(None, "inf")], (None, "item out of range")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "given_answers", "expected"), NRS_ACTIVITY, ids=[case[0] for case in NRS_ACTIVITY])
def test_an_answer_that_cannot_be_scored_is_never_guessed(
    instruments: list[Instrument],
    what: str,
    given_answers: list[tuple[float | None, str | None]],
    expected: tuple[float | None, str | None],
) -> None:
    answers: list[Answer] = [("r", "nrs-pain", "completed", "rest", 2.0, None)]
    answers += [("r", "nrs-pain", "completed", "activity", number, code) for number, code in given_answers]
    scored = scores_of(answers, instruments)
    assert scored == {("r", "activity"): expected, ("r", "rest"): (2.0, None)}


def test_one_missing_item_leaves_the_sum_without_a_score(instruments: list[Instrument]) -> None:
    assert scores_of(filled_in("r", "hoos-ps", HOOS_PS[:4], [1, 1, 1, 1]), instruments) == {
        ("r", "score"): (None, "item missing")
    }


def test_a_missing_vas_leaves_the_eq_5d_index_alone(instruments: list[Instrument]) -> None:
    assert scores_of(filled_in("r", "eq-5d-5l", EQ_5D, [1, 1, 1, 1, 1]), instruments) == {
        ("r", "index"): (1.0, None),
        ("r", "vas"): (None, "item missing"),
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", (2.0, None)),
        ("amended", (2.0, None)),
        ("stopped", (2.0, None)),  # the answers are final; the missing rule of the instrument does the rest
        ("in-progress", (None, "response not finished")),
        ("entered-in-error", (None, "entered in error")),
    ],
)
def test_the_status_of_a_response_decides_whether_it_is_scored(
    instruments: list[Instrument], status: str, expected: tuple[float | None, str | None]
) -> None:
    answers: list[Answer] = [("r", "nrs-pain", status, "rest", 2.0, None)]
    assert scores_of(answers, instruments)["r", "rest"] == expected


def test_a_stopped_response_is_scored_scale_by_scale(instruments: list[Instrument]) -> None:
    answers: list[Answer] = [("r", "eortc-qlq-c30", "stopped", f"q{n}", 1.0, None) for n in range(1, 8)]
    scored = scores_of(answers, instruments)
    assert scored["r", "PF"] == (100.0, None)
    assert scored["r", "QL"] == (None, "item missing")


def test_a_row_tells_where_the_score_comes_from(instruments: list[Instrument]) -> None:
    connection = load_answers(filled_in("r", "eq-5d-5l", [*EQ_5D, "vas"], [1, 1, 1, 1, 1, 80]))
    score(connection, instruments)
    rows = connection.sql("FROM prom_score ORDER BY score").fetchall()
    names = connection.sql("FROM prom_score").columns
    index, vas = (dict(zip(names, row, strict=True)) for row in rows)
    assert index == {
        "institution": "H1", "patient_key": "patient-of-r", "resource_key": "r",
        "questionnaire": CANONICAL + "eq-5d-5l", "instrument": "eq-5d-5l", "instrument_version": "NL-2016",
        "score": "index", "direction": "higher_is_better", "scored_date": date(2024, 3, 1), "raw": 1.0, "value": 1.0,
        "se": None, "complete_items": 5, "items": 5, "missing_rule": None, "missing_reason": None,
        "status": "completed", "answered_by": "patient", "scored_by": "uitkomststroom",
    }  # fmt: skip
    assert (vas["score"], vas["value"], vas["items"]) == ("vas", 80.0, 1)


def test_the_missing_rule_that_was_used_is_named(instruments: list[Instrument]) -> None:
    connection = load_answers(filled_in("r", "oxford-hip-score", [f"q{n}" for n in range(1, 11)], [3] * 10))
    score(connection, instruments)
    assert connection.sql("SELECT raw, value, complete_items, items, missing_rule FROM prom_score").fetchall() == [
        (36.0, 36.0, 10, 12, "at_least")
    ]


def test_a_response_that_no_file_scores_is_a_row_with_the_reason(instruments: list[Instrument]) -> None:
    answers: list[Answer] = [
        ("a", "eq-5d-3l", "completed", "mobility", 1.0, None),
        ("a", "eq-5d-3l", "completed", "self_care", 1.0, None),
        *filled_in("b", "promis-physical-function-8b", ["PFA11"], [1]),
        *filled_in("c", "promis-physical-function-4a", ["PFA11"], [1]),
        *filled_in("d", "nrs-pain", ["rest"], [1]),
    ]
    connection = load_answers(answers)
    connection.execute("UPDATE prom_answer SET questionnaire_version = '2.0' WHERE resource_key = 'b'")
    score(connection, instruments)
    rows = connection.sql("SELECT resource_key, instrument, score, value, missing_reason FROM prom_score").fetchall()
    assert rows == [
        ("a", None, None, None, "unknown instrument"),
        ("b", "promis-physical-function-8b", None, None, "unknown version"),
        ("c", "promis-physical-function-4a", None, None, "version not stated"),  # 1.0 and 2.0 have other tables
        ("d", "nrs-pain", "activity", None, "item missing"),  # there is one version
        ("d", "nrs-pain", "rest", 1.0, None),
    ]


def test_the_stated_version_decides_which_table_is_used(instruments: list[Instrument]) -> None:
    items = ["PFA11", "PFA21", "PFA23", "PFA53"]
    connection = load_answers([
        *filled_in("old", "promis-physical-function-4a", items, [1, 1, 1, 1]),
        *filled_in("new", "promis-physical-function-4a", items, [1, 1, 1, 1]),
    ])  # fmt: skip
    connection.execute(
        "UPDATE prom_answer SET questionnaire_version = CASE resource_key WHEN 'new' THEN '2.0' ELSE '1.0' END"
    )
    score(connection, instruments)
    rows = connection.sql("SELECT resource_key, instrument_version, value, se FROM prom_score").fetchall()
    assert rows == [("new", "2.0", 22.5, 4.0), ("old", "1.0", 22.9, 3.9)]


@pytest.mark.parametrize(
    ("column", "expected"),
    [("source_related_person_key", "proxy"), ("source_practitioner_key", "professional"),
     ("source_practitioner_role_key", "professional"), ("patient_key", "patient")],
)  # fmt: skip
def test_who_answered_is_told(instruments: list[Instrument], column: str, expected: str) -> None:
    connection = load_answers(filled_in("r", "mrs", ["mrs"], [3]))
    connection.execute(f"UPDATE prom_answer SET {column} = 'key'")
    score(connection, instruments)
    assert connection.sql("SELECT answered_by, value FROM prom_score").fetchall() == [(expected, 3.0)]


def test_coded_answers_are_read_by_their_code(instruments: list[Instrument]) -> None:
    items = ["1a", "1b", "3a", "3b", "3c", "3d", "3e", "3f"]
    codes = ["no", "not_sure", "yes", "no", "yes", "not_sure", "no", "yes"]
    answers: list[Answer] = [
        ("r", "ibd-control", "completed", item, None, code) for item, code in zip(items, codes, strict=True)
    ]
    assert scores_of(answers, instruments)["r", "ibd_control_8"] == (6.0, None)  # vector of awell-score and Bodger
    wrong = [*answers[:7], ("r", "ibd-control", "completed", "3f", 2.0, None)]
    assert scores_of(wrong, instruments)["r", "ibd_control_8"] == (None, "item out of range")


def test_item_names_ignore_capitals_and_know_aliases(instruments: list[Instrument]) -> None:
    answers = filled_in("r", "eq-5d-5l", ["mo", "SC", "Usual_Activities", "PD", "AD"], [2, 1, 1, 1, 1])
    assert scores_of(answers, instruments)["r", "index"] == (0.918, None)


def test_response_pattern_scores_are_given_when_asked(instruments: list[Instrument]) -> None:
    items = ["EDDEP04", "EDDEP06", "EDDEP29", "EDDEP41"]
    connection = load_answers(filled_in("r", "promis-depression-4a", items, [1, 1, 1, 1]))
    score(connection, instruments, response_pattern=True)
    rows = connection.sql("SELECT score, value, se FROM prom_score").fetchall()
    assert rows == [("t_score", 41.0, 6.2), ("t_score_pattern", 41.0, 6.2)]


def test_no_answers_give_an_empty_table(instruments: list[Instrument]) -> None:
    assert scores_of([], instruments) == {}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 5), min_size=5, max_size=5), min_size=1, max_size=8))
def test_more_difficulty_never_gives_a_lower_score(responses: list[list[int]]) -> None:
    answers = [a for n, values in enumerate(responses) for a in filled_in(str(n), "hoos-ps", HOOS_PS, values)]
    scored = scores_of(answers, all_instruments())
    valid = [(sum(values), scored[str(n), "score"][0]) for n, values in enumerate(responses) if valid_hoos(values)]
    assert [value for _, value in sorted(valid)] == sorted(value for _, value in valid)
    for n, values in enumerate(responses):
        assert (scored[str(n), "score"][0] is not None) == valid_hoos(values)


def valid_hoos(values: list[int]) -> bool:
    return all(0 <= value <= 4 for value in values)
