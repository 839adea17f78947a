"""Write a synthetic export: one folder per hospital, and the truth beside them."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

from pipelines.errors import TerminalError
from pipelines.synthetic.chart import Chart, Resource
from pipelines.synthetic.codes import CodeBook, load_codes
from pipelines.synthetic.course import draw_course
from pipelines.synthetic.defects import plant
from pipelines.synthetic.fhir_care import care
from pipelines.synthetic.fhir_measurements import measurements
from pipelines.synthetic.fhir_patient import patient
from pipelines.synthetic.fhir_proms import questionnaires, responses
from pipelines.synthetic.fhir_stu3 import as_stu3
from pipelines.synthetic.hospitals import Hospital, plan_hospitals
from pipelines.synthetic.packaging import Entry, ExportFile, arrange, write
from pipelines.synthetic.people import bsn_numbers, make_person
from pipelines.synthetic.proms import draw_responses
from pipelines.synthetic.truth import (
    Arguments,
    Defect,
    History,
    InstitutionTruth,
    Tally,
    Truth,
    expected,
    tally,
)

TRUTH_FILE = "truth.json"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class _Production:
    """What one hospital produced, before it is written."""

    entries: list[Entry]
    histories: list[History]


def synthesise(
    out: Path,
    *,
    hospitals: int = 12,
    patients: int = 400,
    seed: int = 1,
    as_of: date = date(2025, 12, 31),
    defect_share: float = 0.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Write made-up exports of hospitals for hip and knee osteoarthritis; equal arguments give equal bytes.

    Args:
        out: folder for `<institution>/...` and `truth.json`; new, empty, or holding an earlier synthetic
            export, which is replaced.
        hospitals: number of institutions.
        patients: mean number of patients per hospital; hospitals have 0.4 to 1.6 times as many.
        seed: of all chance.
        as_of: last day of the export; operations lie in the 30 months before it.
        defect_share: defects to plant, as a share of the sound resources (0 to 1).
        on_progress: called with the hospitals done and the hospitals in all.

    Returns:
        The truth, as written to `truth.json`.

    Raises:
        TerminalError: `SYNTHETIC-ARGUMENT`, `SYNTHETIC-OUT-NOT-EMPTY` or `SYNTHETIC-CODE-MISSING`.
    """
    _check(hospitals, patients, defect_share)
    codes = load_codes()
    _make_room(out)
    plan, outliers = plan_hospitals(hospitals, patients, seed)
    arguments = Arguments(hospitals, patients, seed, as_of.isoformat(), defect_share)
    bsns = bsn_numbers()
    institutions: list[InstitutionTruth] = []
    defects: list[Defect] = []
    overall: Tally = {}
    for done, hospital in enumerate(plan, start=1):
        production = _produce(Random(f"{seed}/{hospital.name}"), hospital, codes, bsns, as_of)
        files = arrange(production.entries, hospital.dialect.packaging)
        plant(Random(f"{seed}/{hospital.name}/defects"), files, defect_share, _encode)
        _write_hospital(out / hospital.name, files)
        values = tally(production.histories, as_of)
        for name, operations in values.items():
            overall.setdefault(name, []).extend(operations)
        institutions.append(_institution_truth(hospital, production.entries, values))
        defects += _found(hospital.name, files)
        if on_progress is not None:
            on_progress(done, hospitals)
    truth = Truth(arguments, tuple(institutions), expected(overall), outliers, tuple(defects))
    truth.write(out / TRUTH_FILE)
    return truth


def _check(hospitals: int, patients: int, defect_share: float) -> None:
    if hospitals < 1 or patients < 1 or not 0 <= defect_share <= 1:
        raise TerminalError(
            "SYNTHETIC-ARGUMENT",
            "hospitals and patients must be 1 or more, and the defect share from 0 to 1",
            where="uitkomst synthesise",
            remedy="Change the option",
        )


def _make_room(out: Path) -> None:
    """Remove an earlier synthetic export; never anything else."""
    truth = out / TRUTH_FILE
    if truth.exists():
        for folder in sorted(out.iterdir()):
            if folder.is_dir() and re.fullmatch(r"ziekenhuis-\d+", folder.name):
                shutil.rmtree(folder)
        truth.unlink()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise TerminalError(
            "SYNTHETIC-OUT-NOT-EMPTY",
            "the folder holds files that are no synthetic export",
            where=str(out),
            remedy="Choose a new or empty folder",
        )


def _produce(rng: Random, hospital: Hospital, codes: CodeBook, bsns: Iterator[str], as_of: date) -> _Production:
    """All resources of one hospital, patient by patient, and what happened to these patients."""
    entries = [_entry(resource, 0, hospital) for resource in questionnaires(hospital.dialect)]
    histories = []
    stem = f"z{hospital.name.removeprefix('ziekenhuis-')}"
    for number in range(hospital.patients):
        course = draw_course(rng, hospital.effects, as_of)
        answered = draw_responses(rng, course, hospital.effects, as_of)
        index_date = next(o.on for o in course.operations if o.kind == "primary")
        person = make_person(rng, key=f"{stem}-p{number + 1:05}", bsn=next(bsns), index_date=index_date)
        chart = Chart(person, hospital.dialect, codes)
        resources = [patient(chart, course.death)]
        resources += care(rng, chart, course, as_of)
        resources += measurements(rng, chart, course, as_of)
        resources += responses(rng, chart, answered)
        entries += [_entry(resource, number, hospital) for resource in resources]
        histories.append(History(course, answered))
    return _Production(entries, histories)


def _entry(resource: Resource, number: int, hospital: Hospital) -> Entry:
    written = resource if hospital.dialect.release == "r4" else as_stu3(resource)
    return Entry(written["resourceType"], number, _encode(written))


def _write_hospital(folder: Path, files: list[ExportFile]) -> None:
    folder.mkdir()
    for file in files:
        write(folder, file)


def _institution_truth(hospital: Hospital, entries: list[Entry], values: Tally) -> InstitutionTruth:
    resources = Counter(entry.resource_type for entry in entries)
    return InstitutionTruth(
        institution=hospital.name,
        patients=hospital.patients,
        packaging=hospital.dialect.packaging.value,
        release=hospital.dialect.release,
        resources=dict(sorted(resources.items())),
        effects=hospital.effects,
        expected=expected(values),
    )


def _found(institution: str, files: list[ExportFile]) -> Iterator[Defect]:
    """Where the defects ended up."""
    for file in files:
        for line, entry in enumerate(file.entries, start=1):
            if entry.defect is not None:
                yield Defect(institution, file.name, line, entry.defect)
