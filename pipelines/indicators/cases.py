"""Made-up patients that show what an indicator says: `cases/<indicator>.yaml`, read and run (docs/indicators.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import duckdb
from pydantic import Field, model_validator

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.measures import measure
from pipelines.indicators.shapes import builds_on
from pipelines.indicators.stories import DAY_0, Line, StoryError, StoryTables, written
from pipelines.indicators.table_roles import TableRoles
from pipelines.proms.definition_file import Definition, definition_error, read_definition
from pipelines.proms.instruments import Instrument

ERROR_CODE = "OUTCOME-CASES"
FEWEST = 6

Day = int | str | None
Answer = bool | float | str


class Person(Definition):
    """The patient record; `record: none` for a patient without one."""

    sex: str | None = "female"
    born: str | None = "1950-03-01"
    record: Literal["none"] | None = None


class StoryLine(Definition):
    """One thing that happens: an `event` of the set, or a `score` (instrument/score) of a questionnaire.

    Attributes:
        day: a day of the story, a date as written (may be partial), or null for no date.
        at: an instant, in place of `day`.
        until: the end, in the same forms.
        but: columns to override.
        links: column -> the event of another resource that it refers to; null: none.
    """

    day: Day = None
    at: str | None = None
    until: Day = None
    event: str | None = None
    score: str | None = None
    value: float | None = None
    side: Literal["left", "right", "both", "unknown"] | None = None
    but: dict[str, Any] = Field(default_factory=dict)
    links: dict[str, str | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.event is None) == (self.score is None):
            raise ValueError("needs event or score")
        if self.score is not None and self.score.count("/") != 1:
            raise ValueError("score is written as instrument/score")
        if self.at is None and "day" not in self.model_fields_set:
            raise ValueError("needs day or at")
        return self

    @property
    def line(self) -> Line:
        """What the line says."""
        instrument, _, score = (self.score or "").partition("/")
        return Line(
            moment=self.at if self.at is not None else written(self.day),
            event=self.event,
            score=(instrument, score) if self.score else None,
            until=written(self.until),
            value=self.value,
            side=self.side,
            changes=self.but,
            links=self.links,
        )


class Case(Definition):
    """A patient, and what the indicator makes of each of the index events, in the order of their dates."""

    promise_nl: str
    place: Literal["in", "out", "inside_edge", "outside_edge", "excluded", "pending", "missing", "outside"]
    today: int | date = 1000
    patient: Person = Person()
    story: list[StoryLine]
    expect: Answer | list[Answer]

    @property
    def as_of(self) -> date:
        """The reference date."""
        return self.today if isinstance(self.today, date) else DAY_0 + timedelta(days=self.today)

    @property
    def expected(self) -> list[str]:
        """In the words of `outcome_in_words`."""
        answers = self.expect if isinstance(self.expect, list) else [self.expect]
        return [{True: "yes", False: "no"}[a] if isinstance(a, bool) else f"{a}" for a in answers]


class CaseFile(Definition):
    """`cases/<indicator>.yaml`."""

    indicator: str
    cases: Annotated[list[Case], Field(min_length=FEWEST)]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case beside what came out; `rows` are those of `outcome_patient`, by column name."""

    case: Case
    found: list[str]
    rows: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether the indicator says what the case expects."""
        expected = self.case.expected
        return len(expected) == len(self.rows) and all(
            _matches(one, row) for one, row in zip(expected, self.rows, strict=True)
        )


def load_cases(folder: Path, indicator: str) -> CaseFile:
    """Read the cases of an indicator from the folder of its set.

    Raises:
        TerminalError: OUTCOME-CASES, naming the file, the line and the field.
    """
    path = case_path(folder, indicator)
    file = read_definition(path, CaseFile, ERROR_CODE)
    if file.indicator != indicator:
        raise definition_error(
            path, f"field 'indicator': has to be the file name, {indicator}", ERROR_CODE, "indicator"
        )
    return file


def case_path(folder: Path, indicator: str) -> Path:
    """Where the cases of an indicator are."""
    return folder / "cases" / f"{indicator}.yaml"


def run_cases(
    outcome_set: OutcomeSet,
    files: Sequence[CaseFile],
    roles: Mapping[str, TableRoles],
    instruments: Sequence[Instrument],
    folder: Path,
) -> dict[str, list[CaseResult]]:
    """Measure the patients of these files; per indicator the results in the order of its cases.

    Cases with the same reference date are patients of one hospital, measured together.

    Args:
        folder: of the outcome set, for messages.

    Raises:
        TerminalError: OUTCOME-CASES, when a line cannot be told.
    """
    results: dict[tuple[int, int], CaseResult] = {}
    for today in sorted({case.as_of for file in files for case in file.cases}):
        asked = [file for file in files if any(case.as_of == today for case in file.cases)]
        tables = StoryTables(outcome_set, roles, instruments)
        told: dict[str, tuple[int, int]] = {}
        for f, file in enumerate(files):
            for n, case in enumerate(file.cases):
                if case.as_of == today:
                    told[_tell(tables, file, n, folder)] = (f, n)
        rows = _measured(tables, _restricted(outcome_set, asked), roles, today)
        for patient, (f, n) in told.items():
            case = files[f].cases[n]
            mine = [row for row in rows.get(patient, []) if row["indicator"] == files[f].indicator]
            results[f, n] = CaseResult(case, [outcome_in_words(row) for row in mine], mine)
    return {file.indicator: [results[f, n] for n in range(len(file.cases))] for f, file in enumerate(files)}


def _tell(tables: StoryTables, file: CaseFile, number: int, folder: Path) -> str:
    case = file.cases[number]
    patient = f"{file.indicator}.{number + 1:03}"
    person = case.patient
    record = None if person.record == "none" else {"gender": person.sex, "birth_date_text": person.born}
    try:
        tables.tell(patient, record, [line.line for line in case.story])
    except StoryError as error:
        field = f"cases.{number}.story"
        raise definition_error(
            case_path(folder, file.indicator), f"field '{field}': {error}", ERROR_CODE, field
        ) from error
    return patient


def _restricted(outcome_set: OutcomeSet, files: Sequence[CaseFile]) -> OutcomeSet:
    """The set with the indicators of these files, and those they are made of."""
    wanted: set[str] = set()
    todo = [file.indicator for file in files]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += builds_on(outcome_set.indicator(name).measure)
    return replace(outcome_set, indicators=tuple(each for each in outcome_set.indicators if each.id in wanted))


def _measured(
    tables: StoryTables, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], today: date
) -> dict[str, list[dict[str, Any]]]:
    """The rows of `outcome_patient` by made-up patient, in the order of their index dates."""
    with duckdb.connect() as connection:
        tables.fill(connection)
        measure(connection, outcome_set, roles, today)
        rows = connection.sql("FROM outcome_patient ORDER BY index_date NULLS LAST, index_key").to_arrow_table()
    by_patient: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        by_patient.setdefault(_patient_of(row["index_key"]), []).append(row)
    return by_patient


def _patient_of(key: str) -> str:
    """The made-up patient of a row, also when the row itself names none."""
    patient, _, _ = key.rpartition("-")
    return patient


def outcome_in_words(row: Mapping[str, Any]) -> str:
    """A row of `outcome_patient` as a case expects it: yes, no, a number, both (`yes: 12`), or status and reason."""
    if row["status"] != "included":
        return f"{row['status']}: {row['reason']}"
    answer = {True: "yes", False: "no", None: ""}[row["numerator"]]
    number = "" if row["value"] is None else f"{row['value']:.10g}"
    return ": ".join(part for part in (answer, number) if part)


def _matches(expected: str, row: Mapping[str, Any]) -> bool:
    found = outcome_in_words(row)
    answer, _, rest = expected.partition(": ")
    if expected in (found, found.partition(": ")[0]) and not (
        rest == "" and answer in ("missing", "excluded", "outside")
    ):
        return True
    number = _number(rest if answer in ("yes", "no") else expected)
    if number is None or row["status"] != "included" or row["value"] is None:
        return False
    answer_fits = answer not in ("yes", "no") or row["numerator"] is (answer == "yes")
    return answer_fits and math.isclose(number, row["value"], rel_tol=1e-6, abs_tol=1e-6)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
