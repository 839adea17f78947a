"""In which order to mend: first what makes most indicators ready.

An indicator is unlocked only when everything in its way is mended, so a fix that is in the way of many indicators may
unlock none by itself. Each step is therefore the smallest bundle of fixes that completes an indicator, chosen for the
most indicators unlocked per fix; what later steps need is counted with the earlier fixes done (a greedy set cover).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Locked = TypeVar("Locked", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Step(Generic[Locked]):
    """Fixes to do together, and what becomes ready by them (sorted)."""

    fixes: tuple[str, ...]
    unlocks: tuple[Locked, ...]


def unlocking_order(blocking: Mapping[Locked, Collection[str]]) -> list[Step[Locked]]:
    """The steps, most indicators per fix first; at a tie the smaller bundle, then by name.

    Args:
        blocking: per indicator the fixes it waits for; one that waits for nothing is left out.
    """
    waiting = {name: frozenset(fixes) for name, fixes in blocking.items() if fixes}
    steps: list[Step[Locked]] = []
    while waiting:
        bundles = set(waiting.values())
        unlocked = {bundle: [name for name, needs in waiting.items() if needs <= bundle] for bundle in bundles}
        best = min(bundles, key=lambda bundle: (-len(unlocked[bundle]) / len(bundle), len(bundle), sorted(bundle)))
        steps.append(Step(tuple(sorted(best)), tuple(sorted(unlocked[best], key=repr))))
        waiting = {name: needs - best for name, needs in waiting.items() if needs - best}
    return steps
