"""Whatever an export holds: every line is accepted, quarantined or skipped, once, and the counts add up."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from small_mappings import BOTH, small_catalogue
from zib_exports import bundle, map_files, ndjson, zipped

from pipelines.zib.catalogue import Catalogue

IDS = st.sampled_from(["a", "b", "c", None])
PROFILES = st.sampled_from(
    [
        None,
        "http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem",
        "http://nictiz.nl/fhir/StructureDefinition/zib-Problem",
        "http://fhir.nl/fhir/StructureDefinition/nl-core-patient",
    ]
)
REFERENCES = st.sampled_from(
    [
        {"reference": "#a"},
        {"reference": "#"},
        {"reference": "Patient/a"},
        {"identifier": {"system": "s", "value": "1"}},
        {"reference": 5},
        {"identifier": "x"},
        None,
    ]
)
VALUES = st.sampled_from(["active", {"coding": [{"code": "active"}]}, 5, None, [], "2024-01-01", "2024-99-99"])
NAMES = st.sampled_from(["clinicalStatus", "code", "recordedDate", "assertedDate", "subject", "gender", "identifier"])


@st.composite
def resources(draw: st.DrawFn, depth: int = 1) -> Any:
    """A resource as a hospital may send it on a bad day."""
    resource: dict[str, Any] = {
        "resourceType": draw(
            st.sampled_from(["Condition", "Patient", "Medication", "MedicationRequest", "Practitioner", "List", "X"])
        ),
        "id": draw(IDS),
        "subject": draw(REFERENCES),
        "medicationReference": draw(REFERENCES),
    }
    if profile := draw(PROFILES):
        resource["meta"] = {"profile": [profile]}
    for name in draw(st.lists(NAMES, max_size=3)):
        resource[name] = draw(VALUES)
    if draw(st.booleans()):
        resource["identifier"] = [{"system": "s", "value": "1"}]
    if depth and draw(st.integers(0, 2)) == 0:
        resource["contained"] = draw(st.lists(st.one_of(resources(0), st.just(None), st.just("x")), max_size=3))
    return {name: value for name, value in resource.items() if value is not None}


LINES = st.lists(
    st.one_of(resources(), resources(), resources(), st.sampled_from(['{"id": ', "", '["x"]', "5"])), max_size=8
)
PACKS = {
    "lines": lambda lines: ndjson(*lines),
    "gzip": lambda lines: zipped(ndjson(*lines)),
    "bundle": lambda lines: json.dumps(bundle(*lines)),
    "text": lambda lines: "no FHIR",
}


@cache
def tables() -> Catalogue:
    with tempfile.TemporaryDirectory() as name:
        return small_catalogue(Path(name), BOTH)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(PACKS)), LINES), min_size=1, max_size=3))
def test_every_line_has_one_outcome(files: list[tuple[str, list[Any]]]) -> None:
    """`map_files` reconciles rows, quarantine and accounts; here also with what went in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = {
            f"{i}.{'txt' if pack == 'text' else 'json' if pack == 'bundle' else 'ndjson'}": PACKS[pack](lines)
            for i, (pack, lines) in enumerate(files)
        }
        mapped = map_files(folder, contents, tables=tables())
    for (pack, lines), account in zip(files, mapped.files.values(), strict=True):
        expected = len(lines) if pack in ("lines", "gzip", "bundle") else 1
        assert account["lines"] == max(expected, 1)
