"""Named institutions in the funnel of a proportion, around their joint proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from pipelines.statistics.funnel import DataType, Position, dispersion, funnel_limits, joint_ratio, positions


@dataclass(frozen=True, slots=True)
class FunnelPoint:
    """One institution in the funnel: proportions 0..1, its limits at its own denominator, and where it lies."""

    institution: str
    numerator: int
    denominator: int
    value: float
    lower_95: float
    upper_95: float
    lower_998: float
    upper_998: float
    position: Position


def funnel(groups: Sequence[tuple[str, int, int]], *, adjust: bool = False) -> list[FunnelPoint]:
    """Place institutions in the funnel around their joint proportion.

    Args:
        groups: (institution, numerator, denominator); one without patients has no place and is left out.
        adjust: widen the limits for over-dispersion.
    """
    placed = [group for group in groups if group[2] > 0]
    if not placed:
        return []
    numerators, denominators = (np.array([group[i] for group in placed], dtype=np.float64) for i in (1, 2))
    tau2 = dispersion(DataType.PR, numerators, denominators).tau2 if adjust else 0.0
    limits = funnel_limits(joint_ratio(DataType.PR, numerators, denominators), denominators, tau2=tau2)
    values = numerators / denominators
    where = positions(values, limits)
    return [
        FunnelPoint(
            *group,
            value=float(values[i]),
            lower_95=float(limits.lower_95[i]),
            upper_95=float(limits.upper_95[i]),
            lower_998=float(limits.lower_998[i]),
            upper_998=float(limits.upper_998[i]),
            position=cast(Position, str(where[i])),
        )
        for i, group in enumerate(placed)
    ]
