"""The scoring engine on every instrument: published vectors, limits, and properties that hold for any answers."""

from __future__ import annotations

import csv
import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.proms.engine import CONFLICTING, MISSING, REASONS, UNREADABLE, Scores, score_answers
from pipelines.proms.instruments import Instrument, find_instrument, load_instruments
from pipelines.proms.scales import AlreadyScored, MeanOfScores, ResponsePattern, SumThenTable

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "../shared/reference/proms"
NO_UPPER_END = 40  # stands for the upper end of a count without one


@cache
def instruments() -> list[Instrument]:
    return load_instruments(ROOT / "mappings" / "proms")


ALL = pytest.mark.parametrize("instrument", instruments(), ids=lambda i: f"{i.id}-{i.version}")


def by_name(name: str, version: str | None = None) -> Instrument:
    return find_instrument(instruments(), name, version)


def scored(instrument: Instrument, rows: list[dict[str, float]], *, pattern: bool = True) -> dict[str, Scores]:
    columns = {
        item.link_id: np.array([row.get(item.link_id, MISSING) for row in rows], np.float64)
        for item in instrument.items
    }
    return {s.rule.score: s for s in score_answers(instrument, columns, len(rows), response_pattern=pattern)}


def extreme(instrument: Instrument, *, top: bool) -> dict[str, float]:
    """The answers that are worth least, or most."""
    row = {}
    for item in instrument.items:
        ends = [item.bottom, NO_UPPER_END if item.top is None else item.top]
        falls = item.steps is not None and item.steps[0][1] > item.steps[-1][1]
        row[item.link_id] = float(ends[top != falls])
    return row


def reason(scores: Scores, row: int = 0) -> str | None:
    return REASONS[scores.reason[row]]


@ALL
@pytest.mark.parametrize("top", [False, True], ids=["lowest answers", "highest answers"])
def test_the_extremes_are_inside_the_range(instrument: Instrument, top: bool) -> None:
    for name, scores in scored(instrument, [extreme(instrument, top=top)]).items():
        low, high = scores.rule.range
        assert reason(scores) is None, name
        assert low is None or scores.value[0] >= low, name
        assert high is None or scores.value[0] <= high, name
        assert scores.complete[0] == scores.items


@ALL
def test_the_range_of_a_score_is_reached(instrument: Instrument) -> None:
    rows = [extreme(instrument, top=False), extreme(instrument, top=True)]
    for name, scores in scored(instrument, rows, pattern=False).items():
        if not isinstance(scores.rule, MeanOfScores | AlreadyScored):
            reached = [end for end in scores.rule.range if end is not None]
            assert set(reached) <= set(scores.value), name


@ALL
def test_nothing_answered_gives_no_score(instrument: Instrument) -> None:
    for name, scores in scored(instrument, [{}]).items():
        assert reason(scores) == "item missing", name
        assert np.isnan([scores.value[0], scores.raw[0]]).all()
        assert scores.complete[0] == 0


@ALL
def test_one_missing_item_follows_the_missing_rule(instrument: Instrument) -> None:
    whole = extreme(instrument, top=True)
    for item in instrument.items:
        row = {name: answer for name, answer in whole.items() if name != item.link_id}
        for name, scores in scored(instrument, [row]).items():
            uses = item.link_id in scores.rule.items
            if isinstance(scores.rule, MeanOfScores):
                continue
            needed = scores.rule.missing.needed(len(scores.rule.items))
            allowed = not uses or needed < len(scores.rule.items)
            assert (reason(scores) is None) == allowed, (name, item.link_id)
            assert scores.imputed[0] == (uses and allowed)


@ALL
@pytest.mark.parametrize(
    ("answer", "expected"),
    [(-1e6, "item out of range"), (1.5, "item out of range"), (UNREADABLE, "item out of range"),
     (CONFLICTING, "conflicting answers")],
)  # fmt: skip
def test_an_answer_that_is_not_allowed_leaves_its_scores_out_and_no_other(
    instrument: Instrument, answer: float, expected: str
) -> None:
    item = instrument.items[0]
    if answer == 1.5 and item.answers is None and not item.whole:
        pytest.skip("this item takes numbers that are not whole")
    other = extreme(instrument, top=False)
    scores = scored(instrument, [extreme(instrument, top=True) | {item.link_id: answer}, other])
    for name, result in scores.items():
        uses = item.link_id in result.rule.items or isinstance(result.rule, MeanOfScores)
        assert (reason(result) == expected) == uses, name
        assert reason(result, 1) is None


@ALL
def test_tables_are_strictly_monotone(instrument: Instrument) -> None:
    for rule in instrument.scores:
        if isinstance(rule, SumThenTable):
            values = [rule.table[raw] for raw in sorted(rule.table)]
            assert all(low < high for low, high in itertools.pairwise(values)), rule.score
            assert (values[0], values[-1]) == rule.range


def answers_of(instrument: Instrument) -> st.SearchStrategy[list[dict[str, float]]]:
    def one(item: Any) -> st.SearchStrategy[float]:
        top = NO_UPPER_END if item.top is None else int(item.top)
        values = list(item.answers.values()) if item.answers else list(range(int(item.bottom), top + 1))
        return st.sampled_from([float(value) for value in values] * 3 + [MISSING, top + 1.0, UNREADABLE, CONFLICTING])

    return st.lists(st.fixed_dictionaries({i.link_id: one(i) for i in instrument.items}), min_size=1, max_size=6)


@ALL
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_rows_do_not_know_each_other_and_scores_stay_in_range(instrument: Instrument, data: st.DataObject) -> None:
    rows = data.draw(answers_of(instrument))
    order = data.draw(st.permutations(range(len(rows))))
    straight, permuted = scored(instrument, rows), scored(instrument, [rows[place] for place in order])
    for name, scores in straight.items():
        np.testing.assert_array_equal(scores.value[list(order)], permuted[name].value)
        np.testing.assert_array_equal(scores.reason[list(order)], permuted[name].reason)
        low, high = scores.rule.range
        given_values = scores.value[scores.reason == 0]
        assert not np.isnan(given_values).any()
        assert np.isnan(scores.value[scores.reason > 0]).all()
        assert low is None or (given_values >= low - 1e-9).all()
        assert high is None or (given_values <= high + 1e-9).all()


@ALL
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_reversing_an_item_twice_changes_nothing(instrument: Instrument, data: st.DataObject) -> None:
    # Points of steps are looked up after the reversal: a mirrored answer means something else there.
    can = [n for n, item in enumerate(instrument.items) if item.top is not None and not item.steps]
    number = data.draw(st.sampled_from(can))
    item = instrument.items[number]
    rows = data.draw(answers_of(instrument))
    mirrored = [r | {item.link_id: item.bottom + (item.top or 0) - r[item.link_id]} for r in rows]
    reversed_item = item.model_copy(update={"reverse": True})
    items = [*instrument.items[:number], reversed_item, *instrument.items[number + 1 :]]
    turned = Instrument.model_validate(
        instrument.model_dump() | {"items": [i.model_dump(exclude_unset=True) for i in items]}
    )
    once = scored(instrument, rows)
    for name, twice in scored(turned, mirrored).items():
        good = (once[name].reason == 0) & (twice.reason == 0)
        np.testing.assert_allclose(once[name].value[good], twice.value[good], atol=1e-9)
        assert (once[name].reason == 0).tolist() == (twice.reason == 0).tolist()


def test_more_responses_than_fit_one_part_are_scored_the_same() -> None:
    instrument = by_name("eortc-qlq-c30")
    random = np.random.default_rng(4)
    columns = {
        item.link_id: random.choice([1, 2, 3, 4, MISSING], 40_000).astype(np.float64) for item in instrument.items
    }
    whole = score_answers(instrument, columns, 40_000)
    last = {name: column[-10:] for name, column in columns.items()}
    for one, other in zip(whole, score_answers(instrument, last, 10), strict=True):
        np.testing.assert_array_equal(one.value[-10:], other.value)


# PROMIS Global Health: recoded pain, both scales. Sources in the instrument file; hand-made sums.
def test_promis_10_recodes_pain_and_looks_up_both_scales() -> None:
    row = {"Global01": 3, "Global02": 5, "Global03": 3, "Global04": 4, "Global05": 3, "Global06": 4, "Global07rc": 7,
           "Global08r": 2, "Global09r": 4, "Global10r": 2}  # fmt: skip
    scores = scored(by_name("PROMIS-10"), [{name: float(value) for name, value in row.items()}])
    assert (scores["gph"].raw[0], scores["gph"].value[0], scores["gph"].se[0]) == (11.0, 37.4, 4.1)  # type: ignore[index]
    assert (scores["gmh"].raw[0], scores["gmh"].value[0], scores["gmh"].se[0]) == (14.0, 48.3, 3.7)  # type: ignore[index]


@pytest.mark.parametrize(("pain", "points"), [(0, 5), (1, 4), (3, 4), (4, 3), (6, 3), (7, 2), (9, 2), (10, 1)])
def test_promis_10_pain_is_worth(pain: int, points: int) -> None:
    row = extreme(by_name("PROMIS-10"), top=False) | {"Global07rc": float(pain)}
    assert scored(by_name("PROMIS-10"), [row])["gph"].raw[0] == 3 + points


def test_the_generic_scores_of_inflammatory_bowel_disease() -> None:
    hbi = extreme(by_name("hbi"), top=False) | {"wellbeing": 1.0, "pain": 2.0, "stools": 5.0, "abscess": 1.0}
    assert scored(by_name("hbi"), [hbi])["score"].value[0] == 9
    sccai = extreme(by_name("sccai"), top=False) | {"day_stools": 7.0, "night_stools": 1.0, "blood": 2.0}
    assert scored(by_name("sccai"), [sccai])["score"].value[0] == 2 + 1 + 2
    crohn = scored(by_name("pro2-cd"), [{"stool_frequency": 2.4, "abdominal_pain": 1.0}])
    assert crohn["weighted"].value[0] == pytest.approx(2 * 2.4 + 5 * 1)
    colitis = scored(by_name("pro2-uc"), [{"stool_frequency": 2.0, "rectal_bleeding": 1.0}])
    assert colitis["score"].value[0] == 3


def test_dsi_counts_symptoms_and_adds_their_burden() -> None:
    row = extreme(by_name("dsi"), top=False) | {"3": 5.0, "7": 1.0, "30": 2.0}
    scores = scored(by_name("dsi"), [row])
    assert (scores["symptoms"].value[0], scores["burden"].value[0]) == (3, 8)


@pytest.mark.parametrize(("missing", "expected"), [(0, 36.0), (1, 36.0), (2, 36.0), (3, None)])
def test_oxford_scores_take_the_mean_for_at_most_two_missing_items(missing: int, expected: float | None) -> None:
    row = {f"q{n}": 3.0 for n in range(1, 13 - missing)}
    value = scored(by_name("OHS"), [row])["score"].value[0]
    assert (None if np.isnan(value) else value) == expected


@pytest.mark.parametrize(
    ("name", "item"), [("breast-q", "satisfaction_breasts"), ("sf-12v2", "pcs"), ("promis-cat-fatigue", "t_score")]
)
def test_proprietary_scores_are_taken_over(name: str, item: str) -> None:
    scores = scored(by_name(name), [{item: 48.25, "se": 2.1}])
    assert scores[item].value[0] == 48.25
    if name.startswith("promis"):
        assert scores[item].se is not None
        assert scores[item].se[0] == 2.1


# Records in the manner of R PROscorer and QoLR, worked out by hand from the formula in the file.
def test_qlq_c30_formula_by_hand() -> None:
    row = {f"q{n}": 1.0 for n in range(1, 31)} | {"q1": 4.0, "q10": 2.0, "q12": 3.0, "q29": 6.0, "q30": 7.0}
    del row["q21"], row["q22"]
    scores = scored(by_name("QLQ-C30"), [row])
    assert scores["PF"].value[0] == pytest.approx((1 - (8 / 5 - 1) / 3) * 100)
    assert scores["FA"].value[0] == pytest.approx((2 - 1) / 3 * 100)
    assert scores["QL"].value[0] == pytest.approx((6.5 - 1) / 6 * 100)
    assert scores["EF"].value[0] == 100  # two of four answered
    assert scores["EF"].imputed[0]
    expected = (80 + 100 * 4 + (100 - 100 / 3) + 100 * 7) / 13
    assert scores["C30SUMMARY"].value[0] == pytest.approx(expected)


VECTORS = [
    ("eortc-qlq-c30", "eortc_qlq_c30"),
    ("eortc-qlq-br23", "eortc_qlq_br23"),
    ("eortc-qlq-pan26", "eortc_qlq_pan26"),
]


@pytest.mark.parametrize(("name", "file"), VECTORS)
def test_records_scored_with_r(name: str, file: str) -> None:
    path = REFERENCE / f"vectors/{file}.csv"
    if not path.exists():
        pytest.skip("the reference material ../shared is not here")
    with path.open(encoding="utf-8") as lines:
        records = list(csv.DictReader(lines))
    instrument = by_name(name)
    rows = [{k: float(v) for k, v in r.items() if k[0] == "q" and v != "NA"} for r in records]
    scores = scored(instrument, rows)
    assert set(scores) <= set(records[0])
    for column, result in scores.items():
        for value, record in zip(result.value, records, strict=True):
            if record[column] == "NA":
                assert np.isnan(value)
            else:
                assert round(value, 10) == float(record[column])


REFERENCE_TABLES = sorted(REFERENCE.glob("promis_*_[0-9]*.json")) if REFERENCE.exists() else []


@pytest.mark.parametrize("path", REFERENCE_TABLES, ids=lambda path: path.stem)
def test_every_row_of_a_promis_table(path: Path) -> None:
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "table" not in facts:
        pytest.skip("the table of this form is of an unknown version")
    instrument = by_name(facts["id"])
    links = [item["id"] if isinstance(item, dict) else item for item in facts["items"]]
    rows = []
    for row in facts["table"]:
        spread = [1 + max(0, min(4, row["raw"] - len(links) - 4 * place)) for place in range(len(links))]
        rows.append({link: float(value) for link, value in zip(links, spread, strict=True)})
    scores = scored(instrument, rows)["t_score"]
    assert scores.value.tolist() == [row["t"] for row in facts["table"]]
    assert scores.se is not None
    assert scores.se.tolist() == [row.get("se", row.get("se_recomputed")) for row in facts["table"]]


def test_every_row_of_the_promis_10_table() -> None:
    path = REFERENCE / "promis_global_health_v1.2.json"
    if not path.exists():
        pytest.skip("the reference material ../shared is not here")
    facts = json.loads(path.read_text(encoding="utf-8"))
    for rule in by_name("PROMIS-10").scores:
        if isinstance(rule, SumThenTable):
            assert rule.table == {row["raw"]: row[f"{rule.score}_t"] for row in facts["table"]}
            assert rule.se == {row["raw"]: row[f"{rule.score}_se"] for row in facts["table"]}
            assert set(rule.items) == set(facts["scales"][rule.score.upper()])


def test_every_instrument_of_the_reference_is_here() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference material ../shared is not here")
    left_out = {"gprom_kernset", "promis_pf_8item_unidentified", "pro2", "sf12_dsi_nefrovisie"}
    for path in sorted(REFERENCE.glob("*.json")):
        if path.stem not in left_out:
            assert by_name(json.loads(path.read_text(encoding="utf-8"))["id"])
    assert all(by_name(name) for name in ("pro2-cd", "pro2-uc", "dsi", "sf-12v2"))


def test_response_pattern_rules_exist_for_three_domains() -> None:
    ids = {i.id for i in instruments() for rule in i.scores if isinstance(rule, ResponsePattern)}
    assert {name.split("-")[1] for name in ids} == {"anxiety", "depression", "fatigue"}
    assert len(ids) == 12
