"""The outcome set in mappings/, and what happens when a file of it is written wrongly."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from patient_tables import MAPPINGS, knie_heupartrose

from pipelines.errors import TerminalError
from pipelines.indicators.definitions import ChangeBetween, load_outcome_set
from pipelines.proms.instruments import load_instruments

SET = MAPPINGS / "outcome_sets" / "knie-heupartrose"


def test_all_indicators_of_knee_and_hip_osteoarthritis_are_there() -> None:
    expected = {"hip-revision-1y", "knee-revision-1y", "hip-mortality-30d"}
    for joint, instrument in (("hip", "hoos-ps"), ("knee", "koos-ps")):
        for month in ("3m", "12m"):
            expected |= {
                f"{joint}-{instrument}-change-{month}",
                f"{joint}-nrs-activity-change-{month}",
                f"{joint}-eq5d-change-{month}",
                f"{joint}-prom-response-{month}",
            }
    assert {indicator.id for indicator in knie_heupartrose().indicators} == expected


@pytest.mark.parametrize("indicator", knie_heupartrose().indicators, ids=lambda indicator: indicator.id)
def test_every_indicator_says_where_it_comes_from_and_what_is_our_own_choice(indicator: Any) -> None:
    assert indicator.definition_source
    assert indicator.operationalisation
    assert all(benchmark.source for benchmark in indicator.benchmarks)


def test_follow_up_ends_with_the_window() -> None:
    outcome_set = knie_heupartrose()
    ends = {indicator.id: outcome_set.window_end(indicator) for indicator in outcome_set.indicators}
    assert ends["hip-revision-1y"] == 365
    assert ends["hip-mortality-30d"] == 30
    assert ends["hip-hoos-ps-change-3m"] == 110
    assert ends["knee-prom-response-12m"] == 407


def test_a_positive_change_is_always_an_improvement() -> None:
    for indicator in knie_heupartrose().indicators:
        if isinstance(indicator.measure, ChangeBetween):
            assert indicator.direction == "higher_is_better"


def change(folder: Path, file: str, at: str, value: object) -> Path:
    """A copy of the set in which the field at a dotted path is replaced, or left out when the value is None."""
    shutil.copytree(SET, folder, dirs_exist_ok=True)
    path = folder / file
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    *parents, last = at.split(".")
    place = content
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


WRONG = [
    ("hip-revision-1y.yaml", "kind", "mean", "kind has to be proportion"),
    ("hip-revision-1y.yaml", "id", "hip-revision", "'id'"),
    ("hip-revision-1y.yaml", "cohort", "shoulder", "'cohort'"),
    ("hip-revision-1y.yaml", "measure.shape", "survival", "'measure'"),
    ("hip-revision-1y.yaml", "measure.to_day", "a year", "to_day"),
    ("hip-revision-1y.yaml", "measure.to_day", 0, "from_day"),
    ("hip-revision-1y.yaml", "definition_source", None, "'definition_source'"),
    ("hip-revision-1y.yaml", "operationalisation", None, "'operationalisation'"),
    ("hip-revision-1y.yaml", "colour", "blue", "'colour'"),
    ("hip-eq5d-change-3m.yaml", "measure.after", "6m", "no moment 6m"),
    ("hip-eq5d-change-3m.yaml", "measure.score", "total", "eq-5d-5l/total"),
    ("set.yaml", "moments.3m.target_day", 200, "moments.3m"),
    ("set.yaml", "cohorts.hip.zib_table", "zib_encounter", "cohorts.hip.zib_table"),
]


@pytest.mark.parametrize(("file", "at", "value", "named"), WRONG, ids=[f"{row[0]} {row[1]}={row[2]}" for row in WRONG])
def test_a_wrong_file_is_an_error_that_names_file_and_field(
    tmp_path: Path, file: str, at: str, value: object, named: str
) -> None:
    path = change(tmp_path, file, at, value)
    with pytest.raises(TerminalError) as caught:
        load_outcome_set(tmp_path, MAPPINGS / "codes", load_instruments(MAPPINGS / "proms"))
    assert caught.value.code == "OUTCOME-DEFINITION"
    assert caught.value.where == str(path)
    assert named in caught.value.what


def test_a_value_set_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    change(tmp_path, "hip-revision-1y.yaml", "measure.value_set", "revision-shoulder-arthroplasty")
    with pytest.raises(TerminalError, match="VALUE-SET-DEFINITION"):
        load_outcome_set(tmp_path, MAPPINGS / "codes", load_instruments(MAPPINGS / "proms"))


def test_a_folder_without_set_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        load_outcome_set(tmp_path, MAPPINGS / "codes", [])
