"""From measurements to a verdict per indicator: ready, partly or not, with what is in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelines.feedback.dutch import percent
from pipelines.fitgap.criteria import Criteria, Criterion
from pipelines.fitgap.measure import Count, Measured
from pipelines.indicators.requirements import AtMoment, Check, Requirement, Role
from pipelines.indicators.table_roles import TableRoles

_TABLE_WIDE = (Check.ACCEPTED, Check.PRESENT, Check.TIMELY)

_SCORED = (Role.INDEX_EVENT, Role.INDEX_DATE, Role.PATIENT, Role.QUESTIONNAIRE, Role.RESPONSE_DATE, Role.SCORE)
_BUILDS_ON: Mapping[tuple[Role, Check], tuple[Role, ...]] = {
    (Role.INDEX_EVENT, Check.FOUND): (Role.CODE,),
    (Role.EVENT, Check.FOUND): (Role.CODE,),
    (Role.DEATH, Check.RECORDED): (Role.INDEX_EVENT, Role.INDEX_DATE, Role.PATIENT),
    (Role.QUESTIONNAIRE, Check.INDEX_PATIENT): (Role.INDEX_EVENT, Role.INDEX_DATE, Role.PATIENT),
    **{
        (role, check): _SCORED
        for role in (Role.SCORE_BEFORE, Role.SCORE_AFTER)
        for check in (Check.FOLLOWED, Check.MOMENT, Check.ANSWERED)
    },
}
"""When a check finds nothing at all, the roles whose gaps explain that."""


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
        needs: in the order of `Role`.
        measured: by element.
    """
    statuses: dict[Role, Status] = {}
    found: list[Status] = []
    gaps: dict[str, Gap] = {}
    for need in needs:
        judged = list(_judge_checks(need, measured[need.element], criteria))
        nothing = False
        for check, status in judged:
            count = measured[need.element].counts[check]
            upstream = (statuses.get(role) for role in _BUILDS_ON.get((need.role, check), ()))
            explained = count.part == 0 and (nothing or any(map(_is_gap, upstream)))
            if _is_gap(status) and not explained:
                gap = _gap(need, check, status, count, criteria, roles)
                gaps.setdefault(gap.key, gap)
            nothing = nothing or (_is_gap(status) and count.part == 0)
        found.append(worst([status for _, status in judged]))
        statuses[need.role] = worst([statuses.get(need.role, Status.UNKNOWN), found[-1]])
    ordered = sorted(gaps.values(), key=lambda gap: -_ORDER.index(gap.status))
    return IndicatorVerdict(needs[0].outcome_set, needs[0].indicator, worst(found), tuple(ordered))


def _is_gap(status: Status | None) -> bool:
    return status in (Status.PARTLY, Status.NOT)


def _judge_checks(need: Requirement, measured: Measured, criteria: Criteria) -> Iterator[tuple[Check, Status]]:
    for check in need.checks:
        status = judge(criteria.checks[check], measured.counts[check])
        if status == Status.NOT and not need.mandatory and check not in (Check.ACCEPTED, Check.PRESENT):
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
        "value_set": need.value_set or "",
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


def _fix_key(need: Requirement, check: Check) -> str:
    """Gaps that one fix mends share a key: a whole table, or all questionnaires of one moment."""
    if check in _TABLE_WIDE:
        return f"{need.table}:{check}"
    if isinstance(need.scope, AtMoment):
        at = need.scope
        return f"{need.table}@{at.index.value_set}:{at.from_day}..{at.to_day}:{check}"
    return f"{need.element}:{check}"
