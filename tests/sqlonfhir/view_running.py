"""Views compiled and run on resources made in a test, through the code behind `uitkomst view`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.sqlonfhir.fhir_types import Release, r4, stu3
from pipelines.sqlonfhir.run import compile_plainly, run_view
from pipelines.sqlonfhir.views import CompiledView

LIMIT = 1 << 20
Row = dict[str, Any]


def compiled(view: Any, release: Release = "r4") -> CompiledView:
    """The view with plain ids for keys, as in `uitkomst view`."""
    return compile_plainly(view, r4() if release == "r4" else stu3())


def view_of(resource: str, *selects: Row, **more: Any) -> Row:
    """A ViewDefinition over `resource`."""
    return {"resource": resource, "select": list(selects), **more}


def columns(**paths: str) -> list[Row]:
    """Columns by name."""
    return [{"name": name, "path": path} for name, path in paths.items()]


def rows_of(folder: Path, view: Row, resources: Iterable[Row], release: Release = "r4") -> list[Row]:
    """What the view gives, as NDJSON rows."""
    source, out = folder / "resources.ndjson", folder / "rows.ndjson"
    source.write_text("".join(json.dumps(resource) + "\n" for resource in resources), encoding="utf-8")
    assert not run_view(compiled(view, release), source, out, LIMIT)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def value_of(folder: Path, path: str, resource: Row, **more: Any) -> Any:
    """What one column with this path gives for one resource."""
    column = {"name": "it", "path": path, **more}
    (row,) = rows_of(folder, view_of(resource["resourceType"], {"column": [column]}), [resource])
    return row["it"]
