"""What a registry receives and how: one YAML file per registry under `mappings/registries/`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipelines.proms.definition_file import Definition, read_definition

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Holds = Literal[
    "institution",
    "outcome_set",
    "indicator",
    "indicator_version",
    "statistic",
    "period",
    "denominator",
    "numerator",
    "value",
    "ci_low",
    "ci_high",
    "suppressed",
    "group_denominator",
    "group_value",
    "group_suppressed",
    "as_of",
]


class FileFormat(Definition):
    """How the CSV is written. `decimals` holds for every number that is not a count."""

    name: Name
    separator: Annotated[str, Field(min_length=1, max_length=1)]
    decimal_mark: Literal[",", "."]
    decimals: Annotated[int, Field(ge=0, le=10)]
    date_format: str


class Labels(Definition):
    """Words in the file: for the period of a total, and for a cell that is left empty."""

    total: str
    suppressed: str


class SmallCells(Definition):
    """Thresholds below which a cell is not published; 0 or 1 switches a threshold off."""

    minimum_denominator: Annotated[int, Field(ge=0)]
    minimum_count: Annotated[int, Field(ge=0)]


class Column(Definition):
    """One column of the file: the registry's header, and what we put under it."""

    header: str
    holds: Holds


class Source(Definition):
    """A fact in the definition and where it was found."""

    fact: str
    source: str


class Registry(Definition):
    """A registry as its YAML file defines it; `measure_reports` names a file of the same as FHIR resources (NDJSON)."""

    id: Name
    name: str
    outcome_set: Name
    file: FileFormat
    measure_reports: Name | None = None
    labels: Labels
    small_cells: SmallCells
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    sources: tuple[Source, ...]

    @field_validator("columns")
    @classmethod
    def _headers_differ(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        twice = [header for header, count in Counter(c.header for c in columns).items() if count > 1]
        if twice:
            raise ValueError(f"header used twice: {', '.join(twice)}")
        return columns


def load_registry(path: Path) -> Registry:
    """Read a registry definition.

    Raises:
        TerminalError: REGISTRY-DEFINITION, naming the file and the first field that is wrong.
    """
    return read_definition(path, Registry, "REGISTRY-DEFINITION")
