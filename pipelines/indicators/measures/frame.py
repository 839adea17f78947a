"""The order of judgement (docs/indicators.md): what every shape has around it, one statement per indicator."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.measures.answers import answer_sql
from pipelines.indicators.measures.conditions import ConditionSql, condition_sql
from pipelines.indicators.measures.sql import EVER, EVIDENCE, closes
from pipelines.indicators.references import about_death, asks_end, death_events
from pipelines.indicators.shapes import (
    ChangeBetween,
    FailureToRescue,
    FollowUpEnd,
    ResponseRate,
    TimeToEvent,
    ValueInWindow,
    Window,
)
from pipelines.sqlonfhir.values import quote

OUTCOME_TABLE = f"""
CREATE OR REPLACE TABLE outcome_patient (
    institution VARCHAR, outcome_set VARCHAR, indicator VARCHAR, indicator_version VARCHAR, patient_key VARCHAR,
    index_key VARCHAR, index_date DATE, index_end DATE, status VARCHAR, reason VARCHAR, numerator BOOLEAN,
    value DOUBLE, evidence {EVIDENCE}[])
"""

_FRAME = """
INSERT INTO outcome_patient
WITH cases AS (SELECT * FROM index_event WHERE cohort = {cohort}), {tables}
judged AS (
    SELECT c.*, CASE {judgements} END AS set_aside, {measure_end} AS measure_end, {because} AS because
    FROM cases AS c
    {joins}
), followed AS (
    SELECT * FROM judged WHERE set_aside IS NULL
), {answer}, {ending}, told AS (
    SELECT judged.*, answer.numerator AS answer_numerator, answer.value AS answer_value,
           CASE WHEN set_aside IS NOT NULL THEN set_aside
                WHEN ending.means IN ('excluded', 'missing')
                THEN {{'status': ending.means, 'reason': ending.entry.event}}
                WHEN ending.means IS NOT NULL THEN {{'status': 'included', 'reason': NULL}}
                WHEN ending.in_doubt THEN {{'status': 'missing', 'reason': 'event date incomplete'}}
                WHEN answer.reason IS NOT NULL
                THEN {{'status': coalesce(answer.status, 'missing'), 'reason': answer.reason}}
                ELSE {{'status': 'included', 'reason': NULL}} END AS verdict,
           CASE WHEN set_aside IS NOT NULL THEN []
                WHEN ending.means IS NOT NULL THEN [ending.entry]
                WHEN ending.in_doubt THEN []
                ELSE answer.evidence END AS found, ending.means
    FROM judged
    LEFT JOIN answer ON answer.index_id = judged.index_id
    LEFT JOIN ending ON ending.index_id = judged.index_id
)
SELECT institution, {outcome_set}, {indicator}, {version}, patient_key, index_key, index_date, index_end,
       verdict.status, verdict.reason,
       CASE WHEN verdict.status <> 'included' THEN NULL WHEN means IS NOT NULL THEN means = 'met'
            ELSE answer_numerator END,
       CASE WHEN verdict.status = 'included' AND means IS NULL THEN answer_value END,
       list_concat(
           [{{'role': 'index', 'event': {index}, 'resource_key': index_key, 'moment': index_text}}],
           CASE WHEN stay_key IS NOT NULL
                THEN [{{'role': 'stay', 'event': {stay}, 'resource_key': stay_key, 'moment': stay_text}}]
                ELSE [] END, because, found)
FROM told
"""

_NO_ENDING = f"""
ending AS (
    SELECT NULL::BIGINT AS index_id, NULL::VARCHAR AS means, false AS in_doubt, NULL::{EVIDENCE} AS entry WHERE false
)
"""

# An event of a later day than the index date that comes before the answer; of several that do, the first.
_ENDING = f"""
ends AS (
    SELECT c.index_id, rule.place, rule.means, e.low, e.high, e.resource_key,
           {{{{'role': 'follow_up_end', 'event': rule.event, 'resource_key': e.resource_key,
              'moment': e.text}}}} AS entry,
           coalesce(e.low > c.index_date AND e.high <= c.measure_end
                    AND e.high < coalesce(answer.found_low, 'infinity'::DATE), false) AS certain
    FROM followed AS c
    JOIN answer ON answer.index_id = c.index_id
    JOIN event AS e ON e.institution = c.institution AND e.patient_key = c.patient_key
    JOIN (VALUES {{rules}}) AS rule (event, place, means) ON rule.event = e.event
    WHERE e.event IN ({{names}}) AND coalesce(e.high > c.index_date, true) AND coalesce(e.low <= c.measure_end, true)
      AND NOT coalesce(e.low >= answer.found_high, false)
), first_end AS (
    SELECT index_id, arg_min({{{{'means': means, 'entry': entry, 'high': high}}}}, (high, place, resource_key))
                         FILTER (certain) AS one,
           min(coalesce(low, {EVER})) FILTER (NOT certain) AS doubtful_from
    FROM ends
    GROUP BY index_id
), ending AS (
    SELECT index_id, coalesce(doubtful_from < one.high, doubtful_from IS NOT NULL) AS in_doubt,
           CASE WHEN NOT in_doubt THEN one.means END AS means, one.entry
    FROM first_end
)
"""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The conditions of an indicator in SQL, and what its parent (failure to rescue) adds."""

    denominator: list[ConditionSql]
    exclusions: list[ConditionSql]
    parent: str | None

    @property
    def tables(self) -> str:
        every = [table for one in (*self.exclusions, *self.denominator) for table in one.tables]
        if self.parent is not None:
            every.append(
                f"parent AS (SELECT institution, index_key, index_date, status, reason, numerator, evidence"
                f" FROM outcome_patient WHERE indicator = {quote(self.parent)} AND index_date IS NOT NULL)"
            )
        return "".join(f"{table}, " for table in every)

    @property
    def joins(self) -> str:
        every = [one.join for one in (*self.exclusions, *self.denominator)]
        if self.parent is not None:
            every.append(
                "LEFT JOIN parent ON parent.institution = c.institution AND parent.index_key = c.index_key"
                " AND parent.index_date = c.index_date"
            )
        return "\n    ".join(every)


def frame(indicator: Indicator, outcome_set: OutcomeSet, wanted: dict[tuple[str, str, str, str], int]) -> str:
    """The statement that adds the rows of one indicator to `outcome_patient`; its parameter is `$as_of`."""
    cohort = outcome_set.cohorts[indicator.cohort]
    parts = _conditions(indicator, outcome_set)
    return _FRAME.format(
        cohort=quote(indicator.cohort),
        tables=parts.tables,
        judgements=_judgements(indicator, outcome_set, parts),
        measure_end=_measure_end(indicator, outcome_set),
        because=_because(parts),
        joins=parts.joins,
        answer=answer_sql(indicator.measure, indicator.cohort, wanted),
        ending=_ending(indicator.follow_up_ends),
        outcome_set=quote(outcome_set.id),
        indicator=quote(indicator.id),
        version=quote(indicator.version),
        index=quote(cohort.index),
        stay=quote(cohort.stay or ""),
    )


def _conditions(indicator: Indicator, outcome_set: OutcomeSet) -> _Parts:
    within = len(indicator.denominator.conditions) if indicator.denominator else 0
    written = [
        condition_sql(
            one,
            number,
            "denominator" if number < within else "exclusion",
            about_death=one.event is not None and about_death(one.event, outcome_set.events),
        )
        for number, one in enumerate(indicator.conditions)
    ]
    parent = indicator.measure.of if isinstance(indicator.measure, FailureToRescue) else None
    return _Parts(written[:within], written[within:], parent)


def _judgements(indicator: Indicator, outcome_set: OutcomeSet, parts: _Parts) -> str:
    """The WHEN clauses of what takes a case out before its measure is looked at, in the order of judgement."""
    steps = [("c.excluded_reason IS NOT NULL", "'excluded'", "c.excluded_reason")]
    if parts.parent is not None:
        steps += [
            ("parent.status <> 'included'", "parent.status", "parent.reason"),
            ("NOT parent.numerator", "'outside'", quote(parts.parent)),
        ]
    steps += [(one.holds, "'excluded'", quote(one.rule)) for one in parts.exclusions]
    steps += [(f"NOT ({one.holds})", "'outside'", quote(one.rule)) for one in parts.denominator]
    ends = [closes(condition.window) for condition in indicator.conditions if condition.window is not None]
    ends.append(f"({_measure_end(indicator, outcome_set)} + {indicator.follow_up_days})")
    steps += [(f"{end} > $as_of", "'pending'", "'follow-up not complete'") for end in dict.fromkeys(ends)]
    if asks_end(indicator):
        steps.append(("c.end_fault IS NOT NULL", "'missing'", "c.end_fault"))
        steps.append(("c.index_end IS NULL", "'pending'", "'still admitted'"))
    if _asks_patient(indicator) or death_events(indicator, outcome_set.events):
        steps.append(("NOT c.has_record", "'missing'", "'no patient record'"))
    if isinstance(indicator.measure, TimeToEvent) or death_events(indicator, outcome_set.events):
        steps.append(("c.death_high < c.index_date", "'missing'", "'death before index'"))
    steps += [(f"({one.holds}) IS NULL", "'missing'", one.doubt) for one in (*parts.exclusions, *parts.denominator)]
    return "\n         ".join(f"WHEN {when} THEN {{'status': {s}, 'reason': {r}}}" for when, s, r in steps)


def _measure_end(indicator: Indicator, outcome_set: OutcomeSet) -> str:
    """The last day of the measure's own window; of measures that have none the index date."""
    measure = indicator.measure
    match measure:
        case ChangeBetween():
            return f"(c.index_date + ({max(outcome_set.moments[m].to_day for m in (measure.before, measure.after))}))"
        case ResponseRate():
            return f"(c.index_date + ({max(outcome_set.moments[m].to_day for m in measure.moments)}))"
    window = getattr(measure, "window", None)
    return closes(window) if isinstance(window, Window) else "c.index_date"


def _asks_patient(indicator: Indicator) -> bool:
    about = (c for c in indicator.conditions if (c.age_from, c.age_below, c.sex) != (None, None, None))
    measure = indicator.measure
    by_sex = isinstance(measure, ValueInWindow) and measure.target_by_sex is not None
    return by_sex or isinstance(measure, TimeToEvent) or any(True for _ in about)


def _because(parts: _Parts) -> str:
    """Evidence of what put the case in, or took it out."""
    out = "".join(
        f" WHEN struct_extract(set_aside, 'status') = 'excluded' AND ({one.holds}) THEN {one.evidence}"
        for one in parts.exclusions
    )
    lists = [one.evidence for one in parts.denominator]
    if parts.parent is not None:
        lists.append(
            "list_transform(list_filter(parent.evidence, lambda entry: entry.role = 'measure'), lambda entry:"
            " {'role': 'denominator', 'event': entry.event, 'resource_key': entry.resource_key,"
            " 'moment': entry.moment})"
        )
    into = f"list_concat({', '.join(lists)})" if lists else "[]"
    cases = f"WHEN c.excluded_reason IS NOT NULL THEN []{out} WHEN set_aside IS NULL THEN {into}"
    return f"CASE {cases} ELSE [] END::{EVIDENCE}[]"


def _ending(ends: list[FollowUpEnd]) -> str:
    if not ends:
        return _NO_ENDING
    rules = ", ".join(f"({quote(end.event)}, {place}, {quote(end.means)})" for place, end in enumerate(ends))
    return _ENDING.format(rules=rules, names=", ".join(quote(end.event) for end in ends))
