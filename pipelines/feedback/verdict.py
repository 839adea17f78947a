"""Whether an indicator of one institution stands out from the group, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from pipelines.statistics.funnel import Position

_t = stats.t.ppf
Tone = Literal["better", "worse", "within", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement in sign, word and reason, so that it never depends on colour.

    Attributes:
        strong: outside 99.8%, not just outside 95%.
    """

    tone: Tone
    strong: bool
    sign: str
    label: str
    reason: str


TOO_FEW = Verdict("unknown", False, "○", "te weinig gegevens", "Er zijn te weinig patiënten om te oordelen.")
_ALONE = Verdict("unknown", False, "○", "geen vergelijking", "Er is geen andere instelling in deze groep.")
_IN_FUNNEL = Verdict("within", False, "●", "in lijn", "Dit valt binnen de 95%-grenzen.")
_IN_INTERVAL = Verdict("within", False, "●", "in lijn", "Het groepsgemiddelde valt binnen het 95%-interval.")


NOT_JUDGED = Verdict("within", False, "○", "geen oordeel", "Van een aantal wordt niet gezegd of het goed of slecht is.")


def judge_proportion(position: Position, direction: str, institutions: int) -> Verdict:
    """From the place in the funnel: outside 95% is a signal, outside 99.8% a strong one."""
    if institutions < 2:
        return _ALONE
    if position == "within":
        return _IN_FUNNEL
    is_above, strong = position.startswith("above"), position.endswith("998")
    side = "Hoger" if is_above else "Lager"
    limits = "99,8%" if strong else "95%"
    return _standing_out(is_above, direction, strong, f"{side} dan de {limits}-grens van de trechter.")


def judge_mean(
    low: float | None,
    high: float | None,
    group: float | None,
    *,
    patients: int,
    direction: str,
    institutions: int,
) -> Verdict:
    """From the t interval: a signal when the group's mean lies outside 95%, a strong one outside 99.8%."""
    if institutions < 2:
        return _ALONE
    if low is None or high is None or group is None:
        return TOO_FEW
    middle, half = (low + high) / 2, (high - low) / 2
    distance = abs(group - middle)
    if distance <= half:
        return _IN_INTERVAL
    strong = distance > half * float(_t(0.999, patients - 1) / _t(0.975, patients - 1))
    width, side = ("99,8%" if strong else "95%"), ("boven" if middle > group else "onder")
    reason = f"Het {width}-interval ligt {side} het groepsgemiddelde."
    return _standing_out(middle > group, direction, strong, reason)


def _standing_out(is_above: bool, direction: str, strong: bool, reason: str) -> Verdict:
    if direction == "neither":
        label = "hoger dan de groep" if is_above else "lager dan de groep"
        return Verdict("within", strong, "●", label, f"{reason} Hoger of lager is hier niet vanzelf beter.")
    is_better = is_above == (direction == "higher_is_better")
    sign, word = ("▲", "gunstiger") if is_better else ("▼", "ongunstiger")
    label = word if strong else f"mogelijk {word}"
    return Verdict("better" if is_better else "worse", strong, sign * (2 if strong else 1), label, reason)


def by_weight(verdicts: Mapping[str, Verdict]) -> Sequence[str]:
    """Ids of what stands out, unfavourable before favourable and strong before possible."""
    out = [name for name, verdict in verdicts.items() if verdict.tone in ("worse", "better")]
    return sorted(out, key=lambda name: (verdicts[name].tone != "worse", not verdicts[name].strong))
