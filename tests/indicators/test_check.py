"""`uitkomst indicators check` refuses what is wrong, all of it at once, with file, line and field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from outcome_sets import MAPPINGS
from typer.testing import CliRunner

from pipelines.cli_indicators import app
from pipelines.errors import TerminalError
from pipelines.indicators.check import check_outcome_sets

SET, REVISION, CASES = "knie-heupartrose", "hip-revision-1y.yaml", "cases/hip-revision-1y.yaml"


@pytest.fixture
def mappings(tmp_path: Path) -> Path:
    """A small copy: one set with one indicator of events and one of scores."""
    for name in ("codes", "zib/2020"):
        shutil.copytree(MAPPINGS / name, tmp_path / name)
    for name in ("hoos-ps", "koos-ps", "eq-5d-5l", "nrs-pain"):
        shutil.copytree(MAPPINGS / "proms" / name, tmp_path / "proms" / name)
    shutil.copy(MAPPINGS / "table_roles.yaml", tmp_path)
    folder = tmp_path / "outcome_sets" / SET
    (folder / "cases").mkdir(parents=True)
    for name in ("set.yaml", REVISION, CASES, "hip-eq5d-change-3m.yaml", "cases/hip-eq5d-change-3m.yaml"):
        shutil.copy(MAPPINGS / "outcome_sets" / SET / name, folder / name)
    return tmp_path


def change(mappings: Path, file: str, at: str, value: object, of: str = SET) -> Path:
    """Replace the field at a dotted path, or leave it out when the value is None."""
    path = mappings / "outcome_sets" / of / file
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    *parents, last = at.split(".")
    place = content
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def findings(mappings: Path) -> list[str]:
    return [str(finding) for finding in check_outcome_sets(mappings).findings]


def test_a_sound_set_is_sound(mappings: Path) -> None:
    report = check_outcome_sets(mappings, [SET])
    assert report.findings == []
    assert (report.sets, report.indicators) == (1, 2)
    assert report.cases > 12


EVENT = {"title_nl": "x", "table": "zib_procedure"}
WRONG = [
    (REVISION, "statistic", "mean", "has to be proportion"),
    (REVISION, "statistic", "average", "'proportion', 'mean', 'median', 'count' or 'cumulative_incidence'"),
    (REVISION, "id", "hip-revision", "field 'id': has to be the file name"),
    (REVISION, "cohort", "shoulder", "no cohort shoulder; it has hip, knee"),
    (REVISION, "unit_of_counting", "patient", "has to be procedure or episode"),
    (REVISION, "measure.shape", "guess", "field 'measure'"),
    (REVISION, "measure.event", "shoulder-revision", "field 'measure.event': set.yaml has no event shoulder-revision"),
    (REVISION, "measure.event", "planned-hip", "only due lists look at it"),
    (REVISION, "measure.window.to_day", "a year", "to_day"),
    (REVISION, "measure.window.to_day", 0, "the window ends before it starts"),
    (REVISION, "measure.window.from_point", "end", "the window ends before it starts"),
    (REVISION, "source", None, "field 'source': Field required"),
    (REVISION, "operationalisation", None, "field 'operationalisation': Field required"),
    (REVISION, "colour", "blue", "field 'colour'"),
    (REVISION, "case_mix", ["shoe-size"], "no variable shoe-size; it has"),
    (REVISION, "exclusions", [{"rule": "x", "title_nl": "x", "event": "died"}], "event and window belong together"),
    (REVISION, "measure", {"shape": "all_or_none", "met": ["hip-revision-1y", "hip-revision-1y"]}, "circle"),
    (REVISION, "measure", {"shape": "failure_to_rescue", "of": "x", "event": "died",
                           "window": {"from_day": 0, "to_day": 1}}, "no indicator x"),
    (REVISION, "measure", {"shape": "share_of_volume", "part": "shoulder"}, "no event shoulder"),
    ("hip-eq5d-change-3m.yaml", "measure.after", "6m", "no moment 6m"),
    ("hip-eq5d-change-3m.yaml", "follow_up_ends", [{"event": "died", "means": "met"}], "take excluded or missing"),
    ("set.yaml", "moments.3m.target_day", 200, "moments.3m"),
    ("set.yaml", "cohorts.hip.index", "shoulder", "field 'cohorts.hip.index': set.yaml has no event shoulder"),
    ("set.yaml", "cohorts.hip.counts", "each", "go with counts: each_day"),
    ("set.yaml", "events.a", {**EVENT, "codes": "not-there"}, "no value set not-there"),
    ("set.yaml", "events.a", {"title_nl": "x", "table": "zib_weather"}, "no table zib_weather; it has"),
    ("set.yaml", "events.a", {**EVENT, "where": [{"colour_codings_id": "laterality"}]}, "no column colour_codings_id"),
    ("set.yaml", "events.a", {**EVENT, "value": {"at_least": 3}}, "no value column"),
    ("set.yaml", "events.a",
     {"title_nl": "x", "table": "zib_laboratory_test_result", "value": {"at_least": 3, "at_most": 2}},
     "the lower bound is above the upper bound"),
    ("set.yaml", "events.a", {"title_nl": "x", "any_of": ["a", "died"]}, "goes round in a circle"),
    ("set.yaml", "events.a", {"title_nl": "x", "instrument": "hoos-ps", "score": "total"}, "hoos-ps/total"),
    ("set.yaml", "events.a", {"title_nl": "x", "formula": "bmi", "inputs": ["died"]}, "takes 2 inputs"),
    (CASES, "cases", [], "at least 6"),
    (CASES, "cases.0.place", "somewhere", "'inside_edge'"),
    (CASES, "cases.0.story", [{"day": 0, "event": "shoulder"}], "no event shoulder"),
    (CASES, "cases.0.expect", "excluded: too-old", "expected excluded: too-old, found"),
    (CASES, "indicator", "another", "has to be the file name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "at", "value", "named"), WRONG, ids=[f"{r[0]} {r[1]}={str(r[2])[:60]}" for r in WRONG]
)
def test_a_wrong_file_is_named_with_its_line(mappings: Path, file: str, at: str, value: object, named: str) -> None:
    path = change(mappings, file, at, value)
    found = findings(mappings)
    assert any(line.startswith(f"{path}:") and line.split(":")[1].isdigit() and named in line for line in found), found


def test_all_problems_are_named_at_once(mappings: Path) -> None:
    change(mappings, REVISION, "source", None)
    change(mappings, REVISION, "direction", "sideways")
    change(mappings, "set.yaml", "cohorts.knee.index", "shoulder")
    assert len(findings(mappings)) == 3


def test_an_indicator_without_cases_is_refused(mappings: Path) -> None:
    (mappings / "outcome_sets" / SET / CASES).unlink()
    assert any("needs made-up patients" in line for line in findings(mappings))


def test_two_sets_with_one_indicator_are_refused(mappings: Path) -> None:
    shutil.copytree(mappings / "outcome_sets" / SET, mappings / "outcome_sets" / "other")
    change(mappings, "set.yaml", "id", "other", of="other")
    found = findings(mappings)
    assert [line.split(": ", 1)[1][:60] for line in found if "is in" in line] == [
        "field 'id': indicator hip-eq5d-change-3m is in " + str(mappings)[:13],
        "field 'id': indicator hip-revision-1y is in " + str(mappings)[:16],
    ]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("5.27E+07", "a number that a spreadsheet made of a code"),
        ("5,27E+07", "a number that a spreadsheet made of a code"),
        ("52734007.0", "a number that a spreadsheet made of a code"),
        ("179345003", "fails the check digit"),  # 'Revision of total hip replacement' in a public KVÅ map
    ],
)
def test_a_damaged_code_is_named_with_its_line(mappings: Path, code: str, what: str) -> None:
    path = mappings / "codes" / "primary-total-hip-arthroplasty.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("52734007", f'"{code}"' if "," in code else code), encoding="utf-8")
    assert any(line.startswith(f"{path}:2: ") and what in line for line in findings(mappings))


def test_a_value_set_that_cannot_be_read_is_named(mappings: Path) -> None:
    path = mappings / "codes" / "coxarthrosis.csv"
    path.write_text("value_set,code\ncoxarthrosis,1\n", encoding="utf-8")
    assert any(line.startswith(str(path)) and "header" in line for line in findings(mappings))


def test_an_unknown_set_is_an_error_that_names_those_there_are(mappings: Path) -> None:
    with pytest.raises(TerminalError, match=r"OUTCOME-SET-UNKNOWN.*knie-heupartrose"):
        check_outcome_sets(mappings, ["shoulder"])


def test_the_command_says_it_is_sound_and_fails_when_not(mappings: Path) -> None:
    runner = CliRunner()
    sound = runner.invoke(app, ["check", SET, "--mappings", str(mappings)])
    assert sound.exit_code == 0
    assert "2 indicators" in sound.output
    path = change(mappings, REVISION, "source", None)
    wrong = runner.invoke(app, ["check", "--mappings", str(mappings)])
    assert f"{path}:1: field 'source'" in wrong.output
    assert isinstance(wrong.exception, TerminalError)
    assert wrong.exception.exit_code == 2
