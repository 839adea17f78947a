"""Contained resources become rows of their own table, and every reference to them leads there."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_mappings import BOTH, small_catalogue
from zib_exports import PSEUDONYMS, Mapped, bundle, map_files, ndjson, zipped

R4 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/mp-MedicationAgreement"]}}


def agreement(id_: str, *contained: Any, reference: str = "#m", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": reference},
        "contained": list(contained),
        **R4,
        **more,
    }


def product(id_: str = "m", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": id_, **more}


def mapped(folder: Path, contents: dict[str, Any]) -> Mapped:
    return map_files(folder, contents, tables=small_catalogue(folder / ".mappings"))


def keys(found: Mapped, table: str) -> list[tuple[int, str]]:
    return sorted((row["source_line"], row["resource_key"]) for row in found.tables[table])


FORMS = {
    "clean file": lambda resources: {"a.ndjson": ndjson(*resources)},
    "gzip": lambda resources: {"a.ndjson": zipped(ndjson(*resources))},
    "Bundle": lambda resources: {"a.ndjson": json.dumps(bundle(*resources))},
    "one file each": lambda resources: {f"{i}.json": json.dumps(r) for i, r in enumerate(resources)},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_reference_to_a_contained_resource_leads_to_its_row(tmp_path: Path, form: str) -> None:
    found = mapped(tmp_path, FORMS[form]([agreement("1", product()), agreement("2", reference="Medication/x")]))
    (row,) = found.tables["zib_product"]
    assert row["resource_key"] == PSEUDONYMS.of_resource("Medication/MedicationRequest.1#m")
    products = {r["product_key"] for r in found.tables["zib_agreement"]}
    assert products == {row["resource_key"], PSEUDONYMS.of_resource("Medication/x")}
    assert found.codes() == {}


def test_the_forms_of_a_file_make_no_difference(tmp_path: Path) -> None:
    resources = [agreement(str(i), product(), product("n")) for i in range(5)]
    results = [mapped(tmp_path / form.replace(" ", "-"), FORMS[form](resources)) for form in FORMS]
    assert len(results[0].rows("zib_product")) == 10
    for table in BOTH:
        assert all(result.rows(table) == results[0].rows(table) for result in results[1:])


def test_references_between_contained_resources_and_to_their_root(tmp_path: Path) -> None:
    whole = product("whole", ingredient=[{"itemReference": {"reference": "#part"}}])
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Patient"]},
        "contained": [{"resourceType": "Practitioner", "id": "x", "gender": "female"}],
        "generalPractitioner": [{"reference": "#x"}],
    }
    child = {"resourceType": "Medication", "id": "back", "ingredient": [{"itemReference": {"reference": "#"}}]}
    root = product("r", contained=[child], **R4)
    found = mapped(tmp_path, {"a.ndjson": ndjson(agreement("1", whole, product("part")), patient, root)})
    makers = {row["resource_key"]: row["maker_key"] for row in found.tables["zib_product"]}
    of = PSEUDONYMS.of_resource
    assert makers[of("Medication/MedicationRequest.1#whole")] == of("Medication/MedicationRequest.1#part")
    assert makers[of("Medication/Medication.r#back")] == of("Medication/r")
    (person,), (row,) = found.tables["zib_person"], found.tables["zib_patient"]
    assert row["practitioner_key"] == person["resource_key"] == of("Practitioner/Patient.p#x")


def test_a_root_without_a_table_brings_what_it_contains(tmp_path: Path) -> None:
    report = {"resourceType": "DiagnosticReport", "id": "d", "contained": [product()], "status": "final"}
    empty = {"resourceType": "DiagnosticReport", "id": "e", "contained": [{"resourceType": "Binary", "id": "b"}]}
    found = mapped(tmp_path, {"a.ndjson": ndjson(report, empty)})
    assert keys(found, "zib_product") == [(1, PSEUDONYMS.of_resource("Medication/DiagnosticReport.d#m"))]
    assert found.codes() == {"TYPE-NOT-MAPPED": 1}


@pytest.mark.parametrize(
    ("contained", "code"),
    [
        (product() | {"id": None}, "RESOURCE-NO-ID"),
        (product(ingredient="x"), "VALUE-WRONG-TYPE"),
        ({"id": "x"}, "RESOURCE-NO-TYPE"),
    ],
)
@pytest.mark.parametrize("form", ["clean file", "gzip"])
def test_a_contained_resource_that_cannot_be_read_takes_its_line_along(
    tmp_path: Path, contained: Any, code: str, form: str
) -> None:
    found = mapped(tmp_path, FORMS[form]([agreement("1", product(), contained), agreement("2", product())]))
    assert found.lines == {("a.ndjson", 1): code}
    assert [line for line, _ in keys(found, "zib_product")] == [2]
    assert [line for line, _ in keys(found, "zib_agreement")] == [2]


def test_other_content_inside_is_another_resource(tmp_path: Path) -> None:
    one, other = agreement("1", product(amount={"numerator": {"value": 1}})), agreement("1", product())
    assert mapped(tmp_path / "a", {"a.ndjson": ndjson(one, one)}).codes() == {"DUPLICATE-IDENTICAL": 1}
    found = mapped(tmp_path / "b", {"a.ndjson": ndjson(one, other)})
    assert found.codes() == {"DUPLICATE-CONFLICT": 2}
    assert found.tables["zib_product"] == []


def test_urns_inside_a_contained_resource_are_resolved_within_the_bundle(tmp_path: Path) -> None:
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    whole = product("m", ingredient=[{"itemReference": {"reference": urn}}])
    entries = [{"resource": agreement("1", whole)}, {"fullUrl": urn, "resource": product("real", **R4)}]
    content = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})
    found = mapped(tmp_path, {"a.json": content})
    makers = {row["maker_key"] for row in found.tables["zib_product"]} - {None}
    assert makers == {PSEUDONYMS.of_resource("Medication/real")}


def test_nothing_of_a_contained_resource_is_quoted(tmp_path: Path) -> None:
    secret = {"resourceType": "Practitioner", "id": "999990019", "gender": {"x": "999990019"}}
    found = mapped(tmp_path, {"a.ndjson": ndjson(agreement("1", secret))})
    assert found.codes() == {"VALUE-WRONG-TYPE": 1}
    assert "999990019" not in found.written


def test_no_identifier_of_a_contained_resource_passes(tmp_path: Path) -> None:
    identifiers = [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999990019"}]
    person = {"resourceType": "Practitioner", "id": "family-name", "gender": "male", "identifier": identifiers}
    found = mapped(tmp_path, {"a.ndjson": ndjson(agreement("1", person))})
    assert len(found.tables["zib_person"]) == 1
    text = found.written + json.dumps([found.tables, found.codings], default=str)
    assert "999990019" not in text
    assert "family-name" not in text
