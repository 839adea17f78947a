"""The events of a world, one row at a time: what docs/indicators.md says under Moments and Events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from every_shape import BOTH, World

from pipelines.formulae import arrays
from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.events import AnyEvent, Comparison, ComputedEvent, RowEvent, ScoreEvent
from pipelines.indicators.table_roles import TableRoles

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EARLY, LATE = date.min, date.max


@dataclass(frozen=True)
class Moment:
    """The days a moment can be (None: any), and the instant in UTC if it is one."""

    low: date | None = None
    high: date | None = None
    at: datetime | None = None
    text: str | None = None

    @property
    def complete(self) -> bool:
        return self.low is not None and self.low == self.high


@dataclass(frozen=True)
class Event:
    institution: str
    patient: str | None
    key: str
    begin: Moment
    end: Moment
    value: float | None = None
    side: str | None = None


@dataclass(frozen=True)
class Patient:
    sex: str | None
    born: Moment
    death: Event | None


def read(text: str | None) -> Moment:
    if text is None:
        return Moment()
    try:
        if re.fullmatch(r"\d{4}", text):
            return Moment(date(int(text), 1, 1), date(int(text), 12, 31), None, text)
        if re.fullmatch(r"\d{4}-\d{2}", text):
            first = date.fromisoformat(f"{text}-01")
            return Moment(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1), None, text)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})", text):
            instant = datetime.fromisoformat(text)
            day = instant.astimezone(AMSTERDAM).date()
            return Moment(day, day, instant.astimezone(UTC), text)
        if re.match(r"\d{4}-\d{2}-\d{2}", text):
            return Moment(date.fromisoformat(text[:10]), date.fromisoformat(text[:10]), None, text)
    except ValueError:
        pass
    return Moment(text=text)


def in_range(value: float, comparison: Comparison | None) -> bool:
    if comparison is None:
        return True
    return (
        (comparison.at_least is None or value >= comparison.at_least)
        and (comparison.more_than is None or value > comparison.more_than)
        and (comparison.at_most is None or value <= comparison.at_most)
        and (comparison.less_than is None or value < comparison.less_than)
    )


def single_side(side: str | None) -> str | None:
    return None if side == BOTH else side


def same_side(one: str | None, other: str | None) -> bool:
    left, right = single_side(one), single_side(other)
    return left is None or right is None or left == right


def age_range(born: Moment, moment: Moment) -> tuple[int, int] | None:
    """The youngest and the oldest that somebody can be."""
    if born.low is None or born.high is None or moment.low is None or moment.high is None:
        return None
    return years(born.high, moment.low), years(born.low, moment.high)


def years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


class Events:
    """Every event of a world by name, on a reference date."""

    def __init__(self, world: World, outcome_set: OutcomeSet, roles: dict[str, TableRoles], as_of: date) -> None:
        self._world, self._set, self._roles, self._as_of = world, outcome_set, roles, as_of
        self._known: dict[str, list[Event]] = {}
        self._of_patient: dict[tuple[str, str, str | None], list[Event]] = {}
        self.patients = self._patients()

    def named(self, name: str) -> list[Event]:
        if name not in self._known:
            event = self._set.events[name]
            match event:
                case RowEvent():
                    found = self._rows(event)
                case ScoreEvent():
                    found = self._scores(event)
                case AnyEvent():
                    found = [one for part in event.any_of for one in self.named(part)]
                case ComputedEvent():
                    found = self._computed(event)
            self._known[name] = [one for one in found if one.begin.low is None or one.begin.low <= self._as_of]
            for one in self._known[name]:
                self._of_patient.setdefault((name, one.institution, one.patient), []).append(one)
        return self._known[name]

    def of(self, name: str, institution: str, patient: str | None) -> list[Event]:
        self.named(name)
        return [] if patient is None else self._of_patient.get((name, institution, patient), [])

    def _until(self, text: str | None) -> Moment:
        """An end after the reference date has not come yet."""
        moment = read(text)
        return Moment() if moment.low is not None and moment.low > self._as_of else moment

    def _rows(self, event: RowEvent) -> list[Event]:
        role, rows = self._roles[event.table], self._world.tables.get(event.table, [])
        if role.deceased is not None:
            rows = self._deaths(rows, role)
        found = []
        for row in rows:
            if not self._is(row, event, role):
                continue
            begin = row.get(role.start_text) if role.start_text else None
            end = row.get(role.end_text) if role.end_text else None
            if event.at == "end" and end is None:
                continue
            found.append(
                Event(
                    row["institution"], row.get(role.patient) if role.patient else None, row["resource_key"],
                    read(end if event.at == "end" else begin), self._until(end), self._value(row, event, role),
                    row.get(role.laterality) if role.laterality else None,
                )
            )  # fmt: skip
        return found

    def _is(self, row: dict[str, Any], event: RowEvent, role: TableRoles) -> bool:
        status = row.get(role.status) if role.status else None
        if status == "entered-in-error" or (event.status is not None and status not in event.status):
            return False
        if event.codes is not None and not self._in(row, str(role.codings), event.codes):
            return False
        if event.where is not None and not any(
            all(self._in(row, column, name) for column, name in one.items()) for one in event.where
        ):
            return False
        for column, target in event.linked.items():
            if not any((e.institution, e.key) == (row["institution"], row.get(column)) for e in self.named(target)):
                return False
        if event.lasts_at_least is not None and not self._lasts(row, event.lasts_at_least, role):
            return False
        value = self._value(row, event, role)
        return event.value is None or (value is not None and in_range(value, event.value))

    def _lasts(self, row: dict[str, Any], days: int, role: TableRoles) -> bool:
        begin, text = read(row.get(str(role.start_text))), row.get(str(role.end_text))
        end = self._as_of if text is None else read(text).low
        return begin.high is not None and end is not None and (min(end, self._as_of) - begin.high).days >= days

    def _in(self, row: dict[str, Any], column: str, value_set: str) -> bool:
        codes, held = self._set.value_sets[value_set].codes, row.get(column)
        if column.endswith("_codings_id"):
            codings = self._world.codings.get((row["institution"], held), []) if held else []
            return any((code.system, code.code) in codings for code in codes)
        return any(code.code == held for code in codes)

    @staticmethod
    def _value(row: dict[str, Any], event: RowEvent, role: TableRoles) -> float | None:
        column = event.value_column or role.value
        if column is None or row.get(column) is None:
            return None
        comparator = role.comparators.get(column)
        return None if comparator and row.get(comparator) is not None else float(row[column])

    @staticmethod
    def _deaths(rows: Sequence[dict[str, Any]], role: TableRoles) -> list[dict[str, Any]]:
        """Of each patient the record that says when: a complete date first, then the earliest, then the key."""

        def rank(row: dict[str, Any]) -> tuple[bool, date, str]:
            moment = read(row.get(str(role.start_text)))
            return not moment.complete, moment.low or LATE, row["resource_key"]

        best: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            if row.get(str(role.deceased)) or row.get(str(role.start_text)) is not None:
                who = row["institution"], row.get(str(role.patient)) or row["resource_key"]
                if who not in best or rank(row) < rank(best[who]):
                    best[who] = row
        return list(best.values())

    def _patients(self) -> dict[tuple[str, str], Patient]:
        rows = self._world.tables.get("zib_patient", [])
        deaths = {
            (row["institution"], row["patient_key"]): row for row in self._deaths(rows, self._roles["zib_patient"])
        }
        found = {}
        for who in {(row["institution"], row["patient_key"]) for row in rows}:
            mine = [row for row in rows if (row["institution"], row["patient_key"]) == who]
            death = None
            if who in deaths:
                moment = read(deaths[who].get("death_date_text"))
                if moment.low is None or moment.low <= self._as_of:
                    death = Event(*who, deaths[who]["resource_key"], moment, Moment())
            found[who] = Patient(
                _agreed(row.get("gender") for row in mine),
                read(_agreed(row.get("birth_date_text") for row in mine)),
                death,
            )
        return found

    def _scores(self, event: ScoreEvent) -> list[Event]:
        found = []
        for row in self._world.tables.get("prom_score", []):
            named = (row["instrument"], row["score"]) == (event.instrument, event.score)
            if named and row["value"] is not None and in_range(row["value"], event.value):
                day = row["scored_date"]
                moment = Moment(day, day, None, None if day is None else day.isoformat())
                found.append(
                    Event(row["institution"], row["patient_key"], row["resource_key"], moment, Moment(), row["value"])
                )
        return found

    def _computed(self, event: ComputedEvent) -> list[Event]:
        found = []
        for first in self.named(event.inputs[0]):
            others = [self._last_before(first, name, event.within_days) for name in event.inputs[1:]]
            value = self._formula(event.formula, first, others)
            if value is not None and in_range(value, event.value):
                found.append(
                    Event(first.institution, first.patient, first.key, first.begin, first.end, value, first.side)
                )
        return found

    def _last_before(self, first: Event, name: str, days: int) -> float | None:
        if not first.begin.complete:
            return None
        candidates = [
            one
            for one in self.of(name, first.institution, first.patient)
            if one.begin.complete and one.value is not None and 0 <= (first.begin.low - one.begin.low).days <= days
        ]
        best: Event | None = None
        for one in candidates:
            if best is None or _later(one, best):
                best = one
        return None if best is None else best.value

    def _formula(self, formula: str, first: Event, others: list[float | None]) -> float | None:
        if first.value is None or any(other is None for other in others):
            return None
        if formula == "bmi":
            value = arrays.body_mass_index([first.value], others)
        else:
            patient = self.patients.get((first.institution, first.patient or ""))
            ages = age_range(patient.born, first.begin) if patient else None
            if patient is None or patient.sex not in ("female", "male") or ages is None or ages[0] != ages[1]:
                return None
            creatinine = arrays.creatinine_mg_dl([first.value])
            value = arrays.egfr_ckd_epi_2021(creatinine, [ages[0]], [patient.sex])
        number = float(np.asarray(value)[0])
        return None if np.isnan(number) else number


def _later(one: Event, best: Event) -> bool:
    """Last by day, then by instant (none before any), then the smallest key."""
    mine, other = (one.begin.low, one.begin.at), (best.begin.low, best.begin.at)
    if mine[0] != other[0]:
        return bool(mine[0] > other[0])
    if mine[1] != other[1]:
        return mine[1] is not None and (other[1] is None or mine[1] > other[1])
    return one.key < best.key


def _agreed(values: Any) -> str | None:
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None
