"""Courses are possible lives, and hold the traps a careless measure falls into."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.synthetic.chart import timestamp
from pipelines.synthetic.course import Course, draw_course
from pipelines.synthetic.hospitals import Effects, plan_hospitals
from pipelines.synthetic.moments import POST
from pipelines.synthetic.proms import draw_responses

AS_OF = date(2025, 12, 31)


def effects() -> Effects:
    plan, _ = plan_hospitals(1, 10, 1)
    return plan[0].effects


@given(seed=st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_nothing_happens_after_death_or_after_the_export(seed: int) -> None:
    rng = Random(seed)
    course = draw_course(rng, effects(), AS_OF)
    responses = draw_responses(rng, course, effects(), AS_OF)
    last = course.death or AS_OF
    assert last <= AS_OF
    assert all(o.on <= last for o in course.operations if o.status != "preparation")
    assert all(o.on > AS_OF for o in course.operations if o.status == "preparation")
    assert all(r.on <= last for r in responses)


@given(seed=st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_no_answer_lies_in_a_window_that_is_still_open(seed: int) -> None:
    rng = Random(seed)
    course = draw_course(rng, effects(), AS_OF)
    for response in draw_responses(rng, course, effects(), AS_OF):
        for index in course.primaries:
            for window in POST.values():
                still_open = index.on + timedelta(days=window.last) > AS_OF
                assert not (still_open and window.holds((response.on - index.on).days))


def traps(course: Course) -> set[str]:
    found = set()
    for index in course.primaries:
        for o in course.operations:
            days, same = (o.on - index.on).days, (o.joint, o.side) == (index.joint, index.side)
            if o.kind == "revision" and 1 <= days <= 365:
                found.add(("counts" if o.status == "completed" else "not done") if same else "other side or joint")
            if o.kind == "revision" and same and days > 365:
                found.add("late")
            if o.kind == "revision" and same and days < 0:
                found.add("before")
        if course.death is not None and (course.death - index.on).days > 30:
            found.add("later death")
    found |= {o.status for o in course.operations if o.kind == "primary"}
    found |= {"two operations"} if len(course.primaries) > 1 else set()
    return found | ({"other operation"} if any(o.kind == "other" for o in course.operations) else set())


def test_the_export_holds_every_trap() -> None:
    rng = Random(1)
    counts = Counter(trap for _ in range(4000) for trap in traps(draw_course(rng, effects(), AS_OF)))
    assert set(counts) == {
        "counts", "not done", "other side or joint", "late", "before", "later death", "two operations",
        "other operation", "completed", "not-done", "preparation",
    }  # fmt: skip


def test_summer_time_starts_and_ends_on_the_last_sunday() -> None:
    assert timestamp(date(2025, 3, 29), 9) == "2025-03-29T09:00:00+01:00"
    assert timestamp(date(2025, 3, 30), 9) == "2025-03-30T09:00:00+02:00"
    assert timestamp(date(2025, 10, 25), 9) == "2025-10-25T09:00:00+02:00"
    assert timestamp(date(2025, 10, 26), 9) == "2025-10-26T09:00:00+01:00"
