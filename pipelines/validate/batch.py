"""A mapped batch validated: resources against the FHIR models, then tables against their suites."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.exports import Export
from pipelines.extract.records import Record, read_records
from pipelines.quarantine import QuarantineRow
from pipelines.sqlonfhir.reading import open_duckdb, parquet_relation
from pipelines.sqlonfhir.values import quote
from pipelines.validate.checks import Check
from pipelines.validate.resources import (
    ExplainedReport,
    Fetch,
    Place,
    ResourceCheckReport,
    ResourceFailure,
    check_resources,
    explain,
    keys_of,
)
from pipelines.validate.suites import UNJUDGED, validate_tables
from pipelines.validate.value_sets import load_value_sets


@dataclass(frozen=True, slots=True)
class BatchValidation:
    """What was accepted, what was set aside, and what was checked to find that out.

    Attributes:
        accepted: rows per table, in files.
        came_in: rows per table before validation.
        explained: how many of the resources that a table rule rejected were also checked against their model.
    """

    accepted: dict[str, int]
    came_in: dict[str, int]
    quarantined: list[QuarantineRow]
    checks: list[Check]
    resources: ResourceCheckReport
    explained: ExplainedReport

    def as_dict(self) -> dict[str, Any]:
        """Checks and the policy of the resource check, without any value from a record."""
        return {
            "resources": {**asdict(self.resources), "explained": asdict(self.explained)},
            "tables": {
                name: {"rows": rows, "accepted": self.accepted[name]}
                for name, rows in self.came_in.items()
                if name not in UNJUDGED
            },
            "checks": [check.as_dict() for check in self.checks],
        }


def validate_batch(
    export: Export,
    tables: Mapping[str, Path],
    resource_types: Mapping[str, str],
    accepted: Path,
    *,
    work: Path,
    batch_id: str,
    expectations: Path,
    value_sets: Path,
    last_day: date,
    known_patients: pa.Table | None,
    maximum_line_bytes: int,
) -> BatchValidation:
    """Validate the ZIB tables of one batch.

    Resources are checked against the FHIR models first: all of a small batch, a sample of a large one. What a table
    rule rejects is checked too, up to a limit, so that the quarantine names every reason.

    Args:
        export: the landed files, to read resources back from.
        tables: Parquet file of the mapped rows by table name.
        resource_types: FHIR type by table name.
        accepted: existing folder for the accepted rows.
        work: existing folder for what does not fit in memory.
        value_sets: folder of the value sets that coded elements are bound to.
        last_day: no event can lie after it.
        known_patients: patients accepted before, as `validate_tables` wants them.
    """
    fetch = _reader(export, maximum_line_bytes)
    resources = {file.name for file in export.files if file.is_fhir}
    with open_duckdb(work) as connection:
        index = _index(connection, tables, resource_types, resources)
        failures, report = check_resources(index, fetch, batch_id=batch_id)
        seen = {(failure.source_file, failure.source_line) for failure in failures}
        validation = validate_tables(
            tables,
            accepted,
            work=work,
            expectations=expectations,
            value_sets=load_value_sets(value_sets),
            as_of=last_day,
            known_patients=known_patients,
            invalid=sorted(seen),
        )
        rejected = {
            (row.source_file, row.source_line)
            for row in validation.quarantined
            if row.source_line is not None and row.source_file in resources
        }
        explained, explained_report = explain(index, fetch, rejected, batch_id=batch_id)
        failures += [failure for failure in explained if (failure.source_file, failure.source_line) not in seen]
        invalid = list(_invalid(export.institution, failures, index))
    return BatchValidation(
        accepted=validation.accepted,
        came_in={name: _row_count(path) for name, path in tables.items()},
        quarantined=[*invalid, *validation.quarantined],
        checks=validation.checks,
        resources=report,
        explained=explained_report,
    )


def _reader(export: Export, maximum_line_bytes: int) -> Fetch:
    """Reads resources back from the landed files."""
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

    return fetch


def _index(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Path],
    resource_types: Mapping[str, str],
    files: Collection[str],
) -> duckdb.DuckDBPyRelation:
    """One row per mapped resource in these files; its table stands for its profile. A line of CSV is no resource."""
    names = ", ".join(["''", *map(quote, sorted(files))])
    connection.execute(
        "CREATE TABLE mapped_resources (source_file VARCHAR, source_line BIGINT, resource_type VARCHAR,"
        " profile VARCHAR, resource_key VARCHAR)"
    )
    for name, type_ in resource_types.items():
        if name in tables and _row_count(tables[name]):
            connection.execute(
                f"INSERT INTO mapped_resources SELECT source_file, source_line, {quote(type_)}, {quote(name)},"
                f" min(resource_key) FROM {parquet_relation([tables[name]])}"
                f" WHERE source_line IS NOT NULL AND source_file IN ({names}) GROUP BY ALL"
            )
    return connection.table("mapped_resources")


def _row_count(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _invalid(
    institution: str, failures: Sequence[ResourceFailure], index: duckdb.DuckDBPyRelation
) -> Iterator[QuarantineRow]:
    keys = keys_of(index, [(failure.source_file, failure.source_line) for failure in failures])
    for failure in failures:
        yield QuarantineRow(
            institution,
            failure.source_file,
            failure.source_line,
            failure.resource_type,
            keys.get((failure.source_file, failure.source_line)),
            "RESOURCE-INVALID",
            failure.reason,
            "validate",
        )
