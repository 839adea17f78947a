"""FHIR resources against their model: what is found, and which resources of a batch are looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from contract_tables import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import TerminalError
from pipelines.validate.resources import (
    Place,
    ResourceCheckReport,
    ResourceFailure,
    check_resource,
    check_resources,
    explain,
)

OFFICIAL_EXAMPLES = sorted((REPOSITORY / "../shared/examples/nictiz-zib2020").glob("*.json"))

WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "valueQuantity": {"value": 81.50, "system": "http://unitsofmeasure.org", "code": "kg"},
}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param(json.dumps(WEIGHT), [], id="as it should be"),
        pytest.param('{"resourceType": "Pat', ["$: json_invalid"], id="cut short"),
        pytest.param("[1, 2]", ["$: not_an_object"], id="not an object"),
        pytest.param("{}", ["resourceType: missing"], id="no type"),
        pytest.param('{"resourceType": "Blood"}', ["resourceType: type_unknown"], id="unknown type"),
        pytest.param('{"resourceType": "Quantity"}', ["resourceType: type_unknown"], id="a data type"),
        pytest.param(
            json.dumps({**WEIGHT, "effectiveDateTime": "2025-02-30"}),
            ["Observation.effectiveDateTime: datetime_from_date_parsing"],
            id="impossible date",
        ),
        pytest.param(
            json.dumps({**WEIGHT, "component": [{}]}),
            ["Observation.component[0].code: missing"],
            id="missing code",
        ),
        pytest.param(json.dumps({**WEIGHT, "gewicht": 80}), ["Observation: extra_forbidden"], id="unknown element"),
        pytest.param(
            json.dumps({**WEIGHT, "valueQuantity": {"value": "81,5"}}),
            ["Observation.valueQuantity.value: value_error"],
            id="decimal comma",
        ),
        pytest.param('{"resourceType": "Patient", "_gender": {}}', [], id="empty object beside a primitive"),
    ],
)
def test_a_problem_is_a_path_and_a_kind(text: str, problems: list[str]) -> None:
    assert [str(problem) for problem in check_resource(text)] == problems


@pytest.mark.skipif(not OFFICIAL_EXAMPLES, reason="the official examples are not part of this repository")
def test_all_official_nl_core_examples_pass() -> None:
    failed = [path.name for path in OFFICIAL_EXAMPLES if check_resource(path.read_text(encoding="utf-8"))]
    assert len(OFFICIAL_EXAMPLES) == 271
    assert failed == []


class Export:
    """A batch in memory that remembers which places were fetched. Line 13 of every file is invalid."""

    def __init__(self, sizes: dict[tuple[str, str | None], int]) -> None:
        self.rows = [
            {
                "source_file": f"{kind}-{n}.ndjson",
                "source_line": line,
                "resource_type": kind,
                "profile": profile,
            }
            for n, ((kind, profile), size) in enumerate(sizes.items())
            for line in range(1, size + 1)
        ]
        self.fetched: list[Place] = []

    @property
    def index(self) -> duckdb.DuckDBPyRelation:
        names = {"source_file": pa.string(), "source_line": pa.int64()}
        texts = ("resource_type", "profile", "resource_key")
        schema = pa.schema([*names.items(), *((name, pa.string()) for name in texts)])
        return duckdb.connect().from_arrow(pa.Table.from_pylist(self.rows, schema=schema))

    def fetch(self, places: Sequence[Place]) -> Iterable[tuple[str, int, str]]:
        self.fetched += places
        for file, line in places:
            yield file, line, "{}" if line == 13 else '{"resourceType": "Patient"}'

    def check(self, **arguments: Any) -> tuple[list[ResourceFailure], ResourceCheckReport]:
        return check_resources(self.index, self.fetch, **{"batch_id": "batch-1", **arguments})


def test_a_small_batch_is_checked_as_a_whole() -> None:
    failures, report = Export({("Patient", None): 20, ("Observation", "weight"): 5}).check(limit=25)
    assert (report.policy, report.total, report.checked, report.failed) == ("all", 25, 25, 1)
    (failure,) = failures
    assert (failure.source_file, failure.source_line, failure.resource_type) == (
        "Patient-0.ndjson",
        13,
        "Patient",
    )
    assert failure.reason == "resourceType: missing"


def test_a_large_batch_is_sampled_per_type_and_profile_and_the_report_says_so() -> None:
    export = Export({("Observation", None): 40, ("Observation", "weight"): 30, ("Patient", None): 3})
    _, report = export.check(limit=50, per_stratum=10)
    assert report.policy == "sample"
    assert [(each.resource_type, each.profile, each.total, each.checked) for each in report.strata] == [
        ("Observation", None, 40, 10),
        ("Observation", "weight", 30, 10),
        ("Patient", None, 3, 3),
    ]
    assert len(export.fetched) == report.checked == 23


def test_what_failed_elsewhere_is_explained_up_to_a_limit_that_is_reported() -> None:
    export = Export({("Patient", None): 100})
    rejected = {("Patient-0.ndjson", line) for line in (13, 20, 21)}
    failures, report = explain(export.index, export.fetch, rejected, batch_id="batch-1", limit=10)
    assert [(failure.source_line, failure.resource_type) for failure in failures] == [(13, "Patient")]
    assert (report.rejected, report.checked, report.failed) == (3, 3, 1)
    _, limited = explain(export.index, export.fetch, rejected, batch_id="batch-1", limit=2)
    assert (limited.rejected, limited.checked) == (3, 2)


def test_the_sample_depends_on_the_batch_and_on_nothing_else() -> None:
    def sample(batch_id: str) -> list[Place]:
        export = Export({("Patient", None): 500})
        export.rows.reverse()
        export.check(batch_id=batch_id, limit=50, per_stratum=20)
        return export.fetched

    assert sample("batch-1") == sample("batch-1")
    assert sample("batch-1") != sample("batch-2")


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["Patient", "Condition"]), st.sampled_from([None, "a", "b"])),
        st.integers(1, 30),
    ),
    st.integers(0, 40),
    st.integers(1, 15),
)
def test_the_counts_of_the_report_are_those_of_the_batch(
    sizes: dict[tuple[str, str | None], int], limit: int, per_stratum: int
) -> None:
    export = Export(sizes)
    failures, report = export.check(limit=limit, per_stratum=per_stratum)
    assert report.total == len(export.rows) == sum(sizes.values())
    assert report.checked == len(export.fetched) == len(set(export.fetched))
    assert report.failed == len(failures)
    for stratum in report.strata:
        expected = stratum.total if report.policy == "all" else min(stratum.total, per_stratum)
        assert stratum.checked == expected


def test_a_resource_that_cannot_be_read_back_is_an_error() -> None:
    export = Export({("Patient", None): 3})
    with pytest.raises(TerminalError, match="RESOURCE-NOT-FETCHED: 3 resources"):
        check_resources(export.index, lambda places: [], batch_id="batch-1")
