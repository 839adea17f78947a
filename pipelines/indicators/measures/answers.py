"""What a measure found, per case that is followed: one template per shape.

Each gives relation `answer`: index_id, `reason` (why there is no answer; null when there is one), `status` (null:
included, or missing when there is a reason), numerator, value, `found_low` and `found_high` (the first day by which the
answer can be there, and the one by which it is), and evidence.
"""

from __future__ import annotations

from pipelines.indicators.measures.durations import duration
from pipelines.indicators.measures.sql import EVIDENCE, in_range, pairs, tally
from pipelines.indicators.measures.survival import time_to_event
from pipelines.indicators.shapes import (
    AllOrNone,
    ChangeBetween,
    Duration,
    EventWithin,
    FailureToRescue,
    Measure,
    ResponseRate,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
    Window,
)
from pipelines.sqlonfhir.values import quote

_EVENT_WITHIN = """
tally AS ({tally}), answer AS (
    SELECT c.index_id, NULL::VARCHAR AS status,
           CASE WHEN coalesce(tally.possible, false) AND NOT tally.sure THEN 'event date incomplete' END AS reason,
           coalesce(tally.sure, false) <> {absent} AS numerator, NULL::DOUBLE AS value,
           CASE WHEN tally.possible THEN tally.found_low END AS found_low,
           CASE WHEN tally.sure THEN tally.found_high END AS found_high,
           CASE WHEN tally.sure THEN tally.evidence ELSE [] END AS evidence
    FROM followed AS c
    LEFT JOIN tally ON tally.index_id = c.index_id
)
"""

_LAST_VALUE = """
candidate AS MATERIALIZED (SELECT * FROM ({pairs}) WHERE value IS NOT NULL), best AS (
    SELECT * FROM candidate WHERE inside
    QUALIFY row_number() OVER (PARTITION BY index_id ORDER BY {order}) = 1
), doubt AS (
    SELECT index_id, min(candidate.earliest) AS found_low, min(candidate.high) FILTER (candidate.inside) AS found_high,
           bool_or(best.index_id IS NULL
                   OR (candidate.resource_key <> best.resource_key AND coalesce({doubt}, false))) AS in_doubt
    FROM candidate
    LEFT JOIN best USING (index_id)
    GROUP BY index_id
)
"""

_VALUE = """
{found}, answer AS (
    SELECT c.index_id, NULL::VARCHAR AS status,
           CASE WHEN doubt.in_doubt THEN 'event date incomplete'
                WHEN best.index_id IS NULL AND {unmeasured_is_missing} THEN 'no value' {no_sex} END AS reason,
           {numerator} AS numerator, best.value, doubt.found_low, doubt.found_high,
           CASE WHEN reason IS NULL AND best.index_id IS NOT NULL
                THEN [{{'role': 'measure', 'event': {event}, 'resource_key': best.resource_key, 'moment': best.text}}]
                ELSE [] END AS evidence
    FROM followed AS c
    LEFT JOIN doubt ON doubt.index_id = c.index_id
    LEFT JOIN best ON best.index_id = c.index_id
)
"""

_COMPLETE = "(candidate.low = candidate.high AND best.low = best.high)"
_ORDER = {
    "last": "low DESC, high DESC, instant DESC NULLS LAST, resource_key, value, text",
    "first": "high, low, instant NULLS FIRST, resource_key, value, text",
    "lowest": "value, resource_key, low, text",
    "highest": "value DESC, resource_key, low, text",
}
_DOUBT = {
    "last": f"coalesce(candidate.high >= best.low, true) AND NOT coalesce({_COMPLETE}, false)",
    "first": f"coalesce(candidate.low <= best.high, true) AND NOT coalesce({_COMPLETE}, false)",
    "lowest": "NOT candidate.inside AND candidate.value < best.value",
    "highest": "NOT candidate.inside AND candidate.value > best.value",
}

_SCORED = """
scored AS (
    SELECT c.index_id, {columns}
    FROM followed AS c
    {joins}
), answer AS (
    SELECT index_id, NULL::VARCHAR AS status, {reason} AS reason, {numerator} AS numerator, {value} AS value,
           CASE WHEN {complete} THEN greatest({days}) END AS found_low, found_low AS found_high,
           list_filter([{entries}], lambda entry: entry.resource_key IS NOT NULL) AS evidence
    FROM scored
)
"""

_SHARE = """
part AS (
    SELECT DISTINCT institution, resource_key FROM event WHERE event = {part}
), answer AS (
    SELECT c.index_id, NULL::VARCHAR AS status, NULL::VARCHAR AS reason, part.resource_key IS NOT NULL AS numerator,
           NULL::DOUBLE AS value, NULL::DATE AS found_low, NULL::DATE AS found_high,
           CASE WHEN numerator THEN [{{'role': 'measure', 'event': {part}, 'resource_key': c.index_key,
                                       'moment': c.index_text}}] ELSE [] END AS evidence
    FROM followed AS c
    LEFT JOIN part ON part.institution = c.institution AND part.resource_key = c.index_key
)
"""

_VOLUME = f"""
answer AS (
    SELECT index_id, NULL::VARCHAR AS status, NULL::VARCHAR AS reason, true AS numerator,
           1::DOUBLE AS value, NULL::DATE AS found_low, NULL::DATE AS found_high, []::{EVIDENCE}[] AS evidence
    FROM followed
)
"""

# A part that the case is no part of (excluded, outside) asks nothing of it. Pending comes first: no quick "no".
_ALL_OR_NONE = f"""
part AS (
    SELECT c.index_id, o.status, o.reason, o.numerator <> wanted.met AS other, wanted.place,
           list_filter(o.evidence, lambda entry: entry.role NOT IN ('index', 'stay')) AS evidence
    FROM followed AS c
    JOIN outcome_patient AS o ON o.institution = c.institution AND o.index_key = c.index_key
        AND o.index_date = c.index_date
    JOIN (VALUES {{parts}}) AS wanted (indicator, met, place) ON wanted.indicator = o.indicator
    WHERE o.status NOT IN ('excluded', 'outside')
), combined AS (
    SELECT index_id, bool_or(status = 'pending') AS pending, coalesce(bool_or(other), false) AS other,
           arg_min(reason, place) FILTER (status = 'pending') AS pending_reason,
           arg_min(reason, place) FILTER (status = 'missing') AS missing_reason,
           flatten(list(evidence ORDER BY place) FILTER (other)) AS against,
           flatten(list(evidence ORDER BY place)) AS everything
    FROM part
    GROUP BY index_id
), answer AS (
    SELECT c.index_id,
           CASE WHEN combined.index_id IS NULL THEN 'outside' WHEN pending THEN 'pending'
                WHEN other THEN NULL WHEN missing_reason IS NOT NULL THEN 'missing' END AS status,
           CASE status WHEN 'outside' THEN 'no part applies' WHEN 'pending' THEN pending_reason
                       WHEN 'missing' THEN missing_reason END AS reason,
           NOT other AS numerator, NULL::DOUBLE AS value, NULL::DATE AS found_low, NULL::DATE AS found_high,
           CASE WHEN status IS NOT NULL THEN [] WHEN other THEN against ELSE everything END::{EVIDENCE}[] AS evidence
    FROM followed AS c
    LEFT JOIN combined ON combined.index_id = c.index_id
)
"""


def answer_sql(measure: Measure, cohort: str, wanted: dict[tuple[str, str, str, str], int]) -> str:
    """The common table expressions of a measure, the last one named `answer`; they read `followed` and `event`.

    Args:
        wanted: the number of every score at a moment in `moment_score`, by cohort, instrument, score and moment.
    """
    match measure:
        case EventWithin():
            found = pairs("followed", measure.event, measure.window, same_side=measure.same_side)
            told = tally(found, measure.event, "measure", measure.at_least)
            return _EVENT_WITHIN.format(tally=told, absent=measure.absent)
        case FailureToRescue():
            told = tally(pairs("followed", measure.event, measure.window), measure.event, "measure", 1)
            return _EVENT_WITHIN.format(tally=told, absent=False)
        case ValueInWindow():
            return _value(measure)
        case ChangeBetween():
            return _change(measure, cohort, wanted)
        case ResponseRate():
            return _response(measure, cohort, wanted)
        case Duration():
            return duration(measure)
        case TimeToEvent():
            return time_to_event(measure)
        case AllOrNone():
            named = [(name, "true") for name in measure.met] + [(name, "false") for name in measure.not_met]
            parts = ", ".join(f"({quote(name)}, {met}, {place})" for place, (name, met) in enumerate(named))
            return _ALL_OR_NONE.format(parts=parts)
        case ShareOfVolume(part=part):
            return _VOLUME if part is None else _SHARE.format(part=quote(part))


def _value(measure: ValueInWindow) -> str:
    no_sex, target = "", "NULL::BOOLEAN"
    if measure.target is not None:
        target = in_range("best.value", measure.target)
    elif measure.target_by_sex is not None:
        cases = measure.target_by_sex.items()
        whens = " ".join(f"WHEN {quote(sex)} THEN {in_range('best.value', one)}" for sex, one in cases)
        target = f"CASE c.sex {whens} END"
        no_sex = "WHEN c.sex IS NULL OR c.sex NOT IN ('female', 'male') THEN 'sex unknown'"
    has_target = target != "NULL::BOOLEAN"
    found = pairs("followed", measure.event, measure.window)
    return _VALUE.format(
        found=_LAST_VALUE.format(pairs=found, order=_ORDER[measure.pick], doubt=_DOUBT[measure.pick]),
        unmeasured_is_missing=measure.unmeasured == "missing",
        no_sex=no_sex,
        numerator=f"coalesce({target}, false)" if has_target else target,
        event=quote(measure.event),
    )


def last_value(cases: str, event: str, window: Window) -> str:
    """Relations `best` (the row with the last value in the window) and `doubt` (`in_doubt`: it may not be the last)."""
    return _LAST_VALUE.format(pairs=pairs(cases, event, window), order=_ORDER["last"], doubt=_DOUBT["last"])


def _scored(
    names: list[tuple[str, str]], measure: ChangeBetween | ResponseRate, numbers: list[int], **texts: str
) -> str:
    """The scores of a case at some moments side by side; `names` are (alias, moment)."""
    aliases = [alias for alias, _ in names]
    event = quote(f"{measure.instrument}/{measure.score}")
    return _SCORED.format(
        columns=", ".join(
            f"{a}.goodness AS {a}, {a}.resource_key AS {a}_key, {a}.scored_date AS {a}_date" for a in aliases
        ),
        joins="\n    ".join(
            f"LEFT JOIN moment_score AS {a} ON {a}.index_id = c.index_id AND {a}.wanted_id = {number}"
            for a, number in zip(aliases, numbers, strict=True)
        ),
        complete=" AND ".join(f"{a} IS NOT NULL" for a in aliases),
        days=", ".join(f"{a}_date" for a in aliases),
        entries=", ".join(
            f"{{'role': 'measure', 'event': {event}, 'resource_key': {a}_key, 'moment': {a}_date::VARCHAR}}"
            for a in aliases
        ),
        **texts,
    )


def _change(measure: ChangeBetween, cohort: str, wanted: dict[tuple[str, str, str, str], int]) -> str:
    score = cohort, measure.instrument, measure.score
    # Rounded far below any unit of a score, so that 0.71 - 0.40 is at least 0.31.
    enough = "NULL::BOOLEAN" if measure.at_least is None else f"round(after - before, 9) >= {measure.at_least!r}"
    return _scored(
        [("before", measure.before), ("after", measure.after)],
        measure,
        [wanted[(*score, measure.before)], wanted[(*score, measure.after)]],
        reason="""CASE WHEN before IS NULL AND after IS NULL THEN 'no score before and after'
                       WHEN before IS NULL THEN 'no score before'
                       WHEN after IS NULL THEN 'no score after' END""",
        numerator=enough,
        value="after - before",
    )


def _response(measure: ResponseRate, cohort: str, wanted: dict[tuple[str, str, str, str], int]) -> str:
    score = cohort, measure.instrument, measure.score
    names = [(f"moment_{n}", moment) for n, moment in enumerate(measure.moments)]
    return _scored(
        names,
        measure,
        [wanted[(*score, moment)] for moment in measure.moments],
        reason="NULL::VARCHAR",
        numerator=" AND ".join(f"{alias} IS NOT NULL" for alias, _ in names),
        value="NULL::DOUBLE",
    )
