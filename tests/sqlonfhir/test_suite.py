"""The official SQL-on-FHIR test suite, run through the same code as `uitkomst view`."""

import json
from pathlib import Path
from typing import Any

import pytest
from shared_material import shared

from pipelines.errors import UitkomstError
from pipelines.sqlonfhir.fhir_types import r4
from pipelines.sqlonfhir.run import compile_plainly, run_view

SUITE = shared("sql-on-fhir-suite")


def cases() -> list[Any]:
    found = []
    for path in sorted(SUITE.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for test in content["tests"]:
            found.append(pytest.param(content["resources"], test, id=f"{path.stem}: {test['title']}"))
    return found


def rows_of(resources: list[dict[str, Any]], view: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    compiled = compile_plainly(view, r4())
    source, out = folder / "resources.ndjson", folder / "rows.ndjson"
    source.write_text("".join(json.dumps(resource) + "\n" for resource in resources), encoding="utf-8")
    left_out = run_view(compiled, source, out, maximum_line_bytes=1 << 20)
    assert not left_out
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def sorted_rows(rows: list[dict[str, Any]]) -> list[str]:
    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return sorted(json.dumps({k: plain(v) for k, v in row.items()}, sort_keys=True) for row in rows)


@pytest.mark.parametrize(("resources", "test"), cases())
def test_case_of_the_suite(resources: list[dict[str, Any]], test: dict[str, Any], tmp_path: Path) -> None:
    view = test["view"]
    if test.get("expectError"):
        with pytest.raises(UitkomstError):
            rows_of(resources, view, tmp_path)
        return
    rows = rows_of(resources, view, tmp_path)
    assert sorted_rows(rows) == sorted_rows(test["expect"])
    if "expectColumns" in test and rows:
        assert list(rows[0]) == test["expectColumns"]


def test_no_case_is_left_out() -> None:
    assert len(cases()) == 144
