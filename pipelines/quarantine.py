"""The shape of what was not accepted: one row per line, resource or table row, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One thing that was set aside. Holds no value from the record, only where to find it.

    Attributes:
        institution: folder name of the institution.
        source_file: file name within the institution's export.
        source_line: 1-based line, or 1-based entry of a Bundle; None when it is about the whole file.
        resource_type: FHIR type, when it could be read.
        resource_key: pseudonym of the resource, when it is known at that step.
        rule_id: stable code of the rule, for example ``LINE-NOT-JSON``.
        reason: the rule in words, with the FHIR path or column, never a value.
        step: the step that set it aside: ``extract``, ``zib`` or ``validate``.
    """

    institution: str
    source_file: str
    source_line: int | None
    resource_type: str | None
    resource_key: str | None
    rule_id: str
    reason: str
    step: str

    def as_dict(self) -> dict[str, Any]:
        """The row as a dict in field order, ready for NDJSON."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(QuarantineRow))
