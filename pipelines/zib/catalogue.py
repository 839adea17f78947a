"""The ZIB tables: one ViewDefinition per table in `mappings/zib/<release>/`."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.fhir_types import Element, r4
from pipelines.sqlonfhir.tags import UnitTable
from pipelines.sqlonfhir.units import is_unit
from pipelines.sqlonfhir.values import Schema
from pipelines.sqlonfhir.views import CompiledView, ViewError, compile_view


@dataclass(frozen=True, slots=True)
class ZibTable:
    """A ZIB table and the view that fills it. `version` is the first 12 digits of the file's SHA-256."""

    name: str
    view: CompiledView
    version: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All ZIB tables of a release.

    Attributes:
        tables: in order of their file names.
        schemas: per FHIR type, everything that any of its views reads.
    """

    tables: tuple[ZibTable, ...]
    schemas: Mapping[str, Schema] = field(default_factory=dict)

    def tables_of(self, resource_type: str) -> tuple[ZibTable, ...]:
        """The tables that resources of this type may feed."""
        return tuple(table for table in self.tables if table.view.resource == resource_type)


def load_catalogue(folder: Path) -> Catalogue:
    """Compile every ViewDefinition in `folder`. Identifiers become pseudonyms; keys are left to the mapping.

    Raises:
        TerminalError: `MAPPING-MISSING` when there is none.
        ViewError: for an invalid ViewDefinition, naming file and path.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise TerminalError(
            "MAPPING-MISSING", "it holds no ViewDefinition", where=str(folder), remedy="Set UITKOMST_MAPPINGS."
        )
    units = load_units(folder.parents[1] / "codes" / "laboratory_units.csv")
    tables = tuple(_load(path, units) for path in paths)
    return Catalogue(tables, _schemas(tables))


def load_units(path: Path) -> UnitTable:
    """The UCUM unit that the results of each laboratory test are converted to; none when there is no such file.

    Raises:
        TerminalError: `UNITS-INVALID` for a code that occurs twice, or a unit that is none of UCUM.
    """
    if not path.exists():
        return {}
    units: dict[tuple[str, str], str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            test = row["system"], row["code"]
            if test in units or not is_unit(row["ucum_code"]):
                what = f"{row['code']} occurs twice, or {row['ucum_code']} is no unit of UCUM"
                raise TerminalError("UNITS-INVALID", what, where=str(path), remedy="Correct the file.")
            units[test] = row["ucum_code"]
    return units


def _load(path: Path, units: UnitTable) -> ZibTable:
    content = path.read_bytes()
    try:
        view = compile_view(
            json.loads(content),
            r4(),
            key=None,
            secret=lambda sql: f"pseudonym_of_identifier({sql})",
            codings=None,
            units={"laboratory_units": units},
        )
    except ValueError:
        raise ViewError("VIEW-INVALID", "it is no JSON", where=str(path), remedy="Correct the file.") from None
    except ViewError as error:
        raise ViewError(error.code, error.what, where=f"{path}: {error.where}", remedy=error.remedy) from None
    return ZibTable(path.stem, view, hashlib.sha256(content).hexdigest()[:12])


def _schemas(tables: Sequence[ZibTable]) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    for table in tables:
        schema = schemas.setdefault(table.view.resource, Schema())
        schema.merge(table.view.schema)
        schema.child(Element("id", "id", False))
        schema.child(Element("meta", "Meta", False)).child(Element("lastUpdated", "instant", False))
    return schemas
