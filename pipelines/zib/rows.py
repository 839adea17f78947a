"""Batches of resources of one release and type turned into the rows of the ZIB tables they feed."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.sqlonfhir.fhir_types import Element, Release
from pipelines.sqlonfhir.reading import relation_of
from pipelines.sqlonfhir.values import Schema
from pipelines.sqlonfhir.views import CompiledView
from pipelines.zib.batches import RawLines, parsed_once
from pipelines.zib.catalogue import Catalogue, ZibTable, base_schema
from pipelines.zib.codings import respelled
from pipelines.zib.contained import ContainedFlaw, digest, promoted
from pipelines.zib.duplicates import index_columns
from pipelines.zib.outcomes import Integers, LineFlaw, Outcome
from pipelines.zib.releases import foreign_elements, profiles_sql
from pipelines.zib.sieve import spool_line

_BATCH_ROWS = 122_880  # a row group of DuckDB
"""Resources in a batch: few batches are made, for planning the query of a wide view takes up to a second."""
PROFILES = "_profiles"
_CONTAINED = "_contained"
_FEEDS = "_feeds"
"""The column that says which tables a resource feeds."""
Rows = dict[str, pa.Table]
"""Rows by table: `_row` (which resource of the batch), `_date_flaw`, and the columns of the table's view."""


@dataclass(slots=True)
class ResourceBatch:
    """Resources of one release and type as DuckDB holds them, and where their lines can be read again.

    Attributes:
        start: number of the first one in its file, from 0.
        relation: SQL of the resources: `_row` and one `_r_` column per element.
        columns: `_row`, the columns of `index_columns`, `_CONTAINED`, and `PROFILES` if asked for.
    """

    release: Release
    resource_type: str
    start: int
    relation: str
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
        self._numbers = itertools.count(1)

    def batches(
        self, path: Path, release: Release, resource_type: str, *, with_profiles: bool = False
    ) -> Iterator[ResourceBatch]:
        """The resources of a clean file, as many at a time as fit in memory.

        They are parsed once, into a table of DuckDB that moves to disk where it outgrows the memory, and every view
        is a query over it: a view that wants few of the resources then costs little.

        Raises:
            Misread: when the file is not clean.
        """
        schema = Schema()
        schema.merge(self._catalogue.schemas.get(release, {}).get(resource_type, base_schema()))
        columns = index_columns(resource_type, schema) | {_CONTAINED: '"_r_contained" IS NOT NULL'}
        if with_profiles:
            columns[PROFILES] = profiles_sql(schema)
        selected = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        foreign = foreign_elements(release, resource_type, self._catalogue.schemas)
        for name in foreign:
            schema.child(Element(name, "JSON", False))
        parsed = f"resources_{next(self._numbers)}"
        views = self._catalogue.tables_of(release, resource_type)
        feeds = {_FEEDS: _feeds_sql(views)} if views else {}
        relation = relation_of(path, schema, self._maximum_line_bytes)
        parsing = parsed_once(self._connection, resource_type, relation, parsed, feeds, absent=foreign)
        with RawLines(path) as raw, parsing as total:
            for start in range(0, total, _BATCH_ROWS):
                these = f"rowid BETWEEN {start} AND {start + _BATCH_ROWS - 1}"
                part = f"(SELECT rowid - {start} AS _row, * FROM {parsed} WHERE {these})"
                found = self._connection.sql(f"SELECT _row, {selected} FROM {part}").to_arrow_table()
                yield ResourceBatch(release, resource_type, start, part, found, raw)

    def rows(self, batch: ResourceBatch, outcome: Outcome) -> Rows:
        """The rows of every table that the resources of a batch, and what they contain, feed."""
        rows = self._rows_of_views(batch, outcome)
        if batch.columns[_CONTAINED].combine_chunks().true_count:
            for name, more in self._rows_of_contained(batch, outcome).items():
                rows[name] = pa.concat_tables([rows[name], more]) if name in rows else more
        return rows

    def _rows_of_views(self, batch: ResourceBatch, outcome: Outcome, roots: Integers | None = None) -> Rows:
        """The rows that the views give; of contained resources `roots` says of which row each is a part."""
        found: Rows = {}
        views = self._feeding(batch)
        for (table, _), rows in zip(views, self._run(batch, views), strict=True):
            if roots is not None:
                own = pa.array(roots[rows["_row"].to_numpy()])
                rows = rows.set_column(rows.column_names.index("_row"), "_row", own)
            outcome.add(rows, batch.resource_type)
            found[table.name] = self._alike(rows, table, batch.release)
        return found

    def _feeding(self, batch: ResourceBatch) -> list[tuple[ZibTable, CompiledView]]:
        """The tables that any resource of the batch feeds, with their views."""
        views = self._catalogue.tables_of(batch.release, batch.resource_type)
        asked = ", ".join(f"bool_or({_feeds(table)})" for table, _ in views)
        answers = self._connection.sql(f"SELECT {asked} FROM {batch.relation}").fetchall()[0] if views else ()
        return [pair for pair, feeds in zip(views, answers, strict=True) if feeds]

    def _run(self, batch: ResourceBatch, views: Sequence[tuple[ZibTable, CompiledView]]) -> list[pa.Table]:
        """The rows of each view, side by side: a batch is too small for DuckDB to divide it over the cores."""

        def run(pair: tuple[ZibTable, CompiledView]) -> pa.Table:
            table, view = pair
            with self._connection.cursor() as cursor:
                relation = f"(FROM {batch.relation} WHERE {_feeds(table)})"
                return cursor.sql(view.sql_with_row(relation)).to_arrow_table()

        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="views") as side_by_side:
            return list(side_by_side.map(run, views))

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
                yield from self._rows_of_views(batch, outcome, own).items()
        finally:
            path.unlink()


def _feeds(table: ZibTable) -> str:
    """SQL of whether a resource feeds a table."""
    return f'{_FEEDS}."{table.name}"'


def _feeds_sql(views: Iterable[tuple[ZibTable, CompiledView]]) -> str:
    answers = (f'"{table.name}" := coalesce({view.condition}, FALSE)' for table, view in views)
    return f"struct_pack({', '.join(answers)})"


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


def _with_contained_content(columns: pa.Table, digests: Mapping[int, int]) -> pa.Table:
    """The hash of a resource's content with that of what it contains."""
    place = columns.column_names.index("content_hash")
    hashes = columns["content_hash"].to_numpy().copy()
    for row, number in digests.items():
        hashes[row] ^= np.uint64(number)
    return columns.set_column(place, "content_hash", pa.array(hashes, pa.uint64()))
