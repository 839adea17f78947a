"""Data elements that indicators need: the part they play, the rows they are about, and what is measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pipelines.errors import TerminalError
from pipelines.indicators.selections import Rows, Selection, label
from pipelines.indicators.table_roles import TableRoles

LATERALITY = "laterality"
"""The value set of the side of the body, `mappings/codes/laterality.csv`."""


class Role(StrEnum):
    """The part that an element plays in the indicator."""

    TABLE = "table"
    CODE = "code"
    PATIENT = "patient"
    LINK = "link"
    DETAIL = "detail"
    LINKED_EVENT = "linked_event"
    INDEX_EVENT = "index_event"
    INDEX_DATE = "index_date"
    STAY = "stay"
    EVENT = "event"
    EVENT_DATE = "event_date"
    VALUE = "value"
    END = "end"
    INSTANT = "instant"
    LATERALITY = "laterality"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    COMORBIDITY = "comorbidity"
    DEATH = "death"
    DEATH_DATE = "death_date"
    QUESTIONNAIRE = "questionnaire"
    RESPONSE_DATE = "response_date"
    SCORE = "score"
    MOMENT = "moment"


class Check(StrEnum):
    """What is measured of an element; `mappings/fitgap.yaml` says when it is enough."""

    ACCEPTED = "accepted"
    PRESENT = "present"
    FILLED = "filled"
    CODED = "coded"
    SYSTEM = "system"
    DETAILED = "detailed"
    RESOLVED = "resolved"
    FOUND = "found"
    RECORDED = "recorded"
    RECOGNISED = "recognised"
    VALUE_SET = "value_set"
    TIMELY = "timely"
    ENDED = "ended"
    CLOSED = "closed"
    PRECISE = "precise"
    LINKABLE = "linkable"
    INDEX_PATIENT = "index_patient"
    COMPLETE = "complete"
    FOLLOWED = "followed"
    ANSWERED = "answered"
    MOMENT = "moment"


CHECKS: Mapping[Role, tuple[Check, ...]] = {
    Role.TABLE: (Check.ACCEPTED, Check.PRESENT),
    Role.CODE: (Check.ACCEPTED, Check.PRESENT, Check.FILLED, Check.CODED, Check.SYSTEM),
    Role.PATIENT: (Check.ACCEPTED, Check.PRESENT, Check.LINKABLE),
    Role.LINK: (Check.DETAILED, Check.RESOLVED),
    Role.DETAIL: (Check.DETAILED,),
    Role.LINKED_EVENT: (Check.FOUND,),
    Role.INDEX_EVENT: (Check.FOUND,),
    Role.INDEX_DATE: (Check.FILLED, Check.TIMELY),
    Role.STAY: (Check.FOUND,),
    Role.EVENT: (Check.FOUND,),
    Role.EVENT_DATE: (Check.FILLED, Check.TIMELY),
    Role.VALUE: (Check.FILLED,),
    Role.END: (Check.ENDED,),
    Role.INSTANT: (Check.PRECISE,),
    Role.LATERALITY: (Check.FILLED, Check.VALUE_SET),
    Role.BIRTH_DATE: (Check.FILLED,),
    Role.SEX: (Check.FILLED,),
    Role.COMORBIDITY: (Check.ACCEPTED, Check.PRESENT, Check.DETAILED),
    Role.DEATH: (Check.RECORDED,),
    Role.DEATH_DATE: (Check.FILLED,),
    Role.QUESTIONNAIRE: (Check.ACCEPTED, Check.PRESENT, Check.RECOGNISED, Check.INDEX_PATIENT),
    Role.RESPONSE_DATE: (Check.FILLED, Check.TIMELY),
    Role.SCORE: (Check.COMPLETE,),
    Role.MOMENT: (Check.FOLLOWED, Check.MOMENT),
}
"""What is measured of an element in each role."""


@dataclass(frozen=True, slots=True)
class AllRows:
    """Every row of the table."""


@dataclass(frozen=True, slots=True)
class AnyTable:
    """Every row of these tables: one of them is enough."""

    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows of a selection."""

    selection: Selection


@dataclass(frozen=True, slots=True)
class Detail:
    """A column of rows that has to hold a code of a value set for them to count."""

    rows: Rows
    column: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Link:
    """A column of rows that refers to a resource in one of these tables."""

    rows: Rows
    column: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexPatients:
    """The patients of the index events of a cohort."""

    index: Selection


@dataclass(frozen=True, slots=True)
class Deceased:
    """The patients who are known to have died."""


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses to any of these instruments, and the score that is made of them where one is meant."""

    instruments: tuple[str, ...]
    score: str | None = None


@dataclass(frozen=True, slots=True)
class AtMoment:
    """The index events of a cohort whose window around the moment has passed, and the score in that window."""

    index: Selection
    instrument: str
    score: str
    from_day: int
    to_day: int


Scope = AllRows | AnyTable | Selected | Detail | Link | IndexPatients | Deceased | Responses | AtMoment


@dataclass(frozen=True, slots=True)
class Requirement:
    """One data element that one indicator needs.

    Attributes:
        element: equal for indicators that need the same; `table.column`, with the rows it is about after `@`.
        title_nl: what it is, for a Dutch reader.
        subject_nl: what a fix is about; wider than the title where one fix serves several elements.
        table, columns: where it stands; `columns` holds all that are looked at.
        scope: the rows it is about.
        value_sets: names in `mappings/codes` of the codes that count, if it is coded.
        date_column: the date from which the data are awaited, for timeliness.
        checks: what is measured of it for this indicator.
        mandatory: without it the indicator cannot be computed; else it only becomes less certain.
        builds_on: elements whose gaps explain that nothing of this one is found.
        zib, concept: the zib (English name, release 2020) and its NL-CM concept, where one is known.
    """

    outcome_set: str
    indicator: str
    role: Role
    element: str
    title_nl: str
    subject_nl: str
    table: str
    columns: tuple[str, ...]
    scope: Scope
    value_sets: tuple[str, ...]
    date_column: str | None
    checks: tuple[Check, ...]
    mandatory: bool
    builds_on: tuple[str, ...]
    zib: str | None
    concept: str | None


@dataclass(frozen=True, slots=True)
class Elements:
    """Makes the requirements of one indicator."""

    outcome_set: str
    indicator: str
    roles: dict[str, TableRoles]
    concepts: Mapping[tuple[str, str], str]
    instrument_titles: Mapping[str, str]

    def need(
        self,
        role: Role,
        table: str,
        columns: tuple[str, ...],
        scope: Scope,
        title: str,
        *,
        mandatory: bool,
        value_sets: tuple[str, ...] = (),
        date_column: str | None = None,
        checks: tuple[Check, ...] = (),
        subject: str | None = None,
        builds_on: Sequence[str] = (),
    ) -> Requirement:
        """One requirement; the rest follows from its place.

        Raises:
            TerminalError: TABLE-ROLES when the table is not declared.
        """
        if table not in self.roles:
            raise TerminalError(
                "TABLE-ROLES",
                f"an indicator needs the table {table}, which is not declared",
                where="mappings/table_roles.yaml",
                remedy=f"Declare tables.{table} there",
            )
        return Requirement(
            outcome_set=self.outcome_set,
            indicator=self.indicator,
            role=role,
            element=element_name(table, columns, scope),
            title_nl=title,
            subject_nl=subject or title,
            table=table,
            columns=columns,
            scope=scope,
            value_sets=value_sets,
            date_column=date_column,
            checks=checks or CHECKS[role],
            mandatory=mandatory,
            builds_on=tuple(builds_on),
            zib=self.roles[table].zib,
            concept=self.concepts.get((table, columns[0])),
        )


def element_name(table: str, columns: Sequence[str], scope: Scope) -> str:
    """The name of an element: the same place and rows give the same name, others never."""
    place = f"{table}.{columns[0]}"
    match scope:
        case AllRows():
            return place
        case AnyTable(tables):
            return "+".join(tables)
        case Selected(selection):
            same = {rows.table for rows in selection} == {table}
            return f"{place}@{'|'.join(rows.label for rows in selection) if same else label(selection)}"
        case Detail(rows, _, value_set):
            return f"{place}@{rows.label}={value_set}"
        case Link(rows, _, tables):
            return f"{place}@{rows.label}>{'+'.join(tables)}"
        case IndexPatients(index):
            return f"{place}@patients-of:{label(index)}"
        case Deceased():
            return f"{place}@deceased"
        case Responses(instruments, score):
            return f"{place}@{'+'.join(instruments)}" + (f"/{score}" if score else "")
        case AtMoment(index, instrument, score, from_day, to_day):
            return f"{table}@{instrument}/{score}:{label(index)}:{from_day}..{to_day}"
        case never:
            assert_never(never)


def selections_in(scope: Scope) -> Selection:
    """The rows that a scope speaks of."""
    match scope:
        case Selected(selection):
            return selection
        case Detail(rows=rows) | Link(rows=rows):
            return (rows,)
        case IndexPatients(index) | AtMoment(index=index):
            return index
        case _:
            return ()


def all_rows_in(selection: Selection) -> Selection:
    """The rows of a selection, and those of the resources they are linked to."""
    return tuple(
        each
        for rows in selection
        for each in (*(deep for _, other in rows.linked for deep in all_rows_in(other)), rows)
    )


def tables_of(need: Requirement) -> set[str]:
    """The tables that have to be there to measure it."""
    tables = {need.table, *(rows.table for rows in all_rows_in(selections_in(need.scope)))}
    match need.scope:
        case AnyTable(tables=several) | Link(tables=several):
            tables |= set(several)
    return tables
