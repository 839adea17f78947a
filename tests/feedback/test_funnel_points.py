"""Institutions in the funnel: who lies outside, and by how much."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.feedback.funnel_points import funnel

# Around a group proportion of 10%: who stands out, and how far.
POSITIONS = [
    ("as everyone", 10, 100, "within"),
    ("more, within chance", 15, 100, "within"),
    ("more than 95% allows", 17, 100, "above_95"),
    ("more than 99.8% allows", 25, 100, "above_998"),
    ("fewer than 95% allows", 4, 100, "below_95"),
    ("fewer than 99.8% allows", 1, 100, "below_998"),
    ("none, in a small hospital", 0, 5, "within"),
]


@pytest.mark.parametrize(("what", "events", "patients", "position"), POSITIONS, ids=[row[0] for row in POSITIONS])
def test_position(what: str, events: int, patients: int, position: str) -> None:
    rest = ("everyone else", 100_000, 1_000_000)
    assert funnel([("H1", events, patients), rest])[0].position == position


def test_an_institution_without_patients_has_no_place() -> None:
    assert [point.institution for point in funnel([("H1", 0, 0), ("H2", 1, 10)])] == ["H2"]
    assert funnel([("H1", 0, 0)]) == []
    assert funnel([]) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.integers(1, 400).flatmap(lambda n: st.tuples(st.just("H"), st.integers(0, n), st.just(n))),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
def test_limits_lie_around_the_group_and_inside_the_scale(groups: list[tuple[str, int, int]], adjust: bool) -> None:
    target = sum(group[1] for group in groups) / sum(group[2] for group in groups)
    for point in funnel(groups, adjust=adjust):
        bounds = [point.lower_998, point.lower_95, target, point.upper_95, point.upper_998]
        assert bounds[0] >= 0
        assert bounds[-1] <= 1
        assert all(low <= high + 1e-12 for low, high in pairwise(bounds))
