"""The rules of PROMIS-10, EQ-5D-5L and QLQ-C30 as one would write them in pandas, column by column."""

from __future__ import annotations

import numpy as np
import pandas as pd

GPH = [16.2, 19.9, 23.5, 26.7, 29.6, 32.4, 34.9, 37.4, 39.8, 42.3, 44.9, 47.7, 50.8, 54.1, 57.7, 61.9, 67.7]
GMH = [21.2, 25.1, 28.4, 31.3, 33.8, 36.3, 38.8, 41.1, 43.5, 45.8, 48.3, 50.8, 53.3, 56.0, 59.0, 62.5, 67.6]
EQ_5D = {
    "mobility": [0, -0.035, -0.057, -0.166, -0.203],
    "self_care": [0, -0.038, -0.061, -0.168, -0.168],
    "usual_activities": [0, -0.039, -0.087, -0.192, -0.192],
    "pain_discomfort": [0, -0.066, -0.092, -0.36, -0.415],
    "anxiety_depression": [0, -0.07, -0.145, -0.356, -0.421],
}
C30 = {
    "QL": [29, 30], "PF": [1, 2, 3, 4, 5], "RF": [6, 7], "EF": [21, 22, 23, 24], "CF": [20, 25], "SF": [26, 27],
    "FA": [10, 12, 18], "NV": [14, 15], "PA": [9, 19], "DY": [8], "SL": [11], "AP": [13], "CO": [16], "DI": [17],
    "FI": [28],
}  # fmt: skip
FUNCTIONS = ("PF", "RF", "EF", "CF", "SF")


def score_promis_10(answers: pd.DataFrame) -> pd.DataFrame:
    """T-scores of both scales and three single items."""
    high = {name: 10 if name == "Global07rc" else 5 for name in answers}
    low = {name: 0 if name == "Global07rc" else 1 for name in answers}
    valid, wrong = _checked(answers, low, high)
    valid["Global07rc"] = valid["Global07rc"].map({0: 5, **dict.fromkeys((1, 2, 3), 4), **dict.fromkeys((4, 5, 6), 3),
                                                   **dict.fromkeys((7, 8, 9), 2), 10: 1})  # fmt: skip
    out = pd.DataFrame(index=answers.index)
    scales = {"gph": (["Global03", "Global06", "Global07rc", "Global08r"], GPH),
              "gmh": (["Global02", "Global04", "Global05", "Global10r"], GMH)}  # fmt: skip
    for scale, (items, table) in scales.items():
        raw = valid[items].sum(axis=1, min_count=len(items))
        value = raw.map(dict(zip(range(4, 21), table, strict=True)))
        _add(out, scale, value, valid[items], wrong[items], len(items))
    for scale, item in (("general_health", "Global01"), ("social_roles", "Global09r"), ("quality_of_life", "Global02")):
        _add(out, scale, valid[item], valid[[item]], wrong[[item]], 1)
    return out


def score_eq_5d_5l(answers: pd.DataFrame) -> pd.DataFrame:
    """The Dutch index and the VAS."""
    low = {name: 0 if name == "vas" else 1 for name in answers}
    high = {name: 100 if name == "vas" else 5 for name in answers}
    valid, wrong = _checked(answers, low, high)
    items = list(EQ_5D)
    value = 1.0 + sum(valid[item].map(dict(enumerate(EQ_5D[item], start=1))) for item in items)
    value = (value - 0.047 * (valid[items] > 1).any(axis=1)).round(3)
    value = value.where(valid[items].notna().all(axis=1))
    out = pd.DataFrame(index=answers.index)
    _add(out, "index", value, valid[items], wrong[items], len(items))
    _add(out, "vas", valid["vas"], valid[["vas"]], wrong[["vas"]], 1)
    return out


def score_qlq_c30(answers: pd.DataFrame) -> pd.DataFrame:
    """Fifteen scales and the summary score."""
    high = {name: 7 if name in ("q29", "q30") else 4 for name in answers}
    valid, wrong = _checked(answers, dict.fromkeys(answers, 1), high)
    out = pd.DataFrame(index=answers.index)
    for scale, numbers in C30.items():
        items = [f"q{number}" for number in numbers]
        raw = valid[items].mean(axis=1)
        width = 6 if scale == "QL" else 3
        value = (1 - (raw - 1) / width) * 100 if scale in FUNCTIONS else (raw - 1) / width * 100
        _add(out, scale, value, valid[items], wrong[items], (len(items) + 1) // 2)
    thirteen = [scale for scale in C30 if scale not in ("QL", "FI")]
    turned = pd.DataFrame({s: out[s] if s in FUNCTIONS else 100 - out[s] for s in thirteen})
    out["C30SUMMARY"] = turned.mean(axis=1, skipna=False)
    return out


def _checked(answers: pd.DataFrame, low: dict[str, int], high: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Allowed answers, and which answers are given but not allowed."""
    allowed = (answers >= pd.Series(low)) & (answers <= pd.Series(high)) & (answers % 1 == 0)
    return answers.where(allowed), answers.notna() & ~allowed


def _add(
    out: pd.DataFrame, scale: str, value: pd.Series, valid: pd.DataFrame, wrong: pd.DataFrame, needed: int
) -> None:
    complete = valid.notna().sum(axis=1)
    outside = wrong.any(axis=1)
    reason = pd.Series(np.select([outside, complete < needed], ["item out of range", "item missing"], ""), out.index)
    good = reason == ""
    out[scale] = value.where(good)
    out[f"{scale}_complete"], out[f"{scale}_reason"] = complete, reason.where(~good)
