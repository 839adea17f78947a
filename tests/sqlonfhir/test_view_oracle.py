"""What nl-core asks of the compiler beyond the official suite: every case compared with fhirpathpy."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhirpath_oracle import Oracle
from view_running import Row, rows_of

from pipelines.sqlonfhir.fhir_types import Release


def plain_key(typed_id: str) -> str | None:
    return None if "?" in typed_id else typed_id.partition("/")[2]


def no_secret(_: str) -> str:
    raise AssertionError("no view here has one")


def agrees(folder: Path, view: Row, *resources: Row, release: Release = "r4") -> list[Row]:
    """The rows of `view`, once the oracle has found the same."""
    oracle = Oracle(plain_key, no_secret, release)
    expected = [row for resource in resources for row in oracle.rows(view, resource)]
    found = rows_of(folder, view, resources, release)
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(expected, default=str))
    return found


def found_at(folder: Path, resource: Row, path: str, release: Release = "r4", **more: Any) -> Any:
    """What a column with this path gives; values of a path that may give several come as a list."""
    column = {"name": "it", "path": path, **more}
    (row,) = agrees(
        folder, {"resource": resource["resourceType"], "select": [{"column": [column]}]}, resource, release=release
    )
    return row["it"]


ZIB_CODE = "http://nictiz.nl/fhir/StructureDefinition/ext-CodeSpecification"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def coding(code: str, system: str = "urn:s", **more: str) -> Row:
    return {"system": system, "code": code, **more}


PATIENT: Row = {
    "resourceType": "Patient",
    "id": "p1",
    "gender": "female",
    "_gender": {
        "extension": [
            {"url": ZIB_CODE, "valueCodeableConcept": {"coding": [coding("F"), coding("V", "urn:nl")]}},
            {"url": "urn:other", "valueString": "x"},
        ]
    },
    "_birthDate": {"extension": [{"url": ABSENT, "valueCode": "masked"}]},
    "deceasedDateTime": "2020-02-01",
    "_deceasedDateTime": {"extension": [{"url": "urn:precision", "valueString": "day"}]},
    "name": [
        {
            "family": "van Dam",
            "_family": {"extension": [{"url": "urn:prefix", "valueString": "van"}]},
            "given": ["Anna", "B."],
            "_given": [None, {"extension": [{"url": "urn:qualifier", "valueCode": "IN"}]}],
        },
        {"given": ["Cas"], "_given": [{"extension": [{"url": "urn:qualifier", "valueCode": "CL"}]}]},
    ],
    "extension": [
        {
            "url": "urn:nationality",
            "extension": [
                {"url": "code", "valueCodeableConcept": {"coding": [coding("NL"), coding("6030", "urn:oid:2")]}},
                {"url": "period", "valuePeriod": {"start": "2001"}},
            ],
        },
        {
            "url": "urn:nationality",
            "extension": [{"url": "code", "valueCodeableConcept": {"coding": [coding("BE")]}}],
        },
    ],
    "contact": [
        {"relationship": [{"coding": [coding("1"), coding("brother", "urn:role")]}], "gender": "male"},
        {"relationship": [{"coding": [coding("2")]}], "gender": "other"},
    ],
}
BLOOD_PRESSURE: Row = {
    "resourceType": "Observation",
    "id": "bp",
    "status": "final",
    "code": {"coding": [coding("85354-9", "http://loinc.org")]},
    "component": [
        {
            "code": {"coding": [coding("8480-6", "http://loinc.org"), coding("271649006", "http://snomed.info/sct")]},
            "valueQuantity": {"value": 120, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        },
        {
            "code": {"coding": [coding("8462-4", "http://loinc.org")]},
            "valueQuantity": {"value": 80.5, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        },
        {"code": {"coding": [coding("8462-4", "urn:other")]}, "valueString": "not measured"},
    ],
}
SYSTOLIC = "component.where(code.coding.where(system = 'http://snomed.info/sct' and code = '271649006').exists())"
DIASTOLIC = "component.where(code.coding.exists(system = 'http://loinc.org' and code = '8462-4'))"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"gender.extension('{ZIB_CODE}').value.ofType(CodeableConcept).coding.code.first()", "F"),
        (f"gender.extension('{ZIB_CODE}').value.ofType(CodeableConcept).coding.where(system = 'urn:nl').code", "V"),
        ("gender.extension.count()", 2),
        ("gender.extension.where(value.ofType(string).exists()).url", "urn:other"),
        (f"birthDate.extension('{ABSENT}').value.ofType(code)", "masked"),
        (f"birthDate.extension('{ABSENT}').exists()", True),
        ("birthDate.extension('urn:none').exists()", False),
        ("deceased.ofType(dateTime).extension('urn:precision').value.ofType(string)", "day"),
        ("deceased.ofType(boolean).extension('urn:precision').value.ofType(string)", None),
        ("name.family.extension('urn:prefix').value.ofType(string)", "van"),
        ("name.first().family.extension('urn:prefix').value.ofType(string)", "van"),
        ("name[1].family.extension('urn:prefix').value.ofType(string)", None),
        ("name.exists(given.extension('urn:qualifier').value.ofType(code) = 'CL')", True),
        ("contact.exists(gender = 'male')", True),
        ("contact.exists(gender = 'female')", False),
        (
            "contact.where(relationship.coding.where(system = 'urn:role').where(code = 'brother').exists()).gender",
            "male",
        ),
        ("contact.where(relationship.exists(coding.exists(code = '2'))).gender", "other"),
        ("contact.where(relationship.where(coding.where(code = '3').exists()).exists()).gender", None),
        ("extension('urn:nationality').extension('period').value.ofType(Period).start", "2001"),
        ("extension('urn:nationality').exists(extension('period').exists())", True),
    ],
)
def test_a_path_in_a_patient(tmp_path: Path, path: str, expected: Any) -> None:
    assert found_at(tmp_path, PATIENT, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("name.given.extension('urn:qualifier').value.ofType(code)", ["IN", "CL"]),
        (
            "extension('urn:nationality').extension('code').value.ofType(CodeableConcept).coding.code",
            ["NL", "6030", "BE"],
        ),
        ("contact.relationship.coding.where(system = 'urn:s').code", ["1", "2"]),
        ("contact.where(gender != 'male').relationship.coding.code", ["2"]),
    ],
)
def test_a_path_that_gives_several(tmp_path: Path, path: str, expected: Any) -> None:
    assert found_at(tmp_path, PATIENT, path, collection=True) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{SYSTOLIC}.value.ofType(Quantity).value", 120.0),
        (f"{DIASTOLIC}.value.ofType(Quantity).value", 80.5),
        (f"{DIASTOLIC}.value.ofType(Quantity).code", "mm[Hg]"),
        (f"{DIASTOLIC}.exists()", True),
        ("component.where(value.ofType(Quantity).value > 100).code.coding.code.first()", "8480-6"),
        ("component.where(value.exists().not()).exists()", False),
        ("component.where(value.ofType(string).exists()).code.coding.system", "urn:other"),
    ],
)
def test_a_component_is_found_by_its_code(tmp_path: Path, path: str, expected: Any) -> None:
    assert found_at(tmp_path, BLOOD_PRESSURE, path) == expected


def test_extensions_of_primitives_within_a_for_each(tmp_path: Path) -> None:
    columns = [
        {"name": "family", "path": "family"},
        {"name": "prefix", "path": "family.extension('urn:prefix').value.ofType(string)"},
        {"name": "qualifiers", "path": "given.extension('urn:qualifier').value.ofType(code)", "collection": True},
    ]
    rows = agrees(tmp_path, {"resource": "Patient", "select": [{"forEach": "name", "column": columns}]}, PATIENT)
    assert [(row["prefix"], row["qualifiers"]) for row in rows] == [("van", ["IN"]), (None, ["CL"])]


def test_extensions_as_rows(tmp_path: Path) -> None:
    nationality = {
        "forEach": "extension('urn:nationality')",
        "column": [
            {"name": "code", "path": "extension('code').value.ofType(CodeableConcept).coding.code.first()"},
            {"name": "since", "path": "extension('period').value.ofType(Period).start"},
        ],
    }
    rows = agrees(tmp_path, {"resource": "Patient", "select": [nationality]}, PATIENT)
    assert [tuple(row.values()) for row in rows] == [("NL", "2001"), ("BE", None)]
