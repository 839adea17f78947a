"""From measurements to a verdict per indicator: ready, partly or not, with what is in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelines.feedback.dutch import percent
from pipelines.fitgap.criteria import Criteria, Criterion
from pipelines.fitgap.measure import Count, Measured
from pipelines.indicators.elements import AtMoment, Check, Requirement
from pipelines.indicators.selections import label
from pipelines.indicators.table_roles import TableRoles

_TABLE_WIDE = (Check.ACCEPTED, Check.PRESENT, Check.TIMELY)

_BUILDS = (
    Check.PRESENT, Check.FOUND, Check.RESOLVED, Check.RECORDED, Check.INDEX_PATIENT, Check.FOLLOWED, Check.MOMENT,
    Check.ANSWERED,
)  # fmt: skip
"""When these find nothing at all, gaps in what the element builds on explain that."""


class Status(StrEnum):
    """A verdict, best first; `unknown` when there was nothing to judge by."""

    READY = "ready"
    PARTLY = "partly"
    NOT = "not"
    UNKNOWN = "unknown"


_ORDER = [Status.UNKNOWN, Status.READY, Status.PARTLY, Status.NOT]


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing in the way of one indicator. Gaps with the same `key` are mended by one and the same fix."""

    key: str
    element: str
    check: Check
    status: Status
    cause_nl: str
    who_nl: str
    fix_nl: str


@dataclass(frozen=True, slots=True)
class IndicatorVerdict:
    """What the data of one institution can do for one indicator; the first gap is the cause."""

    outcome_set: str
    indicator: str
    status: Status
    gaps: tuple[Gap, ...]


def worst(statuses: Sequence[Status]) -> Status:
    """The worst of them; unknown when there is none."""
    return max(statuses, key=_ORDER.index, default=Status.UNKNOWN)


def judge(criterion: Criterion, count: Count) -> Status:
    """The status of one check: by the first case, or by the share; a share of nothing is unknown."""
    lowest = Status(criterion.at_worst)
    if criterion.ready is None or criterion.partly is None:
        return Status.READY if count.part else lowest
    if count.share is None:
        return Status.UNKNOWN
    if count.share >= criterion.ready:
        return Status.READY
    return Status.PARTLY if count.share >= criterion.partly else lowest


def judge_indicator(
    needs: Sequence[Requirement],
    measured: Mapping[str, Measured],
    criteria: Criteria,
    roles: Mapping[str, TableRoles],
) -> IndicatorVerdict:
    """The verdict over the requirements of one indicator at one institution.

    A requirement that is not mandatory makes it partly ready at worst. What cannot be there because something that it
    builds on is missing counts in the verdict, but is no gap of its own: mending the first may mend it too.

    Args:
        needs: each after those it builds on.
        measured: by element.
    """
    statuses: dict[str, Status] = {}
    found: list[Status] = []
    gaps: dict[str, Gap] = {}
    for need in needs:
        judged = list(_judge_checks(need, measured[need.element], criteria))
        nothing = False
        for check, status in judged:
            count = measured[need.element].counts[check]
            upstream = [statuses.get(element) for element in need.builds_on if check in _BUILDS]
            explained = count.part == 0 and (nothing or any(map(_is_gap, upstream)))
            if _is_gap(status) and not explained:
                gap = _gap(need, check, status, count, criteria, roles)
                gaps.setdefault(gap.key, gap)
            nothing = nothing or (_is_gap(status) and count.part == 0)
        found.append(worst([status for _, status in judged]))
        statuses[need.element] = found[-1]
    ordered = sorted(gaps.values(), key=lambda gap: -_ORDER.index(gap.status))
    return IndicatorVerdict(needs[0].outcome_set, needs[0].indicator, worst(found), tuple(ordered))


def _is_gap(status: Status | None) -> bool:
    return status in (Status.PARTLY, Status.NOT)


def _judge_checks(need: Requirement, measured: Measured, criteria: Criteria) -> Iterator[tuple[Check, Status]]:
    for check in need.checks:
        status = judge(criteria.checks[check], measured.counts[check])
        if status == Status.NOT and not need.mandatory:
            status = Status.PARTLY
        yield check, status


def _gap(
    need: Requirement,
    check: Check,
    status: Status,
    count: Count,
    criteria: Criteria,
    roles: Mapping[str, TableRoles],
) -> Gap:
    criterion = criteria.checks[check]
    minimum = criteria.minimum_for_display
    share = percent(count.share or 0) if count.whole >= minimum else f"te weinig van de minder dan {minimum} gevallen"
    words = {
        "title": need.title_nl,
        "subject": need.subject_nl,
        "rows": roles[need.table].title_nl,
        "profile": roles[need.table].profile_nl,
        "share": share,
        "needed": f"{(criterion.ready or 0) * 100:.0f}%",
        "value_set": need.value_sets[0] if need.value_sets else "",
        "value_sets": _named(need.value_sets),
        "days": criteria.timely_days.get(need.role, ""),
    }
    return Gap(
        key=_fix_key(need, check),
        element=need.element,
        check=check,
        status=status,
        cause_nl=criterion.gap_nl.format(**words),
        who_nl=criterion.who_nl,
        fix_nl=criterion.fix_nl.format(**words),
    )


def _named(value_sets: Sequence[str]) -> str:
    if not value_sets:
        return "de waardelijsten van de indicator"
    if len(value_sets) == 1:
        return f"de waardelijst {value_sets[0]}"
    return f"de waardelijsten {', '.join(value_sets[:-1])} en {value_sets[-1]}"


def _fix_key(need: Requirement, check: Check) -> str:
    """Gaps that one fix mends share a key: a whole table, or all questionnaires of one moment."""
    if check in _TABLE_WIDE:
        return f"{need.table}:{check}"
    if isinstance(need.scope, AtMoment):
        at = need.scope
        return f"{need.table}@{label(at.index)}:{at.from_day}..{at.to_day}:{check}"
    return f"{need.element}:{check}"
