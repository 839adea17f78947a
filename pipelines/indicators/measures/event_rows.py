"""Table `event`: what happened to patients, under the names of an outcome set (docs/indicators.md).

Every ZIB table is scanned once per depth of `linked` events, whatever the number of events that come from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from graphlib import TopologicalSorter

import duckdb

from pipelines.formulae.macros import register
from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.events import AnyEvent, AnyKindOfEvent, ComputedEvent, RowEvent, ScoreEvent, named_by
from pipelines.indicators.measures.computed import computed_rows
from pipelines.indicators.measures.moments import define_moments
from pipelines.indicators.measures.sql import deaths, in_range
from pipelines.indicators.references import needed_events, planned_events
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.definition_rows import insert_rows
from pipelines.sqlonfhir.values import quote

_TABLES = """
CREATE OR REPLACE TEMP TABLE event (
    event VARCHAR, institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, low DATE, high DATE,
    instant TIMESTAMPTZ, end_low DATE, end_high DATE, end_instant TIMESTAMPTZ, text VARCHAR,
    end_text VARCHAR, value DOUBLE, side VARCHAR);
CREATE OR REPLACE TEMP TABLE code_member (value_set VARCHAR, system VARCHAR, code VARCHAR);
"""

_CODED = """
CREATE OR REPLACE TEMP TABLE coded AS
SELECT institution, codings_id, list(DISTINCT value_set) AS value_sets
FROM zib_coding
JOIN code_member USING (system, code)
GROUP BY institution, codings_id
"""

# Nothing after the reference date is looked at, but for planned events: a row that has not ended by then is still open.
_INSERT = """
INSERT INTO event
WITH written AS ({written}), dated AS (
    SELECT *, first_day(end_text) AS end_low, first_day(text) AS low FROM written
)
SELECT event, institution, patient_key, resource_key, low, final_day(text), instant(text),
       CASE WHEN end_low <= $as_of THEN end_low END,
       CASE WHEN end_low <= $as_of THEN final_day(end_text) END,
       CASE WHEN end_low <= $as_of THEN instant(end_text) END,
       text, CASE WHEN coalesce(end_low <= $as_of, true) THEN end_text END, value, side
FROM dated
WHERE coalesce(low <= $as_of, true) {planned}
"""

_SCORES = """
SELECT {name} AS event, institution, patient_key, resource_key, scored_date::VARCHAR AS text, NULL::VARCHAR AS end_text,
       value, NULL::VARCHAR AS side
FROM prom_score
WHERE instrument = {instrument} AND score = {score} AND value IS NOT NULL {in_range}
"""

_ANY = """
INSERT INTO event
SELECT DISTINCT {name}, * EXCLUDE (event) FROM event WHERE event IN ({parts})
"""


def fill_events(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], as_of: date
) -> None:
    """Create the temporary table `event` with every event that the set's cohorts, indicators and variables look at."""
    define_moments(connection)
    register(connection)
    connection.execute(_TABLES)
    sets = outcome_set.value_sets.items()
    insert_rows(connection, "code_member", [(name, c.system, c.code) for name, one in sets for c in one.codes])
    present = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_columns()").fetchall()}
    if "zib_coding" in present:
        connection.execute(_CODED)
    else:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE coded (institution VARCHAR, codings_id VARCHAR, value_sets VARCHAR[])"
        )
    needed = needed_events(outcome_set)
    sorter = TopologicalSorter({name: named_by(outcome_set.events[name]) for name in needed})
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        events = {name: outcome_set.events[name] for name in ready}
        for statement in _statements(events, outcome_set, roles, present):
            connection.execute(statement, {"as_of": as_of} if "$as_of" in statement else {})
        sorter.done(*ready)


def _statements(
    events: Mapping[str, AnyKindOfEvent], outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], present: set[str]
) -> list[str]:
    """What fills in events of one depth: those on rows of a table together, the others one by one."""
    by_table: dict[str, dict[str, RowEvent]] = {}
    statements = []
    planned = ", ".join(map(quote, sorted(planned_events(outcome_set.cohorts, outcome_set.events))))
    kept = f"OR event IN ({planned})" if planned else ""
    for name, event in events.items():
        match event:
            case RowEvent():
                by_table.setdefault(event.table, {})[name] = event
            case ScoreEvent() if "prom_score" in present:
                where = "" if event.value is None else f"AND {in_range('value', event.value)}"
                written = _SCORES.format(
                    name=quote(name), instrument=quote(event.instrument), score=quote(event.score), in_range=where
                )
                statements.append(_INSERT.format(written=written, planned=kept))
            case ScoreEvent():
                continue
            case AnyEvent():
                statements.append(_ANY.format(name=quote(name), parts=", ".join(map(quote, event.any_of))))
            case ComputedEvent():
                statements.append(computed_rows(name, event))
    for table, here in by_table.items():
        if table in present:
            written = _table_rows(table, here, roles[table], outcome_set.value_sets)
            statements.insert(0, _INSERT.format(written=written, planned=kept))
    return statements


def _table_rows(
    table: str, events: Mapping[str, RowEvent], role: TableRoles, value_sets: Mapping[str, ValueSet]
) -> str:
    """One scan of a table: its rows under the name of every event they are."""
    codings = sorted({name for event in events.values() for name in _codings_of(event, role)})
    linked = sorted({pair for event in events.values() for pair in event.linked.items()})
    required = role.codings if all(event.codes for event in events.values()) else None
    joins = [
        f"{'JOIN' if name == required else 'LEFT JOIN'} coded AS c{n}"
        f" ON c{n}.institution = t.institution AND c{n}.codings_id = t.{name}"
        for n, name in enumerate(codings)
    ]
    joins += [
        f"LEFT JOIN (SELECT DISTINCT institution, resource_key FROM event WHERE event = {quote(target)}) AS l{n}"
        f" ON l{n}.institution = t.institution AND l{n}.resource_key = t.{column}"
        for n, (column, target) in enumerate(linked)
    ]
    kinds = [
        f"CASE WHEN {_holds(event, role, codings, linked, value_sets)}"
        f" THEN {{'event': {quote(name)}, 'value': {_value(event, role)}, 'at_end': {event.at == 'end'}}} END"
        for name, event in events.items()
    ]
    error = "" if role.status is None else f"WHERE t.{role.status} IS DISTINCT FROM 'entered-in-error'"
    return f"""
    SELECT kind.event, institution, patient_key, resource_key,
           CASE WHEN kind.at_end THEN end_text ELSE text END AS text, end_text, kind.value AS value, side
    FROM (SELECT t.institution, {_column(role.patient)} AS patient_key, t.resource_key,
                 {_column(role.start_text)} AS text, {_column(role.end_text)} AS end_text,
                 {_column(role.laterality)} AS side,
                 unnest(list_filter([{", ".join(kinds)}], lambda kind: kind IS NOT NULL)) AS kind
          FROM {table if role.deceased is None else deaths(table, role)} AS t {" ".join(joins)} {error})
    WHERE NOT kind.at_end OR end_text IS NOT NULL
    """


def _column(name: str | None) -> str:
    return "NULL::VARCHAR" if name is None else f"t.{name}"


def _codings_of(event: RowEvent, role: TableRoles) -> list[str]:
    named = [column for one in event.where or [] for column in one if column.endswith("_codings_id")]
    return [*named, *([role.codings] if event.codes and role.codings else [])]


def _holds(
    event: RowEvent,
    role: TableRoles,
    codings: Sequence[str],
    linked: Sequence[tuple[str, str]],
    value_sets: Mapping[str, ValueSet],
) -> str:
    """Whether row `t` is this event."""

    def coded(column: str, value_set: str) -> str:
        if column in codings:
            return f"coalesce(list_contains(c{codings.index(column)}.value_sets, {quote(value_set)}), false)"
        return f"t.{column} IN ({', '.join(quote(code.code) for code in value_sets[value_set].codes)})"

    parts = []
    if event.codes and role.codings:
        parts.append(coded(role.codings, event.codes))
    if event.status and role.status:
        parts.append(f"t.{role.status} IN ({', '.join(map(quote, event.status))})")
    if event.where:
        alternatives = (" AND ".join(coded(*item) for item in one.items()) for one in event.where)
        parts.append("(" + " OR ".join(f"({one})" for one in alternatives) + ")")
    parts += [f"l{linked.index(pair)}.resource_key IS NOT NULL" for pair in event.linked.items()]
    if event.value is not None:
        parts.append(in_range(_value(event, role), event.value))
    if event.lasts_at_least is not None:
        end = f"first_day(t.{role.end_text})"
        ended = f"CASE WHEN t.{role.end_text} IS NULL THEN $as_of WHEN {end} IS NOT NULL THEN least({end}, $as_of) END"
        parts.append(f"coalesce({ended} - final_day(t.{role.start_text}) >= {event.lasts_at_least}, false)")
    return " AND ".join(parts) or "true"


def _value(event: RowEvent, role: TableRoles) -> str:
    """The value of row `t`; one with a comparator is a bound and no value."""
    column = event.value_column or role.value
    if column is None:
        return "NULL::DOUBLE"
    value = f"try_cast(t.{column} AS DOUBLE)"
    comparator = role.comparators.get(column)
    return value if comparator is None else f"(CASE WHEN t.{comparator} IS NULL THEN {value} END)"
