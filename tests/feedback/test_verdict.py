"""What stands out follows from limits and direction, and is said in a sign and a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.feedback.verdict import Verdict, by_weight, judge_mean, judge_proportion
from pipelines.statistics.funnel import Position


@pytest.mark.parametrize(
    ("position", "direction", "sign", "label"),
    [
        ("within", "lower_is_better", "●", "in lijn"),
        ("above_95", "lower_is_better", "▼", "mogelijk ongunstiger"),
        ("above_998", "lower_is_better", "▼▼", "ongunstiger"),
        ("below_998", "lower_is_better", "▲▲", "gunstiger"),
        ("above_95", "higher_is_better", "▲", "mogelijk gunstiger"),
        ("below_95", "higher_is_better", "▼", "mogelijk ongunstiger"),
    ],
)
def test_a_proportion_is_judged_by_its_place_in_the_funnel(
    position: Position, direction: str, sign: str, label: str
) -> None:
    verdict = judge_proportion(position, direction, institutions=12)
    assert (verdict.sign, verdict.label) == (sign, label)


def mean(low: float, high: float, group: float | None, patients: int = 200, institutions: int = 12) -> Verdict:
    return judge_mean(low, high, group, patients=patients, direction="higher_is_better", institutions=institutions)


def test_a_mean_is_judged_by_its_interval() -> None:
    assert mean(20, 24, 22.5).label == "in lijn"
    assert mean(20, 24, 24.1).label == "mogelijk ongunstiger"
    assert mean(20, 24, 19.9).label == "mogelijk gunstiger"
    assert mean(20, 24, 26).label == "ongunstiger"


@given(patients=st.integers(10, 500), group=st.floats(-50, 50), sd=st.floats(1, 20))
def test_a_mean_stands_out_strongly_exactly_outside_its_998_interval(patients: int, group: float, sd: float) -> None:
    error = sd / patients**0.5
    half = float(stats.t.ppf(0.975, patients - 1)) * error
    t_value = abs(group) / error
    strong = stats.t.sf(t_value, patients - 1) < 0.001 * (1 - 1e-9)
    clearly_not = stats.t.sf(t_value, patients - 1) > 0.001 * (1 + 1e-9)
    verdict = mean(-half, half, group, patients)
    assert verdict.strong or not strong
    assert not verdict.strong or not clearly_not


def test_without_others_there_is_no_comparison() -> None:
    assert judge_proportion("within", "lower_is_better", institutions=1).label == "geen vergelijking"
    assert mean(20, 24, 30, institutions=1).label == "geen vergelijking"


def test_the_most_urgent_comes_first() -> None:
    verdicts = {
        "fine": mean(20, 24, 22),
        "maybe-good": mean(20, 24, 19.9),
        "maybe-bad": mean(20, 24, 24.1),
        "bad": mean(20, 24, 40),
        "good": mean(20, 24, 1),
    }
    assert by_weight(verdicts) == ["bad", "maybe-bad", "good", "maybe-good"]
