"""Made-up but plausible results of twelve institutions, in the shape that `write_report` takes."""

from __future__ import annotations

import zlib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.database.store import DataQuality
from pipelines.feedback.report import write_report
from pipelines.indicators.definitions import Indicator, OutcomeSet, load_outcome_set
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.statistics.intervals import t_interval, wilson_interval

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
AS_OF = date(2026, 3, 1)
INSTITUTIONS = tuple(f"ziekenhuis-{name}" for name in (
    "amstel", "berkel", "dommel", "eem", "gein", "ijssel", "linge", "maas", "regge", "spaarne", "vecht", "zaan"
))  # fmt: skip
SMALL = "ziekenhuis-zaan"  # too few patients for most figures
OUTLIER = "ziekenhuis-eem"  # three times the revisions
MONTHS = tuple(f"{year}-{month:02}" for year in (2024, 2025) for month in range(1, 13))

# operationalisation: levels that make a lively page, not facts about Dutch hospitals
_PROPORTIONS = {
    "revision": 0.016, "mortality": 0.004, "readmission": 0.03, "mcid": 0.55, "response-3m": 0.62, "response-12m": 0.48,
}  # fmt: skip
_CHANGES = {"eq5d": (0.22, 0.2), "nrs": (4.6, 2.4), "oos-ps": (27.0, 17.0)}
_LEVELS = {  # pre, 3m, 12m, standard deviation
    ("hoos-ps", "score"): (52.0, 27.0, 22.0, 17.0),
    ("koos-ps", "score"): (49.0, 34.0, 29.0, 15.0),
    ("nrs-pain", "activity"): (7.3, 2.9, 2.2, 2.2),
    ("nrs-pain", "rest"): (5.1, 1.6, 1.2, 2.3),
    ("eq-5d-5l", "index"): (0.55, 0.79, 0.83, 0.21),
    ("eq-5d-5l", "vas"): (64.0, 74.0, 77.0, 18.0),
}


@cache
def instruments() -> list[Instrument]:
    return load_instruments(MAPPINGS / "proms")


@cache
def outcome_set() -> OutcomeSet:
    return load_outcome_set(
        MAPPINGS / "outcome_sets" / "knie-heupartrose",
        MAPPINGS / "codes",
        instruments(),
        load_table_roles(MAPPINGS / "table_roles.yaml"),
    )


def quality() -> DataQuality:
    return DataQuality(
        lines=48210, accepted=47655, quarantined=411, skipped=144,
        top_reasons=[("CODE-UNMAPPED", 203), ("DATE-IMPOSSIBLE", 121), ("LINE-NOT-JSON", 57)],
    )  # fmt: skip


def results(seed: int = 7) -> pd.DataFrame:
    """`indicator_result` of all proportions and means, institutions and months."""
    shown = [each for each in outcome_set().indicators if each.statistic in ("proportion", "mean")]
    return pd.concat([_indicator(each, _random_of(each, seed)) for each in shown], ignore_index=True)


def _random_of(indicator: Indicator, seed: int) -> np.random.Generator:
    """Its own for every indicator: the figures of one do not change when the set gets another."""
    return np.random.default_rng([seed, zlib.crc32(indicator.id.encode())])


def trajectories(seed: int = 7) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        row
        for joint, own in (("hip", "hoos-ps"), ("knee", "koos-ps"))
        for (instrument, score), levels in _LEVELS.items()
        if instrument in (own, "nrs-pain", "eq-5d-5l")
        for row in _trajectory(joint, instrument, score, levels, random)
    ]
    return pd.DataFrame(rows)


def write(institution: str, out: Path, **changes: Any) -> Path:
    """A report with everything in it, or with the changes given."""
    inputs: dict[str, Any] = {
        "results": results(), "trajectories": trajectories(), "outcome_set": outcome_set(),
        "instruments": instruments(), "quality": quality(), "as_of": AS_OF, "out": out,
        "versions": {"zib-mapping": "2020", "codes": "2026-02"},
    }  # fmt: skip
    return write_report(institution, **(inputs | changes))


def _monthly(institution: str) -> int:
    return 2 if institution == SMALL else 12 + 4 * INSTITUTIONS.index(institution)


def _indicator(indicator: Indicator, random: np.random.Generator) -> pd.DataFrame:
    counted = [
        (institution, month, int(random.poisson(_monthly(institution))))
        for institution in INSTITUTIONS
        for month in (MONTHS[:12] if "12m" in indicator.id or "1y" in indicator.id else MONTHS[:22])
    ]
    frame = pd.DataFrame(counted, columns=["institution", "period", "denominator"])
    if indicator.statistic == "proportion":
        rate = next(level for name, level in _PROPORTIONS.items() if name in indicator.id)
        own = frame["institution"].map(lambda name: min(0.95, rate * _effect(name, indicator)))
        frame["numerator"] = random.binomial(frame["denominator"], own).astype(float)
        frame["total"] = frame["numerator"]
    else:
        mean, spread = next(level for name, level in _CHANGES.items() if name in indicator.id)
        own = frame["institution"].map(lambda name: mean * _effect(name, indicator))
        frame["numerator"] = np.nan
        noise = random.normal(0, spread, len(frame)) * np.sqrt(frame["denominator"])
        frame["total"] = own * frame["denominator"] + noise
    return _finished(_with_totals(frame), indicator)


def _effect(institution: str, indicator: Indicator) -> float:
    if institution == OUTLIER and "revision" in indicator.id:
        return 3.2
    if "response" in indicator.id:
        return 0.88 + 0.02 * INSTITUTIONS.index(institution)
    if institution == OUTLIER and indicator.id == "knee-koos-ps-change-12m":
        return 1.15
    return 1.0


def _with_totals(frame: pd.DataFrame) -> pd.DataFrame:
    columns = ["denominator", "numerator", "total"]
    totals = frame.groupby("institution")[columns].sum().reset_index().assign(period="total")
    return pd.concat([frame, totals], ignore_index=True)


def _finished(frame: pd.DataFrame, indicator: Indicator) -> pd.DataFrame:
    count = frame["denominator"].to_numpy(dtype=float)
    value = np.divide(frame["total"], count, out=np.full(len(frame), np.nan), where=count > 0)
    group = frame.groupby("period")[["denominator", "total"]].transform("sum")
    if indicator.statistic == "proportion":
        low, high = wilson_interval(frame["numerator"].to_numpy(dtype=float), count)
    else:
        spread = next(level[1] for name, level in _CHANGES.items() if name in indicator.id)
        low, high = t_interval(value, np.full(len(frame), spread), count)
    months_to_go = frame["period"].map(lambda period: 1 if period == "total" else 0)
    return frame.assign(
        outcome_set="knie-heupartrose", indicator=indicator.id, indicator_version=indicator.version,
        statistic=indicator.statistic, value=value, ci_low=low, ci_high=high, group_denominator=group["denominator"],
        group_value=group["total"] / group["denominator"], pending=months_to_go * 38,
        missing=(frame["denominator"] * 0.07).astype(int), excluded=0, as_of=AS_OF,
        numerator=frame["numerator"] if indicator.statistic == "proportion" else np.nan,
    ).drop(columns="total")  # fmt: skip


def _trajectory(
    joint: str, instrument: str, score: str, levels: tuple[float, ...], random: np.random.Generator
) -> list[dict[str, Any]]:
    *means, spread = levels
    rows = []
    for institution in INSTITUTIONS:
        for moment, share, mean in zip(("pre", "3m", "12m"), (12, 9, 6), means, strict=True):
            size = 7 if institution == SMALL else _monthly(institution) * share
            own = mean + float(random.normal(0, spread / 8))
            half = 1.96 * spread / size**0.5
            rows.append({
                "institution": institution, "joint": joint, "instrument": instrument, "score": score,
                "moment": moment, "n": size, "mean": own, "ci_low": own - half, "ci_high": own + half,
                "group_mean": mean,
            })  # fmt: skip
    return rows
