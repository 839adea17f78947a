"""The formulae against the libraries `kfre` and `pycomorb` (extra ``oracles``), which the project does not run on."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.formulae import arrays as f
from pipelines.formulae.charlson import charlson_scores, load_charlson

# Categories that WHO ICD-10 does not have. The Australian list names C2, C3 and C5 as a whole; ours name what exists.
UNASSIGNED = {"C27", "C28", "C29", "C35", "C36", "C59"}
CODES = Path(__file__).resolve().parents[2] / "mappings" / "codes"


@pytest.mark.parametrize(("north_american", "years"), itertools.product([False, True], [2, 5]))
def test_kfre_is_that_of_the_library(north_american: bool, years: int) -> None:
    kfre = pytest.importorskip("kfre", reason="the extra oracles is not installed")
    pandas = pytest.importorskip("pandas")
    random_patients = np.random.default_rng(5)
    patients = {
        "age": random_patients.uniform(18, 100, 2000),
        "sex": random_patients.choice(["male", "female"], 2000),
        "egfr": random_patients.uniform(0.5, 59.9, 2000),
        "uacr": random_patients.lognormal(5, 2, 2000).clip(0.1, 25_000),
    }
    predictor = kfre.RiskPredictor(
        pandas.DataFrame(patients), {"age": "age", "sex": "sex", "eGFR": "egfr", "uACR": "uacr"}
    )
    theirs = predictor.predict_kfre(years=years, is_north_american=north_american)
    ours = f.kfre_4_variable(
        patients["egfr"],
        patients["uacr"],
        patients["age"],
        patients["sex"],
        region="north_american" if north_american else "non_north_american",
        years=years,
    )
    # Theirs is 1 - S**exp(x): digits are lost when the risk is small.
    np.testing.assert_allclose(ours, theirs.to_numpy(float), rtol=1e-12, atol=1e-15)


def random_diagnoses(charlson: Any) -> list[tuple[str, str]]:
    """1500 patients with codes that are listed, longer than listed, next to listed, or any."""
    pick = random.Random(11)
    listed = [prefix for prefixes in charlson.prefixes.values() for prefix in prefixes]
    categories = [f"{letter}{number:02}" for letter in "BCEFGHIJKMNPQRZ" for number in range(100)]
    any_code = [category + digit for category in categories if category not in UNASSIGNED for digit in "09"]
    rows = []
    for patient in range(1500):
        for _ in range(pick.randint(1, 6)):
            code = pick.choice(
                [pick.choice(listed), pick.choice(listed) + pick.choice("0123456789"), pick.choice(any_code)]
            )
            rows.append((f"p{patient}", code[:3] + pick.choice(["", "."]) + code[3:] if len(code) > 3 else code))
    return rows


@pytest.mark.parametrize(("variant", "theirs"), [("quan-2005", "quan"), ("sundararajan-2004", "australia")])
@pytest.mark.parametrize(("weighting", "weights"), [("charlson-1987", "charlson"), ("quan-2011", "quan")])
def test_charlson_is_that_of_the_library(variant: str, theirs: str, weighting: str, weights: str) -> None:
    pycomorb = pytest.importorskip("pycomorb", reason="the extra oracles is not installed")
    polars = pytest.importorskip("polars")
    charlson = load_charlson(CODES, variant)
    rows = random_diagnoses(charlson)
    ours = charlson_scores(charlson, [p for p, _ in rows], [c for _, c in rows], weighting=weighting)
    table = polars.DataFrame({"id": [p for p, _ in rows], "code": [c for _, c in rows], "age": [30] * len(rows)})
    found = pycomorb.CharlsonComorbidityIndex(table, implementation=theirs, weights=weights)
    scores = dict(zip(found["id"], found["Charlson Comorbidity Index"], strict=True))
    assert dict(zip(ours.patients.tolist(), ours.scores.tolist(), strict=True)) == scores
    assert len(scores) == 1500
    assert ours.scores.max() > 8
