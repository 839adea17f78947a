"""What an indicator asks of the data, as a plain list: for the documentation page and for FHIR `dataRequirement`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.elements import Detail, Requirement, Role, Selected
from pipelines.indicators.events import value_sets_of
from pipelines.indicators.references import events_named
from pipelines.indicators.requirements import Concepts, requirements
from pipelines.indicators.table_roles import TableRoles
from pipelines.indicators.value_sets import ValueSet
from pipelines.proms.instruments import Instrument


@dataclass(frozen=True, slots=True)
class DataRequirement:
    """One column that an indicator reads.

    Attributes:
        element: as in the fit-gap: equal for indicators that need the same.
        title_nl: what it is.
        zib, concept: the zib (English name, release 2020) and the NL-CM concept; None where there is none.
        resource: the FHIR resource type.
        table, column: where it stands.
        statuses: of the rows that count; empty where all do but those entered in error.
        value_sets: the codes that count, with their version; empty where every value does.
        mandatory: without it the indicator cannot be computed.
    """

    element: str
    title_nl: str
    role: Role
    zib: str | None
    concept: str | None
    resource: str
    table: str
    column: str
    statuses: tuple[str, ...]
    value_sets: tuple[ValueSet, ...]
    mandatory: bool


def data_requirements(
    outcome_set: OutcomeSet,
    indicator: str,
    instruments: Sequence[Instrument],
    roles: dict[str, TableRoles],
    concepts: Concepts,
) -> list[DataRequirement]:
    """The columns that an indicator reads, the index event first; a column once per element it belongs to.

    Args:
        indicator: an id of the set.
        concepts: of `load_concepts`.

    Raises:
        KeyError: the set has no such indicator.
        TerminalError: TABLE-ROLES when a table lacks a column that an indicator needs.
    """
    outcome_set.indicator(indicator)
    needs = [n for n in requirements(outcome_set, instruments, roles, concepts) if n.indicator == indicator]
    return [
        DataRequirement(
            element=need.element,
            title_nl=need.title_nl,
            role=need.role,
            zib=need.zib,
            concept=concepts.get((need.table, column)),
            resource=roles[need.table].resource,
            table=need.table,
            column=column,
            statuses=_statuses(need),
            value_sets=tuple(
                outcome_set.value_sets[name] for name in need.value_sets if name in outcome_set.value_sets
            ),
            mandatory=need.mandatory,
        )
        for need in needs
        for column in need.columns
    ]


def codes_used(outcome_set: OutcomeSet, indicator: str) -> list[ValueSet]:
    """The value sets behind the events that an indicator names, by name; those of its parts as well.

    Raises:
        KeyError: the set has no such indicator.
    """
    events = (outcome_set.events[name] for name in events_named(outcome_set, outcome_set.indicator(indicator)))
    return [
        outcome_set.value_sets[name] for name in sorted({name for event in events for name in value_sets_of(event)})
    ]


def _statuses(need: Requirement) -> tuple[str, ...]:
    match need.scope:
        case Selected(selection):
            return tuple(sorted({status for rows in selection for status in rows.status}))
        case Detail(rows=rows):
            return rows.status
        case _:
            return ()
