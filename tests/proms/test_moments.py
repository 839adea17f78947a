"""Which response counts at which moment: one test per rule of pipelines/proms/moments.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import yaml

from pipelines.errors import TerminalError
from pipelines.indicators.definitions import load_outcome_set
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments
from pipelines.proms.moments import link_moments
from pipelines.proms.plan import Asked, Moment, PromPlan, expand_asked, expand_moments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
INDEX = date(2024, 3, 1)
MOMENTS = {
    "pre": Moment(title_nl="voor", from_day=-182, to_day=0, target_day=0),
    "3m": Moment(title_nl="3 maanden", from_day=63, to_day=110, target_day=91),
}
PLAN = PromPlan(
    proxy="last_choice", asked=[Asked(instrument="mrs", cohorts=["stroke"], moments=["pre", "3m"])]
)  # the instrument does not matter here


@dataclass(frozen=True)
class Response:
    """One scored response, `day` days after the index date."""

    key: str
    day: int | None
    value: float | None = 2.0
    status: str = "completed"
    answered_by: str = "patient"
    scored_by: str = "uitkomststroom"
    reason: str | None = None


def tables(responses: list[Response], index_dates: list[date] | None = None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        """CREATE TABLE prom_score (
            institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, instrument VARCHAR, score VARCHAR,
            direction VARCHAR, scored_date DATE, value DOUBLE, missing_reason VARCHAR, status VARCHAR,
            answered_by VARCHAR, scored_by VARCHAR);
        CREATE TABLE index_event (
            index_id INTEGER, cohort VARCHAR, institution VARCHAR, patient_key VARCHAR, index_key VARCHAR,
            index_date DATE, excluded_reason VARCHAR);"""
    )
    for number, day in enumerate(index_dates or [INDEX]):
        connection.execute(
            "INSERT INTO index_event VALUES (?, 'stroke', 'H1', 'p', ?, ?, NULL)", [number, f"i{number}", day]
        )
    for r in responses:
        on = None if r.day is None else INDEX + timedelta(days=r.day)
        connection.execute(
            "INSERT INTO prom_score VALUES ('H1', 'p', ?, 'mrs', 'score', 'higher_is_worse', ?, ?, ?, ?, ?, ?)",
            [r.key, on, r.value, r.reason, r.status, r.answered_by, r.scored_by],
        )
    return connection


def places(
    responses: list[Response], plan: PromPlan = PLAN, as_of: date = date(2025, 12, 31)
) -> dict[str, tuple[str, str]]:
    connection = tables(responses)
    link_moments(connection, plan, MOMENTS, as_of)
    rows = connection.sql("SELECT resource_key, moment, place FROM prom_moment").fetchall()
    return {key: (moment, place) for key, moment, place in rows}


@pytest.mark.parametrize("day", [63, 91, 110])
def test_a_response_inside_the_window_is_chosen(day: int) -> None:
    assert places([Response("r", day)]) == {"r": ("3m", "chosen")}


@pytest.mark.parametrize(
    ("day", "expected"),
    [(-200, ("pre", "too early")), (12, ("pre", "too late")), (50, ("3m", "too early")), (111, ("3m", "too late"))],
)
def test_a_response_outside_every_window_is_early_or_late_for_the_nearest(day: int, expected: tuple[str, str]) -> None:
    assert places([Response("r", day)]) == {"r": expected}


def test_of_several_in_a_window_the_nearest_to_the_target_counts_and_at_a_tie_the_earlier() -> None:
    assert places([Response("far", 70), Response("near", 95)])["near"] == ("3m", "chosen")
    tie = places([Response("later", 93), Response("earlier", 89)])
    assert tie == {"earlier": ("3m", "chosen"), "later": ("3m", "another chosen")}


def test_before_the_operation_the_last_one_counts() -> None:
    assert places([Response("old", -90), Response("last", -3)])["last"] == ("pre", "chosen")


def test_a_response_without_a_score_never_takes_the_place_of_one_with_a_score() -> None:
    found = places([Response("empty", 91, None, reason="item missing"), Response("scored", 70)])
    assert found == {"empty": ("3m", "no score"), "scored": ("3m", "chosen")}


@pytest.mark.parametrize(
    ("reason", "status"), [("response not finished", "in-progress"), ("entered in error", "entered-in-error")]
)
def test_an_unfinished_or_withdrawn_response_is_never_chosen(reason: str, status: str) -> None:
    assert places([Response("r", 91, None, status, reason=reason)]) == {"r": ("3m", "no score")}


def test_a_corrected_response_takes_the_place_of_the_first_one_of_that_day() -> None:
    found = places([Response("a-first", 91, status="completed"), Response("b-corrected", 91, status="amended")])
    assert found == {"a-first": ("3m", "another chosen"), "b-corrected": ("3m", "chosen")}


def test_a_stopped_response_counts_but_gives_way_to_a_completed_one_of_that_day() -> None:
    assert places([Response("s", 91, status="stopped")]) == {"s": ("3m", "chosen")}
    assert places([Response("a", 91, status="stopped"), Response("b", 91)])["b"] == ("3m", "chosen")


@pytest.mark.parametrize(
    ("rule", "own", "proxy"),
    [
        ("accepted", "another chosen", "chosen"),
        ("last_choice", "chosen", "another chosen"),
        ("refused", "chosen", "proxy refused"),
    ],
)
def test_answers_of_a_proxy_follow_the_rule_of_the_set(rule: str, own: str, proxy: str) -> None:
    plan = PLAN.model_copy(update={"proxy": rule})
    found = places([Response("own", 70), Response("proxy", 91, answered_by="proxy")], plan)
    assert found == {"own": ("3m", own), "proxy": ("3m", proxy)}


def test_a_proxy_counts_when_the_patient_did_not_answer() -> None:
    assert places([Response("proxy", 91, answered_by="proxy")]) == {"proxy": ("3m", "chosen")}


def test_a_score_of_our_own_comes_before_one_of_the_source_on_that_day() -> None:
    found = places([Response("a-source", 91, scored_by="source"), Response("b-here", 91)])
    assert found["b-here"] == ("3m", "chosen")


def test_a_response_without_a_date_belongs_to_no_moment() -> None:
    assert places([Response("r", None)])["r"][1] == "no date"


def test_nothing_after_the_as_of_date_is_looked_at() -> None:
    assert places([Response("r", 91)], as_of=INDEX + timedelta(days=90)) == {}


def test_one_response_can_belong_to_two_operations() -> None:
    connection = tables([Response("r", 91)], [INDEX, INDEX + timedelta(days=14)])
    link_moments(connection, PLAN, MOMENTS, date(2025, 12, 31))
    rows = connection.sql("SELECT index_key, moment, days, place FROM prom_moment ORDER BY index_key").fetchall()
    assert rows == [("i0", "3m", 91, "chosen"), ("i1", "3m", 77, "chosen")]


def test_a_yearly_moment_is_written_out() -> None:
    yearly = {"jaar": Moment(title_nl="{n} jaar", from_day=323, to_day=407, target_day=365, every_days=365, times=3)}
    expanded = expand_moments(yearly)
    assert list(expanded) == ["jaar-1", "jaar-2", "jaar-3"]
    third = expanded["jaar-3"]
    assert (third.title_nl, third.from_day, third.to_day, third.target_day) == ("3 jaar", 1053, 1137, 1095)
    plan = expand_asked(
        PromPlan(proxy="accepted", asked=[Asked(instrument="mrs", cohorts=["c"], moments=["jaar"])]), yearly
    )
    assert plan.asked[0].moments == ["jaar-1", "jaar-2", "jaar-3"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"moments": {"pre": {"to_day": 70}}}, "pre and 3m overlap"),
        ({"proms": {"proxy": "always"}}, "proxy.*'last_choice'"),
        ({"asked": {"instrument": "womac"}}, "womac: no such instrument"),
        ({"asked": {"instrument": "promis-physical-function-4a"}}, "more than one version"),
        ({"asked": {"cohorts": ["shoulder"]}}, "no cohort shoulder"),
        ({"asked": {"moments": ["6m"]}}, "no moment 6m"),
        ({"asked": {"moments": ["pre"]}}, "does not ask hoos-ps of hip at 3m|does not ask hoos-ps of hip at 12m"),
    ],
)
def test_a_wrong_plan_is_an_error_that_names_what_is_wrong(tmp_path: Path, change: dict, match: str) -> None:
    source = MAPPINGS / "outcome_sets" / "knie-heupartrose"
    for path in source.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    content = yaml.safe_load((source / "set.yaml").read_text(encoding="utf-8"))
    content["moments"]["pre"] |= change.get("moments", {}).get("pre", {})
    content["proms"] |= change.get("proms", {})
    content["proms"]["asked"][0] |= change.get("asked", {})
    roles = load_table_roles(MAPPINGS / "table_roles.yaml")
    (tmp_path / "set.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(TerminalError, match=match):
        load_outcome_set(tmp_path, MAPPINGS / "codes", load_instruments(MAPPINGS / "proms"), roles)
