"""The truth is true: it equals a naive recount over the files, and the outliers can be found."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import pytest
from scipy.stats import binom
from synthetic_exports import AS_OF, Export
from synthetic_reading import recount

from pipelines.synthetic.export import synthesise
from pipelines.synthetic.scoring import score
from pipelines.synthetic.truth import Expected, indicator_names

SHARED = Path(__file__).resolve().parents[2] / "../shared/reference/proms"


def assert_equal(expected: Expected, counted: list[float]) -> None:
    assert expected.denominator == len(counted)
    if expected.kind == "proportion":
        assert expected.numerator == sum(counted)
    if counted:
        assert expected.value == pytest.approx(math.fsum(counted) / len(counted), abs=1e-8)


@pytest.mark.parametrize("export", ["sound", "full_size"])
def test_truth_equals_a_naive_recount(export: str, request: pytest.FixtureRequest) -> None:
    made: Export = request.getfixturevalue(export)
    as_of = date.fromisoformat(made.truth.arguments.as_of)
    total: dict[str, list[float]] = {name: [] for name in indicator_names()}
    for institution in made.truth.institutions:
        counted = recount(made.folder / institution.institution, as_of)
        for name in indicator_names():
            assert_equal(institution.expected[name], counted[name])
            total[name] += counted[name]
    for name, values in total.items():
        assert_equal(made.truth.total[name], values)


def test_every_indicator_has_cases(full_size: Export) -> None:
    for name, expected in full_size.truth.total.items():
        assert expected.denominator > 100, name
        assert expected.numerator is None or expected.numerator > 0, name


def test_scores_improve_after_surgery(full_size: Export) -> None:
    total = full_size.truth.total
    for name in (n for n in total if "-change-" in n):
        assert total[name].value is not None
        assert total[name].value > 0, name
    for change in ("hip-hoos-ps", "hip-nrs-activity", "knee-koos-ps"):
        early, late = total[f"{change}-change-3m"].value, total[f"{change}-change-12m"].value
        assert early is not None
        assert late is not None
        assert early < late


def outside_998(expected: Expected, group: float) -> str | None:
    """Beyond the 99.8% binomial limits around the group's proportion: high, low or neither."""
    if expected.numerator is None:
        return None
    if binom.sf(expected.numerator - 1, expected.denominator, group) < 0.001:
        return "high"
    return "low" if binom.cdf(expected.numerator, expected.denominator, group) < 0.001 else None


def test_a_funnel_finds_the_outliers_and_only_those(full_size: Export) -> None:
    """High revision and low response; ordinary response rates differ too, so a high one is no fault."""
    truth = full_size.truth
    planted = {(o.institution, name) for o in truth.outliers for name in o.indicators}
    assert len(truth.outliers) == 3
    worse = {name: "low" if "response" in name else "high" for name in indicator_names()}
    for name in ("hip-revision-1y", "hip-prom-response-3m", "hip-prom-response-12m", "knee-revision-1y"):
        group = truth.total[name].value
        assert group is not None
        for institution in truth.institutions:
            stands_out = outside_998(institution.expected[name], group) == worse[name]
            assert stands_out == ((institution.institution, name) in planted), (institution.institution, name)


def test_the_weak_hospital_improves_least(full_size: Export) -> None:
    (weak,) = [o for o in full_size.truth.outliers if "hip-hoos-ps-change-12m" in o.indicators]
    for name in weak.indicators:
        means = {i.institution: i.expected[name].value or 0.0 for i in full_size.truth.institutions}
        others = [mean for institution, mean in means.items() if institution != weak.institution]
        assert means[weak.institution] < min(others) - 3


def test_defects_leave_the_truth_of_the_indicators_alone(sound: Export, flawed: Export) -> None:
    assert flawed.truth.institutions == sound.truth.institutions
    assert flawed.truth.total == sound.truth.total


def test_an_export_cut_off_earlier_has_no_later_answers(tmp_path: Path) -> None:
    truth = synthesise(tmp_path, hospitals=1, patients=40, as_of=AS_OF)
    counted = recount(tmp_path / "ziekenhuis-01", AS_OF)
    assert_equal(truth.total["hip-prom-response-12m"], counted["hip-prom-response-12m"])


@pytest.mark.parametrize(
    ("instrument", "levels", "value"),
    [
        ("hoos-ps", [0] * 5, 0.0),
        ("hoos-ps", [2] * 5, 37.7),
        ("hoos-ps", [4] * 5, 100.0),
        ("koos-ps", [0] * 7, 0.0),
        ("koos-ps", [2] * 7, 40.3),
        ("koos-ps", [3, 3, 3, 2, 0, 0, 0], 35.3),
        ("hoos-ps", [2] * 4, None),
    ],
)
def test_function_scores(instrument: str, levels: list[int], value: float | None) -> None:
    assert score(instrument, {str(i): level for i, level in enumerate(levels)}) == value


@pytest.mark.parametrize(
    ("profile", "index"),
    [("11111", 1.0), ("21111", 0.918), ("12345", 0.047), ("33333", 0.511), ("55555", -0.446)],
)
def test_eq5d_index(profile: str, index: float) -> None:
    """Vectors of the R package eq5d (Versteegh 2016)."""
    names = ("mobility", "self_care", "usual_activities", "pain_discomfort", "anxiety_depression")
    answers = dict(zip(names, map(int, profile), strict=True))
    assert score("eq-5d-5l", answers) == index
    assert score("eq-5d-5l", {k: v for k, v in answers.items() if k != "mobility"}) is None


@pytest.mark.skipif(not SHARED.exists(), reason="the reference material beside the repository is absent")
@pytest.mark.parametrize(("instrument", "file"), [("hoos-ps", "hoos_ps.json"), ("koos-ps", "koos_ps.json")])
def test_tables_equal_the_reference(instrument: str, file: str) -> None:
    reference = json.loads((SHARED / file).read_text())
    items = [item["id"] for item in reference["items"]]
    for row in reference["table"]:
        levels = [min(4, max(0, row["raw"] - 4 * i)) for i in range(len(items))]
        assert score(instrument, dict(zip(items, levels, strict=True))) == row["score_100_worst"]
