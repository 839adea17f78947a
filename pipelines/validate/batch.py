"""A mapped batch validated: resources against the FHIR models, then tables against their suites."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.exports import Export
from pipelines.extract.records import Record, read_records
from pipelines.quarantine import QuarantineRow
from pipelines.validate.resources import Place, ResourceCheckReport, ResourceFailure, check_resources
from pipelines.validate.suites import Check, validate_tables


@dataclass(frozen=True, slots=True)
class BatchValidation:
    """What was accepted, what was set aside, and what was checked to find that out."""

    accepted: dict[str, pa.Table]
    quarantined: list[QuarantineRow]
    checks: list[Check]
    resources: ResourceCheckReport

    def as_dict(self) -> dict[str, Any]:
        """Checks and the policy of the resource check, without any value from a record."""
        return {"resources": asdict(self.resources), "checks": [asdict(check) for check in self.checks]}


def validate_batch(
    export: Export,
    tables: Mapping[str, pa.Table],
    resource_types: Mapping[str, str],
    *,
    batch_id: str,
    expectations: Path,
    last_day: date,
    known_patients: pa.Table | None,
    maximum_line_bytes: int,
) -> BatchValidation:
    """Validate the ZIB tables of one batch.

    Resources are checked against the FHIR models first: all of a small batch, a sample of a large one. What a table
    rule rejects is checked too, so that the quarantine names every reason.

    Args:
        export: the landed files, to read resources back from.
        tables: the mapped rows by table name.
        resource_types: FHIR type by table name.
        last_day: no event can lie after it.
        known_patients: `institution` and `patient_key` of patients accepted before.
    """
    paths = {file.name: file.path for file in export.files}

    def fetch(places: Sequence[Place]) -> Iterable[tuple[str, int, str]]:
        wanted: dict[str, set[int]] = {}
        for name, line in places:
            wanted.setdefault(name, set()).add(line)
        for name, lines in wanted.items():
            only = frozenset(lines)
            for record in read_records(paths[name], maximum_line_bytes=maximum_line_bytes, only=only):
                if isinstance(record, Record) and record.line in only:
                    yield name, record.line, json.dumps(record.resource)

    index = _index(tables, resource_types)
    failures, report = check_resources(index, fetch, batch_id=batch_id)
    sound = {name: _without(table, failures) for name, table in tables.items()}
    validation = validate_tables(sound, expectations=expectations, as_of=last_day, known_patients=known_patients)
    seen = {(failure.source_file, failure.source_line) for failure in failures}
    rejected = {(row.source_file, row.source_line) for row in validation.quarantined}
    explained, _ = check_resources(_at(index, rejected), fetch, batch_id=batch_id)
    failures += [failure for failure in explained if (failure.source_file, failure.source_line) not in seen]
    invalid = [_quarantined(export.institution, failure, index) for failure in failures]
    return BatchValidation(validation.accepted, [*invalid, *validation.quarantined], validation.checks, report)


def _index(tables: Mapping[str, pa.Table], resource_types: Mapping[str, str]) -> pa.Table:
    """One row per mapped resource; its table stands for its profile."""
    parts = []
    for name, table in tables.items():
        places = table.group_by(["source_file", "source_line"], use_threads=False).aggregate([("resource_key", "min")])
        width = places.num_rows
        parts.append(
            pa.table(
                {
                    "source_file": places["source_file"].cast(pa.string()),
                    "source_line": places["source_line"],
                    "resource_type": pa.repeat(pa.scalar(resource_types[name]), width),
                    "profile": pa.repeat(pa.scalar(name), width),
                    "resource_key": places["resource_key_min"],
                }
            )
        )
    return pa.concat_tables(parts)


def _at(index: pa.Table, places: Set[tuple[str, int | None]]) -> pa.Table:
    """The rows of the index at these places."""
    files, lines = index["source_file"].to_pylist(), index["source_line"].to_pylist()
    return index.filter(pa.array([place in places for place in zip(files, lines, strict=True)], pa.bool_()))


def _without(table: pa.Table, failures: Sequence[ResourceFailure]) -> pa.Table:
    if not failures:
        return table
    failed = pa.table(
        {
            "source_file": pa.array([f.source_file for f in failures], pa.string()),
            "source_line": pa.array([f.source_line for f in failures], pa.int64()),
        }
    )
    rows = pa.array(range(table.num_rows), pa.int64())
    numbered = table.select(["source_file", "source_line"]).append_column("row", rows)
    kept = numbered.join(failed, ["source_file", "source_line"], join_type="left anti")
    return table.take(kept["row"].sort())


def _quarantined(institution: str, failure: ResourceFailure, index: pa.Table) -> QuarantineRow:
    place = pc.and_(
        pc.equal(index["source_file"], failure.source_file),
        pc.equal(index["source_line"], failure.source_line),
    )
    return QuarantineRow(
        institution,
        failure.source_file,
        failure.source_line,
        failure.resource_type,
        index.filter(place)["resource_key"][0].as_py(),
        "RESOURCE-INVALID",
        failure.reason,
        "validate",
    )
