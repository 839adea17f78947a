"""The instruments in mappings/proms, and what happens when one is written wrongly."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from pipelines.errors import TerminalError
from pipelines.proms.instruments import Instrument, SumThenTable, load_instruments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings" / "proms"


@pytest.fixture(scope="module")
def instruments() -> dict[str, Instrument]:
    return {instrument.id: instrument for instrument in load_instruments(MAPPINGS)}


def test_the_four_instruments_of_knee_and_hip_osteoarthritis_are_there(instruments: dict[str, Instrument]) -> None:
    canonical = {id_: instrument.questionnaires for id_, instrument in instruments.items()}
    assert canonical == {
        name: [f"http://uitkomststroom.nl/fhir/Questionnaire/{name}"]
        for name in ("eq-5d-5l", "hoos-ps", "koos-ps", "nrs-pain")
    }


@pytest.mark.parametrize(
    ("instrument", "score", "direction"),
    [
        ("hoos-ps", "score", "higher_is_worse"),
        ("koos-ps", "score", "higher_is_worse"),
        ("nrs-pain", "rest", "higher_is_worse"),
        ("nrs-pain", "activity", "higher_is_worse"),
        ("eq-5d-5l", "index", "higher_is_better"),
        ("eq-5d-5l", "vas", "higher_is_better"),
    ],
)
def test_every_score_stores_its_direction(
    instruments: dict[str, Instrument], instrument: str, score: str, direction: str
) -> None:
    assert {rule.score: rule.direction for rule in instruments[instrument].scores}[score] == direction


@pytest.mark.parametrize("name", ["hoos-ps", "koos-ps"])
def test_a_conversion_table_rises_with_difficulty_from_0_to_100(instruments: dict[str, Instrument], name: str) -> None:
    rule = instruments[name].scores[0]
    assert isinstance(rule, SumThenTable)
    values = [rule.table[raw_sum] for raw_sum in sorted(rule.table)]
    assert (values[0], values[-1]) == (0, 100)
    assert all(low < high for low, high in itertools.pairwise(values))


def write_changed(folder: Path, source: str, **changes: object) -> Path:
    """A copy of an instrument with some fields replaced; a field set to None is left out."""
    content = yaml.safe_load((MAPPINGS / f"{source}.yaml").read_text(encoding="utf-8")) | changes
    path = folder / f"{source}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return path


HOOS_TABLE_WITHOUT_20 = [
    {
        "score": "score",
        "kind": "sum_then_table",
        "direction": "higher_is_worse",
        "items": ["1_stairs", "2_bath_shower", "3_sit", "4_running", "5_turn_on_leg"],
        "table": {raw_sum: float(raw_sum) for raw_sum in range(20)},
    }
]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": None}, "'version'"),
        ({"version": 1}, "'version'"),
        ({"colour": "blue"}, "'colour'"),
        ({"scores": HOOS_TABLE_WITHOUT_20}, "sums 0 to 20"),
        ({"scores": [{"kind": "average", "score": "score"}]}, "'scores.0'"),
        ({"items": [{"link_id": "1_stairs", "label": "stairs", "min": 4, "max": 0}]}, "1_stairs"),
        ({"items": [{"link_id": "1_stairs", "label": "stairs", "min": 0, "max": 4}]}, "unknown item"),
        ({"id": "hoos"}, "'id'"),
    ],
    ids=["no version", "number as version", "unknown field", "gap in table", "unknown kind", "range upside down",
         "score of an item that is not there", "id is not the file name"],
)  # fmt: skip
def test_a_wrong_file_is_an_error_that_names_file_and_field(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    path = write_changed(tmp_path, "hoos-ps", **changes)
    with pytest.raises(TerminalError) as caught:
        load_instruments(tmp_path)
    assert caught.value.code == "PROM-DEFINITION"
    assert caught.value.where == str(path)
    assert named in caught.value.what


def test_text_that_is_not_yaml_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "hoos-ps.yaml").write_text("id: hoos-ps\nitems: [1, 2\n")
    with pytest.raises(TerminalError, match="not valid YAML at line 3"):
        load_instruments(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="no instrument"):
        load_instruments(tmp_path)


def test_two_instruments_cannot_claim_one_questionnaire(tmp_path: Path) -> None:
    write_changed(tmp_path, "hoos-ps")
    write_changed(tmp_path, "koos-ps", questionnaires=["http://uitkomststroom.nl/fhir/Questionnaire/hoos-ps"])
    with pytest.raises(TerminalError, match="claimed twice"):
        load_instruments(tmp_path)
