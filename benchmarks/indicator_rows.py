"""Zib rows of many patients for every outcome set, made from the declared events, in DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.events import RowEvent, ScoreEvent
from pipelines.indicators.references import PATIENT_TABLE
from pipelines.indicators.stories import columns_read, inside
from pipelines.indicators.table_roles import TableRoles

ROWS_PER_PATIENT = 60
_HOSPITALS = 12
_SHARE = 40  # per cent of a set's patients that have an event which is not the index event
_KEY = f"'H' || p % {_HOSPITALS} AS institution, 'P' || p AS patient_key"
_OTHER = "zib_laboratory_test_result"  # where everything lies that no indicator asks for


def make_rows(
    connection: duckdb.DuckDBPyConnection, sets: Sequence[OutcomeSet], roles: Mapping[str, TableRoles], patients: int
) -> int:
    """Create and fill the zib tables, `zib_coding` and `prom_score`; the number of rows made.

    Every patient belongs to one set: an index event between 2021 and 2024, 40% of the other events of the set on a day
    -200 to 400 around it, and a score at every moment of every questionnaire that is asked. Results of a laboratory
    that no indicator asks for fill up to 60 rows per patient.
    """
    columns: dict[str, dict[str, str]] = {}
    for outcome_set in sets:
        for table, own in columns_read(outcome_set, roles).items():
            columns.setdefault(table, {}).update(own)
    for table, own in columns.items():
        declared = ", ".join(f'"{name}" {kind}' for name, kind in own.items())
        connection.execute(f"CREATE TABLE {table} ({declared})")
    connection.execute(
        """CREATE TABLE zib_coding (institution VARCHAR, codings_id VARCHAR, position BIGINT, system VARCHAR,
               code VARCHAR);
           CREATE TABLE prom_score (institution VARCHAR, patient_key VARCHAR, resource_key VARCHAR, instrument VARCHAR,
               instrument_version VARCHAR, score VARCHAR, direction VARCHAR, scored_date DATE, value DOUBLE,
               missing_reason VARCHAR, status VARCHAR, answered_by VARCHAR, scored_by VARCHAR)"""
    )
    connection.execute(
        f"CREATE TEMP TABLE person AS SELECT p, p % {len(sets)} AS own_set, "
        f"DATE '2021-01-01' + (hash(p) % 1400)::INTEGER AS day_0 FROM range({patients}) AS t(p)"
    )
    connection.execute(
        f"""INSERT INTO {PATIENT_TABLE} BY NAME
            SELECT {_KEY}, 'P' || p AS resource_key, CASE p % 2 WHEN 0 THEN 'female' ELSE 'male' END AS gender,
                   1930 + hash(p, 'born') % 60 || '-03-01' AS birth_date_text,
                   CASE WHEN hash(p, 'dies') % 20 = 0 THEN (day_0 + (hash(p, 'd') % 700)::INTEGER)::VARCHAR END
                       AS death_date_text, death_date_text IS NOT NULL AS deceased
            FROM person"""
    )
    for number, outcome_set in enumerate(sets):
        for statement in _set_rows(outcome_set, number, roles):
            connection.execute(statement)
    return _fill_up(connection, [*columns, "prom_score"], roles, patients)


def _set_rows(outcome_set: OutcomeSet, number: int, roles: Mapping[str, TableRoles]) -> Iterator[str]:
    first = {cohort.index for cohort in outcome_set.cohorts.values()}
    stays = {cohort.stay for cohort in outcome_set.cohorts.values()}
    linked = {name for event in outcome_set.events.values() if isinstance(event, RowEvent)
              for name in event.linked.values()}  # fmt: skip
    for name, event in outcome_set.events.items():
        always = name in first or name in stays or name in linked
        who = f"own_set = {number}" + ("" if always else f" AND hash(p, '{name}') % 100 < {_SHARE}")
        offset = "0" if name in first or name in stays else f"(hash(p, '{name}', 'day') % 600)::INTEGER - 200"
        if isinstance(event, RowEvent) and event.table != PATIENT_TABLE:
            yield from _event_rows(outcome_set, name, event, roles[event.table], who, offset)
        elif isinstance(event, ScoreEvent):
            yield _score(name, event.instrument, event.score, who, "30", event.value and inside(event.value))
    asked = {(a.instrument, outcome_set.moments[m].target_day) for a in outcome_set.proms.asked for m in a.moments}
    scores = {(i.measure.instrument, i.measure.score) for i in outcome_set.indicators if hasattr(i.measure, "score")}
    for instrument, score in sorted(scores):
        for day in sorted(day for name, day in asked if name == instrument):
            yield _score(f"{outcome_set.id}-{day}", instrument, score, f"own_set = {number}", str(day), None)


def _event_rows(
    outcome_set: OutcomeSet, name: str, event: RowEvent, role: TableRoles, who: str, offset: str
) -> Iterator[str]:
    wanted = [(role.codings, event.codes)] if role.codings and event.codes else []
    wanted += list(event.where[0].items()) if event.where else []
    hour = f"lpad((hash(p, '{name}', 'hour') % 24)::VARCHAR, 2, '0')"
    day = f"(day_0 + {offset})::VARCHAR || 'T' || {hour} || ':15:00+01:00'"
    values = {"institution": f"'H' || p % {_HOSPITALS}", "resource_key": f"'{outcome_set.id}-{name}-' || p"}
    if role.patient:
        values[role.patient] = "'P' || p"
    if role.status and event.status:
        values[role.status] = f"'{event.status[0]}'"
    for column, value_set in wanted:
        code = outcome_set.value_sets[str(value_set)].codes[0]
        values[str(column)] = f"'{code.code}'"
        if str(column).endswith("_codings_id"):
            values[str(column)] = f"'{value_set}'"
            yield f"""INSERT INTO zib_coding SELECT 'H' || h, '{value_set}', 0, '{code.system}', '{code.code}'
                      FROM range({_HOSPITALS}) AS t(h)
                      WHERE NOT EXISTS (FROM zib_coding WHERE codings_id = '{value_set}')"""
    if role.start_text:
        values[role.start_text] = day
    if role.end_text:
        values[role.end_text] = f"(day_0 + {offset} + 6)::VARCHAR"
    column = event.value_column or role.value
    if column:
        values[column] = (
            f"(hash(p, '{name}', 'value') % 60)::DOUBLE" if event.value is None else str(inside(event.value))
        )
    for link, target in event.linked.items():
        values[link] = f"'{outcome_set.id}-{target}-' || p"
    selected = ", ".join(f'{sql} AS "{column}"' for column, sql in values.items())
    yield f"INSERT INTO {event.table} BY NAME SELECT {selected} FROM person WHERE {who}"


def _score(name: str, instrument: str, score: str, who: str, day: str, value: float | None) -> str:
    sql = f"(hash(p, '{name}', '{score}') % 100)::DOUBLE" if value is None else str(value)
    return f"""INSERT INTO prom_score
        SELECT {_KEY}, '{name}-{score}-' || p, '{instrument}', '1', '{score}', 'higher_is_better', day_0 + {day},
               {sql}, NULL, 'completed', 'patient', 'uitkomststroom'
        FROM person WHERE {who}"""


def _fill_up(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], roles: Mapping[str, TableRoles], patients: int
) -> int:
    made = sum(_count(connection, table) for table in tables)
    each = max(0, ROWS_PER_PATIENT * patients - made) // patients
    role = roles[_OTHER]
    connection.execute(
        f"""INSERT INTO {_OTHER} BY NAME
            SELECT {_KEY}, 'other-' || p || '-' || n AS resource_key, 'other-' || n AS "{role.codings}",
                   'final' AS "{role.status}", (n * 1.5) AS "{role.value}",
                   (day_0 + n::INTEGER * 7)::VARCHAR || 'T08:00:00+01:00' AS "{role.start_text}"
            FROM person, range({each}) AS t(n)"""
    )
    connection.execute(
        f"""INSERT INTO zib_coding SELECT 'H' || h, 'other-' || n, 0, 'http://loinc.org', 'other-' || n
            FROM range({_HOSPITALS}) AS a(h), range({each}) AS b(n)"""
    )
    return made + each * patients


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
