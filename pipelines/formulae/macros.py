"""The formulae as DuckDB macros, made of the coefficients that the numpy functions use.

The macros bear the names and arguments of `pipelines.formulae.arrays`; NaN and None are NULL here. They are temporary:
nothing is stored in a database file. For an age in whole years use ``datesub('year', birth_date, at_date)``.
"""

from __future__ import annotations

import duckdb

from pipelines.formulae import coefficients as c


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the macros on `connection`; a second time changes nothing.

    They are known to this connection alone: a cursor of it is another one in DuckDB.
    """
    for signature, body in _macros().items():
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {signature} AS {body}")


def _macros() -> dict[str, str]:
    kidney = "creatinine_mg_dl, age_years, sex"
    mg_mmol = c.Limits(c.UACR_MG_G.low, c.UACR_MG_G.high / c.UACR_MG_G_PER_MG_MMOL)
    return {
        "creatinine_mg_dl(creatinine_umol_l)": (
            f"{_finite('creatinine_umol_l')} / {_number(c.CREATININE_UMOL_L_PER_MG_DL)}"
        ),
        "uacr_mg_g(uacr_mg_mmol)": f"{_finite('uacr_mg_mmol')} * {_number(c.UACR_MG_G_PER_MG_MMOL)}",
        f"egfr_ckd_epi_2009({kidney})": _ckd_epi(c.CKD_EPI_2009),
        f"egfr_ckd_epi_2021({kidney})": _ckd_epi(c.CKD_EPI_2021),
        "kdigo_gfr_category(egfr)": _category(c.KDIGO_GFR, _within("egfr", c.EGFR)),
        "kdigo_albuminuria_category_mg_mmol(uacr_mg_mmol)": _category(
            c.KDIGO_ALBUMINURIA_MG_MMOL, _within("uacr_mg_mmol", mg_mmol)
        ),
        "kdigo_albuminuria_category_mg_g(uacr_mg_g)": _category(
            c.KDIGO_ALBUMINURIA_MG_G, _within("uacr_mg_g", c.UACR_MG_G)
        ),
        "kdigo_risk(gfr_category, albuminuria_category)": _kdigo_risk(),
        "kfre_4_variable(egfr, uacr_mg_g, age_years, sex, region, years)": _kfre(c.KFRE_4_VARIABLE),
        "body_mass_index(weight_kg, height_cm)": (
            f"{_within('weight_kg', c.WEIGHT_KG)} / pow({_within('height_cm', c.HEIGHT_CM)} / 100, 2)"
        ),
    }


def _ckd_epi(model: c.CkdEpi) -> str:
    kappa = _by_sex(male=model.kappa_male, female=model.kappa_female)
    alpha = _by_sex(male=model.alpha_male, female=model.alpha_female)
    factor = _by_sex(male=model.scale, female=model.scale * model.female_factor)
    ratio = f"({_within('creatinine_mg_dl', c.CREATININE_MG_DL)} / {kappa})"
    # One of the two powers is always 1: below kappa that of beta, above it that of alpha. least() and greatest() would
    # pass over a NULL.
    power = f"pow({ratio}, CASE WHEN {ratio} < 1 THEN {alpha} ELSE {_number(model.beta)} END)"
    return f"{factor} * {power} * pow({_number(model.per_year)}, {_within('age_years', c.ADULT_YEARS)})"


def _kfre(model: c.Kfre) -> str:
    gfr = f"CASE WHEN egfr::DOUBLE > 0 AND egfr::DOUBLE < {_number(c.KFRE_EGFR_BELOW)} THEN egfr::DOUBLE END"
    # The test is inside the logarithm: ln(0) stops a query, wherever the planner evaluates it.
    ratio = f"CASE WHEN uacr_mg_g::DOUBLE > 0 THEN {_within('uacr_mg_g', c.UACR_MG_G)} END"
    age = _within("age_years", c.ADULT_YEARS)
    predictor = (
        f"{_number(model.age_per_10_years)} * ({age} / 10 - {_number(model.age_centre)})"
        f" + {_number(model.male)} * ({_by_sex(male=1.0, female=0.0)} - {_number(model.male_centre)})"
        f" + {_number(model.egfr_per_5)} * ({gfr} / 5 - {_number(model.egfr_centre)})"
        f" + {_number(model.log_uacr_mg_g)} * (ln({ratio}) - {_number(model.log_uacr_centre)})"
    )
    baselines = " ".join(
        f"WHEN region = '{region}' AND years = {years} THEN {_number(survival)}"
        for (region, years), survival in model.survival.items()
    )
    half = f"(ln(CASE {baselines} END) * exp({predictor}) / 2)"
    # 1 - exp(y) loses its digits when the risk is small; -2 exp(y/2) sinh(y/2) is the same and does not.
    return f"-2 * exp({half}) * sinh({half})"


def _kdigo_risk() -> str:
    cells = " ".join(
        f"WHEN gfr_category = '{row}' AND albuminuria_category = '{column}' THEN '{risk}'"
        for row, columns in c.KDIGO_RISK.items()
        for column, risk in columns.items()
    )
    return f"CASE {cells} END"


def _category(steps: c.Steps, number: str) -> str:
    whens = " ".join(f"WHEN {number} >= {_number(lower)} THEN '{name}'" for name, lower in steps.lower)
    return f"CASE {whens} END"


def _within(argument: str, limits: c.Limits) -> str:
    """NaN and infinity are above every limit in DuckDB's order, or below it, so they fall out as well."""
    inside = f"{argument}::DOUBLE BETWEEN {_number(limits.low)} AND {_number(limits.high)}"
    return f"(CASE WHEN {inside} THEN {argument}::DOUBLE END)"


def _finite(argument: str) -> str:
    return f"(CASE WHEN isfinite({argument}::DOUBLE) THEN {argument}::DOUBLE END)"


def _by_sex(*, male: float, female: float) -> str:
    return f"(CASE sex WHEN 'male' THEN {_number(male)} WHEN 'female' THEN {_number(female)} END)"


def _number(value: float) -> str:
    return f"({value!r}::DOUBLE)"
