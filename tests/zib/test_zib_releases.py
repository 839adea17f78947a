"""The FHIR release of a resource is told, or nothing is said: never told wrong."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from shared_material import SHARED

from pipelines.zib.releases import release_of, release_of_row, releases_sql

R4_PROFILE = "http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"
STU3_PROFILE = "http://fhir.nl/fhir/StructureDefinition/nl-core-patient"
ZIB_PROFILE = "http://nictiz.nl/fhir/StructureDefinition/zib-Problem"
CASES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing tells": ({"resourceType": "Condition", "id": "a"}, None),
    "nl-core": ({"resourceType": "Condition", "meta": {"profile": [R4_PROFILE]}}, "r4"),
    "fhir.nl": ({"resourceType": "Patient", "meta": {"profile": [STU3_PROFILE + "|2.1"]}}, "stu3"),
    "gp": (
        {"resourceType": "Encounter", "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/gp-Encounter"]}},
        "stu3",
    ),
    "zib": ({"resourceType": "Condition", "meta": {"profile": [ZIB_PROFILE]}}, "stu3"),
    "two profiles of two releases": (
        {"resourceType": "Condition", "meta": {"profile": [R4_PROFILE, STU3_PROFILE]}},
        None,
    ),
    "zib beside nl-core": ({"resourceType": "Condition", "meta": {"profile": [ZIB_PROFILE, R4_PROFILE]}}, "r4"),
    "shape outweighs zib": (
        {"resourceType": "Condition", "meta": {"profile": [ZIB_PROFILE]}, "clinicalStatus": {"coding": []}},
        "r4",
    ),
    "code of STU3": ({"resourceType": "Condition", "clinicalStatus": "active"}, "stu3"),
    "CodeableConcept of R4": ({"resourceType": "Condition", "clinicalStatus": {"coding": []}}, "r4"),
    "only null": ({"resourceType": "Condition", "clinicalStatus": None}, None),
    "element of STU3": ({"resourceType": "Observation", "context": {"reference": "Encounter/a"}}, "stu3"),
    "element of R4": ({"resourceType": "Observation", "encounter": {"reference": "Encounter/a"}}, "r4"),
    "both elements": ({"resourceType": "Observation", "encounter": {}, "context": {}}, None),
    "profile outweighs shape": (
        {"resourceType": "Observation", "meta": {"profile": [R4_PROFILE]}, "context": {}},
        "r4",
    ),
    "profile of another kind": ({"resourceType": "Observation", "meta": {"profile": "x"}, "context": {}}, "stu3"),
    "questionnaire as canonical": ({"resourceType": "QuestionnaireResponse", "questionnaire": "http://x"}, "r4"),
    "questionnaire as Reference": ({"resourceType": "QuestionnaireResponse", "questionnaire": {}}, "stu3"),
}


@pytest.mark.parametrize(("resource", "expected"), CASES.values(), ids=CASES)
def test_what_tells_the_release(resource: dict[str, Any], expected: str | None) -> None:
    assert release_of(resource) == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "ProcedureRequest"}, "stu3"),
        ({"resourceType": "ServiceRequest"}, "r4"),
        ({"resourceType": "CapabilityStatement", "fhirVersion": "3.0.2"}, "stu3"),
        ({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}, "r4"),
        ({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}, None),
        ({"resourceType": "NoSuchType"}, None),
    ],
)
def test_a_type_or_a_stated_version_tells_too(resource: dict[str, Any], expected: str | None) -> None:
    assert release_of(resource) == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [case for name, case in CASES.items() if name != "profile of another kind"],
    ids=[name for name in CASES if name != "profile of another kind"],
)
def test_a_file_read_as_a_whole_tells_the_same(resource: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    assert in_sql(tmp_path, resource) == expected


def in_sql(folder: Path, resource: dict[str, Any]) -> str | None:
    path = folder / "x.ndjson"
    path.write_text(json.dumps(resource) + "\n", encoding="utf-8")
    ((type_, *row),) = duckdb.sql(releases_sql(path, resource["resourceType"], 1 << 24)).fetchall()
    assert type_ == resource["resourceType"]
    return release_of_row(*row)


@pytest.mark.parametrize(
    ("folder", "release", "count"), [("nictiz-zib2020", "r4", 271), ("nictiz-zib2017", "stu3", 208)]
)
def test_the_official_examples(folder: str, release: str, count: int, tmp_path: Path) -> None:
    paths = sorted((SHARED / "examples" / folder).glob("*.json"))
    if not paths:
        pytest.skip(f"the reference material ../shared/examples/{folder} is not here")
    assert len(paths) == count
    untold, wrong = 0, []
    for path in paths:
        resource = json.loads(path.read_text(encoding="utf-8"))
        if resource["resourceType"] != "Binary":  # has no profile, and is alike in both releases
            assert release_of(resource) == release, path.name
            assert in_sql(tmp_path, resource) == release, path.name
        if "meta" in resource:
            resource["meta"].pop("profile", None)
        for told in (release_of(resource), in_sql(tmp_path, resource)):
            untold += told is None
            wrong += [path.name] if told not in (None, release) else []
    assert wrong == []
    assert untold < 2 * count * 0.7, "shape tells hardly anything"
