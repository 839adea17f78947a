"""What holds for any batch: nothing is lost, nothing is invented, and accepting again changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from contract_tables import SUITES, Checked, examples, schema_of, table_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

TABLES = ["zib_patient", "zib_body_weight", "prom_answer"]


@st.composite
def rows(draw: st.DrawFn, table: str) -> list[dict[str, Any]]:
    """Rows of a table: good, with one of the suite's own defects, or of an unknown patient."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from([{}] + [changes for _, _, changes in examples(SUITES[table])]),
                st.sampled_from(["ziekenhuis-a", "ziekenhuis-b"]),
                st.sampled_from(["r1", "r2", "r3"]),
                st.sampled_from(["p1", "p2"]),
                st.integers(1, 4),
            ),
            max_size=8,
        )
    )
    own = set(schema_of(table).names)
    return [
        {"institution": a, "resource_key": r, "patient_key": p, "source_line": n}
        | {name: value for name, value in changes.items() if name in own}
        for changes, a, r, p, n in drawn
    ]


batches = st.fixed_dictionaries({table: rows(table) for table in TABLES})


def validate(tables: dict[str, pa.Table], **options: Any) -> Checked:
    with TemporaryDirectory() as folder:
        return Checked(Path(folder), tables, **options)


def judgement(result: Checked) -> tuple[list[Any], list[Any]]:
    """What a batch came to, whatever the order of its rows."""
    rows = sorted((row.source_line or 0, str(row.resource_key), row.rule_id, row.reason) for row in result.quarantined)
    return rows, [(c.table, c.rule_id, c.rows, c.checked, c.failed) for c in result.checks]


# One example takes a second, so a failing one is reported as found: shrinking it would take minutes.
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(batches)
def test_every_row_is_accepted_or_set_aside_and_accepted_rows_stay_accepted(
    batch: dict[str, list[dict[str, Any]]],
) -> None:
    tables = {table: table_of(table, content) for table, content in batch.items()}
    result = validate(tables)

    places = [
        (row["institution"], row["source_line"], row["resource_key"])
        for table in result.accepted.values()
        for row in table.to_pylist()
    ] + [(row.institution, row.source_line, row.resource_key) for row in result.quarantined]
    came_in = [
        (row["institution"], row["source_line"], row["resource_key"])
        for table in tables.values()
        for row in table.to_pylist()
    ]
    assert Counter(places) == Counter(came_in)

    again = validate(result.accepted)
    assert again.quarantined == []
    assert again.accepted == result.accepted

    for check in result.checks:
        assert 0 <= check.failed <= check.checked <= tables[check.table].num_rows
        assert (check.status == "not_applicable") == (check.checked == 0)

    split = {(row["institution"], row["resource_key"]) for row in result.accepted["prom_answer"].to_pylist()} & {
        (row.institution, row.resource_key)
        for row in result.quarantined
        if row.resource_type == "QuestionnaireResponse"
    }
    assert not split, "a questionnaire response is accepted as a whole or not at all"


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(batches, st.randoms(use_true_random=False), st.sampled_from([1, 2, 3]))
def test_order_and_chunking_change_nothing(
    batch: dict[str, list[dict[str, Any]]], chance: Random, chunk_rows: int
) -> None:
    # Rows that share a resource are told apart by their own defect, so that order cannot matter by definition.
    rows = {
        table: [{**row, "resource_key": f"{table}-{n}"} for n, row in enumerate(content)]
        for table, content in batch.items()
    }
    whole = judgement(validate({table: table_of(table, content) for table, content in rows.items()}))
    in_chunks = validate({table: table_of(table, content) for table, content in rows.items()}, chunk_rows=chunk_rows)
    assert judgement(in_chunks) == whole
    for content in rows.values():
        chance.shuffle(content)
    assert judgement(validate({table: table_of(table, content) for table, content in rows.items()})) == whole
