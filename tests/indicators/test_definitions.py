"""The outcome set of knee and hip osteoarthritis, and the order of indicators that build on others."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_shape import every_shape
from outcome_sets import MAPPINGS, ROLES, SETS, outcome_set

from pipelines.errors import TerminalError
from pipelines.indicators.definitions import load_outcome_set
from pipelines.indicators.shapes import ChangeBetween, builds_on

NAMES = sorted(path.parent.name for path in SETS.glob("*/set.yaml"))


def test_the_first_indicators_of_knee_and_hip_osteoarthritis_are_there() -> None:
    expected = {"hip-revision-1y", "knee-revision-1y", "hip-mortality-30d"}
    for joint, instrument in (("hip", "hoos-ps"), ("knee", "koos-ps")):
        for month in ("3m", "12m"):
            expected |= {
                f"{joint}-{instrument}-change-{month}",
                f"{joint}-nrs-activity-change-{month}",
                f"{joint}-eq5d-change-{month}",
                f"{joint}-prom-response-{month}",
            }
    assert {indicator.id for indicator in outcome_set().indicators} >= expected


@pytest.mark.parametrize("name", NAMES)
def test_every_indicator_says_where_it_comes_from_and_what_is_our_own_choice(name: str) -> None:
    for indicator in outcome_set(name).indicators:
        assert indicator.source, indicator.id
        assert indicator.operationalisation, indicator.id
        assert all(benchmark.source for benchmark in indicator.benchmarks), indicator.id


@pytest.mark.parametrize("name", NAMES)
def test_a_positive_change_is_always_an_improvement(name: str) -> None:
    for indicator in outcome_set(name).indicators:
        if isinstance(indicator.measure, ChangeBetween):
            assert indicator.direction == "higher_is_better", indicator.id


def test_an_indicator_comes_after_those_it_is_made_of() -> None:
    place = {indicator.id: number for number, indicator in enumerate(every_shape().indicators)}
    for indicator in every_shape().indicators:
        assert all(place[part] < place[indicator.id] for part in builds_on(indicator.measure))


def test_a_folder_without_set_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        load_outcome_set(tmp_path, MAPPINGS / "codes", [], ROLES)
