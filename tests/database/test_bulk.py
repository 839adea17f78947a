"""Rows that go in by COPY or by the driver come out as they were, on either database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.database.bulk import insert_rows, insert_table
from pipelines.database.models import Batch, OutcomePatient, Quarantine, columns_of, table_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "NULL", "\\N", '"', "\\.", "a,b\r\nc\td", "\0", "'; DROP TABLE batch; --", "1e5"]
)
KINDS: dict[type[sa.types.TypeEngine[Any]], tuple[st.SearchStrategy[Any], pa.DataType]] = {
    sa.Date: (st.dates(date(1900, 1, 1), date(2100, 1, 1)), pa.date32()),
    sa.Boolean: (st.booleans(), pa.bool_()),
    sa.Float: (st.floats(allow_nan=False, allow_infinity=False), pa.float64()),
    sa.Integer: (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    sa.JSON: (st.lists(TEXTS, max_size=3), pa.list_(pa.string())),
    sa.String: (TEXTS, pa.string()),
}
"""By type of column the values to try, and how Arrow holds them."""


def kind_of(column: sa.Column[Any]) -> tuple[st.SearchStrategy[Any], pa.DataType]:
    return next(kind for type_, kind in KINDS.items() if isinstance(column.type, type_))


COLUMNS = [table_of(OutcomePatient).c[name] for name in columns_of(OutcomePatient)]
SCHEMA = pa.schema([(column.name, kind_of(column)[1]) for column in COLUMNS])
ROWS = st.lists(
    st.fixed_dictionaries(
        {column.name: (st.none() | kind_of(column)[0] if column.nullable else kind_of(column)[0]) for column in COLUMNS}
    ),
    max_size=5,
)


def kept(value: Any) -> Any:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_value_comes_back(engine: sa.Engine, rows: list[dict[str, Any]]) -> None:
    table = table_of(OutcomePatient)
    with engine.connect() as connection:  # never committed: every example starts from an empty table
        insert_table(connection, OutcomePatient, pa.Table.from_pylist(rows, SCHEMA))
        selected = sa.select(*COLUMNS).order_by(table.c.id)
        found = [dict(row) for row in connection.execute(selected).mappings()]
        connection.rollback()
    expected = [{name: kept(value) for name, value in row.items()} for row in rows]
    assert found == expected


def test_a_moment_is_the_same_moment_in_whatever_zone_it_came(engine: sa.Engine) -> None:
    winter = datetime(2026, 3, 1, 0, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    moments = [winter, winter.astimezone(UTC)]
    with engine.begin() as connection:
        batch = dict.fromkeys(("files", "lines", "accepted", "quarantined", "skipped"), 1)
        insert_rows(
            connection, Batch,
            [{"batch_id": f"b{n}", "institution": "a", "landed_at": moment, "state": "loaded", **batch}
             for n, moment in enumerate(moments)],
        )  # fmt: skip
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TIME ZONE 'America/New_York'")
        found = connection.execute(sa.select(table_of(Batch).c.landed_at)).scalars().all()
    assert [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in found] == moments


def test_no_rows_are_no_statement(engine: sa.Engine) -> None:
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    with engine.begin() as connection:
        insert_rows(connection, Quarantine, [])
    assert statements == []


def test_more_rows_than_one_chunk_arrive_in_order(engine: sa.Engine) -> None:
    count = 45_000
    rows = pa.table(
        {
            **{name: ["x"] * count for name in ("institution", "outcome_set", "indicator_version", "status")},
            "indicator": [str(number) for number in range(count)],
        }
    )
    table = table_of(OutcomePatient)
    with engine.begin() as connection:
        insert_table(connection, OutcomePatient, rows)
        found = connection.execute(sa.select(table.c.indicator).order_by(table.c.id)).scalars().all()
    assert found == rows["indicator"].to_pylist()
