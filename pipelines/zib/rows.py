"""Batches of resources of one release and type turned into the rows of the ZIB tables they feed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.sqlonfhir.fhir_types import Release
from pipelines.sqlonfhir.reading import relation_of
from pipelines.sqlonfhir.values import Schema
from pipelines.zib.batches import RawLines, read_clean
from pipelines.zib.catalogue import Catalogue, ZibTable, base_schema
from pipelines.zib.codings import respelled
from pipelines.zib.contained import ContainedFlaw, digest, promoted
from pipelines.zib.duplicates import index_columns
from pipelines.zib.outcomes import LineFlaw, Outcome
from pipelines.zib.releases import profiles_sql
from pipelines.zib.sieve import spool_line

_BATCH_CELLS = 2_000_000
"""Values in a batch: resources that feed many wide tables are read fewer at a time."""
_MOST_ROWS = 50_000
PROFILES = "_profiles"
_CONTAINED = "_contained"
Rows = dict[str, pa.Table]
"""Rows by table: `_row` (which resource of the batch), `_date_flaw`, and the columns of the table's view."""


@dataclass(slots=True)
class ResourceBatch:
    """Resources of one release and type as DuckDB read them, and where their lines can be read again."""

    release: Release
    resource_type: str
    start: int
    columns: pa.Table
    raw: RawLines

    @property
    def index(self) -> pa.Table:
        """The columns of `index_columns`, after `_row`."""
        return self.columns.select(["_row", *index_columns("", Schema())])


class ResourceRows:
    """Reads clean NDJSON and runs the views over it.

    Args:
        work: private folder for contained resources on their way.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, catalogue: Catalogue, work: Path, maximum_line_bytes: int
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._work = work
        self._maximum_line_bytes = maximum_line_bytes

    def batches(
        self, path: Path, release: Release, resource_type: str, *, with_profiles: bool = False
    ) -> Iterator[ResourceBatch]:
        """The resources of a clean file, as many at a time as fit in memory.

        With profiles, the batches have the column `PROFILES` too (`pipelines.zib.releases.profiles_in`).

        Raises:
            Misread: when the file is not clean.
        """
        schema = Schema()
        schema.merge(self._catalogue.schemas.get(release, {}).get(resource_type, base_schema()))
        views = self._catalogue.tables_of(release, resource_type)
        columns = index_columns(resource_type, schema)
        columns |= {_CONTAINED: '"_r_contained" IS NOT NULL'}
        columns |= {table.name: view.sql_of_struct() for table, view in views if view.is_flat}
        if not all(view.is_flat for _, view in views):
            columns |= {f"_r_{element.name}": f'"_r_{element.name}"' for element, _ in schema}
        if with_profiles:
            columns[PROFILES] = profiles_sql(schema)
        relation = relation_of(path, schema, self._maximum_line_bytes)
        width = sum(len(table.view.columns) for table, _ in views)
        rows = min(_MOST_ROWS, _BATCH_CELLS // max(width, 1))
        start = 0
        with RawLines(path) as raw:
            for batch in read_clean(self._connection, resource_type, columns, relation, rows):
                numbers = pa.array(np.arange(batch.num_rows, dtype=np.int64))
                yield ResourceBatch(release, resource_type, start, batch.append_column("_row", numbers), raw)
                start += batch.num_rows

    def rows(self, batch: ResourceBatch, outcome: Outcome) -> Rows:
        """The rows of every table that the resources of a batch, and what they contain, feed."""
        rows = self._rows_of_views(batch, outcome, batch.columns)
        if batch.columns[_CONTAINED].combine_chunks().true_count:
            for name, more in self._rows_of_contained(batch, outcome).items():
                rows[name] = pa.concat_tables([rows[name], more]) if name in rows else more
        return rows

    def _rows_of_views(self, batch: ResourceBatch, outcome: Outcome, columns: pa.Table) -> Rows:
        found: Rows = {}
        for table, view in self._catalogue.tables_of(batch.release, batch.resource_type):
            if view.is_flat:
                rows = _unpacked(columns, table.name)
            else:
                self._connection.register("resources", columns)
                rows = self._connection.sql(view.sql_with_row("resources")).to_arrow_table()
                self._connection.unregister("resources")
            outcome.add(rows, batch.resource_type)
            found[table.name] = self._alike(rows, table, batch.release)
        return found

    def _alike(self, rows: pa.Table, table: ZibTable, release: Release) -> pa.Table:
        """The rows as every release gives them: columns in one order, code systems in one spelling."""
        rows = rows.select(["_row", "_date_flaw", *table.view.columns])
        if systems := self._catalogue.systems.get(release):
            for place, column in enumerate(table.view.outputs, start=2):
                if column.kind == "codings" or column.name.endswith("_system"):
                    spelled = respelled(systems, rows[column.name], codings=column.kind == "codings")
                    rows = rows.set_column(place, column.name, spelled)
        return rows

    def _rows_of_contained(self, batch: ResourceBatch, outcome: Outcome) -> Rows:
        """As `rows`, of the contained resources; one that cannot be used sets its whole line aside."""
        roots = np.flatnonzero(batch.columns[_CONTAINED].to_numpy())
        schemas = self._catalogue.schemas.get(batch.release, {})
        spooled: dict[str, tuple[list[int], list[bytes]]] = {}
        digests: dict[int, int] = {}
        for root, line in zip(roots.tolist(), batch.raw.at((roots + batch.start + 1).tolist()), strict=True):
            resource: dict[str, Any] = json.loads(line)
            digests[root] = digest(resource["contained"])
            for item in promoted(resource, schemas):
                if isinstance(item, ContainedFlaw):
                    outcome.reject(root, LineFlaw(item.rule_id, item.reason, batch.resource_type))
                elif (text := spool_line(item, schemas[item["resourceType"]])) is None:
                    flaw = LineFlaw("LINE-NOT-UTF8", "it holds half a surrogate pair", batch.resource_type)
                    outcome.reject(root, flaw)
                else:
                    of_type = spooled.setdefault(item["resourceType"], ([], []))
                    of_type[0].append(root)
                    of_type[1].append(text)
        batch.columns = _with_contained_content(batch.columns, digests)
        found: dict[str, list[pa.Table]] = {}
        for resource_type, (of_roots, lines) in spooled.items():
            for name, rows in self._rows_of_spooled(batch.release, resource_type, of_roots, lines, outcome):
                found.setdefault(name, []).append(rows)
        return {name: pa.concat_tables(parts) for name, parts in found.items()}

    def _rows_of_spooled(
        self, release: Release, resource_type: str, roots: Sequence[int], lines: Sequence[bytes], outcome: Outcome
    ) -> Iterator[tuple[str, pa.Table]]:
        path = self._work / f"contained-{resource_type}.ndjson"
        path.write_bytes(b"".join(lines))
        try:
            for batch in self.batches(path, release, resource_type):
                own = np.asarray(roots[batch.start : batch.start + batch.columns.num_rows], np.int64)
                numbered = batch.columns.drop_columns(["_row"]).append_column("_row", pa.array(own))
                yield from self._rows_of_views(batch, outcome, numbered).items()
        finally:
            path.unlink()


def differing_rows(
    connection: duckdb.DuckDBPyConnection, here: Mapping[str, pa.Table], there: Mapping[str, pa.Table]
) -> set[int]:
    """The values of `_row` for which two readings of the same resources give other rows in any table."""
    found: set[int] = set()
    for name in here.keys() | there.keys():
        one, other = here.get(name), there.get(name)
        one = other.schema.empty_table() if one is None and other is not None else one
        other = one.schema.empty_table() if other is None and one is not None else other
        if one.equals(other):  # type: ignore[union-attr]
            continue
        connection.register("one_reading", one)
        connection.register("other_reading", other)
        sides = ["(FROM one_reading EXCEPT ALL FROM other_reading)", "(FROM other_reading EXCEPT ALL FROM one_reading)"]
        found.update(
            row for (row,) in connection.sql(f"SELECT DISTINCT _row FROM ({' UNION ALL '.join(sides)})").fetchall()
        )
        connection.unregister("one_reading")
        connection.unregister("other_reading")
    return found


def _unpacked(batch: pa.Table, name: str) -> pa.Table:
    """The rows of a flat view, from its column of structs."""
    structs = batch[name].combine_chunks()
    valid = structs.is_valid()
    numbers = batch["_row"].combine_chunks()
    if structs.null_count:
        structs, numbers = structs.filter(valid), numbers.filter(valid)
    names = [field.name for field in structs.type]
    return pa.table({"_row": numbers, **dict(zip(names, structs.flatten(), strict=True))})


def _with_contained_content(columns: pa.Table, digests: Mapping[int, int]) -> pa.Table:
    """The hash of a resource's content with that of what it contains."""
    place = columns.column_names.index("content_hash")
    hashes = columns["content_hash"].to_numpy().copy()
    for row, number in digests.items():
        hashes[row] ^= np.uint64(number)
    return columns.set_column(place, "content_hash", pa.array(hashes, pa.uint64()))
