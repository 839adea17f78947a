"""Indirect standardisation: observed against expected events per institution, and the risk-adjusted rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.statistics.intervals import oe_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Standardised:
    """Results per institution; every array has shape (groups,).

    Attributes:
        patients: number of patients.
        observed: events.
        expected: events expected from the case mix.
        ratio: observed / expected; NaN where nothing was expected.
        lower: lower bound of its interval.
        upper: upper bound.
        rate: risk-adjusted rate, ratio times the rate of everyone; may pass 1.
        rate_lower: lower bound of its interval.
        rate_upper: upper bound.
    """

    patients: Floats
    observed: Floats
    expected: Floats
    ratio: Floats
    lower: Floats
    upper: Floats
    rate: Floats
    rate_lower: Floats
    rate_upper: Floats


def standardise(
    outcome: Floats,
    risk: Floats,
    group: NDArray[np.int64],
    groups: int,
    *,
    reference_rate: float | None = None,
    level: float = 0.95,
    method: Literal["exact", "byar"] = "exact",
) -> Standardised:
    """Observed and expected events per institution; the result does not depend on the order of the patients.

    The adjusted rate is the ratio times the average rate of all patients, as the National Bowel Cancer Audit
    (nboca.org.uk, "How is risk-adjustment carried out?"). The interval takes events as Poisson and the expected
    number as known, which is too wide rather than too narrow where risks are high.

    Args:
        outcome: 0 or 1, shape (patients,).
        risk: expected risk from the case-mix model, shape (patients,).
        group: institution of each patient, 0 .. groups - 1, shape (patients,).
        groups: number of institutions; one without patients has NaN results.
        reference_rate: the rate to multiply with; that of these patients when None.

    Raises:
        ValueError: arrays of unequal length, or a number of an institution outside the range.
    """
    if not outcome.shape == risk.shape == group.shape:
        raise ValueError("outcome, risk and group have to be of one length")
    if group.size and not 0 <= group.min() <= group.max() < groups:
        raise ValueError("a group has a number outside 0 .. groups - 1")
    order = np.lexsort((risk, group))  # sums in one order, whatever that of the rows
    patients = np.bincount(group, minlength=groups).astype(np.float64)
    observed = np.bincount(group, outcome, minlength=groups).astype(np.float64)
    expected = np.bincount(group[order], risk[order], minlength=groups).astype(np.float64)
    rate = reference_rate if reference_rate is not None else float(observed.sum()) / max(outcome.size, 1)
    ratio = observed / np.where(expected > 0, expected, np.nan)
    lower, upper = oe_interval(observed, expected, level, method)
    return Standardised(patients, observed, expected, ratio, lower, upper, ratio * rate, lower * rate, upper * rate)
