"""The formulae against published examples, the R vectors, and what must hold for every patient."""

from __future__ import annotations

import csv
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_material import SHARED

from pipelines.formulae import arrays as f
from pipelines.formulae import coefficients as c

VECTORS = SHARED / "reference" / "formulae"
needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason="the reference material ../shared/reference/formulae is not here"
)
ADULTS = st.floats(18, 120)
SEXES = st.sampled_from(["male", "female"])
CREATININE = st.floats(0.2, 30)
CKD = st.floats(0.1, 59.9)
UACR = st.floats(0.1, 25_000)
REGIONS = st.sampled_from(["non_north_american", "north_american"])
YEARS = st.sampled_from([2, 5])


def vectors(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Published examples.


def test_ckd_epi_2021_as_published() -> None:
    # rdrr.io/github/JMLuther/tabletools, calculate_egfr: two examples with their result.
    assert round(float(f.egfr_ckd_epi_2021(0.8, 70, "male")), 1) == 95.2
    assert round(float(f.egfr_ckd_epi_2021(1.0, 50, "female")), 1) == 68.6


def test_ckd_epi_2009_as_published() -> None:
    # rdrr.io/cran/transplantr/man/ckd_epi.html: creatinine 120 umol/L, 45.2 years, male: 62.46745. It divides by 88.42.
    assert round(float(f.egfr_ckd_epi_2009(120 / 88.42, 45.2, "male")), 5) == 62.46745


def test_ckd_epi_2009_is_the_single_equation_not_the_table() -> None:
    at_kappa = float(f.egfr_ckd_epi_2009(0.7, 40, "female")) / 0.993**40
    assert at_kappa == pytest.approx(141 * 1.018, rel=1e-14)
    assert 144 / at_kappa == pytest.approx(1.0032, abs=5e-5)


@pytest.mark.parametrize(("region", "years"), list(c.KFRE_4_VARIABLE.survival))
def test_kfre_at_the_means_of_the_cohort_is_the_baseline_risk(region: c.Region, years: int) -> None:
    # lshpaner.github.io/kfre, equations: at age 70.36, eGFR 36.11 and ln(uACR) 5.137 only the term of sex is left.
    baseline = {"non_north_american": {2: 0.9832, 5: 0.9365}, "north_american": {2: 0.9750, 5: 0.9240}}[region][years]
    men, women = f.kfre_4_variable(36.11, math.exp(5.137), 70.36, ["male", "female"], region=region, years=years)
    assert men == pytest.approx(1 - baseline ** math.exp(0.2467 * (1 - 0.5642)), rel=1e-12)
    assert women == pytest.approx(1 - baseline ** math.exp(0.2467 * (0 - 0.5642)), rel=1e-12)


def test_body_mass_index_as_published() -> None:
    # collegedunia.com question 'How is BMI calculated': 70 kg and 1.75 m is 22.86.
    assert round(float(f.body_mass_index(70, 175)), 2) == 22.86


def test_units_of_creatinine_and_uacr() -> None:
    assert float(f.creatinine_mg_dl(88.4)) == 1.0
    assert float(f.uacr_mg_g(1.0)) == pytest.approx(8.84, rel=1e-15)


# The R vectors.


@needs_vectors
def test_egfr_is_that_of_kidney_epi_to_its_two_decimals() -> None:
    rows = [row for row in vectors("egfr_kidney_epi_R.csv") if row["ckdepi2021"] != "NA"]
    creatinine = f.creatinine_mg_dl([float(row["creat_umol"]) for row in rows])
    age, sex = [float(row["age"]) for row in rows], [row["sex"].lower() for row in rows]
    of_2021 = f.egfr_ckd_epi_2021(creatinine, age, sex)
    # kidney.epi multiplies by 144 for women where we multiply by 141 * 1.018.
    to_table = np.where(np.asarray(sex) == "female", 144 / (141 * 1.018), 1.0)
    of_2009 = f.egfr_ckd_epi_2009(creatinine, age, sex) * to_table
    assert len(rows) == 37
    for row, ours_2009, ours_2021 in zip(rows, of_2009, of_2021, strict=True):
        assert ours_2009 == pytest.approx(float(row["ckdepi2009_nonblack"]), abs=0.005 + 1e-9)
        assert ours_2021 == pytest.approx(float(row["ckdepi2021"]), abs=0.005 + 1e-9)
    assert list(f.kdigo_gfr_category(of_2009)) == [row["G2009"] for row in rows]
    assert list(f.kdigo_gfr_category(of_2021)) == [row["G2021"] for row in rows]


@needs_vectors
def test_egfr_is_that_of_the_independent_vectors_from_18_years() -> None:
    rows = vectors("egfr_vectors.csv")
    creatinine = f.creatinine_mg_dl([float(row["creat_umol"]) for row in rows])
    age, sex = [float(row["age"]) for row in rows], [row["sex"].lower() for row in rows]
    assert min(age) == 18
    np.testing.assert_allclose(
        f.egfr_ckd_epi_2009(creatinine, age, sex), [float(row["py2009"]) for row in rows], rtol=1e-13
    )
    np.testing.assert_allclose(
        f.egfr_ckd_epi_2021(creatinine, age, sex), [float(row["py2021"]) for row in rows], rtol=1e-13
    )


@needs_vectors
def test_kfre_is_that_of_the_vectors() -> None:
    rows = vectors("kfre_vectors.csv")
    assert len(rows) == 20
    for row in rows:
        risk = f.kfre_4_variable(
            float(row["egfr"]),
            f.uacr_mg_g(float(row["uacr_mg_mmol"])),
            float(row["age"]),
            {"M": "male", "F": "female"}[row["sex"]],
            region="north_american" if row["north_american"] == "True" else "non_north_american",
            years=int(row["years"]),
        )
        assert float(risk) == pytest.approx(float(row["risk_indep"]), rel=1e-12)
        assert float(risk) == pytest.approx(float(row["risk_kfre_pkg"]), rel=1e-12)


@needs_vectors
def test_the_kdigo_grid_is_that_of_the_vectors() -> None:
    rows = vectors("kdigo_risk_grid.csv")
    ours = f.kdigo_risk([row["G"] for row in rows], [row["A"] for row in rows])
    # kidney.epi calls the green cells "No CKD"; KDIGO "low risk".
    names = {"No CKD": "low", "Moderate": "moderate", "High": "high", "Very high": "very_high"}
    assert list(ours) == [names[row["risk"]] for row in rows]
    assert len(rows) == 18


# The grid and its limits.


@pytest.mark.parametrize(
    ("egfr", "category"),
    [(250, "G1"), (90, "G1"), (89.99, "G2"), (60, "G2"), (59.99, "G3a"), (45, "G3a"), (44.99, "G3b"), (30, "G3b"),
     (29.99, "G4"), (15, "G4"), (14.99, "G5"), (0, "G5"), (-0.01, None), (250.1, None)],
)  # fmt: skip
def test_gfr_categories_begin_at_their_limit(egfr: float, category: str | None) -> None:
    assert f.kdigo_gfr_category(egfr).item() == category


@pytest.mark.parametrize(
    ("mg_mmol", "category"),
    [(0, "A1"), (2.99, "A1"), (3, "A2"), (29.99, "A2"), (30, "A3"), (2500, "A3"), (3000, None), (-1, None)],
)
def test_albuminuria_categories_begin_at_their_limit(mg_mmol: float, category: str | None) -> None:
    assert f.kdigo_albuminuria_category_mg_mmol(mg_mmol).item() == category
    assert f.kdigo_albuminuria_category_mg_g(10 * mg_mmol).item() == category


def test_the_two_units_of_albuminuria_have_limits_of_their_own() -> None:
    assert f.kdigo_albuminuria_category_mg_mmol(31).item() == "A3"
    assert f.kdigo_albuminuria_category_mg_g(f.uacr_mg_g(31)).item() == "A2"


def test_the_risk_never_falls_when_kidney_function_or_albuminuria_gets_worse() -> None:
    order = ["low", "moderate", "high", "very_high"]
    rank = [[order.index(c.KDIGO_RISK[g][a]) for a in ("A1", "A2", "A3")] for g in c.KDIGO_RISK]
    assert list(c.KDIGO_RISK) == ["G1", "G2", "G3a", "G3b", "G4", "G5"]
    assert (np.diff(rank, axis=0) >= 0).all()
    assert (np.diff(rank, axis=1) >= 0).all()


def test_an_unknown_category_has_no_risk() -> None:
    assert list(f.kdigo_risk(["G1", None, "G6", "G2"], [None, "A1", "A1", "A2"])) == [None, None, None, "moderate"]


# What must hold for every patient.


@given(st.tuples(CREATININE, CREATININE), ADULTS, SEXES)
def test_egfr_falls_when_creatinine_rises(creatinine: tuple[float, float], age: float, sex: str) -> None:
    low, high = sorted(creatinine)
    for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021):
        at_low, at_high = egfr([low, high], age, sex)
        assert at_low >= at_high > 0
        assert at_low > at_high or high / low < 1 + 1e-12


@given(CREATININE, st.tuples(ADULTS, ADULTS), SEXES)
def test_egfr_falls_with_age(creatinine: float, ages: tuple[float, float], sex: str) -> None:
    young, old = sorted(ages)
    for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021):
        at_young, at_old = egfr(creatinine, [young, old], sex)
        assert at_young > at_old or old - young < 1e-9


@given(ADULTS, SEXES)
def test_egfr_has_no_jump_where_the_two_slopes_meet(age: float, sex: str) -> None:
    kappa = 0.9 if sex == "male" else 0.7
    for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021):
        below, above = egfr([np.nextafter(kappa, 0), np.nextafter(kappa, 1)], age, sex)
        assert below == pytest.approx(above, rel=1e-12)


@given(st.tuples(CKD, CKD), UACR, ADULTS, SEXES, REGIONS, YEARS)
def test_kfre_falls_when_egfr_rises(
    egfr: tuple[float, float], uacr: float, age: float, sex: str, region: c.Region, years: int
) -> None:
    low, high = sorted(egfr)
    at_low, at_high = f.kfre_4_variable([low, high], uacr, age, sex, region=region, years=years)
    assert 0 <= at_high <= at_low <= 1


@given(CKD, st.tuples(UACR, UACR), ADULTS, SEXES, REGIONS)
def test_kfre_rises_with_albuminuria_and_with_time(
    egfr: float, uacr: tuple[float, float], age: float, sex: str, region: c.Region
) -> None:
    low, high = sorted(uacr)
    two = f.kfre_4_variable(egfr, [low, high], age, sex, region=region, years=2)
    five = f.kfre_4_variable(egfr, [low, high], age, sex, region=region, years=5)
    assert two[0] <= two[1]
    assert (two <= five).all()


# Nothing rather than a wrong number.

BAD = [np.nan, np.inf, -np.inf, -1.0, 1e9, None]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_number_gives_no_result(bad: float | None) -> None:
    results = [
        *(egfr(bad, 50, "male") for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021)),
        *(egfr(1.0, bad, "male") for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021)),
        *(
            f.kfre_4_variable(*arguments, "male", region="non_north_american", years=2)
            for arguments in [(bad, 30, 60), (30, bad, 60), (30, 30, bad)]
        ),
        f.body_mass_index(bad, 175),
        f.body_mass_index(70, bad),
    ]
    assert np.isnan(results).all()
    for category in (
        f.kdigo_gfr_category,
        f.kdigo_albuminuria_category_mg_g,
        f.kdigo_albuminuria_category_mg_mmol,
    ):
        assert category(bad).item() is None


@pytest.mark.parametrize("sex", [None, "other", "unknown", "Male", "", np.nan])
def test_an_unknown_sex_gives_no_result(sex: object) -> None:
    assert np.isnan(f.egfr_ckd_epi_2009(1, 50, sex))
    assert np.isnan(f.egfr_ckd_epi_2021(1, 50, sex))
    assert np.isnan(f.kfre_4_variable(30, 30, 60, sex, region="non_north_american", years=5))


def test_a_child_has_no_result_and_an_adult_of_18_has() -> None:
    for egfr in (f.egfr_ckd_epi_2009, f.egfr_ckd_epi_2021):
        assert list(np.isnan(egfr(1, [17.99, 18, 120, 120.1], "female"))) == [True, False, False, True]
    risk = f.kfre_4_variable(30, 30, [17.99, 18], "female", region="non_north_american", years=2)
    assert list(np.isnan(risk)) == [True, False]


def test_kfre_is_for_an_egfr_below_60_and_some_albumin() -> None:
    def none(egfr: float, uacr: float) -> bool:
        return bool(np.isnan(f.kfre_4_variable(egfr, uacr, 60, "male", region="non_north_american", years=2)))

    assert [none(60, 30), none(59.99, 30), none(0, 30), none(30, 0)] == [True, False, True, True]


def test_a_value_in_another_unit_gives_no_result() -> None:
    umol_l, metres = 88.4, 1.75
    assert np.isnan(f.egfr_ckd_epi_2021(umol_l, 50, "male"))
    assert np.isnan(f.body_mass_index(70, metres))


@pytest.mark.parametrize(("region", "years"), [("europe", 2), ("north_american", 3)])
def test_kfre_knows_two_regions_and_two_horizons(region: c.Region, years: int) -> None:
    with pytest.raises(KeyError):
        f.kfre_4_variable(30, 30, 60, "male", region=region, years=years)


def test_arguments_broadcast() -> None:
    ages, creatinine = np.array([40, 60]), np.array([[0.8], [1.2], [3.0]])
    together = f.egfr_ckd_epi_2021(creatinine, ages, "male")
    assert together.shape == (3, 2)
    for row, column in itertools.product(range(3), range(2)):
        assert together[row, column] == f.egfr_ckd_epi_2021(creatinine[row, 0], ages[column], "male")
