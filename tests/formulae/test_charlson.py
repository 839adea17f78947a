"""The Charlson comorbidity index: the R vectors, numpy against SQL, and what must hold for every patient."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_material import SHARED

from pipelines.errors import TerminalError
from pipelines.formulae.charlson import Charlson, CharlsonScores, charlson_scores, load_charlson
from pipelines.formulae.charlson_macros import register_charlson
from pipelines.indicators.value_sets import load_value_set

CODES = Path(__file__).resolve().parents[2] / "mappings" / "codes"
VECTORS = SHARED / "reference" / "formulae"
VARIANTS = {name: load_charlson(CODES, name) for name in ("quan-2005", "sundararajan-2004")}
QUAN = VARIANTS["quan-2005"]

# The columns of R comorbidity, in its order.
R_CATEGORIES = {
    "mi": "myocardial-infarction", "chf": "congestive-heart-failure", "pvd": "peripheral-vascular-disease",
    "cevd": "cerebrovascular-disease", "dementia": "dementia", "cpd": "chronic-pulmonary-disease",
    "rheumd": "rheumatic-disease", "pud": "peptic-ulcer-disease", "mld": "mild-liver-disease",
    "diab": "diabetes-without-complications", "diabwc": "diabetes-with-complications", "hp": "hemiplegia",
    "rend": "renal-disease", "canc": "malignancy", "msld": "severe-liver-disease", "metacanc": "metastatic-cancer",
    "aids": "aids",
}  # fmt: skip

Row = tuple[str, str, str | None]  # institution, patient, code


def in_sql(charlson: Charlson, rows: list[Row], weighting: str, hierarchy: bool = True) -> dict[tuple[str, str], Any]:
    """(score, categories) per institution and patient."""
    with duckdb.connect() as connection:
        register_charlson(connection, charlson)
        connection.execute("CREATE TABLE problem (institution VARCHAR, patient_key VARCHAR, code VARCHAR)")
        if rows:
            connection.executemany("INSERT INTO problem VALUES (?, ?, ?)", rows)
        found = connection.execute(
            "SELECT institution, patient_key, score, categories FROM charlson_score('problem', $1, hierarchy := $2)",
            [weighting, hierarchy],
        ).fetchall()
    return {(institution, patient): (score, categories) for institution, patient, score, categories in found}


def in_numpy(charlson: Charlson, rows: list[Row], weighting: str, hierarchy: bool = True) -> dict[tuple[str, str], Any]:
    names = [f"{institution}\t{patient}" for institution, patient, _ in rows]
    found = charlson_scores(charlson, names, [code for *_, code in rows], weighting=weighting, hierarchy=hierarchy)
    return {
        tuple(str(name).split("\t")): (int(score), counted_of(found, row))
        for row, (name, score) in enumerate(zip(found.patients, found.scores, strict=True))
    }


def counted_of(found: CharlsonScores, row: int) -> list[str]:
    return sorted(np.array(found.categories)[found.counted[row]].tolist())


# The R vectors.


@pytest.mark.skipif(not VECTORS.exists(), reason="the reference material ../shared/reference/formulae is not here")
@pytest.mark.parametrize(
    ("variant", "file", "weightings"),
    [
        ("quan-2005", "quan", {"charlson": "charlson-1987", "quan": "quan-2011"}),
        ("sundararajan-2004", "am", {"charlson": "charlson-1987"}),
    ],
)
def test_flags_and_scores_are_those_of_r(variant: str, file: str, weightings: dict[str, str]) -> None:
    with (VECTORS / "charlson_input.csv").open(encoding="utf-8", newline="") as handle:
        rows: list[Row] = [("h", row["id"], row["code"]) for row in csv.DictReader(handle)]
    with (VECTORS / f"charlson_R_charlson_icd10_{file}.csv").open(encoding="utf-8", newline="") as handle:
        expected = {row["id"]: row for row in csv.DictReader(handle)}
    assert len(expected) == 8
    for evaluate in (in_numpy, in_sql):
        for in_r, weighting in weightings.items():
            with_hierarchy = evaluate(VARIANTS[variant], rows, weighting)
            without = evaluate(VARIANTS[variant], rows, weighting, hierarchy=False)
            for patient, row in expected.items():
                score, categories = with_hierarchy["h", patient]
                assert score == int(row[f"score_{in_r}"])
                assert without["h", patient][0] == int(row[f"score_noassign0_{in_r}"])
                assert categories == sorted(name for column, name in R_CATEGORIES.items() if row[column] == "1")


# Published facts.


def everything(charlson: Charlson) -> list[Row]:
    return [("h", "p", prefixes[0]) for prefixes in charlson.prefixes.values()]


@pytest.mark.parametrize(("weighting", "most"), [("charlson-1987", 29), ("quan-2011", 24)])
def test_a_patient_with_everything_has_the_highest_score(weighting: str, most: int) -> None:
    # 1987: 8 x 1 + 2 + 2 + 2 + 3 + 6 + 6; 2011: Quan's new score runs from 0 to 24.
    assert in_numpy(QUAN, everything(QUAN), weighting)["h", "p"][0] == most
    assert in_sql(QUAN, everything(QUAN), weighting)["h", "p"][0] == most


def test_the_weights_changed_as_the_paper_says() -> None:
    # Abstract of Quan 2011: 0 for 5 comorbidities, decreased for 3, increased for 4, unchanged for 5.
    old, new = QUAN.weights["charlson-1987"], QUAN.weights["quan-2011"]
    none = [c for c in new if new[c] == 0]
    kept = [c for c in new if new[c]]
    assert len(none) == 5
    assert sum(new[c] < old[c] for c in kept) == 3
    assert sum(new[c] > old[c] for c in kept) == 4
    assert sum(new[c] == old[c] for c in kept) == 5


# How codes match.


@pytest.mark.parametrize(
    ("code", "score"),
    [
        ("I21", 1), ("I21.9", 1), ("I219", 1), ("i21.9", 1), (" I21.9 ", 1), ("I21.-", 1), ("I21.9+", 1), ("I21.9†", 1),
        ("I25.2", 1), ("I25.20", 1), ("I25", 0), ("I25.-", 0), ("I25.9", 0), ("I2", 0), ("I21.9 acute", 0), ("", 0),
        ("I21-I22", 0), ("22298006", 0), ("XI21", 0), ("I21.12345", 0), (None, 0),
    ],
)  # fmt: skip
def test_a_code_matches_by_its_beginning(code: str | None, score: int) -> None:
    for evaluate in (in_numpy, in_sql):
        assert evaluate(QUAN, [("h", "p", code)], "charlson-1987")["h", "p"][0] == score


def test_codes_are_text() -> None:
    with pytest.raises(TypeError, match="text"):
        charlson_scores(QUAN, ["p"], [21])


def test_patients_of_two_institutions_are_two_patients() -> None:
    rows: list[Row] = [("a", "p", "I21"), ("b", "p", "C78"), ("b", "q", None)]
    assert {key: score for key, (score, _) in in_sql(QUAN, rows, "charlson-1987").items()} == {
        ("a", "p"): 1, ("b", "p"): 6, ("b", "q"): 0,
    }  # fmt: skip


def test_another_weighting_gives_no_score() -> None:
    assert in_sql(QUAN, [("h", "p", "I21"), ("h", "q", None)], "elixhauser") == {
        ("h", "p"): (None, ["myocardial-infarction"]),
        ("h", "q"): (None, []),
    }
    with pytest.raises(KeyError):
        charlson_scores(QUAN, ["p"], ["I21"], weighting="elixhauser")


def test_no_diagnoses_no_patients() -> None:
    assert in_sql(QUAN, [], "charlson-1987") == {}
    assert charlson_scores(QUAN, [], []).scores.shape == (0,)


def test_rows_without_a_patient_or_institution_are_left_out() -> None:
    with duckdb.connect() as connection:
        register_charlson(connection, QUAN)
        connection.execute(
            "CREATE TABLE problem AS FROM (VALUES ('h', NULL, 'I21'), (NULL, 'p', 'I21'), ('h', 'p', 'I21'))"
            " AS t(institution, patient_key, code)"
        )
        found = connection.execute("SELECT patient_key, score FROM charlson_score('problem', 'quan-2011')").fetchall()
    assert found == [("p", 0)]


# What must hold for every patient.


def listed(variant: str) -> list[str]:
    return [prefix for prefixes in VARIANTS[variant].prefixes.values() for prefix in prefixes]


CODE = st.one_of(
    st.sampled_from(listed("quan-2005") + listed("sundararajan-2004")),
    st.builds(
        "{}{:02}.{}".format,
        st.sampled_from("BCEFGIJKMNPQRZ"),
        st.integers(0, 99),
        st.sampled_from([*"0123456789", "-"]),
    ),
    st.text(max_size=8),
    st.none(),
)
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("pqr"), CODE), max_size=25)
WEIGHTINGS = st.sampled_from(["charlson-1987", "quan-2011"])
in_duckdb = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@in_duckdb
@given(ROWS, st.sampled_from(sorted(VARIANTS)), WEIGHTINGS, st.booleans(), st.randoms(use_true_random=False))
def test_sql_is_numpy_in_any_order_of_the_rows(
    rows: list[Row], variant: str, weighting: str, hierarchy: bool, shuffle: random.Random
) -> None:
    found = in_numpy(VARIANTS[variant], rows, weighting, hierarchy)
    shuffled = shuffle.sample(rows, len(rows))
    assert in_sql(VARIANTS[variant], shuffled, weighting, hierarchy) == found
    assert in_numpy(VARIANTS[variant], shuffled + shuffled, weighting, hierarchy) == found


@given(st.lists(CODE, min_size=1, max_size=12), CODE, WEIGHTINGS, st.booleans())
def test_a_further_code_never_lowers_the_score(
    codes: list[str | None], further: str | None, weighting: str, hierarchy: bool
) -> None:
    def score(codes: list[str | None]) -> int:
        patients = ["p"] * len(codes)
        return int(charlson_scores(QUAN, patients, codes, weighting=weighting, hierarchy=hierarchy).scores[0])

    assert score([*codes, further]) >= score(codes) >= 0


@given(st.lists(CODE, min_size=1, max_size=12), WEIGHTINGS)
def test_the_hierarchy_only_takes_away(codes: list[str | None], weighting: str) -> None:
    patients = ["p"] * len(codes)
    with_it = charlson_scores(QUAN, patients, codes, weighting=weighting)
    without = charlson_scores(QUAN, patients, codes, weighting=weighting, hierarchy=False)
    assert (with_it.scores <= without.scores).all()
    assert not (with_it.counted & ~without.counted).any()
    for mild, severe in QUAN.hidden_by.items():
        both = [with_it.counted[0, with_it.categories.index(name)] for name in (mild, severe)]
        assert not all(both)


# The definition.


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_list_is_a_value_set_and_no_code_counts_twice_for_one_disease(variant: str) -> None:
    charlson = VARIANTS[variant]
    for category, prefixes in charlson.prefixes.items():
        value_set = load_value_set(CODES / "charlson", f"charlson-{variant}-{category}")
        assert {code.system for code in value_set.codes} == {"http://hl7.org/fhir/sid/icd-10"}
        assert not [p for p in prefixes if any(p != other and p.startswith(other) for other in prefixes)]


def test_in_quans_lists_a_code_belongs_to_one_category() -> None:
    pairs = [(prefix, category) for category, prefixes in QUAN.prefixes.items() for prefix in prefixes]
    clashes = [(a, b) for a, first in pairs for b, second in pairs if first != second and b.startswith(a)]
    assert clashes == []
    assert list(QUAN.prefixes) == list(R_CATEGORIES.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CODES / "charlson", tmp_path / "charlson")
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("matching: prefix", "matching: exact", "matching"),
        ("      aids: 4", "", "no weight for aids"),
        ("mild-liver-disease: severe-liver-disease", "mild-liver-disease: cirrhosis", "no category"),
        ("malignancy: metastatic-cancer", "metastatic-cancer: malignancy", "weighs less"),
        ("version: 1.0.0", "version: 1.0.0\nedition: 2", "edition"),
    ],
)
def test_a_wrong_definition_is_named(folder: Path, old: str, new: str, named: str) -> None:
    path = folder / "charlson" / "charlson.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TerminalError, match=named) as caught:
        load_charlson(folder)
    assert caught.value.code == "CHARLSON-DEFINITION"
    assert caught.value.where.startswith(str(path))


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(TerminalError, match="it has quan-2005, sundararajan-2004"):
        load_charlson(CODES, "ludvigsson-2021")


def test_a_row_that_is_no_beginning_of_a_code_is_named(folder: Path) -> None:
    path = folder / "charlson" / "charlson-quan-2005-aids.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",B20,", ",B2,"), encoding="utf-8")
    with pytest.raises(TerminalError, match="'B2' is no beginning") as caught:
        load_charlson(folder)
    assert caught.value.where == str(path)
