"""Funnel limits against FunnelPlotR 0.6.0 (data type PR)."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.indicators.funnel import between_variance, funnel, funnel_limits

STATS = Path(__file__).resolve().parents[2] / "../shared/reference/stats"

# patients, 95% lower, upper, 99.8% lower, upper around 0.0765756921264481. Source: FunnelPlotR 0.6.0 @9020d49.
LIMITS = [
    (12, 0.0, 0.285114717991433, 0.0, 0.441157481835999),
    (35, 0.013106503498862, 0.186094717029902, 0.000368983481629117, 0.265708107208001),
    (127, 0.0369482351878088, 0.128978512890913, 0.0203877946859092, 0.164403205061925),
    (109, 0.0343870952426655, 0.133643147904073, 0.0174241987640036, 0.172553513314871),
]


def test_limits_equal_funnelplotr() -> None:
    limits = funnel_limits(0.0765756921264481, [row[0] for row in LIMITS])
    found = zip(limits.lower_95, limits.upper_95, limits.lower_998, limits.upper_998, strict=True)
    for (_, *expected), bounds in zip(LIMITS, found, strict=True):
        assert list(bounds) == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, str]]:
    path = STATS / "funnelplotr_PR.csv"
    if not path.exists():
        pytest.skip("the reference folder ../shared is not here")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def groups_of(vectors: list[dict[str, str]]) -> list[tuple[str, int, int]]:
    return [(row["group"], int(row["numerator"]), int(row["denominator"])) for row in vectors]


@pytest.mark.parametrize(("adjust", "prefix"), [(False, ""), (True, "OD")])
def test_every_institution_has_the_limits_of_funnelplotr(
    vectors: list[dict[str, str]], adjust: bool, prefix: str
) -> None:
    names = ["LCL95", "UCL95", "LCL99", "UCL99"] if not adjust else ["OD95LCL", "OD95UCL", "OD99LCL", "OD99UCL"]
    for point, row in zip(funnel(groups_of(vectors), adjust=adjust), vectors, strict=True):
        found = [point.lower_95, point.upper_95, point.lower_998, point.upper_998]
        assert found == pytest.approx([float(row[name]) for name in names], abs=1e-9), point.institution


def test_between_variance_equals_funnelplotr(vectors: list[dict[str, str]]) -> None:
    groups = groups_of(vectors)
    tau2 = between_variance([numerator for _, numerator, _ in groups], [denominator for _, _, denominator in groups])
    assert tau2 == pytest.approx(0.00181524709343749, abs=1e-12)


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
