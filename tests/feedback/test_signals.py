"""The operator's list holds the strong signals only, the worst first."""

from __future__ import annotations

import feedback_data as data

from pipelines.feedback.signals import find_signals


def test_the_outlier_is_found_and_unfavourable_comes_first() -> None:
    signals = find_signals(data.results(), data.outcome_set())
    found = [(signal.institution, signal.indicator, signal.tone) for signal in signals]
    assert (data.OUTLIER, "hip-revision-1y", "worse") in found
    assert (data.OUTLIER, "knee-koos-ps-change-12m", "better") in found
    assert [tone for _, _, tone in found] == sorted((tone for _, _, tone in found), reverse=True)
