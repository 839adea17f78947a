"""Generated paths over generated resources: the compiler gives the rows that fhirpathpy gives, or both refuse."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from fhir_worlds import WORLDS, paths, resources
from fhirpath_oracle import Oracle
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from view_running import Row, rows_of

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.fhir_types import Release


@st.composite
def cases(draw: Any) -> tuple[Release, Row, list[Row]]:
    """A release, a view of a few columns, and resources."""
    release: Release = draw(st.sampled_from(("r4", "stu3")))
    type_ = draw(st.sampled_from(sorted(WORLDS[release])))
    extended = draw(st.booleans())
    several = draw(st.integers(0, 3)) > 0
    columns = [
        {"name": f"c{number}", "path": path, "collection": several}
        for number, path in enumerate(
            draw(st.lists(paths(release, type_, extended), min_size=1, max_size=4 if several else 1))
        )
    ]
    found = draw(st.lists(resources(release, type_, extended), min_size=1, max_size=4))
    return release, {"resource": type_, "select": [{"column": columns}]}, found


def expected_rows(release: Release, view: Row, found: list[Row]) -> list[Row] | None:
    """What fhirpathpy gives; None when it refuses, for a column has several values."""
    oracle = Oracle(lambda typed: None if "?" in typed else typed.partition("/")[2], str, release)
    try:
        rows = [row for resource in found for row in oracle.rows(view, resource)]
    except ValueError:
        return None
    return json.loads(json.dumps(rows, default=str))  # type: ignore[no-any-return]


def compiled_rows(release: Release, view: Row, found: list[Row]) -> list[Row] | None:
    """What the compiler gives; None when it refuses for the same reason."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return rows_of(Path(folder), view, found, release)
        except TerminalError as error:
            assert error.code == "VIEW-NOT-SINGLE", error
            return None


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_compiler_and_fhirpathpy_agree(case: tuple[Release, Row, list[Row]]) -> None:
    release, view, found = case
    note("\n".join(column["path"] for column in view["select"][0]["column"]))
    assert compiled_rows(release, view, found) == expected_rows(release, view, found)
