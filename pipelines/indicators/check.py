"""Everything that is wrong with outcome sets: definitions, value sets, and cases that come out otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import TerminalError
from pipelines.indicators.cases import ERROR_CODE as CASES_CODE
from pipelines.indicators.cases import CaseFile, case_path, load_cases, run_cases
from pipelines.indicators.definitions import (
    ERROR_CODE,
    Indicator,
    OutcomeSet,
    SetFile,
    indicator_files,
    load_header,
    load_outcome_set,
    outcome_set_folders,
)
from pipelines.indicators.events import RowEvent, value_sets_of
from pipelines.indicators.references import broken_indicator, broken_set
from pipelines.indicators.table_roles import TableRoles, load_table_roles
from pipelines.indicators.value_sets import load_value_set
from pipelines.proms.definition_file import Definition, definition_problems, line_of, read_definition
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.zib.laboratory_units import LABORATORY_UNITS
from pipelines.zib.private_codings import is_snomed_id

_SNOMED = "http://snomed.info/sct"

# What a spreadsheet makes of a long code: 5.27E+07, or 52734007.0. Codes of ICD-9 end in .0 too, but are short.
_DAMAGED = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+[0-9]+|[0-9]{5,}[.,]0+")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where: a file, with its line where that is known."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class CheckReport:
    """What was looked at, and what is wrong."""

    findings: list[Finding] = field(default_factory=list)
    sets: int = 0
    indicators: int = 0
    cases: int = 0


@dataclass(frozen=True, slots=True)
class _Mappings:
    folder: Path
    roles: dict[str, TableRoles]
    instruments: Sequence[Instrument]

    @property
    def codes(self) -> Path:
        return self.folder / "codes"


def check_outcome_sets(mappings: Path, names: Sequence[str] = ()) -> CheckReport:
    """Check outcome sets, all of them without `names`, their value sets and their cases.

    Raises:
        TerminalError: OUTCOME-SET-UNKNOWN, or TABLE-ROLES and PROM-DEFINITION when what they stand on cannot be read.
    """
    within = _Mappings(mappings, load_table_roles(mappings / "table_roles.yaml"), load_instruments(mappings / "proms"))
    everyone, chosen = outcome_set_folders(mappings), outcome_set_folders(mappings, names)
    report = CheckReport(findings=[*_value_sets(within.codes), *_same_ids(everyone)])
    for folder in chosen.values():
        _check_set(folder, within, report)
    return report


def _check_set(folder: Path, within: _Mappings, report: CheckReport) -> None:
    """Definitions first; cases are only run when those are sound."""
    findings = list(_definitions(folder, within))
    report.sets += 1
    report.indicators += len(indicator_files(folder))
    report.findings += findings
    files: list[CaseFile] = []
    for path in indicator_files(folder):
        try:
            files.append(load_cases(folder, path.stem))
        except TerminalError as error:
            report.findings += list(_case_problems(folder, path.stem)) or [Finding(error.where, error.what)]
    if findings:
        return
    try:
        outcome_set = load_outcome_set(folder, within.codes, within.instruments, within.roles)
    except TerminalError as error:
        report.findings.append(Finding(error.where, error.what))
        return
    report.cases += sum(len(file.cases) for file in files)
    report.findings += _failing_cases(outcome_set, files, folder, within)


def _definitions(folder: Path, within: _Mappings) -> Iterator[Finding]:
    """What is wrong with the files of a set, one by one and together."""
    path = folder / "set.yaml"
    problems = list(_of_file(path, SetFile, ERROR_CODE))
    yield from problems
    header = None if problems else read_definition(path, SetFile, ERROR_CODE)
    if header is not None:
        if header.id != folder.name:
            yield _at(path, "id", f"has to be the name of the folder, {folder.name}")
        for where, what in (*broken_set(header, within.instruments, within.roles), *_columns(header, within)):
            yield _at(path, where, what)
        for name in sorted({name for event in header.events.values() for name in value_sets_of(event)}):
            if not (within.codes / f"{name}.csv").exists():
                yield _at(path, _naming(header, name), f"there is no value set {name} in mappings/codes")
        try:
            header = load_header(path, within.instruments)
        except TerminalError as error:
            yield Finding(error.where, error.what)
    sound: dict[Path, Indicator] = {}
    for file in indicator_files(folder):
        found = list(_of_file(file, Indicator, ERROR_CODE))
        yield from found
        if not found:
            sound[file] = read_definition(file, Indicator, ERROR_CODE)
    if not indicator_files(folder):
        yield Finding(str(folder), "the folder holds no indicator (*.yaml beside set.yaml)")
    if header is not None:
        for file, indicator in sound.items():
            for where, what in broken_indicator(indicator, file.stem, header, list(sound.values())):
                yield _at(file, where, what)
    yield from (
        Finding(str(case), "there is no indicator of this name in the set")
        for case in sorted((folder / "cases").glob("*.yaml"))
        if not (folder / case.name).exists()
    )


def _of_file(path: Path, model: type[Definition], code: str) -> Iterator[Finding]:
    try:
        for where, what in definition_problems(path, model, code):
            yield _at(path, where, what)
    except TerminalError as error:
        yield Finding(error.where, error.what)


def _at(path: Path, where: str, what: str) -> Finding:
    return Finding(f"{path}:{line_of(path, where)}", f"field '{where}': {what}")


def _naming(header: SetFile, value_set: str) -> str:
    return next(f"events.{name}" for name, event in header.events.items() if value_set in value_sets_of(event))


def _columns(header: SetFile, within: _Mappings) -> Iterator[tuple[str, str]]:
    """Columns that an event names and its table does not have."""
    for name, event in header.events.items():
        if isinstance(event, RowEvent) and event.table in within.roles:
            known = _columns_of(within.folder / "zib" / "2020" / f"{event.table}.json")
            named = [column for one in event.where or [] for column in one] + list(event.linked)
            for column in [*named, *([event.value_column] if event.value_column else [])]:
                if known and column not in known:
                    yield f"events.{name}", f"{event.table} has no column {column}"


def _columns_of(view: Path) -> set[str]:
    """The columns of a ViewDefinition; none when the table is not made by one."""
    if not view.exists():
        return set()

    def walk(part: Mapping[str, Any]) -> Iterator[str]:
        yield from (column["name"] for column in part.get("column", []))
        for key in ("select", "unionAll"):
            for one in part.get(key, []):
                yield from walk(one)

    return set(walk(json.loads(view.read_bytes())))


def _same_ids(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """Two files with one id: deliveries, results and links name an indicator by its id alone."""
    first: dict[str, Path] = {}
    for folder in folders.values():
        for path in indicator_files(folder):
            if path.stem in first:
                yield _at(path, "id", f"indicator {path.stem} is in {first[path.stem]} too")
            first.setdefault(path.stem, path)


def _value_sets(codes: Path) -> Iterator[Finding]:
    for path in sorted(codes.glob("*.csv")):
        if path.name == Path(LABORATORY_UNITS).name:
            continue
        try:
            value_set = load_value_set(codes, path.stem)
        except TerminalError as error:
            yield Finding(error.where, error.what)
            continue
        for line, code in enumerate(value_set.codes, start=2):
            if _DAMAGED.fullmatch(code.code):
                yield Finding(
                    f"{path}:{line}", f"column 'code': {code.code} is a number that a spreadsheet made of a code"
                )
            elif code.system == _SNOMED and not is_snomed_id(code.code):
                yield Finding(f"{path}:{line}", f"column 'code': {code.code} fails the check digit of SNOMED CT")


def _case_problems(folder: Path, indicator: str) -> Iterator[Finding]:
    path = case_path(folder, indicator)
    if path.exists():
        yield from _of_file(path, CaseFile, CASES_CODE)
    else:
        yield Finding(str(path), "an indicator needs made-up patients that show what it says (docs/indicators.md)")


def _failing_cases(
    outcome_set: OutcomeSet, files: Sequence[CaseFile], folder: Path, within: _Mappings
) -> Iterator[Finding]:
    """Cases that come out otherwise."""
    try:
        results = run_cases(outcome_set, files, within.roles, within.instruments, folder)
    except TerminalError as error:
        yield Finding(error.where, error.what)
        return
    for name, cases in results.items():
        for number, result in enumerate(cases):
            if not result.holds:
                expected, found = ", ".join(result.case.expected), ", ".join(result.found)
                what = f"'{result.case.promise_nl}': expected {expected or 'no row'}, found {found or 'no row'}"
                yield _at(case_path(folder, name), f"cases.{number}", what)
