"""What an indicator needs: every data element behind it, derived from its definition.

One function per measure shape. Indicators share elements: equal elements have equal `element` names, so that a gap is
measured once and its repair counted for every indicator that waits for it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from pipelines.errors import TerminalError
from pipelines.indicators.definitions import (
    ChangeBetween,
    Cohort,
    DeathWithin,
    Indicator,
    OutcomeSet,
    ProcedureWithin,
    ResponseRate,
)
from pipelines.indicators.table_roles import TableRoles, column
from pipelines.proms.instruments import Instrument

LATERALITY = "laterality"
"""The value set of the side of the body, `mappings/codes/laterality.csv`."""


class Role(StrEnum):
    """The part that an element plays in the indicator, in the order in which one builds on another."""

    CODE = "code"
    PATIENT = "patient"
    INDEX_EVENT = "index_event"
    INDEX_DATE = "index_date"
    EVENT = "event"
    EVENT_DATE = "event_date"
    LATERALITY = "laterality"
    DEATH = "death"
    DEATH_DATE = "death_date"
    QUESTIONNAIRE = "questionnaire"
    RESPONSE_DATE = "response_date"
    SCORE = "score"
    SCORE_BEFORE = "score_before"
    SCORE_AFTER = "score_after"


class Check(StrEnum):
    """What is measured of an element; `mappings/fitgap.yaml` says when it is enough."""

    ACCEPTED = "accepted"
    PRESENT = "present"
    FILLED = "filled"
    CODED = "coded"
    SYSTEM = "system"
    FOUND = "found"
    RECORDED = "recorded"
    RECOGNISED = "recognised"
    VALUE_SET = "value_set"
    TIMELY = "timely"
    LINKABLE = "linkable"
    INDEX_PATIENT = "index_patient"
    COMPLETE = "complete"
    FOLLOWED = "followed"
    ANSWERED = "answered"
    MOMENT = "moment"


CHECKS: Mapping[Role, tuple[Check, ...]] = {
    Role.CODE: (Check.ACCEPTED, Check.PRESENT, Check.FILLED, Check.CODED, Check.SYSTEM),
    Role.PATIENT: (Check.ACCEPTED, Check.PRESENT, Check.LINKABLE),
    Role.INDEX_EVENT: (Check.FOUND,),
    Role.INDEX_DATE: (Check.FILLED, Check.TIMELY),
    Role.EVENT: (Check.FOUND,),
    Role.EVENT_DATE: (Check.FILLED, Check.TIMELY),
    Role.LATERALITY: (Check.FILLED, Check.VALUE_SET),
    Role.DEATH: (Check.ACCEPTED, Check.PRESENT, Check.RECORDED),
    Role.DEATH_DATE: (Check.FILLED,),
    Role.QUESTIONNAIRE: (Check.ACCEPTED, Check.PRESENT, Check.RECOGNISED, Check.INDEX_PATIENT),
    Role.RESPONSE_DATE: (Check.FILLED, Check.TIMELY),
    Role.SCORE: (Check.COMPLETE,),
    Role.SCORE_BEFORE: (Check.FOLLOWED, Check.MOMENT),
    Role.SCORE_AFTER: (Check.FOLLOWED, Check.MOMENT),
}
"""What is measured of an element in each role."""


@dataclass(frozen=True, slots=True)
class AllRows:
    """Every row of the table."""


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The rows of the table with a code of the value set, in this status."""

    value_set: str
    status: str


@dataclass(frozen=True, slots=True)
class IndexPatients:
    """The patients of the index events of a cohort (rows with a code of the value set, in this status)."""

    index: CodedRows


@dataclass(frozen=True, slots=True)
class Deceased:
    """The patients who are known to have died."""


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses to an instrument, and the score that is made of them where one is meant."""

    instrument: str
    score: str | None = None


@dataclass(frozen=True, slots=True)
class AtMoment:
    """The index events of a cohort whose window around the moment has passed, and the score in that window."""

    index: CodedRows
    instrument: str
    score: str
    from_day: int
    to_day: int


Scope = AllRows | CodedRows | IndexPatients | Deceased | Responses | AtMoment


@dataclass(frozen=True, slots=True)
class Requirement:
    """One data element that one indicator needs.

    Attributes:
        element: equal for indicators that need the same; `table.column`, with the rows it is about after `@`.
        title_nl: what it is, for a Dutch reader.
        subject_nl: what a fix is about; wider than the title where one fix serves several elements.
        table, columns: where it stands; `columns` holds all that are looked at.
        scope: the rows it is about.
        value_set: name in `mappings/codes` of the codes that count, if it is coded.
        date_column: the date from which the data are awaited, for timeliness.
        checks: what is measured of it for this indicator.
        mandatory: without it the indicator cannot be computed; else it only becomes less certain.
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
    value_set: str | None
    date_column: str | None
    checks: tuple[Check, ...]
    mandatory: bool
    zib: str | None
    concept: str | None


Concepts = Mapping[tuple[str, str], str]
"""NL-CM concept by table and column."""


def load_concepts(path: Path) -> Concepts:
    """Read `mappings/zib/2020/elements.csv`; without that file no concept is known."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["table"], name): row["concept"] for row in csv.DictReader(file) for name in row["columns"].split()}


def requirements(
    outcome_set: OutcomeSet,
    instruments: Sequence[Instrument],
    roles: dict[str, TableRoles],
    concepts: Concepts,
) -> list[Requirement]:
    """The requirements of every indicator of a set, in the order of `Role` per indicator.

    Raises:
        TerminalError: TABLE-ROLES when a table lacks a column that an indicator needs.
    """
    titles = {instrument.id: instrument.title_nl.split(" (")[0] for instrument in instruments}
    found: list[Requirement] = []
    for indicator in outcome_set.indicators:
        derivation = _Derivation(outcome_set, indicator, roles, concepts, titles)
        found += sorted(derivation.all(), key=lambda each: list(Role).index(each.role))
    return found


@dataclass(frozen=True, slots=True)
class _Derivation:
    """Requirements of one indicator."""

    outcome_set: OutcomeSet
    indicator: Indicator
    roles: dict[str, TableRoles]
    concepts: Concepts
    instrument_titles: Mapping[str, str]

    def all(self) -> Iterator[Requirement]:
        cohort = self.outcome_set.cohorts[self.indicator.cohort]
        index = CodedRows(cohort.value_set, cohort.status)
        yield from self._coded_rows(cohort, index)
        match self.indicator.measure:
            case ProcedureWithin() as within:
                yield from self._procedure_within(cohort, index, within)
            case DeathWithin():
                yield from self._death_within(index)
            case ChangeBetween() | ResponseRate() as pair:
                yield from self._pair(cohort, index, pair)
            case never:
                assert_never(never)

    def _coded_rows(self, cohort: Cohort, index: CodedRows) -> Iterator[Requirement]:
        table = cohort.zib_table
        yield self._code(table)
        yield self._patient(table)
        yield self._selected(Role.INDEX_EVENT, table, index, cohort.title_nl)
        yield self._date(Role.INDEX_DATE, table, index, f"Datum van: {_lower(cohort.title_nl)}")

    def _procedure_within(self, cohort: Cohort, index: CodedRows, within: ProcedureWithin) -> Iterator[Requirement]:
        table, event = "zib_procedure", CodedRows(within.value_set, within.status)
        if table != cohort.zib_table:
            yield self._code(table)
            yield self._patient(table)
        title = f"Gebeurtenis uit waardelijst {within.value_set}"
        yield self._selected(Role.EVENT, table, event, title, mandatory=False)  # none at all can be true
        yield self._date(Role.EVENT_DATE, table, event, f"Datum van de gebeurtenis uit {within.value_set}")
        yield self._laterality(cohort.zib_table, index, f"Zijde (links of rechts) van: {_lower(cohort.title_nl)}")
        yield self._laterality(table, event, f"Zijde (links of rechts) van de gebeurtenis uit {within.value_set}")

    def _death_within(self, index: CodedRows) -> Iterator[Requirement]:
        table = "zib_patient"
        deceased = column(self.roles, table, "deceased")
        day, text = column(self.roles, table, "date"), column(self.roles, table, "date_text")
        yield self._need(
            Role.DEATH, table, (deceased, text), IndexPatients(index), "Overlijden bij de patiënt vastgelegd",
            mandatory=False,  # that nobody died can be true
        )  # fmt: skip
        yield self._need(Role.DEATH_DATE, table, (day,), Deceased(), "Volledige datum van overlijden")

    def _pair(self, cohort: Cohort, index: CodedRows, pair: ChangeBetween | ResponseRate) -> Iterator[Requirement]:
        table, title = "prom_answer", self.instrument_titles[pair.instrument]
        responses = Responses(pair.instrument)
        code, day = column(self.roles, table, "code"), column(self.roles, table, "date")
        yield self._patient(table)
        yield self._need(Role.QUESTIONNAIRE, table, (code,), responses, f"Vragenlijst {title} herkend")
        yield self._need(Role.RESPONSE_DATE, table, (day,), responses, f"Invuldatum van {title}", date_column=day)
        answers, scored = ("link_id", "value_number", "value_code"), Responses(pair.instrument, pair.score)
        yield self._need(Role.SCORE, table, answers, scored, f"{title} volledig ingevuld")
        # Low response is what a response rate measures; for a change it takes patients away.
        enough = Check.ANSWERED if isinstance(pair, ResponseRate) else Check.MOMENT
        for role, name in ((Role.SCORE_BEFORE, pair.before), (Role.SCORE_AFTER, pair.after)):
            moment = self.outcome_set.moments[name]
            at = AtMoment(index, pair.instrument, pair.score, moment.from_day, moment.to_day)
            when = f"{moment.title_nl} ({_lower(cohort.title_nl)})"
            yield self._need(
                role, table, (day, code), at, f"{title} {when}", checks=(Check.FOLLOWED, enough), subject=when
            )  # fmt: skip

    def _code(self, table: str) -> Requirement:
        columns = column(self.roles, table, "code"), column(self.roles, table, "system")
        return self._need(Role.CODE, table, columns, AllRows(), f"Code van {self.roles[table].title_nl}")

    def _patient(self, table: str) -> Requirement:
        key = column(self.roles, table, "patient")
        title = f"Koppeling van {self.roles[table].title_nl} met de patiënt"
        return self._need(Role.PATIENT, table, (key,), AllRows(), title)

    def _selected(self, role: Role, table: str, rows: CodedRows, title: str, *, mandatory: bool = True) -> Requirement:
        columns = tuple(column(self.roles, table, part) for part in ("code", "system", "status"))
        return self._need(role, table, columns, rows, title, value_set=rows.value_set, mandatory=mandatory)

    def _date(self, role: Role, table: str, rows: CodedRows, title: str) -> Requirement:
        day = column(self.roles, table, "date")
        return self._need(role, table, (day,), rows, title, date_column=day)

    def _laterality(self, table: str, rows: CodedRows, title: str) -> Requirement:
        # Not mandatory: an unknown side rules nothing out, so the indicator is computed, less precisely.
        side = column(self.roles, table, "laterality")
        return self._need(Role.LATERALITY, table, (side,), rows, title, value_set=LATERALITY, mandatory=False)

    def _need(
        self,
        role: Role,
        table: str,
        columns: tuple[str, ...],
        scope: Scope,
        title: str,
        *,
        value_set: str | None = None,
        date_column: str | None = None,
        mandatory: bool = True,
        checks: tuple[Check, ...] = (),
        subject: str | None = None,
    ) -> Requirement:
        if table not in self.roles:
            raise TerminalError(
                "TABLE-ROLES",
                f"an indicator needs the table {table}, which is not declared",
                where="mappings/table_roles.yaml",
                remedy=f"Declare tables.{table} there",
            )
        return Requirement(
            outcome_set=self.outcome_set.id,
            indicator=self.indicator.id,
            role=role,
            element=_element(table, columns, scope),
            title_nl=title,
            subject_nl=subject or title,
            table=table,
            columns=columns,
            scope=scope,
            value_set=value_set,
            date_column=date_column,
            checks=checks or CHECKS[role],
            mandatory=mandatory,
            zib=self.roles[table].zib,
            concept=self.concepts.get((table, columns[0])),
        )


def _element(table: str, columns: Sequence[str], scope: Scope) -> str:
    place = f"{table}.{columns[0]}"
    match scope:
        case AllRows():
            return place
        case CodedRows(value_set, status):
            return f"{place}@{value_set}:{status}"
        case IndexPatients(index):
            return f"{place}@patients-of:{index.value_set}:{index.status}"
        case Deceased():
            return f"{place}@deceased"
        case Responses(instrument, score):
            return f"{place}@{instrument}" + (f"/{score}" if score else "")
        case AtMoment(index, instrument, score, from_day, to_day):
            return f"{table}@{instrument}/{score}:{index.value_set}:{from_day}..{to_day}"
        case never:
            assert_never(never)


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
