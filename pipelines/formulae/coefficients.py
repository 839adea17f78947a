"""Every coefficient and limit of the clinical formulae, with its source. Both numpy and SQL read them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Region = Literal["non_north_american", "north_american"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The values a formula is computed for, both ends included. Anything else gives NaN or NULL."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CkdEpi:
    """``scale * min(Scr/kappa, 1)**alpha * max(Scr/kappa, 1)**beta * per_year**age [* female_factor]``.

    Scr is serum creatinine in mg/dL, the result mL/min/1.73 m2.
    """

    source: str
    scale: float
    female_factor: float
    kappa_female: float
    kappa_male: float
    alpha_female: float
    alpha_male: float
    beta: float
    per_year: float


@dataclass(frozen=True, slots=True)
class Kfre:
    """``1 - survival**exp(linear predictor)``; each variable is centred on the mean of the development cohort."""

    source: str
    age_per_10_years: float
    age_centre: float
    male: float
    male_centre: float
    egfr_per_5: float
    egfr_centre: float
    log_uacr_mg_g: float
    log_uacr_centre: float
    survival: dict[tuple[Region, int], float]


@dataclass(frozen=True, slots=True)
class Steps:
    """Ordered categories: the name of the first whose lower limit (included) is reached, from high to low."""

    source: str
    lower: tuple[tuple[str, float], ...]


# Cited as 88.4 in kidney.epi (CRAN) service.convert_creatinine and in the notes of BMC Geriatrics 2021,
# doi 10.1186/s12877-021-02428-y, table 1: "1 mg/dl equal to 88.4 umol/l".
CREATININE_UMOL_L_PER_MG_DL = 88.4

# The same molar mass of creatinine: 1 mg/dL = 88.4 umol/L makes 1 mg/mmol = 88.4/10 mg/g. kfre (PyPI) has 8.84 too.
UACR_MG_G_PER_MG_MMOL = CREATININE_UMOL_L_PER_MG_DL / 10

# Of the two published forms for women this is the single equation, 141 * 1.018 = 143.538; the table of the same paper
# rounds it to 144 (0.32% more), as kidney.epi (CRAN) does. The factor for black patients (1.159) is not used.
CKD_EPI_2009 = CkdEpi(
    source="Levey AS et al. Ann Intern Med 2009;150:604-612, doi 10.7326/0003-4819-150-9-200905050-00006",
    scale=141.0,
    female_factor=1.018,
    kappa_female=0.7,
    kappa_male=0.9,
    alpha_female=-0.329,
    alpha_male=-0.411,
    beta=-1.209,
    per_year=0.993,
)

CKD_EPI_2021 = CkdEpi(
    source="Inker LA et al. N Engl J Med 2021;385:1737-1749, doi 10.1056/NEJMoa2102953;"
    " kidney.org/ckd-epi-creatinine-equation-2021",
    scale=142.0,
    female_factor=1.012,
    kappa_female=0.7,
    kappa_male=0.9,
    alpha_female=-0.241,
    alpha_male=-0.302,
    beta=-1.200,
    per_year=0.9938,
)

KFRE_4_VARIABLE = Kfre(
    source="Tangri N et al. JAMA 2016;315:164-174, doi 10.1001/jama.2015.18202 (equation: Tangri N et al. JAMA"
    " 2011;305:1553-1559, doi 10.1001/jama.2011.451); as in kfre 0.1.18 and lshpaner.github.io/kfre, equations",
    age_per_10_years=-0.2201,
    age_centre=7.036,
    male=0.2467,
    male_centre=0.5642,
    egfr_per_5=-0.5567,
    egfr_centre=7.222,
    log_uacr_mg_g=0.4510,
    log_uacr_centre=5.137,
    survival={
        ("non_north_american", 2): 0.9832,
        ("non_north_american", 5): 0.9365,
        ("north_american", 2): 0.9750,
        ("north_american", 5): 0.9240,
    },
)

_KDIGO = "KDIGO 2012 Clinical Practice Guideline for CKD, Kidney Int Suppl 2013;3:1-150"

KDIGO_GFR = Steps(
    source=f"{_KDIGO}; limits as in kidney.epi (CRAN) R/ckd_classify.R",
    lower=(("G1", 90.0), ("G2", 60.0), ("G3a", 45.0), ("G3b", 30.0), ("G4", 15.0), ("G5", 0.0)),
)

# The guideline prints A2 as 3-30 and A3 as > 30. A value of exactly 30 mg/mmol or 300 mg/g is A3 here, as in kidney.epi
# and in the adaptation of World J Diabetes 2017;8:222-229, doi 10.4239/wjd.v8.i5.222 (">= 30"): operationalisation.
# The two units have limits of their own: 30 mg/mmol is 265 mg/g, not 300.
KDIGO_ALBUMINURIA_MG_MMOL = Steps(
    source=f"{_KDIGO}; limits as in kidney.epi (CRAN) R/ckd_classify.R",
    lower=(("A3", 30.0), ("A2", 3.0), ("A1", 0.0)),
)
KDIGO_ALBUMINURIA_MG_G = Steps(
    source=f"{_KDIGO}; limits as in kidney.epi (CRAN) R/ckd_classify.R",
    lower=(("A3", 300.0), ("A2", 30.0), ("A1", 0.0)),
)

# KDIGO 2012 risk grid, cell for cell as in doi 10.4239/wjd.v8.i5.222, table 1. `low` is "low risk; no CKD if there are
# no other markers of kidney disease". CKD also asks for more than 3 months: one value makes no diagnosis.
KDIGO_RISK: dict[str, dict[str, str]] = {
    "G1": {"A1": "low", "A2": "moderate", "A3": "high"},
    "G2": {"A1": "low", "A2": "moderate", "A3": "high"},
    "G3a": {"A1": "moderate", "A2": "high", "A3": "very_high"},
    "G3b": {"A1": "high", "A2": "very_high", "A3": "very_high"},
    "G4": {"A1": "very_high", "A2": "very_high", "A3": "very_high"},
    "G5": {"A1": "very_high", "A2": "very_high", "A3": "very_high"},
}

# From 18 years: NIDDK, 'eGFR equations for adults' ("individuals ages 18 and older"); kfre 0.1.18 has "age 18, adult
# population" for KFRE. kidney.epi wants more than 18, and below 100 unless told otherwise. The upper end here
# is an operationalisation: an age above 120 is a wrong date of birth.
ADULT_YEARS = Limits(18.0, 120.0)

# kfre 0.1.18: "0, 25000 mg/g; upper guard against implausible entries".
UACR_MG_G = Limits(0.0, 25_000.0)

# Operationalisation, all of the following: wide enough for any patient, narrow enough that a value in another unit
# (creatinine in umol/L given as mg/dL, height in metres given as centimetres) gives nothing instead of a wrong number.
CREATININE_MG_DL = Limits(0.2, 30.0)
EGFR = Limits(0.0, 250.0)
WEIGHT_KG = Limits(0.2, 700.0)
HEIGHT_CM = Limits(20.0, 280.0)

# KFRE is for CKD G3-G5, an eGFR below 60: kfre 0.1.18 ("CKD G3-G5 (eGFR < 60)"), and leedsth.nhs.uk, pathology, KFRE:
# "should only be calculated when eGFR <60". Ramspek CL et al. JASN 2021;32:1174-1186, doi 10.1681/ASN.2020071077, warns
# that the risk at 5 years is overestimated in advanced CKD, where death competes.
KFRE_EGFR_BELOW = 60.0
