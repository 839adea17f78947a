"""The instruments in mappings/proms, and what happens when one is written wrongly."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.errors import TerminalError
from pipelines.proms.instruments import Instrument, find_instrument, load_instruments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings" / "proms"


@pytest.fixture(scope="module")
def instruments() -> list[Instrument]:
    return load_instruments(MAPPINGS)


NEEDED = [
    "promis-global-health", "promis-physical-function-4a", "promis-pain-interference-4a", "promis-fatigue-4a",
    "promis-anxiety-4a", "promis-depression-4a", "promis-social-roles-4a", "promis-sleep-disturbance-4a",
    "promis-cat-physical-function", "promis-cat-pain-interference", "promis-cat-fatigue", "promis-cat-anxiety",
    "promis-cat-depression", "promis-cat-social-roles", "promis-cat-sleep-disturbance", "eq-5d-5l", "hoos-ps",
    "koos-ps", "oxford-hip-score", "oxford-knee-score", "nrs-pain", "ibd-control", "hbi", "sccai", "pro2-cd",
    "pro2-uc", "dsi", "eortc-qlq-c30", "eortc-qlq-br23", "eortc-qlq-pan26", "mrs", "breast-q", "sf-12v2",
]  # fmt: skip


def test_the_instruments_of_the_outcome_sets_and_the_generic_core_set_are_there(instruments: list[Instrument]) -> None:
    assert set(NEEDED) <= {instrument.id for instrument in instruments}


@pytest.mark.parametrize(
    ("instrument", "score", "direction"),
    [
        ("hoos-ps", "score", "higher_is_worse"),
        ("koos-ps", "score", "higher_is_worse"),
        ("nrs-pain", "activity", "higher_is_worse"),
        ("eq-5d-5l", "index", "higher_is_better"),
        ("oxford-hip-score", "score", "higher_is_better"),
        ("promis-physical-function-6b", "t_score", "higher_is_better"),
        ("promis-fatigue-4a", "t_score", "higher_is_worse"),
        ("eortc-qlq-c30", "QL", "higher_is_better"),
        ("eortc-qlq-c30", "FA", "higher_is_worse"),
        ("eortc-qlq-br23", "BRSEF", "higher_is_better"),
        ("ibd-control", "ibd_control_8", "higher_is_better"),
        ("mrs", "score", "higher_is_worse"),
    ],
)
def test_every_score_stores_its_direction(
    instruments: list[Instrument], instrument: str, score: str, direction: str
) -> None:
    assert {r.score: r.direction for r in find_instrument(instruments, instrument).scores}[score] == direction


def test_no_file_rests_on_an_unverified_fact() -> None:
    for path in MAPPINGS.glob("*/*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "from memory" in line:
                pytest.fail(f"{path.name}: {line}")


def test_labels_are_short_names_and_no_texts_of_questions(instruments: list[Instrument]) -> None:
    for instrument in instruments:
        for item in instrument.items:
            assert len(item.label.split()) <= 8, (instrument.id, item.link_id)
            assert "?" not in item.label


def test_severity_bands_of_a_score_do_not_overlap(instruments: list[Instrument]) -> None:
    for instrument in instruments:
        for rule in instrument.scores:
            bands = [t for t in rule.thresholds if t.kind == "severity" and t.low is not None and t.high is not None]
            bands.sort(key=lambda band: band.low or 0)
            assert all((a.high or 0) < (b.low or 0) for a, b in pairwise(bands))


@pytest.mark.parametrize(
    ("name", "found"),
    [("PROMIS-10", "promis-global-health"), ("eortc_qlq_c30", "eortc-qlq-c30"), ("QLQ-C30", "eortc-qlq-c30"),
     ("EQ-5D", "eq-5d-5l"), ("eq5d_5l_nl", "eq-5d-5l"), ("oks", "oxford-knee-score"), ("Koos_PS", "koos-ps")],
)  # fmt: skip
def test_an_instrument_is_found_by_its_other_names(instruments: list[Instrument], name: str, found: str) -> None:
    assert find_instrument(instruments, name).id == found


def test_an_unknown_name_or_version_is_an_error_that_tells_what_there_is(instruments: list[Instrument]) -> None:
    with pytest.raises(TerminalError, match=r"PROM-INSTRUMENT.*hoos-ps.*koos-ps"):
        find_instrument(instruments, "womac")
    with pytest.raises(TerminalError, match=r"PROM-VERSION: no such version.*1\.2"):
        find_instrument(instruments, "promis-physical-function-8b", "2.0")  # exists, but its table is not verified
    with pytest.raises(TerminalError, match=r"PROM-VERSION: has more than one version.*1\.0, 2\.0"):
        find_instrument(instruments, "promis-physical-function-4a")
    assert find_instrument(instruments, "promis-physical-function-4a", "2.0").version == "2.0"


def write_changed(folder: Path, source: str, **changes: object) -> Path:
    """A copy of an instrument with some fields replaced; a field set to None is left out."""
    (path,) = (MAPPINGS / source).glob("*.yaml")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    copy = folder / source / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return copy


def rule_of(source: str, **changes: object) -> list[dict[str, Any]]:
    """The scores of an instrument, with the first one changed."""
    (path,) = (MAPPINGS / source).glob("*.yaml")
    first, *rest = yaml.safe_load(path.read_text(encoding="utf-8"))["scores"]
    return [first | changes, *rest]


def item_of(**changes: object) -> list[dict[str, Any]]:
    return [{"link_id": "1_stairs", "label": "stairs", "min": 0, "max": 4} | changes]


WRONG = [
    ("no version", {"version": None}, "'version'"),
    ("number as version", {"version": 1}, "'version'"),
    ("unknown field", {"colour": "blue"}, "'colour'.*questionnaires, questionnaire_versions"),
    ("gap in the table", {"scores": rule_of("hoos-ps", table={n: float(n) for n in range(20)})}, "sums 0 to 20"),
    ("unknown kind", {"scores": rule_of("hoos-ps", kind="average")}, "'scores.0'.*'sum_then_table'"),
    ("unknown direction", {"scores": rule_of("hoos-ps", direction="up")}, "direction.*'higher_is_better'"),
    ("unknown missing rule", {"scores": rule_of("hoos-ps", missing={"rule": "guess", "source": "x"})},
     "missing.rule.*'half_answered'"),
    ("part of a table", {"scores": rule_of("hoos-ps", missing={"rule": "half_answered", "source": "x"})},
     "needs missing rule all_required"),
    ("number without rule",
     {"scores": rule_of("hoos-ps", missing={"rule": "all_required", "answered": 2, "source": "x"})}, "at_least"),
    ("range upside down", {"items": item_of(min=4, max=0)}, "1_stairs: min has to be below max"),
    ("item without answers", {"items": [{"link_id": "1_stairs", "label": "stairs"}]}, "1_stairs: give min and max"),
    ("answers beside a range", {"items": item_of(answers={"yes": 1, "no": 0})}, "'answers' excludes min"),
    ("steps that do not end at max", {"items": item_of(steps=[[1, 0], [3, 1]])}, "have to rise to max"),
    ("score of an item that is not there", {"items": item_of()}, "unknown item"),
    ("the same item twice", {"items": [*item_of(), *item_of()]}, "1_stairs occurs twice"),
    ("threshold without a figure",
     {"scores": rule_of("hoos-ps", thresholds=[{"kind": "mcid", "label": "x", "source": "x"}])}, "mcid needs a value"),
    ("id is not the folder", {"id": "hoos"}, "'id'"),
    ("version is not the file", {"version": "2.0"}, "'version': has to be the file name"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes", "named"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_file_is_an_error_that_names_file_and_field(
    tmp_path: Path, what: str, changes: dict[str, object], named: str
) -> None:
    path = write_changed(tmp_path, "hoos-ps", **changes)
    with pytest.raises(TerminalError, match=named) as caught:
        load_instruments(tmp_path)
    assert caught.value.code == "PROM-DEFINITION"
    assert re.sub(r":[0-9]+$", "", caught.value.where) == str(path)


def test_text_that_is_not_yaml_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "hoos-ps").mkdir()
    (tmp_path / "hoos-ps" / "1.0.yaml").write_text("id: hoos-ps\nitems: [1, 2\n")
    with pytest.raises(TerminalError, match="not valid YAML at line 3"):
        load_instruments(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="no instrument"):
        load_instruments(tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"questionnaires": ["http://uitkomststroom.nl/fhir/Questionnaire/hoos-ps"]}, "claimed twice"),
        ({"questionnaires": ["http://uitkomststroom.nl/fhir/Questionnaire/hoos-ps"],
          "questionnaire_versions": ["9"], "version": "1.1"}, "claimed by two instruments"),
    ],
)  # fmt: skip
def test_two_instruments_cannot_claim_one_questionnaire(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    write_changed(tmp_path, "hoos-ps")
    path = write_changed(tmp_path, "koos-ps", **changes)
    path.rename(path.with_name(f"{changes.get('version', '1.0')}.yaml"))
    with pytest.raises(TerminalError, match=match):
        load_instruments(tmp_path)
