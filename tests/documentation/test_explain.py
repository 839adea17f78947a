"""What `uitkomst explain` says: of every made-up patient of every set something, and of some to the letter."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from pipelines.documentation.explain import explain, outcome_of
from pipelines.documentation.in_words import REASONS
from pipelines.indicators.cases import CaseResult, load_cases, run_cases
from pipelines.indicators.definitions import OutcomeSet, load_outcome_sets
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
SETS = sorted(path.parent.name for path in (MAPPINGS / "outcome_sets").glob("*/set.yaml"))


@cache
def told(name: str) -> tuple[OutcomeSet, dict[str, list[CaseResult]]]:
    instruments, roles = load_instruments(MAPPINGS / "proms"), load_table_roles(MAPPINGS / "table_roles.yaml")
    outcome_set = next(each for each in load_outcome_sets(MAPPINGS, instruments, roles) if each.id == name)
    folder = MAPPINGS / "outcome_sets" / name
    files = [load_cases(folder, indicator.id) for indicator in outcome_set.indicators]
    return outcome_set, run_cases(outcome_set, files, roles, instruments, folder)


def words(name: str, indicator: str, promise: str) -> list[str]:
    outcome_set, results = told(name)
    (result,) = [each for each in results[indicator] if each.case.promise_nl == promise]
    return [explain(outcome_set, outcome_of(row)) for row in result.rows]


@pytest.mark.parametrize("name", SETS)
def test_every_made_up_patient_is_explained_in_dutch_words_only(name: str) -> None:
    """No reason, event, rule or placeholder shows up as the identifier it is in the definition."""
    outcome_set, results = told(name)
    names = {*outcome_set.events, *(c.rule for each in outcome_set.indicators for c in each.conditions)}
    identifiers = {each for each in names if "-" in each}
    for indicator, cases in results.items():
        for case in cases:
            for row in case.rows:
                lines = explain(outcome_set, outcome_of(row)).splitlines()
                said = " ".join(re.sub(r"\[[^\]]*\]", "", line) for line in lines[1:])
                assert "None" not in said, (indicator, case.case.promise_nl)
                assert not [each for each in identifiers if f" {each} " in f" {said} "], (indicator, said)
                assert not re.search(r"\b(no|not|incomplete|unknown|recorded|found|score before)\b", said), said


def test_every_fixed_reason_of_the_engine_has_dutch_words() -> None:
    """A reason is said in Dutch, or is the rule, event or indicator that the definition gives Dutch words for."""
    sources = (MAPPINGS.parent / "pipelines" / "indicators" / "measures").glob("*.py")
    given = {
        each for path in sources for each in re.findall(r"[\"']([a-z-]+(?: [a-z]+)+)[\"']", path.read_text("utf-8"))
    }
    assert {"still admitted", "age unknown", "event date incomplete"} <= given
    assert given == set(REASONS)


@pytest.mark.parametrize("name", SETS)
def test_the_explanation_says_the_status_of_the_row(name: str) -> None:
    outcome_set, results = told(name)
    starts = {
        "included": "Telt mee.", "excluded": "Telt niet mee (uitgesloten):", "pending": "Telt nog niet mee:",
        "outside": "Telt niet mee (hoort niet bij de groep):", "missing": "Er is geen antwoord:",
    }  # fmt: skip
    for cases in results.values():
        for row in (row for case in cases for row in case.rows):
            assert explain(outcome_set, outcome_of(row)).splitlines()[2].startswith(starts[row["status"]])


def test_a_revision_is_told_with_its_day_and_what_it_rests_on() -> None:
    outcome_set, results = told("knie-heupartrose")
    rows = [row for case in results["hip-revision-1y"] for row in case.rows if row["numerator"]]
    text = explain(outcome_set, outcome_of(rows[0]))
    assert "Het gaat om: eerste totale heupprothese, op 15 januari 2024." in text
    assert "Er was sprake van een heroperatie van de heupprothese, van 16 januari 2024 tot en met " in text
    assert re.search(r"- .* \(dag \d+\): een heroperatie van de heupprothese \[", text)
