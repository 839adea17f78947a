"""Scores of the truth: a small scorer of the generator's own, independent of the pipeline's.

An instrument with a missing item has no score.
"""

from __future__ import annotations

# Raw sum to score, 0 (best) to 100 (worst). awell-health/awell-score @c37843e (MIT), conversion tables of
# HOOS-PS (Davis 2008) and KOOS-PS (Perruccio 2008); raw 11 of KOOS-PS is 35.3, its README has a typing error.
_HOOS_PS = (
    0, 4.6, 8.8, 12.7, 16.4, 20, 23.4, 26.9, 30.4, 33.9, 37.7, 41.7, 46.1, 50.8, 55.9, 61.6, 67.9, 74.8, 82.4,
    90.8, 100,
)  # fmt: skip
_KOOS_PS = (
    0, 5.6, 10.5, 14.8, 18.6, 22, 24.9, 27.5, 29.7, 31.8, 33.6, 35.3, 37, 38.6, 40.3, 42, 44, 46.1, 48.5,
    51.2, 54.4, 57.9, 62, 66.6, 71.8, 77.7, 84.3, 91.8, 100,
)  # fmt: skip

# Dutch EQ-5D-5L tariff: Versteegh 2016, doi 10.1016/j.jval.2016.01.003 (coefficients as in R package eq5d).
_EQ5D_ANY_PROBLEM = 0.047
_EQ5D_DECREMENTS = {
    "mobility": (0, 0.035, 0.057, 0.166, 0.203),
    "self_care": (0, 0.038, 0.061, 0.168, 0.168),
    "usual_activities": (0, 0.039, 0.087, 0.192, 0.192),
    "pain_discomfort": (0, 0.066, 0.092, 0.36, 0.415),
    "anxiety_depression": (0, 0.07, 0.145, 0.356, 0.421),
}


def score(instrument: str, answers: dict[str, int]) -> float | None:
    """The score an indicator uses, or None when an item it needs is missing.

    HOOS-PS and KOOS-PS: 0 (best) to 100 (worst). NRS pain: pain during activity, 0 to 10 (worst).
    EQ-5D-5L: index of the Dutch value set, -0.446 to 1 (best).
    """
    if instrument == "hoos-ps":
        return _HOOS_PS[sum(answers.values())] if len(answers) == 5 else None
    if instrument == "koos-ps":
        return _KOOS_PS[sum(answers.values())] if len(answers) == 7 else None
    if instrument == "nrs-pain":
        return answers.get("activity")
    return _eq5d_index(answers)


def _eq5d_index(answers: dict[str, int]) -> float | None:
    levels = {dimension: answers[dimension] for dimension in _EQ5D_DECREMENTS if dimension in answers}
    if len(levels) < len(_EQ5D_DECREMENTS):
        return None
    index = 1.0 - (_EQ5D_ANY_PROBLEM if any(level > 1 for level in levels.values()) else 0.0)
    return round(index - sum(_EQ5D_DECREMENTS[name][level - 1] for name, level in levels.items()), 3)
