"""The truth beside the data: what a pipeline must find, counted from the generator's own events.

Rules of the counts (one index operation is one unit; a patient with two is counted twice):

- revision within 1 year: completed primary operations with index + 365 days <= as_of; a completed revision of
  the same joint and side, 1 to 365 days after (van Schie 2020, doi 10.2106/JBJS.19.00312).
- 30-day mortality: completed primary hip operations with index + 30 days <= as_of; death on day 0 to 30.
- PROM change: operations with a scored response before and at the moment; improvement is positive.
- PROM response: operations whose window has closed by as_of; scored HOOS-PS (hip) or KOOS-PS (knee) at both.

Windows are in moments.py. Days from 1 and from 0, the closed window and the units are operationalisation.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from pipelines.synthetic.course import Course, Joint, Operation
from pipelines.synthetic.hospitals import Effects, Outlier
from pipelines.synthetic.instruments import FUNCTION
from pipelines.synthetic.moments import POST, PRE, Window
from pipelines.synthetic.proms import Response
from pipelines.synthetic.scoring import score

# Indicator part of the name -> instrument, and the sign that makes improvement positive.
_CHANGES: dict[Joint, dict[str, tuple[str, int]]] = {
    "hip": {"hoos-ps": ("hoos-ps", -1), "nrs-activity": ("nrs-pain", -1), "eq5d": ("eq-5d-5l", 1)},
    "knee": {"koos-ps": ("koos-ps", -1), "nrs-activity": ("nrs-pain", -1), "eq5d": ("eq-5d-5l", 1)},
}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the export was made with."""

    hospitals: int
    patients: int
    seed: int
    as_of: str
    defect_share: float


@dataclass(frozen=True, slots=True)
class Expected:
    """One indicator over all periods. `kind` is `proportion` or `mean`; a mean has no numerator, and its
    denominator is the number of operations with a change."""

    kind: str
    denominator: int
    numerator: int | None
    value: float | None


@dataclass(frozen=True, slots=True)
class InstitutionTruth:
    """One hospital. `resources` counts the sound resources per type; defects come on top of these."""

    institution: str
    patients: int
    packaging: str
    release: str
    resources: dict[str, int]
    effects: Effects
    expected: dict[str, Expected]


@dataclass(frozen=True, slots=True)
class Defect:
    """One planted defect; `line` is the 1-based line of the (unpacked) file, or entry of the Bundle."""

    institution: str
    file: str
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that is known about an export. Holds nothing about a single patient."""

    arguments: Arguments
    institutions: tuple[InstitutionTruth, ...]
    total: dict[str, Expected]
    outliers: tuple[Outlier, ...]
    defects: tuple[Defect, ...]

    def write(self, path: Path) -> None:
        """Write as indented JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class History:
    """What happened to one patient: the source of the truth."""

    course: Course
    responses: tuple[Response, ...]


# Per indicator: 0.0 or 1.0 per operation for a proportion, the improvement per operation for a mean.
Tally = dict[str, list[float]]


def tally(histories: Iterable[History], as_of: date) -> Tally:
    """What each index operation adds to each indicator; every indicator is present, also when empty."""
    values: Tally = defaultdict(list, {name: [] for name in indicator_names()})
    for history in histories:
        for index in history.course.primaries:
            _add_events(values, index, history.course, as_of)
            _add_proms(values, index, history.responses, as_of)
    return dict(values)


def expected(values: Mapping[str, list[float]]) -> dict[str, Expected]:
    """The tally as indicator results."""
    return {name: _result(name, operations) for name, operations in values.items()}


def indicator_names() -> list[str]:
    """All indicators of the truth."""
    names = ["hip-revision-1y", "knee-revision-1y", "hip-mortality-30d"]
    for joint, changes in _CHANGES.items():
        names += [f"{joint}-{change}-change-{moment}" for change in changes for moment in POST]
        names += [f"{joint}-prom-response-{moment}" for moment in POST]
    return names


def _add_events(values: Tally, index: Operation, course: Course, as_of: date) -> None:
    if index.on + timedelta(days=365) <= as_of:
        revised = any(
            (o.kind, o.joint, o.side, o.status) == ("revision", index.joint, index.side, "completed")
            and 1 <= (o.on - index.on).days <= 365
            for o in course.operations
        )
        values[f"{index.joint}-revision-1y"].append(float(revised))
    if index.joint == "hip" and index.on + timedelta(days=30) <= as_of:
        died = course.death is not None and 0 <= (course.death - index.on).days <= 30
        values["hip-mortality-30d"].append(float(died))


def _add_proms(values: Tally, index: Operation, responses: tuple[Response, ...], as_of: date) -> None:
    for moment, window in POST.items():
        for change, (instrument, sign) in _CHANGES[index.joint].items():
            improvement = _improvement(index, responses, instrument, sign, window)
            if improvement is not None:
                values[f"{index.joint}-{change}-change-{moment}"].append(improvement)
        if index.on + timedelta(days=window.last) <= as_of:
            paired = _improvement(index, responses, FUNCTION[index.joint].key, -1, window) is not None
            values[f"{index.joint}-prom-response-{moment}"].append(float(paired))


def _improvement(
    index: Operation, responses: tuple[Response, ...], instrument: str, sign: int, window: Window
) -> float | None:
    before = _scored(index, responses, instrument, PRE)
    after = _scored(index, responses, instrument, window)
    return None if before is None or after is None else sign * (after - before)


def _scored(index: Operation, responses: tuple[Response, ...], instrument: str, window: Window) -> float | None:
    """Score of the response closest to the window's target; before surgery that is the latest."""
    scored = []
    for response in responses:
        days = (response.on - index.on).days
        value = score(instrument, response.answers) if response.instrument.key == instrument else None
        if value is not None and window.holds(days):
            scored.append((window.distance(days), value))
    return min(scored)[1] if scored else None


def _result(name: str, operations: list[float]) -> Expected:
    count = len(operations)
    value = round(math.fsum(operations) / count, 9) if count else None
    if "-change-" in name:
        return Expected("mean", count, None, value)
    return Expected("proportion", count, round(sum(operations)), value)
