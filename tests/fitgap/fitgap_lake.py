"""A lake made by hand: operations, patients and pain scores of a few hospitals, delivered in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.fitgap.run import FitGap, load_fit_gap, run_fit_gap
from pipelines.indicators.requirements import load_concepts, requirements
from pipelines.lake.tables import Lake

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
SNOMED = "http://snomed.info/sct"
LOCAL = "urn:oid:2.16.840.1.113883.2.4.99.1"
HIP, KNEE = "52734007", "609588000"
LEFT = "7771000"
NRS = "http://uitkomststroom.nl/fhir/Questionnaire/nrs-pain"
AS_OF = date(2025, 12, 31)
OPENING = datetime(2025, 1, 31, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Operation:
    """A row of zib_procedure; by default a hip replacement as it should be."""

    key: str
    patient: str | None = "p1"
    system: str | None = SNOMED
    code: str | None = HIP
    day: date | None = date(2024, 3, 1)
    side: str | None = LEFT
    status: str = "completed"
    codings: str | None = None

    def row(self) -> dict[str, Any]:
        return {
            "resource_key": self.key,
            "patient_key": self.patient,
            "status": self.status,
            "procedure_code": self.code,
            "procedure_system": self.system,
            "procedure_snomed_code": self.code if self.system == SNOMED else None,
            "laterality_snomed_code": self.side,
            "start_date": self.day,
            "procedure_codings_id": self.codings,
        }


@dataclass(frozen=True)
class Person:
    """A row of zib_patient."""

    key: str
    deceased: bool | None = None
    death: date | None = None
    death_text: str | None = None

    def row(self) -> dict[str, Any]:
        return {
            "resource_key": f"patient-{self.key}",
            "patient_key": self.key,
            "deceased": self.deceased,
            "death_date": self.death,
            "death_date_text": self.death_text or (self.death.isoformat() if self.death else None),
        }


@dataclass(frozen=True)
class Response:
    """One answered pain questionnaire: the answer to the question about pain during activity, 0 to 10."""

    key: str
    patient: str | None = "p1"
    day: date | None = date(2024, 2, 20)
    answer: float | None = 6
    questionnaire: str | None = NRS
    status: str = "completed"

    def row(self) -> dict[str, Any]:
        return {
            "resource_key": self.key,
            "patient_key": self.patient,
            "questionnaire": self.questionnaire,
            "questionnaire_version": "1.0",
            "status": self.status,
            "authored_at": datetime(self.day.year, self.day.month, self.day.day, 9) if self.day else None,
            "link_id": "activity",
            "value_number": self.answer,
            "value_code": None,
            "value_code_system": None,
            "source_related_person_key": None,
            "source_practitioner_key": None,
            "source_practitioner_role_key": None,
        }


SCHEMAS = {
    "zib_procedure": pa.schema(
        [(name, pa.string()) for name in (
            "institution", "resource_key", "patient_key", "status", "procedure_code", "procedure_system",
            "procedure_snomed_code", "laterality_snomed_code",
        )] + [("start_date", pa.date32()), ("procedure_codings_id", pa.string())]
    ),
    "zib_patient": pa.schema(
        [("institution", pa.string()), ("resource_key", pa.string()), ("patient_key", pa.string()),
         ("deceased", pa.bool_()), ("death_date", pa.date32()), ("death_date_text", pa.string())]
    ),
    "prom_answer": pa.schema(
        [(name, pa.string()) for name in (
            "institution", "resource_key", "patient_key", "questionnaire", "questionnaire_version", "status",
        )] + [("authored_at", pa.timestamp("us")), ("link_id", pa.string()), ("value_number", pa.float64()),
              *((name, pa.string()) for name in (
                  "value_code", "value_code_system", "source_related_person_key", "source_practitioner_key",
                  "source_practitioner_role_key",
              ))]
    ),
}  # fmt: skip


def deliver(
    home: Path,
    *rows: Operation | Person | Response,
    institution: str = "a",
    landed: datetime = OPENING,
) -> None:
    """Add one batch to the lake of `home`."""
    kinds = {"zib_procedure": Operation, "zib_patient": Person, "prom_answer": Response}
    for table, kind in kinds.items():
        content = [{"institution": institution, **row.row()} for row in rows if isinstance(row, kind)]
        if content:
            Lake(home / "lake").append(
                table,
                pa.Table.from_pylist(content, SCHEMAS[table]),
                institution=institution,
                batch_id=landed.strftime("%Y%m%d"),
                landed_at=landed,
            )


@cache
def knie_heupartrose() -> FitGap:
    """The fit-gap as it is in mappings/, without case mix and strata: of those, test_fitgap_events.py."""
    known = load_fit_gap(MAPPINGS, ["knie-heupartrose"])
    bare = {"case_mix": [], "stratifiers": []}
    sets = tuple(
        replace(each, indicators=tuple(indicator.model_copy(update=bare) for indicator in each.indicators))
        for each in known.sets
    )
    concepts = load_concepts(MAPPINGS / "zib" / "2020" / "elements.csv")
    needs = tuple(need for each in sets for need in requirements(each, known.instruments, known.roles, concepts))
    return replace(known, sets=sets, needs=needs)


def run(home: Path, as_of: date = AS_OF) -> dict[str, Any]:
    """A run over the lake of `home`."""
    home.mkdir(exist_ok=True)
    return run_fit_gap(home, knie_heupartrose(), as_of=as_of, versions={}, on_progress=lambda done, total: None)


def element(content: dict[str, Any], name: str, institution: str = "a") -> dict[str, Any]:
    """What was measured of an element at an institution."""
    own = next(each for each in content["institutions"] if each["institution"] == institution)
    return next(each for each in own["elements"] if each["element"] == name)


def shares(content: dict[str, Any], name: str, checks: Sequence[str]) -> list[tuple[int, int]]:
    """Part and whole per check of an element at institution a."""
    found = element(content, name)["checks"]
    return [(found[check]["part"], found[check]["whole"]) for check in checks]


def verdict(content: dict[str, Any], indicator: str, institution: str = "a") -> dict[str, Any]:
    """The verdict on an indicator at an institution."""
    own = next(each for each in content["institutions"] if each["institution"] == institution)
    return next(each for each in own["indicators"] if each["indicator"] == indicator)
