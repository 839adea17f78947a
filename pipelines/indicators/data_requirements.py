"""What an indicator asks of the data, as a plain list: for the documentation page and for FHIR `dataRequirement`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.elements import AnyTable, Detail, Link, Requirement, Role, Selected
from pipelines.indicators.event_elements import FOUND_ROLES, found_columns
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

    def plain(need: Requirement, place: Place) -> list[DataRequirement]:
        return [
            DataRequirement(
                element=need.element,
                title_nl=need.title_nl,
                role=need.role,
                zib=roles[place.table].zib,
                concept=concepts.get((place.table, column)),
                resource=roles[place.table].resource,
                table=place.table,
                column=column,
                statuses=place.statuses,
                value_sets=tuple(outcome_set.value_sets[n] for n in place.value_sets if n in outcome_set.value_sets),
                mandatory=need.mandatory,
            )
            for column in place.columns
        ]

    return [each for need in needs for place in _places(need, roles) for each in plain(need, place)]


def codes_used(outcome_set: OutcomeSet, indicator: str) -> list[ValueSet]:
    """The value sets behind the events that an indicator names, by name; those of its parts as well.

    Raises:
        KeyError: the set has no such indicator.
    """
    events = (outcome_set.events[name] for name in events_named(outcome_set, outcome_set.indicator(indicator)))
    return [
        outcome_set.value_sets[name] for name in sorted({name for event in events for name in value_sets_of(event)})
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """Columns of one table, with the statuses and the value sets of the rows that count."""

    table: str
    columns: tuple[str, ...]
    statuses: tuple[str, ...] = ()
    value_sets: tuple[str, ...] = ()


def _places(need: Requirement, roles: dict[str, TableRoles]) -> list[Place]:
    """Where an element stands; one that is found among rows of several kinds, in each of them."""
    match need.scope:
        case AnyTable():
            return []  # every table of it has its own elements
        case Selected(selection) if need.role in FOUND_ROLES:
            return [
                Place(rows.table, found_columns(roles, rows), rows.status, (rows.codes,) if rows.codes else ())
                for rows in selection
            ]
        case Selected((rows,)) | Detail(rows=rows) | Link(rows=rows):
            return [Place(need.table, need.columns, rows.status, need.value_sets)]
        case _:
            return [Place(need.table, need.columns, (), need.value_sets)]
