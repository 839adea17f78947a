"""Funnel plot limits of proportions, and which institutions lie outside them.

Method of FunnelPlotR 0.6.0 for data type PR (Spiegelhalter 2005): on the arcsine square-root scale the standard error
of a proportion is 1 / (2 sqrt n), so the limits around the group proportion follow from the normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Position = Literal["within", "above_95", "below_95", "above_998", "below_998"]

_Z_95, _Z_998 = 1.959964, 3.090232  # the normal quantiles of 97.5% and 99.9%, rounded as FunnelPlotR does


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


@dataclass(frozen=True, slots=True)
class FunnelLimits:
    """Limits per denominator, as proportions 0..1, in the order of the denominators given."""

    lower_95: Floats
    upper_95: Floats
    lower_998: Floats
    upper_998: Floats


def funnel_limits(target: float, denominators: Sequence[int], tau2: float = 0.0) -> FunnelLimits:
    """Control limits (95% and 99.8%) around `target`, widened by the between-institution variance `tau2`."""
    centre = np.arcsin(np.sqrt(target))
    spread = np.sqrt(1.0 / (4.0 * np.asarray(denominators, dtype=np.float64)) + tau2)

    def bound(z: float) -> Floats:
        # Outside 0..pi/2 the sine turns back, so a limit past the end of the scale is that end.
        limit: Floats = np.sin(np.clip(centre + z * spread, 0.0, np.pi / 2)) ** 2
        return limit

    return FunnelLimits(bound(-_Z_95), bound(_Z_95), bound(-_Z_998), bound(_Z_998))


def between_variance(numerators: Sequence[int], denominators: Sequence[int]) -> float:
    """The over-dispersion tau2 on the arcsine scale, from z-scores winsorised at 10% (0 when there is none).

    tau2 = max(0, (k phi - (k - 1)) / (sum w - sum w^2 / sum w)), w = 4 n, phi the mean of the squared z-scores:
    the additive random-effects model of Spiegelhalter 2005 as in FunnelPlotR.
    """
    count, size = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    weight = 4.0 * size
    centre = np.arcsin(np.sqrt(count.sum() / size.sum()))
    score = (np.arcsin(np.sqrt(count / size)) - centre) * np.sqrt(weight)
    phi = float(np.mean(np.clip(score, *np.quantile(score, [0.1, 0.9])) ** 2))
    excess = size.size * phi - (size.size - 1)
    spare = float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, excess / spare) if spare > 0 else 0.0


def funnel(groups: Sequence[tuple[str, int, int]], *, adjust: bool = False) -> list[FunnelPoint]:
    """Place institutions in the funnel around their joint proportion.

    Args:
        groups: (institution, numerator, denominator); one without patients has no place and is left out.
        adjust: widen the limits for over-dispersion.
    """
    placed = [group for group in groups if group[2] > 0]
    if not placed:
        return []
    numerators, denominators = [group[1] for group in placed], [group[2] for group in placed]
    tau2 = between_variance(numerators, denominators) if adjust else 0.0
    limits = funnel_limits(sum(numerators) / sum(denominators), denominators, tau2)
    return [
        _point(group, *bounds)
        for group, *bounds in zip(
            placed,
            limits.lower_95.tolist(),
            limits.upper_95.tolist(),
            limits.lower_998.tolist(),
            limits.upper_998.tolist(),
            strict=True,
        )
    ]


def _point(
    group: tuple[str, int, int], lower_95: float, upper_95: float, lower_998: float, upper_998: float
) -> FunnelPoint:
    institution, numerator, denominator = group
    value = numerator / denominator
    position: Position = "within"
    if value > upper_95:
        position = "above_998" if value > upper_998 else "above_95"
    elif value < lower_95:
        position = "below_998" if value < lower_998 else "below_95"
    return FunnelPoint(institution, numerator, denominator, value, lower_95, upper_95, lower_998, upper_998, position)
