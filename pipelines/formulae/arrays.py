"""The formulae on numpy arrays. What is missing, not finite or outside the limits gives NaN (numbers) or None (names).

Arguments broadcast against each other. Units are in the names; `sex` is ``male`` or ``female`` (FHIR administrative
gender), anything else is unknown and gives NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.formulae import coefficients as c

Numbers = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]


def creatinine_mg_dl(creatinine_umol_l: npt.ArrayLike) -> Numbers:
    """Creatinine in mg/dL from umol/L."""
    return _finite(creatinine_umol_l) / c.CREATININE_UMOL_L_PER_MG_DL


def uacr_mg_g(uacr_mg_mmol: npt.ArrayLike) -> Numbers:
    """Albumin/creatinine ratio of urine in mg/g from mg/mmol."""
    return _finite(uacr_mg_mmol) * c.UACR_MG_G_PER_MG_MMOL


def egfr_ckd_epi_2009(creatinine_mg_dl: npt.ArrayLike, age_years: npt.ArrayLike, sex: npt.ArrayLike) -> Numbers:
    """eGFR by CKD-EPI 2009 without race, mL/min/1.73 m2. Adults only."""
    return _ckd_epi(c.CKD_EPI_2009, creatinine_mg_dl, age_years, sex)


def egfr_ckd_epi_2021(creatinine_mg_dl: npt.ArrayLike, age_years: npt.ArrayLike, sex: npt.ArrayLike) -> Numbers:
    """eGFR by CKD-EPI 2021, mL/min/1.73 m2. Adults only."""
    return _ckd_epi(c.CKD_EPI_2021, creatinine_mg_dl, age_years, sex)


def kdigo_gfr_category(egfr: npt.ArrayLike) -> Names:
    """G1, G2, G3a, G3b, G4 or G5 of an eGFR in mL/min/1.73 m2."""
    return _category(c.KDIGO_GFR, _within(egfr, c.EGFR))


def kdigo_albuminuria_category_mg_mmol(uacr_mg_mmol: npt.ArrayLike) -> Names:
    """A1, A2 or A3 of an albumin/creatinine ratio in mg/mmol."""
    limits = c.Limits(c.UACR_MG_G.low, c.UACR_MG_G.high / c.UACR_MG_G_PER_MG_MMOL)
    return _category(c.KDIGO_ALBUMINURIA_MG_MMOL, _within(uacr_mg_mmol, limits))


def kdigo_albuminuria_category_mg_g(uacr_mg_g: npt.ArrayLike) -> Names:
    """A1, A2 or A3 of an albumin/creatinine ratio in mg/g."""
    return _category(c.KDIGO_ALBUMINURIA_MG_G, _within(uacr_mg_g, c.UACR_MG_G))


def kdigo_risk(gfr_category: npt.ArrayLike, albuminuria_category: npt.ArrayLike) -> Names:
    """The cell of the KDIGO grid: low, moderate, high or very_high."""
    gfr, albuminuria = np.broadcast_arrays(np.asarray(gfr_category, object), np.asarray(albuminuria_category, object))
    risk = np.full(gfr.shape, None, object)
    for row, cells in c.KDIGO_RISK.items():
        for column, name in cells.items():
            risk[(gfr == row) & (albuminuria == column)] = name
    return risk


def kfre_4_variable(
    egfr: npt.ArrayLike,
    uacr_mg_g: npt.ArrayLike,
    age_years: npt.ArrayLike,
    sex: npt.ArrayLike,
    *,
    region: c.Region,
    years: int,
) -> Numbers:
    """The risk (0 to 1) of kidney failure within `years` (2 or 5) by the four-variable KFRE.

    Args:
        egfr: mL/min/1.73 m2, below 60: the equation is for CKD G3-G5.
        uacr_mg_g: above 0.
        age_years: adults only.
        sex: ``male`` or ``female``.
        region: whose baseline risk; ``non_north_american`` for the Netherlands.
        years: 2 or 5.

    Raises:
        KeyError: for another region or number of years.
    """
    model = c.KFRE_4_VARIABLE
    gfr, ratio = _within(egfr, c.EGFR), _within(uacr_mg_g, c.UACR_MG_G)
    predictor = (
        model.age_per_10_years * (_within(age_years, c.ADULT_YEARS) / 10 - model.age_centre)
        + model.male * (_by_sex(sex, male=1.0, female=0.0) - model.male_centre)
        + model.egfr_per_5 * (np.where((gfr > 0) & (gfr < c.KFRE_EGFR_BELOW), gfr, np.nan) / 5 - model.egfr_centre)
        + model.log_uacr_mg_g * (np.log(np.where(ratio > 0, ratio, np.nan)) - model.log_uacr_centre)
    )
    # 1 - exp(y) loses its digits when the risk is small; -expm1(y) does not.
    return np.asarray(-np.expm1(np.log(model.survival[region, years]) * np.exp(predictor)), np.float64)


def body_mass_index(weight_kg: npt.ArrayLike, height_cm: npt.ArrayLike) -> Numbers:
    """Weight in kg divided by the square of height in m (kg/m2), as CBS and WHO define it."""
    return np.asarray(_within(weight_kg, c.WEIGHT_KG) / np.square(_within(height_cm, c.HEIGHT_CM) / 100), np.float64)


def _ckd_epi(model: c.CkdEpi, creatinine: npt.ArrayLike, age: npt.ArrayLike, sex: npt.ArrayLike) -> Numbers:
    kappa = _by_sex(sex, male=model.kappa_male, female=model.kappa_female)
    alpha = _by_sex(sex, male=model.alpha_male, female=model.alpha_female)
    factor = _by_sex(sex, male=model.scale, female=model.scale * model.female_factor)
    ratio = _within(creatinine, c.CREATININE_MG_DL) / kappa
    # One of the two powers is always 1: below kappa that of beta, above it that of alpha.
    power = np.power(ratio, np.where(ratio < 1, alpha, model.beta))
    return np.asarray(factor * power * np.power(model.per_year, _within(age, c.ADULT_YEARS)), np.float64)


def _finite(values: npt.ArrayLike) -> Numbers:
    numbers = np.asarray(values, np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _within(values: npt.ArrayLike, limits: c.Limits) -> Numbers:
    numbers = np.asarray(values, np.float64)
    return np.where((numbers >= limits.low) & (numbers <= limits.high), numbers, np.nan)


def _by_sex(sex: npt.ArrayLike, *, male: float, female: float) -> Numbers:
    names = np.asarray(sex, object)
    return np.where(names == "male", male, np.where(names == "female", female, np.nan))


def _category(steps: c.Steps, numbers: Numbers) -> Names:
    names = np.full(numbers.shape, None, object)
    for name, lower in reversed(steps.lower):
        names[numbers >= lower] = name
    return names
