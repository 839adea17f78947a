"""Every rule keeps the promise of its own examples: the valid ones pass, the invalid ones fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_tables import AS_OF, SUITES, examples, frame_of, schema_of

from pipelines.validate.gx_session import GxSession, Outcome, gx_session
from pipelines.validate.rules import Suite

RULES = [(table, rule.rule_id) for table, suite in SUITES.items() for rule in suite.rules]


@pytest.fixture(scope="module")
def session() -> Iterator[GxSession]:
    with gx_session() as silent:
        yield silent


@pytest.fixture(scope="module")
def judged(session: GxSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Outcome]]:
    """What every rule finds in all examples of its suite together, in the order of `examples`."""
    folder = tmp_path_factory.mktemp("examples")
    return {
        table: session.run(_all_errors(suite), frame_of(suite, [row for _, _, row in examples(suite)], folder), AS_OF)
        for table, suite in SUITES.items()
    }


def _all_errors(suite: Suite) -> Suite:
    """The suite with its warnings as errors, because only errors say which rows failed."""
    return replace(suite, rules=tuple(replace(rule, severity="error") for rule in suite.rules))


@pytest.mark.parametrize(("table", "rule_id"), RULES, ids=[rule_id for _, rule_id in RULES])
def test_a_rule_passes_its_valid_and_fails_its_invalid_examples(
    table: str, rule_id: str, judged: dict[str, dict[str, Outcome]]
) -> None:
    own = {
        kind: {n for n, each in enumerate(examples(SUITES[table])) if each[:2] == (rule_id, kind)}
        for kind in ("valid", "invalid")
    }
    failed = set(judged[table][rule_id].failed_rows)
    assert all(own.values()), "a rule has at least one example of each kind"
    assert not own["valid"] & failed
    assert own["invalid"] <= failed


@pytest.mark.parametrize("table", SUITES)
def test_an_example_row_passes_every_rule(table: str, session: GxSession, tmp_path: Path) -> None:
    suite = SUITES[table]
    outcomes = session.run(_all_errors(suite), frame_of(suite, [{}], tmp_path), AS_OF)
    assert {rule_id: each.failed for rule_id, each in outcomes.items() if each.failed} == {}


@pytest.mark.parametrize("table", SUITES)
def test_an_example_changes_only_columns_that_exist(table: str) -> None:
    known = set(schema_of(table).names)
    assert set(SUITES[table].meta["example_row"]) == known
    changed = {column for _, _, row in examples(SUITES[table]) for column in row}
    assert changed <= known | set(SUITES[table].columns)


@pytest.mark.parametrize("table", SUITES)
def test_columns_that_are_entirely_empty_have_nothing_to_check(table: str, session: GxSession, tmp_path: Path) -> None:
    suite = SUITES[table]
    empty: dict[str, Any] = dict.fromkeys(schema_of(table).names)
    outcomes = session.run(suite, frame_of(suite, [{**empty, "institution": "ziekenhuis-a"}] * 2, tmp_path), AS_OF)
    required = {
        each["meta"]["rule_id"] for each in suite.expectations if each["type"] == "expect_column_values_to_not_be_null"
    }
    for rule_id, outcome in outcomes.items():
        assert outcome.checked == outcome.failed, rule_id
        assert rule_id in required or outcome.checked == 0, rule_id
