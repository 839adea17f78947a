"""The data elements behind one event: its rows, their code, moment, value, side, and what they are linked to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.indicators.elements import (
    LATERALITY,
    AllRows,
    AnyTable,
    AtMoment,
    Check,
    Deceased,
    Detail,
    Elements,
    IndexPatients,
    Link,
    Requirement,
    Responses,
    Role,
    Selected,
    element_name,
)
from pipelines.indicators.events import AnyEvent, AnyKindOfEvent, ComputedEvent, RowEvent, ScoreEvent
from pipelines.indicators.selections import Rows, Selection, rows_of, selection, value_column
from pipelines.indicators.shapes import Point
from pipelines.indicators.table_roles import TableRoles, column
from pipelines.proms.plan import Moment

PATIENTS, RESPONSES, PROBLEMS = "zib_patient", "prom_answer", "zib_problem"
_KEY = "resource_key"
FOUND_ROLES = (Role.INDEX_EVENT, Role.STAY, Role.EVENT, Role.LINKED_EVENT)
"""The roles of events themselves."""
_OWN_GROUND = (Role.TABLE, Role.CODE, Role.LINK, Role.DETAIL, Role.LINKED_EVENT)


@dataclass(frozen=True, slots=True)
class Use:
    """What an indicator asks of an event.

    Attributes:
        role: index event, stay, a linked resource, or any other event.
        mandatory: without the data the indicator cannot be computed.
        found: without any case it cannot either; else none at all can be true.
        counted: whether it has to be found by itself, or as one of several.
        title: what it is called here, if not as the event is.
        ends, open_ends: its end is asked; one that has not ended yet counts as well.
        instants: the points of which the time of day is asked.
    """

    role: Role = Role.EVENT
    mandatory: bool = True
    found: bool = False
    counted: bool = True
    title: str | None = None
    value: bool = False
    side: bool = False
    ends: bool = False
    open_ends: bool = False
    instants: tuple[Point, ...] = ()


@dataclass(frozen=True)
class EventElements:
    """Requirements of events, around the index events of a cohort.

    Attributes:
        index: the event that starts the cohort.
        ground: the elements that everything around an index event builds on.
    """

    events: Mapping[str, AnyKindOfEvent]
    elements: Elements
    index: str
    ground: tuple[str, ...]

    @property
    def _roles(self) -> dict[str, TableRoles]:
        return self.elements.roles

    def of(self, name: str, use: Use) -> Iterator[Requirement]:
        """Everything that an event needs."""
        match event := self.events[name]:
            case RowEvent():
                yield from self._row(event, use)
            case ScoreEvent():
                yield from self.score(event.instrument, event.score, use)
            case AnyEvent():
                yield from self.any_of(event.any_of, use.title or _upper(event.title_nl), use)
            case ComputedEvent():
                yield from self._computed(event, use)

    def _row(self, event: RowEvent, use: Use) -> Iterator[Requirement]:
        if event.table == PATIENTS:
            yield from self.death(mandatory=use.mandatory)
            return
        rows = rows_of(event, self.events, self._roles)
        ground = [*self._table(rows, use), *self._links(event, rows, use), *self._details(event, rows, use)]
        yield from ground
        title = use.title or _upper(event.title_nl)
        if use.counted:
            yield self._found((rows,), title, use, ground)
        yield from self._moment(event, rows, title, use)
        if use.value or event.value is not None:
            name = value_column(event, self._roles)
            yield self._of_rows(Role.VALUE, rows.any_value, name, f"Waarde van: {_lower(title)}", use)
        side = self._roles[event.table].laterality
        if use.side and side is not None:
            # Not mandatory: an unknown side rules nothing out, so the indicator is computed, less precisely.
            side_use = replace(use, mandatory=False)
            title = f"Zijde (links of rechts) van: {_lower(title)}"
            yield self._of_rows(Role.LATERALITY, rows, side, title, side_use, value_sets=(LATERALITY,))

    def _table(self, rows: Rows, use: Use) -> Iterator[Requirement]:
        roles = self._roles[rows.table]
        if rows.codes is not None:
            columns = column(self._roles, rows.table, "code"), column(self._roles, rows.table, "system")
            title = f"Code van {roles.title_nl}"
            yield self.elements.need(Role.CODE, rows.table, columns, AllRows(), title, mandatory=use.mandatory)
        elif use.role == Role.LINKED_EVENT or roles.patient is None:
            yield self._record(rows.table, _upper(roles.title_nl), mandatory=use.mandatory)
        if use.role != Role.LINKED_EVENT and roles.patient is not None:
            yield self._patient(rows.table, mandatory=use.mandatory)

    def _links(self, event: RowEvent, rows: Rows, use: Use) -> Iterator[Requirement]:
        for name, other in sorted(event.linked.items()):
            linked = [*self.of(other, Use(role=Role.LINKED_EVENT, mandatory=use.mandatory, found=use.found))]
            yield from linked
            target = selection(self.events[other], self.events, self._roles)
            tables = tuple(sorted({each.table for each in target}))
            title = f"Verwijzing van {self._roles[rows.table].title_nl} naar: {_lower(self.events[other].title_nl)}"
            yield self.elements.need(
                Role.LINK, rows.table, (name,), Link(rows.coded, name, tables), title,
                mandatory=use.mandatory, builds_on=[need.element for need in linked],
            )  # fmt: skip

    def _details(self, event: RowEvent, rows: Rows, use: Use) -> Iterator[Requirement]:
        only = len(event.where or []) == 1
        for name, codes in dict.fromkeys(pair for each in event.where or [] for pair in each.items()):
            title = f"Kenmerk uit waardelijst {codes} bij {self._roles[rows.table].title_nl}"
            checks = (Check.DETAILED, Check.SYSTEM) if name.endswith("_codings_id") else (Check.DETAILED,)
            yield self.elements.need(
                Role.DETAIL, rows.table, (name,), Detail(rows.coded, name, codes), title,
                mandatory=use.mandatory and only, value_sets=(codes,), checks=checks,
            )  # fmt: skip

    def _found(self, chosen: Selection, title: str, use: Use, ground: Sequence[Requirement]) -> Requirement:
        builds_on = [need.element for need in ground if need.role in _OWN_GROUND or _only_patient(need, chosen)]
        return self.elements.need(
            use.role, chosen[0].table, found_columns(self._roles, chosen[0]), Selected(chosen), title,
            mandatory=use.mandatory and use.found, builds_on=builds_on,
            value_sets=tuple(dict.fromkeys(rows.codes for rows in chosen if rows.codes is not None)),
        )  # fmt: skip

    def _moment(self, event: RowEvent, rows: Rows, title: str, use: Use) -> Iterator[Requirement]:
        if use.role != Role.LINKED_EVENT and event.at == "start":
            day = column(self._roles, event.table, "date")
            role = Role.INDEX_DATE if use.role == Role.INDEX_EVENT else Role.EVENT_DATE
            yield self._of_rows(role, rows, day, f"Datum van: {_lower(title)}", use, date_column=day)
        open_ends = use.open_ends or event.lasts_at_least is not None  # what has no end yet counts as well
        if use.ends or open_ends or event.at == "end":
            end, name = column(self._roles, event.table, "end_text"), f"Einde van: {_lower(title)}"
            if open_ends and not use.ends and event.at == "start":
                yield self._of_rows(Role.END, rows, end, name, replace(use, mandatory=False), checks=(Check.CLOSED,))
            else:
                yield self._of_rows(Role.END, rows, end, name, use)
        for point in use.instants:
            place = "end_text" if point == "end" or event.at == "end" else "start_text"
            name = f"{'Eindtijd' if place == 'end_text' else 'Tijdstip'} van: {_lower(title)}"
            yield self._of_rows(Role.INSTANT, rows, column(self._roles, event.table, place), name, use)

    def _of_rows(
        self, role: Role, rows: Rows, name: str, title: str, use: Use, *, checks: tuple[Check, ...] = (),
        date_column: str | None = None, value_sets: tuple[str, ...] = (),
    ) -> Requirement:  # fmt: skip
        return self.elements.need(
            role, rows.table, (name,), Selected((rows,)), title,
            mandatory=use.mandatory, checks=checks, date_column=date_column, value_sets=value_sets,
        )  # fmt: skip

    def any_of(self, names: Sequence[str], title: str, use: Use) -> Iterator[Requirement]:
        """What one of several events needs: each in so far as it is there, and one of them found."""
        leaves = list(self._leaves(names))
        tables = tuple(sorted({table for leaf in leaves for table in self._tables(leaf)}))
        needed = use.mandatory and len(tables) == 1
        each = replace(use, mandatory=needed, counted=False, title=None)
        ground = self._shared(
            [[*self._alternative(leaf, each)] for leaf in leaves if not isinstance(leaf, ScoreEvent)], use
        )
        scores = [leaf for leaf in leaves if isinstance(leaf, ScoreEvent)]
        if scores:
            instruments = tuple(sorted({score.instrument for score in scores}))
            ground += self._responses(instruments, replace(use, mandatory=needed))
            ground += [need for score in scores for need in self._scored(score.instrument, score.score, each)]
        yield from ground
        if len(tables) > 1:
            yield self.elements.need(
                Role.TABLE, tables[0], (_KEY,), AnyTable(tables), title, mandatory=use.mandatory,
                checks=(Check.PRESENT,), builds_on=[need.element for need in ground],
            )  # fmt: skip
        chosen = {
            (rows.table, rows.label): rows for leaf in leaves for rows in selection(leaf, self.events, self._roles)
        }
        without_death = tuple(chosen[key] for key in sorted(chosen) if chosen[key].table != PATIENTS)
        if without_death and use.counted:
            yield self._found(without_death, title, use, ground)

    def _shared(self, alternatives: Sequence[Sequence[Requirement]], use: Use) -> list[Requirement]:
        """What all alternatives ask is mandatory; what only some of them select by is not."""
        asked = {Role.INDEX_DATE, Role.EVENT_DATE, Role.INSTANT, Role.LATERALITY}
        asked |= {Role.VALUE} if use.value else set()
        asked |= {Role.END} if use.ends else set()
        sets = [{need.element for need in each} for each in alternatives]
        shared = set.intersection(*sets) if sets else set()
        return [
            need if need.role in asked or need.element in shared else replace(need, mandatory=False)
            for each in alternatives
            for need in each
        ]

    def _leaves(self, names: Sequence[str]) -> Iterator[RowEvent | ScoreEvent | ComputedEvent]:
        for name in names:
            match event := self.events[name]:
                case AnyEvent():
                    yield from self._leaves(event.any_of)
                case _:
                    yield event

    def _tables(self, leaf: AnyKindOfEvent) -> list[str]:
        if isinstance(leaf, ScoreEvent):
            return [RESPONSES]
        return [rows.table for rows in selection(leaf, self.events, self._roles)]

    def _alternative(self, leaf: RowEvent | ComputedEvent, use: Use) -> Iterator[Requirement]:
        if isinstance(leaf, RowEvent):
            yield from self._row(leaf, use)
        else:
            yield from self._computed(leaf, use)

    def _computed(self, event: ComputedEvent, use: Use) -> Iterator[Requirement]:
        """The inputs with their values: at the first stands what is computed."""
        for number, name in enumerate(event.inputs):
            first = replace(use, value=True, title=None)
            yield from self.of(name, first if number == 0 else Use(Role.EVENT, use.mandatory, use.found, value=True))
        if event.formula != "bmi":
            yield from self.birth_date(mandatory=use.mandatory)
            yield from self.sex(mandatory=use.mandatory)

    def score(self, instrument: str, score: str, use: Use) -> Iterator[Requirement]:
        """What a PROM score needs."""
        yield from self._responses((instrument,), use)
        yield from self._scored(instrument, score, use)

    def _responses(self, instruments: tuple[str, ...], use: Use) -> Iterator[Requirement]:
        *others, last = (self.elements.instrument_titles[each] for each in instruments)
        title = f"{', '.join(others)} of {last}" if others else last
        code = column(self._roles, RESPONSES, "code")
        yield self._patient(RESPONSES, mandatory=use.mandatory)
        yield self.elements.need(
            Role.QUESTIONNAIRE, RESPONSES, (code,), Responses(instruments), f"Vragenlijst {title} herkend",
            mandatory=use.mandatory, builds_on=self.ground,
        )  # fmt: skip

    def _scored(self, instrument: str, score: str, use: Use) -> Iterator[Requirement]:
        title, day = self.elements.instrument_titles[instrument], column(self._roles, RESPONSES, "date")
        yield self.elements.need(
            Role.RESPONSE_DATE, RESPONSES, (day,), Responses((instrument,)), f"Invuldatum van {title}",
            mandatory=use.mandatory, date_column=day,
        )  # fmt: skip
        yield self.elements.need(
            Role.SCORE, RESPONSES, ("link_id", "value_number", "value_code"), Responses((instrument,), score),
            f"{title} volledig ingevuld", mandatory=use.mandatory,
        )  # fmt: skip

    def at_moment(
        self, instrument: str, score: str, moment: Moment, cohort: str, enough: Check, scored: Sequence[Requirement]
    ) -> Requirement:
        """A score in the window of a moment around the index event.

        Args:
            cohort: its title.
            enough: what is asked of the share of index events with a score.
            scored: what the score itself needs.
        """
        columns = column(self._roles, RESPONSES, "date"), column(self._roles, RESPONSES, "code")
        index = selection(self.events[self.index], self.events, self._roles)
        when = f"{moment.title_nl} ({_lower(cohort)})"
        return self.elements.need(
            Role.MOMENT, RESPONSES, columns, AtMoment(index, instrument, score, moment.from_day, moment.to_day),
            f"{self.elements.instrument_titles[instrument]} {when}", mandatory=True,
            checks=(Check.FOLLOWED, enough), subject=when,
            builds_on=[*self.ground, *(need.element for need in scored)],
        )  # fmt: skip

    def death(self, *, mandatory: bool) -> Iterator[Requirement]:
        """Death, and its date; that nobody died can be true."""
        yield self._record(PATIENTS, "Gegevens van de patiënt", mandatory=mandatory)
        deceased, text = column(self._roles, PATIENTS, "deceased"), column(self._roles, PATIENTS, "date_text")
        yield self._of_patients(Role.DEATH, (deceased, text), "Overlijden bij de patiënt vastgelegd", mandatory=False)
        yield self.elements.need(
            Role.DEATH_DATE, PATIENTS, (column(self._roles, PATIENTS, "date"),), Deceased(),
            "Volledige datum van overlijden", mandatory=mandatory,
        )  # fmt: skip

    def birth_date(self, *, mandatory: bool) -> Iterator[Requirement]:
        """The date of birth of whoever has an index event."""
        yield self._record(PATIENTS, "Gegevens van de patiënt", mandatory=mandatory)
        columns = ("birth_date", "birth_date_text")
        yield self._of_patients(Role.BIRTH_DATE, columns, "Volledige geboortedatum", mandatory=mandatory)

    def sex(self, *, mandatory: bool) -> Iterator[Requirement]:
        """The sex of whoever has an index event."""
        yield self._record(PATIENTS, "Gegevens van de patiënt", mandatory=mandatory)
        yield self._of_patients(Role.SEX, ("gender",), "Geslacht van de patiënt", mandatory=mandatory)

    def comorbidity(self) -> Iterator[Requirement]:
        """The ICD-10 codes of problems, from which comorbidity is scored."""
        yield self.elements.need(
            Role.COMORBIDITY, PROBLEMS, ("problem_icd10_code",), AllRows(), "ICD-10-code van problemen", mandatory=False
        )
        yield self._patient(PROBLEMS, mandatory=False)

    def _of_patients(self, role: Role, columns: tuple[str, ...], title: str, *, mandatory: bool) -> Requirement:
        index = selection(self.events[self.index], self.events, self._roles)
        record = element_name(PATIENTS, (_KEY,), AllRows())
        return self.elements.need(
            role, PATIENTS, columns, IndexPatients(index), title,
            mandatory=mandatory, builds_on=(*self.ground, record),
        )  # fmt: skip

    def _record(self, table: str, title: str, *, mandatory: bool) -> Requirement:
        return self.elements.need(Role.TABLE, table, (_KEY,), AllRows(), title, mandatory=mandatory)

    def _patient(self, table: str, *, mandatory: bool) -> Requirement:
        key = column(self._roles, table, "patient")
        title = f"Koppeling van {self._roles[table].title_nl} met de patiënt"
        return self.elements.need(Role.PATIENT, table, (key,), AllRows(), title, mandatory=mandatory)


def found_columns(roles: Mapping[str, TableRoles], rows: Rows) -> tuple[str, ...]:
    """The columns by which rows are found: code and status, or without codes just that they are there."""
    table = roles[rows.table]
    named = (table.code, table.system, table.status) if rows.codes is not None else (_KEY, table.status)
    return tuple(name for name in named if name is not None)


def _only_patient(need: Requirement, chosen: Selection) -> bool:
    """Whether it is the link with the patient of a table without codes: nothing else says that there are rows."""
    return need.role == Role.PATIENT and any(rows.table == need.table and rows.codes is None for rows in chosen)


def _lower(title: str) -> str:
    """The title inside a sentence; one that starts with an abbreviation stays as it is."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _upper(title: str) -> str:
    return title[:1].upper() + title[1:]
