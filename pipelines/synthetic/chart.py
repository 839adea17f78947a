"""What all resources of a patient share: ids, references, profiles, and dates as the hospital writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pipelines.synthetic.codes import CodeBook
from pipelines.synthetic.hospitals import Dialect
from pipelines.synthetic.people import Person

Resource = dict[str, Any]

PROFILES = "http://nictiz.nl/fhir/StructureDefinition/"
EXTENSIONS = "http://nictiz.nl/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Chart:
    """One patient in one hospital."""

    person: Person
    dialect: Dialect
    codes: CodeBook

    def start(self, resource_type: str, name: str, profile: str | None) -> Resource:
        """The first elements of a resource: type, id, profile."""
        resource: Resource = {"resourceType": resource_type, "id": self.id(name)}
        if profile is not None:
            resource["meta"] = {"profile": [PROFILES + profile]}
        return resource

    def id(self, name: str) -> str:
        """A resource id, unique in the export."""
        return f"{self.person.key}-{name}"

    def subject(self) -> dict[str, str]:
        """Reference to the patient."""
        return {"reference": f"Patient/{self.person.key}", "type": "Patient"}

    def reference(self, resource_type: str, name: str) -> dict[str, str]:
        """Reference to another resource of this patient."""
        return {"reference": f"{resource_type}/{self.id(name)}", "type": resource_type}

    def moment(self, on: date, hour: int, minute: int = 0) -> str:
        """A FHIR dateTime: with time and offset in a hospital that writes times, otherwise the date."""
        return timestamp(on, hour, minute) if self.dialect.with_times else on.isoformat()


def timestamp(on: date, hour: int, minute: int = 0) -> str:
    """Local time in the Netherlands with its offset, for example 2025-03-01T09:30:00+01:00."""
    offset = "+02:00" if _last_sunday(on.year, 3) <= on < _last_sunday(on.year, 10) else "+01:00"
    return f"{on.isoformat()}T{hour:02}:{minute:02}:00{offset}"


def _last_sunday(year: int, month: int) -> date:
    """Start (March) and end (October) of summer time; both months have 31 days."""
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)
