"""Views compared with another engine: fhir4ds-v2 (PyPI), which evaluates FHIRPath in a DuckDB extension of its own.

It asks for a DuckDB of another version, so it cannot live in the environment of the project. Make one for it and name
its Python: `uv venv ENV; uv pip install --python ENV fhir4ds-v2; export UITKOMST_TEST_FHIR4DS=ENV/bin/python`.
"""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from shared_material import shared
from view_running import Row, rows_of

from pipelines.synthetic.export import synthesise

PYTHON = os.environ.get("UITKOMST_TEST_FHIR4DS", "")
MAPPINGS = Path(__file__).resolve().parents[2] / "mappings" / "zib" / "2020"
pytestmark = pytest.mark.skipif(not PYTHON, reason="UITKOMST_TEST_FHIR4DS names no Python with fhir4ds-v2")


def other_rows(cases: list[Row]) -> list[Any]:
    runner = Path(__file__).with_name("fhir4ds_engine.py")
    done = subprocess.run([PYTHON, str(runner)], input=json.dumps(cases), capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def comparable(rows: Iterable[Row]) -> list[str]:
    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return sorted(json.dumps({name: plain(value) for name, value in row.items()}, sort_keys=True) for row in rows)


def with_plain_keys(row: Row) -> Row:
    """A row of fhir4ds, whose keys are ``Type/id``."""
    return {name: v.partition("/")[2] if name.endswith("_key") and v else v for name, v in row.items()}


def untagged(select: Row) -> Row:
    """The select without our own tags, and without the columns that are no FHIR primitives but for their tag."""
    own = {"codings", "ucum", "pseudonym"}
    kept = [c for c in select.get("column", []) if not own & {tag["name"] for tag in c.get("tag", [])}]
    found = {key: value for key, value in select.items() if key not in ("column", "select", "unionAll")}
    found["column"] = [{key: value for key, value in column.items() if key != "tag"} for column in kept]
    for part in ("select", "unionAll"):
        if part in select:
            found[part] = [untagged(below) for below in select[part]]
    return {key: value for key, value in found.items() if value != []}


def test_the_views_of_the_suite(tmp_path: Path) -> None:
    cases = [
        {"view": test["view"], "resources": content["resources"]}
        for path in sorted(shared("sql-on-fhir-suite").glob("*.json"))
        for content in [json.loads(path.read_text(encoding="utf-8"))]
        for test in content["tests"]
        if not test.get("expectError")
    ]
    differ = [
        index
        for index, (case, theirs) in enumerate(zip(cases, other_rows(cases), strict=True))
        if theirs is None or comparable(rows_of(tmp_path, case["view"], case["resources"])) != comparable(theirs)
    ]
    assert len(cases) == 133
    assert differ == []


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Synthetic resources by type, as far as they lie in plain NDJSON."""
    folder = tmp_path_factory.mktemp("export")
    synthesise(folder, hospitals=2, patients=8, seed=3, as_of=date(2025, 6, 30), defect_share=0.0)
    found: dict[str, list[Row]] = defaultdict(list)
    for path in sorted(folder.rglob("*.ndjson")):
        for line in path.read_text(encoding="utf-8").splitlines():
            resource = json.loads(line)
            if "resourceType" in resource:
                found[resource["resourceType"]].append(resource)
    return found


def test_the_views_of_the_zibs(resources: dict[str, list[Row]], tmp_path: Path) -> None:
    cases, names = [], []
    for path in sorted(MAPPINGS.glob("*.json")):
        view = json.loads(path.read_text(encoding="utf-8"))
        plain = view | {"select": [untagged(select) for select in view["select"]]}
        cases.append({"view": plain, "resources": resources[view["resource"]][:200]})
        names.append(path.stem)
    differ, rows = [], 0
    for name, case, theirs in zip(names, cases, other_rows(cases), strict=True):
        ours = rows_of(tmp_path, case["view"], case["resources"])
        rows += len(ours)
        if theirs is None or comparable(ours) != comparable(map(with_plain_keys, theirs)):
            differ.append(name)
    assert rows > 200
    assert differ == []
