"""Verdicts, causes and the order of fixes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from fitgap_lake import LOCAL, Operation, Person, Response, deliver, knie_heupartrose, run, verdict
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fitgap.measure import Count
from pipelines.fitgap.unlocking import unlocking_order
from pipelines.fitgap.verdict import Status, judge
from pipelines.indicators.elements import Check

REVISION = "hip-revision-1y"
CRITERIA = knie_heupartrose().criteria.checks


@pytest.mark.parametrize(
    ("part", "expected"),
    [(95, Status.READY), (94, Status.PARTLY), (80, Status.PARTLY), (79, Status.NOT), (0, Status.NOT)],
)
def test_filled_is_ready_from_95_and_partly_from_80_percent(part: int, expected: Status) -> None:
    assert judge(CRITERIA[Check.FILLED], Count(part, 100)) == expected


@pytest.mark.parametrize(
    ("check", "count", "expected"),
    [
        (Check.FOUND, Count(1, 100), Status.READY),
        (Check.FOUND, Count(0, 100), Status.NOT),
        (Check.FOUND, Count(0, 0), Status.NOT),
        (Check.FILLED, Count(0, 0), Status.UNKNOWN),
        (Check.TIMELY, Count(0, 100), Status.PARTLY),
    ],
)
def test_one_case_is_presence_a_share_of_nothing_is_unknown_and_late_is_partly_at_worst(
    check: Check, count: Count, expected: Status
) -> None:
    assert judge(CRITERIA[check], count) == expected


def _complete(patients: int) -> list[Operation | Person | Response]:
    """Hip replacements with everything that the revision indicator asks for, and one revision."""
    names = [f"p{number}" for number in range(patients)]
    revision = Operation(
        "revision", "p0", "http://uitkomststroom.nl/fhir/CodeSystem/procedure", "revision-hip-arthroplasty",
        date(2024, 6, 1),
    )  # fmt: skip
    return [revision, *map(Person, names), *[Operation(f"o {name}", name) for name in names]]


def test_with_everything_in_place_the_indicator_is_ready_without_a_cause(tmp_path: Path) -> None:
    deliver(tmp_path, *_complete(20))
    found = verdict(run(tmp_path), REVISION)
    assert (found["status"], found["cause_nl"], found["gaps"]) == ("ready", None, [])


def test_a_missing_side_makes_the_revision_partly_ready_because_it_is_not_mandatory(tmp_path: Path) -> None:
    deliver(tmp_path, *_complete(20), *[Operation(f"s{number}", "p1", side=None) for number in range(80)])
    found = verdict(run(tmp_path), REVISION)
    assert found["status"] == "partly"
    assert found["cause_nl"] == (
        "Zijde (links of rechts) van: eerste totale heupprothese: gevuld bij 20,0%, nodig is 95%."
    )


def test_no_revision_at_all_is_partly_for_zero_can_be_true(tmp_path: Path) -> None:
    deliver(tmp_path, *_complete(20)[1:])
    found = verdict(run(tmp_path), REVISION)
    assert (found["status"], [gap["check"] for gap in found["gaps"]]) == ("partly", ["found"])


def test_own_codes_are_the_cause_and_what_follows_from_them_is_no_second_gap(tmp_path: Path) -> None:
    deliver(tmp_path, Person("p1"), *[Operation(f"o{number}", system=LOCAL, code="HEUP") for number in range(20)])
    found = verdict(run(tmp_path), REVISION)
    assert (found["status"], [gap["check"] for gap in found["gaps"]]) == ("not", ["system"])
    assert found["cause_nl"] == "Code van verrichtingen: bruikbaar codesysteem bij 0,0%, nodig is 95%."


def test_low_response_spoils_a_change_but_not_the_response_rate_that_measures_it(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(20)]
    people = [Person(name) for name in names]
    answers = [
        Response(f"{moment} {name}", name, day)
        for moment, day in (("before", date(2024, 2, 20)), ("after", date(2024, 6, 1)))
        for name in names[:5]
    ]
    deliver(tmp_path, *people, *[Operation(f"o {name}", name) for name in names], *answers)
    content = run(tmp_path)
    change = verdict(content, "hip-nrs-activity-change-3m")
    assert (change["status"], {gap["check"] for gap in change["gaps"]}) == ("not", {"moment"})
    assert change["cause_nl"] == (
        "Pijnscore voor de operatie (eerste totale heupprothese): bruikbaar ingevuld bij 25,0%, nodig is 60%."
    )
    hoos = verdict(content, "hip-prom-response-3m")
    assert [gap["check"] for gap in hoos["gaps"]] == ["recognised"]


def test_a_small_group_is_judged_without_telling_its_percentage(tmp_path: Path) -> None:
    deliver(tmp_path, Person("p1"), Operation("o1", day=None), Operation("o2"))
    gaps = verdict(run(tmp_path), "hip-mortality-30d")["gaps"]
    assert (
        gaps[0]["cause_nl"]
        == "Datum van: eerste totale heupprothese: gevuld bij te weinig van de minder dan 10 gevallen, nodig is 95%."
    )


def test_the_fix_that_completes_most_indicators_comes_first_not_the_one_that_touches_most() -> None:
    """`codes` is in the way of four, but alone unlocks none; `dates` alone unlocks two."""
    blocking = {
        "a": {"codes", "side"},
        "b": {"codes", "death"},
        "c": {"codes", "prom"},
        "d": {"dates"},
        "e": {"dates"},
        "f": {"codes", "dates", "prom"},
    }
    steps = [(step.fixes, step.unlocks) for step in unlocking_order(blocking)]
    assert steps[0] == (("dates",), ("d", "e"))
    assert steps[1] == (("codes", "prom"), ("c", "f"))
    assert {fix for fixes, _ in steps[2:] for fix in fixes} == {"side", "death"}


_Blocking = st.dictionaries(st.integers(0, 9), st.frozensets(st.sampled_from("abcde")), max_size=7)


@given(_Blocking)
def test_every_indicator_is_unlocked_once_by_the_step_that_completes_it(blocking: dict[int, frozenset[str]]) -> None:
    done: set[str] = set()
    unlocked: list[int] = []
    for step in unlocking_order(blocking):
        assert not done & set(step.fixes)
        done |= set(step.fixes)
        for name in step.unlocks:
            assert blocking[name] <= done
            assert not blocking[name] <= done - set(step.fixes)
        unlocked += step.unlocks
    assert sorted(unlocked) == sorted(name for name, fixes in blocking.items() if fixes)


@given(_Blocking)
def test_completing_another_indicator_first_never_unlocks_more_per_fix(blocking: dict[int, frozenset[str]]) -> None:
    waiting = [fixes for fixes in blocking.values() if fixes]
    rates = [sum(needs <= bundle for needs in waiting) / len(bundle) for bundle in waiting]
    first = unlocking_order(blocking)[:1]
    assert [len(step.unlocks) / len(step.fixes) for step in first] == pytest.approx(sorted(rates)[-1:])
