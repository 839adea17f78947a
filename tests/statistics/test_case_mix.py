"""The case-mix model: published coefficients, declared missing values, and clear refusals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.statistics.case_mix import (
    CaseMixError,
    CaseMixModel,
    Category,
    Measurement,
    Term,
    expected_risk,
    fit_case_mix,
)

Values = dict[str, np.ndarray]
ASA = Category("asa", ("I", "II", "III", "onbekend"), missing="onbekend")
AGE = Measurement("age", centre=65, scale=10, missing_indicator=True)


def patients(size: int, seed: int, missing: float = 0.1) -> tuple[np.ndarray, Values]:
    """Synthetic patients: log odds -2 + 0.3 (age - 65) / 10, + 0.5 for ASA II, + 1.2 for III, + 0.4 for unknown."""
    random = np.random.default_rng(seed)
    age = random.integers(45, 90, size).astype(np.float64)
    asa = random.choice(np.array(["I", "II", "III"], dtype=object), size)
    asa[random.random(size) < missing] = None
    effect = np.select([asa == "II", asa == "III", asa == None], [0.5, 1.2, 0.4], 0.0)  # noqa: E711
    risk = 1 / (1 + np.exp(-(-2 + 0.03 * (age - 65) + effect)))
    outcome = (random.random(size) < risk).astype(np.float64)
    age[random.random(size) < missing] = np.nan
    return outcome, {"asa": asa, "age": age}


def test_the_published_coefficients_of_spector_and_mazzeo() -> None:
    # Greene, Econometric Analysis, table of the grade data; Stata as in the tests of statsmodels (results_discrete.py).
    data = sm.datasets.spector.load_pandas()
    values = {name: data.exog[name].to_numpy() for name in ("GPA", "TUCE", "PSI")}
    model = fit_case_mix(data.endog.to_numpy(), values, [Measurement(name) for name in values])
    assert model.columns == ("intercept", "GPA", "TUCE", "PSI")
    assert model.coefficients == pytest.approx((-13.02135, 2.826113, 0.0951577, 2.378688), abs=5e-6)
    assert model.standard_errors == pytest.approx((4.931325, 1.262941, 0.1415542, 1.064564), abs=1e-4)
    assert (model.patients, model.events) == (32, 11)


def test_planted_effects_are_found_back() -> None:
    model = fit_case_mix(*patients(60_000, seed=4), [ASA, AGE])
    found = dict(zip(model.columns, model.coefficients, strict=True))
    errors = dict(zip(model.columns, model.standard_errors, strict=True))
    assert list(found) == ["intercept", "asa=II", "asa=III", "asa=onbekend", "age", "age:missing"]
    truths = {"intercept": -2, "asa=II": 0.5, "asa=III": 1.2, "asa=onbekend": 0.4, "age": 0.3}
    for name, truth in truths.items():
        assert abs(found[name] - truth) < 3.3 * errors[name], name


def test_expected_events_add_up_to_those_observed_in_every_declared_group() -> None:
    outcome, values = patients(5000, seed=1)
    risk = expected_risk(fit_case_mix(outcome, values, [ASA, AGE]), values)
    assert risk.sum() == pytest.approx(outcome.sum())
    for level in ("I", "II", "III"):
        assert risk[values["asa"] == level].sum() == pytest.approx(outcome[values["asa"] == level].sum())
    absent = np.isnan(values["age"])
    assert risk[absent].sum() == pytest.approx(outcome[absent].sum()), "missing values are a group of their own"


@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_changes_no_bit(random) -> None:  # type: ignore[no-untyped-def]
    outcome, values = patients(700, seed=2)
    order = np.array(random.sample(range(700), 700))
    model = fit_case_mix(outcome, values, [ASA, AGE])
    shuffled = {name: column[order] for name, column in values.items()}
    again = fit_case_mix(outcome[order], shuffled, [ASA, AGE])
    assert again == model
    assert (expected_risk(again, shuffled) == expected_risk(model, values)[order]).all()


def test_a_model_survives_json_and_knows_its_data() -> None:
    outcome, values = patients(900, seed=3, missing=0.0)
    model = fit_case_mix(outcome, values, [ASA, AGE])
    assert np.isnan(model.standard_errors[-1]), "nobody lacked an age"
    again = CaseMixModel.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    assert repr(again) == repr(model)
    assert (expected_risk(again, values) == expected_risk(model, values)).all()
    changed = outcome.copy()
    changed[0] = 1 - changed[0]
    assert fit_case_mix(changed, values, [ASA, AGE]).data_version != model.data_version


def test_a_value_that_was_never_missing_counts_as_the_centre_or_the_reference() -> None:
    model = fit_case_mix(*patients(900, seed=3, missing=0.0), [ASA, AGE])
    asa = np.array(["I", None], dtype=object)
    risk = expected_risk(model, {"asa": asa, "age": np.array([65.0, np.nan])})
    assert risk[0] == risk[1]


def with_column(name: str, column: Any) -> tuple[np.ndarray, Values]:
    outcome, values = patients(400, seed=6, missing=0.0)
    return outcome, {**values, name: column(outcome, values)}


REFUSALS: list[tuple[str, Any, Term, str]] = [
    (
        "a level outside the declared ones",
        lambda y, v: np.where(y == 1, "V", "M"),
        Category("x", ("M", "O")),
        "outside",
    ),
    (
        "a missing level without a place",
        lambda y, v: np.array([None, *["M"] * 399]),
        Category("x", ("M", "V")),
        "lacks 1",
    ),
    ("a missing number without a place", lambda y, v: np.full(400, np.nan), Measurement("x"), "lacks 400"),
    (
        "a declared level that nobody has",
        lambda y, v: np.array(["M", "V"] * 200),
        Category("x", ("M", "V", "O")),
        "x=O",
    ),
    ("a number that is the same for all", lambda y, v: np.full(400, 3.0), Measurement("x"), "same for every"),
    ("the same column twice", lambda y, v: v["age"] * 2, Measurement("x"), "follows from"),
    ("complete separation", lambda y, v: y * 2 + 1, Measurement("x"), "separated by: .*x"),
    (
        "a level in which everyone had the event",
        lambda y, v: np.where(np.arange(400) < np.flatnonzero(y)[4] + 1, np.where(y == 1, "V", "M"), "M"),
        Category("x", ("M", "V")),
        "separated by: x=V",
    ),
    ("a column of another length", lambda y, v: np.zeros(3), Measurement("x"), "not as long"),
]


@pytest.mark.parametrize(("what", "column", "term", "message"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refused_with_the_name_of_the_column(what: str, column: Any, term: Term, message: str) -> None:
    outcome, values = with_column("x", column)
    with pytest.raises(CaseMixError, match=message):
        fit_case_mix(outcome, values, [AGE, term])


@pytest.mark.parametrize("outcome", [np.zeros(400), np.ones(400), np.full(400, 0.5), np.array([])])
def test_an_outcome_that_does_not_vary_is_refused(outcome: np.ndarray) -> None:
    _, values = patients(400, seed=6)
    with pytest.raises(CaseMixError, match="both have to occur"):
        fit_case_mix(outcome, values, [AGE])


def test_terms_that_are_not_given_or_not_well_declared_are_refused() -> None:
    outcome, values = patients(400, seed=6)
    with pytest.raises(CaseMixError, match="not given: bmi"):
        fit_case_mix(outcome, values, [Measurement("bmi")])
    with pytest.raises(CaseMixError, match="not given"):
        fit_case_mix(outcome, values, [])
    with pytest.raises(CaseMixError, match="not one of its levels"):
        Category("x", ("a", "b"), missing="c")
    with pytest.raises(CaseMixError, match="two different levels"):
        Category("x", ("a", "a"))


def test_a_rare_level_with_both_outcomes_is_not_taken_for_separation() -> None:
    outcome, values = patients(3000, seed=7, missing=0.0)
    rare = np.zeros(3000)
    rare[np.flatnonzero(outcome == 1)[0]] = rare[np.flatnonzero(outcome == 0)[0]] = 1.0
    model = fit_case_mix(outcome, {**values, "x": rare}, [AGE, Measurement("x")])
    assert np.isfinite(model.coefficients).all()
