"""The hospitals of a synthetic export: their size, true effects and way of writing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from pipelines.sqlonfhir.fhir_types import Release

# Rates of the ordinary hospital.
# Hip revision 1.6% at 1 year and hip mortality 0.4% at 30 days: Bloemheuvel, LROI, 43,053 THA for
# osteoarthritis at 80 years or over, 2007-2019, Acta Orthop. The rest is operationalisation: no Dutch figure
# was at hand.
HIP_REVISION_1Y = 0.016
HIP_MORTALITY_30D = 0.004
KNEE_REVISION_1Y = 0.012
KNEE_MORTALITY_30D = 0.002
# Share of operated patients that takes part in PROMs. With the response per moment (see proms.py) it gives
# paired responses near 43% at 3 and 40% at 12 months: HQLO 2023, doi 10.1186/s12955-023-02104-2, Dutch
# hospitals 2016-2019.
PARTICIPATION = 0.66

# True effects of the outlier hospitals (operationalisation: enough for a 99.8% funnel at default size).
OUTLIER_HIP_REVISION_1Y = 0.10
OUTLIER_PARTICIPATION = 0.20
OUTLIER_HIP_FUNCTION_GAIN = 0.45


class Packaging(StrEnum):
    """How a hospital ships its resources."""

    NDJSON = "ndjson"
    NDJSON_GZIP = "ndjson-gzip"
    BUNDLES = "bundles"
    MIXED_NDJSON = "mixed-ndjson"
    NDJSON_AND_SINGLES = "ndjson-and-singles"


@dataclass(frozen=True, slots=True)
class Effects:
    """What is true of a hospital: probabilities, and gains as a multiple of ordinary improvement (1.0)."""

    hip_revision_1y: float
    knee_revision_1y: float
    hip_mortality_30d: float
    knee_mortality_30d: float
    participation: float
    hip_function_gain: float
    knee_function_gain: float
    pain_gain: float
    health_gain: float


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a hospital writes FHIR, within what nl-core allows; in STU3, as the profiles of zib2017 ask."""

    packaging: Packaging = Packaging.NDJSON
    coded_koos_hoos: bool = False
    coded_eq5d: bool = False
    grouped_items: bool = False
    with_times: bool = False
    release: Release = "r4"


@dataclass(frozen=True, slots=True)
class Outlier:
    """A hospital whose true effect differs from the others, and the indicators that must show it."""

    institution: str
    indicators: tuple[str, ...]
    direction: str


@dataclass(frozen=True, slots=True)
class Hospital:
    """One institution of the export. `name` is its folder name, `patients` its number of patients."""

    name: str
    patients: int
    effects: Effects
    dialect: Dialect


def plan_hospitals(hospitals: int, patients: int, seed: int) -> tuple[list[Hospital], tuple[Outlier, ...]]:
    """Draw the hospitals, sizes from 0.4 to 1.6 times `patients`, and appoint the outliers.

    The outliers are the largest hospitals, because a small one cannot be told from chance: the first has many
    hip revisions, the second little improvement in HOOS-PS, the third a low PROM response. There is one
    outlier per two hospitals, three at most.
    """
    rng = Random(f"{seed}/hospitals")
    sizes = _sizes(hospitals, patients, rng)
    width = max(2, len(str(hospitals)))
    plan = [
        Hospital(f"ziekenhuis-{index + 1:0{width}}", size, _effects(rng), _dialect(index))
        for index, size in enumerate(sizes)
    ]
    largest = sorted(range(hospitals), key=lambda index: (-sizes[index], index))[: min(3, hospitals // 2)]
    outliers = []
    for role, index in enumerate(largest):
        hospital = plan[index]
        effects, indicators, direction = _outlying(role, hospital.effects)
        plan[index] = replace(hospital, effects=effects)
        outliers.append(Outlier(hospital.name, indicators, direction))
    return plan, tuple(outliers)


def _sizes(hospitals: int, patients: int, rng: Random) -> list[int]:
    """Evenly spread sizes with mean `patients`, in random order."""
    if hospitals == 1:
        return [patients]
    factors = [0.4 + 1.2 * rank / (hospitals - 1) for rank in range(hospitals)]
    rng.shuffle(factors)
    return [max(1, round(patients * factor)) for factor in factors]


def _effects(rng: Random) -> Effects:
    """True effects of an ordinary hospital, with some variation between hospitals."""
    return Effects(
        hip_revision_1y=round(HIP_REVISION_1Y * rng.uniform(0.8, 1.2), 5),
        knee_revision_1y=round(KNEE_REVISION_1Y * rng.uniform(0.8, 1.2), 5),
        hip_mortality_30d=round(HIP_MORTALITY_30D * rng.uniform(0.8, 1.2), 5),
        knee_mortality_30d=round(KNEE_MORTALITY_30D * rng.uniform(0.8, 1.2), 5),
        participation=round(PARTICIPATION + rng.uniform(-0.06, 0.06), 4),
        hip_function_gain=round(rng.uniform(0.94, 1.06), 4),
        knee_function_gain=round(rng.uniform(0.94, 1.06), 4),
        pain_gain=round(rng.uniform(0.94, 1.06), 4),
        health_gain=round(rng.uniform(0.94, 1.06), 4),
    )


def _outlying(role: int, effects: Effects) -> tuple[Effects, tuple[str, ...], str]:
    if role == 0:
        return replace(effects, hip_revision_1y=OUTLIER_HIP_REVISION_1Y), ("hip-revision-1y",), "high"
    if role == 1:
        weak = replace(effects, hip_function_gain=OUTLIER_HIP_FUNCTION_GAIN)
        return weak, ("hip-hoos-ps-change-3m", "hip-hoos-ps-change-12m"), "low"
    responses = tuple(f"{joint}-prom-response-{moment}" for joint in ("hip", "knee") for moment in ("3m", "12m"))
    return replace(effects, participation=OUTLIER_PARTICIPATION), responses, "low"


def _dialect(index: int) -> Dialect:
    """The first five hospitals differ in packaging, the next three in how they write PROM answers.

    The fourth and the sixth still exchange in STU3.
    """
    packagings = list(Packaging)
    return Dialect(
        packaging=packagings[index] if index < len(packagings) else Packaging.NDJSON,
        coded_koos_hoos=index == 5,
        coded_eq5d=index == 6,
        grouped_items=index == 7,
        with_times=index % 2 == 1,
        release="stu3" if index in (3, 5) else "r4",
    )
