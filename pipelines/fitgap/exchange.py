"""The test of registrability and exchangeability of an outcome set, from the same measurements.

Registrable: recorded at all, structured and coded. Exchangeable: it arrives as its zib, with a usable code system,
linked to a patient who came along, and in time. Which checks make up which test stands in `mappings/fitgap.yaml`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.fitgap.criteria import Criteria
from pipelines.fitgap.measure import Measured
from pipelines.fitgap.verdict import Status, judge, worst
from pipelines.indicators.elements import Check, Requirement, Role


@dataclass(frozen=True, slots=True)
class ElementTest:
    """The outcome of both tests for one element at one institution; unknown when there was nothing to judge."""

    element: str
    registrable: Status
    exchangeable: Status


@dataclass(frozen=True, slots=True)
class SetTest:
    """How many elements of a set have each outcome, and the conclusion: the worst of its mandatory elements."""

    outcome_set: str
    registrable: Counter[Status]
    exchangeable: Counter[Status]
    registrable_conclusion: Status
    exchangeable_conclusion: Status


def judge_elements(
    needs: Sequence[Requirement], measured: Mapping[str, Measured], criteria: Criteria
) -> dict[str, ElementTest]:
    """Both tests for every element. An element shares the link with the patient of the table it stands in."""
    links = {need.table: need.element for need in needs if need.role == Role.PATIENT}
    checks: dict[str, set[Check]] = {}
    for need in needs:
        checks.setdefault(need.element, set()).update(need.checks)
    tests = criteria.tests

    def outcome(element: str, wanted: Iterable[Check]) -> list[Status]:
        counts = measured[element].counts
        return [judge(criteria.checks[check], counts[check]) for check in wanted if check in checks[element]]

    return {
        need.element: ElementTest(
            need.element,
            worst(outcome(need.element, tests.registrable)),
            worst(
                outcome(need.element, tests.exchangeable)
                + (outcome(links[need.table], tests.exchangeable) if need.table in links else [])
            ),
        )
        for need in needs
    }


def judge_set(outcome_set: str, needs: Sequence[Requirement], tests: Mapping[str, ElementTest]) -> SetTest:
    """The conclusion for one outcome set at one institution."""
    mandatory = {need.element for need in needs if need.outcome_set == outcome_set and need.mandatory}
    elements = sorted({need.element for need in needs if need.outcome_set == outcome_set})
    return SetTest(
        outcome_set,
        Counter(tests[element].registrable for element in elements),
        Counter(tests[element].exchangeable for element in elements),
        worst([tests[element].registrable for element in mandatory]),
        worst([tests[element].exchangeable for element in mandatory]),
    )
