"""The table `unmapped_code` in the serving database."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.database.bulk import insert_table
from pipelines.database.models import UnmappedCode, table_of

_CODE = ("kind", "system", "code", "zib_table", "element")


def replace_unmapped(connection: Connection, batch_id: str, rows: pa.Table) -> None:
    """Store the rows of a batch (`UNMAPPED_CODE_SCHEMA`) in place of its earlier ones."""
    table = table_of(UnmappedCode)
    connection.execute(sa.delete(table).where(table.c.batch_id == batch_id))
    mine = pa.array([batch_id] * rows.num_rows, pa.string())
    insert_table(connection, UnmappedCode, rows.append_column("batch_id", mine))


def read_unmapped(connection: Connection, institution: str | None, limit: int | None = None) -> list[dict[str, Any]]:
    """Codes and units over all batches (of one institution), the dearest first, each with a place to look."""
    table = table_of(UnmappedCode)
    count, cost = sa.func.sum(table.c.count).label("count"), sa.func.sum(table.c.cost).label("cost")
    first = sa.func.min(table.c.id).label("first")
    codes = [table.c[name] for name in _CODE]
    query = sa.select(
        *codes, count, cost, first, sa.func.count(table.c.institution.distinct()).label("institutions")
    ).group_by(*codes)
    if institution is not None:
        query = query.where(table.c.institution == institution)
    order = (cost.desc(), count.desc(), *(column.nulls_first() for column in codes))
    rows = connection.execute(query.order_by(*order).limit(limit)).mappings().all()
    chosen = sa.select(table).where(table.c.id.in_([row["first"] for row in rows]))
    examples = {row["id"]: row for row in connection.execute(chosen).mappings()}
    found = []
    for row in rows:
        example = examples[row["first"]]
        place = f"{example['institution']}/{example['example_file']}:{example['example_line']}"
        total = {"count": int(row["count"]), "cost": int(row["cost"]), "institutions": row["institutions"]}
        found.append({**{name: row[name] for name in _CODE}, **total, "display": example["display"], "example": place})
    return found
