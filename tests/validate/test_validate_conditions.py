"""What Great Expectations is given: no more than the rules read, and an answer to a row condition only once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.validate.conditions import RememberingFrame
from pipelines.validate.frames import frame_sql
from pipelines.validate.rules import load_suites
from pipelines.validate.workspace import Workspace

EXPECTATIONS = Path(__file__).parents[2] / "expectations"


def test_of_a_column_that_is_only_asked_whether_it_is_null_no_value_comes_along(tmp_path: Path) -> None:
    suite = load_suites(EXPECTATIONS)["zib_contact_person"]
    names = [name for name in suite.columns if name != "rows_of_resource"]
    texts = {name: pa.array(["said", None]) for name in {*names, "institution", "resource_key"}}
    pq.write_table(pa.table(texts), tmp_path / "t.parquet")
    with open_duckdb(tmp_path) as connection:
        workspace = Workspace(connection, {suite.table: tmp_path / "t.parquet"})
        frame = connection.sql(frame_sql(suite, workspace, suite.bindings)).to_arrow_table()
    assert "resource_key" in suite.only_asked_whether_null
    for name in suite.only_asked_whether_null & set(names):
        assert frame[name].to_pylist() == [1.0, None]
    for name in set(names) - suite.only_asked_whether_null:
        assert frame[name].to_pylist() == ["said", None]


def test_a_column_is_read_where_a_rule_or_a_row_condition_compares_it() -> None:
    suites = load_suites(EXPECTATIONS)
    blood_pressure = suites["zib_blood_pressure"]
    assert {"resource_key", "patient_key"} <= blood_pressure.only_asked_whether_null
    assert not {"status", "systolic_mmhg", "effective_text"} & blood_pressure.only_asked_whether_null
    for suite in suites.values():
        for each in suite.expectations:
            condition = each["kwargs"].get("row_condition") or {}
            for part in [condition, *condition.get("conditions", [])]:
                if part.get("type") == "comparison":
                    assert part["column"]["name"] not in suite.only_asked_whether_null


def test_an_expression_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, evaluate = [], pd.DataFrame.eval

    def noted(self: pd.DataFrame, expr: str, **options: object) -> object:
        asked.append(expr)
        return evaluate(self, expr, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(pd.DataFrame, "eval", noted)
    rows = pd.DataFrame({"a": [1, 2, 3]})
    frame = RememberingFrame.of(rows)
    for _ in range(2):
        assert frame.query("a > 1").equals(rows[rows["a"] > 1])
        assert frame.query("a > 2").equals(rows[rows["a"] > 2])
    assert asked == ["a > 1", "a > 2"]
