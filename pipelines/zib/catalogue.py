"""The ZIB tables: per release a ViewDefinition in `mappings/zib/<release>/`, all releases giving the same table."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.fhir_types import Element, Release
from pipelines.sqlonfhir.tags import UnitTable
from pipelines.sqlonfhir.values import Schema
from pipelines.sqlonfhir.views import CompiledView, ViewError, compile_view
from pipelines.zib.concept_maps import ConceptMap, load_concept_maps
from pipelines.zib.laboratory_units import LABORATORY_UNITS, load_units
from pipelines.zib.private_codings import KnownCodes, load_known_codes
from pipelines.zib.releases import FOLDERS, types_of

_CONCEPT_MAPS = "codes/concept_maps"
MAPPING_SOURCES = (*(f"zib/{name}" for name in FOLDERS.values()), _CONCEPT_MAPS, LABORATORY_UNITS)
"""The folders and files below `mappings` that `load_catalogue` reads."""


@dataclass(frozen=True, slots=True)
class ZibTable:
    """A ZIB table and the view that fills it from each release that has a source for it.

    `version` is the first 12 digits of the SHA-256 of the files.
    """

    name: str
    views: Mapping[Release, CompiledView]
    version: str

    @property
    def view(self) -> CompiledView:
        """The view of the newest release: all of them have its columns."""
        return next(self.views[release] for release in FOLDERS if release in self.views)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All ZIB tables.

    Attributes:
        tables: in order of their names.
        schemas: per release and FHIR type, everything that any view reads.
        systems: per release, URLs of code systems that it spells differently, with the spelling of R4.
        concept_map: codes with the codes they also stand for.
        units: by the name that views point to, the tables of UCUM units by code.
        known_codes: the code systems that may be stored without a further look.
    """

    tables: tuple[ZibTable, ...]
    schemas: Mapping[Release, Mapping[str, Schema]] = field(default_factory=dict)
    systems: Mapping[Release, Mapping[str, str]] = field(default_factory=dict)
    concept_map: ConceptMap = field(default_factory=dict)
    units: Mapping[str, UnitTable] = field(default_factory=dict)
    known_codes: KnownCodes = field(default_factory=KnownCodes)

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases that any view reads."""
        return tuple(self.schemas)

    def tables_of(self, release: Release, resource_type: str) -> tuple[tuple[ZibTable, CompiledView], ...]:
        """The tables that resources of this release and type may feed, each with its view."""
        return tuple(
            (table, view)
            for table in self.tables
            if (view := table.views.get(release)) is not None and view.resource == resource_type
        )


def load_catalogue(mappings: Path) -> Catalogue:
    """Compile every ViewDefinition in `zib/2020` (R4) and `zib/2017` (STU3), and read the maps of codes beside them.

    Identifiers become pseudonyms; keys and codings are left to the mapping.

    Raises:
        TerminalError: `MAPPING-MISSING` when there is none, `MAPPING-RELEASES-DIFFER` when a table has other columns
            in one release than in the other, `CONCEPT-MAP-INVALID`,
            `CODE-SYSTEMS-INVALID` or `UNITS-INVALID`.
        ViewError: for an invalid ViewDefinition, naming file and path.
    """
    paths: dict[str, dict[Release, Path]] = {}
    for release, name in FOLDERS.items():
        for path in sorted((mappings / "zib" / name).glob("*.json")):
            paths.setdefault(path.stem, {})[release] = path
    if not paths:
        raise TerminalError(
            "MAPPING-MISSING", "it holds no ViewDefinition", where=str(mappings), remedy="Set UITKOMST_MAPPINGS."
        )
    units = load_units(mappings)
    tables = tuple(_load(name, paths[name], units) for name in sorted(paths))
    return Catalogue(
        tables,
        {release: schemas for release in FOLDERS if (schemas := _schemas(tables, release))},
        {release: _systems(mappings / "zib" / name / "systems.csv") for release, name in FOLDERS.items()},
        load_concept_maps(mappings / _CONCEPT_MAPS),
        units,
        load_known_codes(mappings),
    )


def _load(name: str, paths: Mapping[Release, Path], units: Mapping[str, UnitTable]) -> ZibTable:
    contents = {release: path.read_bytes() for release, path in paths.items()}
    views = {release: _compile(contents[release], release, path, units) for release, path in paths.items()}
    table = ZibTable(name, views, hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:12])
    expected = {column.name: (column.type, column.kind) for column in table.view.outputs}
    for release, view in views.items():
        found = {column.name: (column.type, column.kind) for column in view.outputs}
        if found != expected:
            different = min(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
            raise TerminalError(
                "MAPPING-RELEASES-DIFFER",
                f"column {different} is not the same in all releases",
                where=str(paths[release]),
                remedy="Give the views of a table the same columns and types.",
            )
    return table


def _compile(content: bytes, release: Release, path: Path, units: Mapping[str, UnitTable]) -> CompiledView:
    try:
        view = compile_view(
            json.loads(content),
            types_of(release),
            key=None,
            secret=lambda sql: f"pseudonym_of_identifier({sql})",
            codings=None,
            units=units,
        )
        if view.schema.keeps_decimals:
            raise ViewError(
                "VIEW-UNSUPPORTED",
                "a boundary of a number needs its decimals as written, which reading into tables does not keep",
                where="lowBoundary() or highBoundary() of a number",
                remedy="Take the number itself, or run this view by itself with `uitkomst view`.",
            )
        return view
    except ValueError:
        raise ViewError("VIEW-INVALID", "it is no JSON", where=str(path), remedy="Correct the file.") from None
    except ViewError as error:
        raise ViewError(error.code, error.what, where=f"{path}: {error.where}", remedy=error.remedy) from None


def _schemas(tables: Sequence[ZibTable], release: Release) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    for table in tables:
        if (view := table.views.get(release)) is not None:
            schemas.setdefault(view.resource, base_schema()).merge(view.schema)
    return schemas


def base_schema() -> Schema:
    """What is read of every resource, whatever the views read."""
    schema = Schema()
    schema.child(Element("id", "id", False))
    schema.child(Element("meta", "Meta", False)).child(Element("lastUpdated", "instant", False))
    schema.child(Element("contained", "Resource", True))
    return schema


def _systems(path: Path) -> dict[str, str]:
    """The file `systems.csv` (from_system, to_system, source): none is no difference.

    Raises:
        TerminalError: `CODE-SYSTEMS-INVALID`.
    """
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    systems = {row.get("from_system") or "": row.get("to_system") or "" for row in rows}
    if not all(row.get("from_system") and row.get("to_system") and row.get("source") for row in rows) or len(
        systems
    ) != len(rows):
        raise TerminalError(
            "CODE-SYSTEMS-INVALID",
            "every line needs from_system, to_system and source, and a system stands in one line",
            where=str(path),
            remedy="Correct the file.",
        )
    return systems
