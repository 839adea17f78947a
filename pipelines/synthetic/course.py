"""What happens to a patient: operations, and death. The generator's own events, from which the truth is told.

Besides the ordinary course it holds what a careless measure would count wrongly: revisions of the other side,
of another joint, before the index operation, more than a year after it, and operations that were not done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Literal

from pipelines.synthetic.hospitals import Effects

Joint = Literal["hip", "knee"]
Side = Literal["left", "right"]
Kind = Literal["primary", "revision", "other"]

# Operationalisation: the mix of operations and of traps in the export.
MONTHS_30_DAYS = 913
HIP_SHARE = 0.58
SECOND_PRIMARY_SHARE = 0.08
YEARLY_MORTALITY = 0.02


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `status` is a FHIR event status, and only `completed` ones took place."""

    kind: Kind
    joint: Joint
    side: Side
    on: date
    status: str = "completed"


@dataclass(frozen=True, slots=True)
class Course:
    """Operations in order of date, and the day of death when the patient died by the end of the export."""

    operations: tuple[Operation, ...]
    death: date | None

    @property
    def primaries(self) -> tuple[Operation, ...]:
        """The completed primary operations: the index operations."""
        return tuple(o for o in self.operations if o.kind == "primary" and o.status == "completed")


def draw_course(rng: Random, effects: Effects, as_of: date) -> Course:
    """One patient's operations over the 30 months before `as_of`, with what followed."""
    primaries = _primaries(rng, as_of)
    operations = list(primaries)
    for operation in primaries:
        if operation.status == "completed":
            operations += _revisions(rng, operation, effects)
    if rng.random() < 0.03:
        operations.append(_other(rng, primaries[0]))
    death = _death(rng, primaries, effects, as_of)
    end = min(as_of, death or as_of)
    happened = [o for o in operations if o.on <= end or (o.status == "preparation" and death is None)]
    return Course(tuple(sorted(happened, key=lambda o: o.on)), death)


def _primaries(rng: Random, as_of: date) -> list[Operation]:
    joint: Joint = "hip" if rng.random() < HIP_SHARE else "knee"
    side: Side = rng.choice(("left", "right"))
    first = as_of - timedelta(days=rng.randrange(0, MONTHS_30_DAYS))
    chance = rng.random()
    if chance < 0.01:
        return [Operation("primary", joint, side, first, "not-done")]
    if chance < 0.02:
        planned = as_of + timedelta(days=rng.randrange(7, 28))
        return [Operation("primary", joint, side, planned, "preparation")]
    primaries = [Operation("primary", joint, side, first)]
    if rng.random() < SECOND_PRIMARY_SHARE:
        later = first + timedelta(days=rng.randrange(90, 500))
        if rng.random() < 0.6:
            primaries.append(Operation("primary", joint, _opposite(side), later))
        else:
            primaries.append(Operation("primary", _other_joint(joint), side, later))
    return primaries


def _revisions(rng: Random, index: Operation, effects: Effects) -> list[Operation]:
    """Revisions that count (same joint and side, 1 to 365 days after) and revisions that do not."""
    joint, side = index.joint, index.side
    revised = rng.random() < (effects.hip_revision_1y if joint == "hip" else effects.knee_revision_1y)
    revisions = []
    if revised:
        days = 365 if rng.random() < 0.03 else 1 + int(364 * rng.betavariate(0.8, 1.6))
        revisions.append(_revision(joint, side, index, days))
    elif rng.random() < 0.015:
        days = 366 if rng.random() < 0.2 else rng.randrange(366, 800)
        revisions.append(_revision(joint, side, index, days))
    if rng.random() < 0.01:
        revisions.append(_revision(joint, _opposite(side), index, rng.randrange(1, 365)))
    if rng.random() < 0.003:
        revisions.append(_revision(_other_joint(joint), side, index, rng.randrange(1, 365)))
    if rng.random() < 0.007:
        revisions.append(_revision(joint, side, index, -rng.randrange(30, 900)))
    if rng.random() < 0.005:
        status = rng.choice(("not-done", "entered-in-error"))
        revisions.append(_revision(joint, side, index, rng.randrange(1, 365), status))
    return revisions


def _revision(joint: Joint, side: Side, index: Operation, days: int, status: str = "completed") -> Operation:
    return Operation("revision", joint, side, index.on + timedelta(days=days), status)


def _other(rng: Random, index: Operation) -> Operation:
    """An earlier operation that is no joint replacement."""
    return Operation("other", index.joint, index.side, index.on - timedelta(days=rng.randrange(400, 4000)))


def _death(rng: Random, primaries: list[Operation], effects: Effects, as_of: date) -> date | None:
    """Death within 30 days of an operation at the hospital's rate, otherwise at an ordinary yearly rate."""
    done = [o for o in primaries if o.status == "completed" and o.on <= as_of]
    death = None
    for operation in done:
        rate = effects.hip_mortality_30d if operation.joint == "hip" else effects.knee_mortality_30d
        if rng.random() < rate:
            death = operation.on + timedelta(days=rng.randrange(0, 31))
            break
    if death is None and done:
        death = done[-1].on + timedelta(days=31 + int(rng.expovariate(YEARLY_MORTALITY) * 365.25))
    return death if death is not None and death <= as_of else None


def _opposite(side: Side) -> Side:
    return "right" if side == "left" else "left"


def _other_joint(joint: Joint) -> Joint:
    return "knee" if joint == "hip" else "hip"
