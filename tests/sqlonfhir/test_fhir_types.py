"""The facts about FHIR R4 and STU3 that the compiler rests on."""

import json

import pytest

from pipelines.sqlonfhir.fhir_types import Element, Release, file_of, from_models, r4, stu3


@pytest.mark.parametrize("release", ["r4", "stu3"])
def test_the_file_holds_what_the_models_say(release: Release) -> None:
    assert json.loads(file_of(release).read_text(encoding="utf-8")) == from_models(release)


@pytest.mark.parametrize(
    ("type_", "name", "expected"),
    [
        ("Patient", "birthDate", Element("birthDate", "date", False)),
        ("Patient", "identifier", Element("identifier", "Identifier", True)),
        ("Observation", "valueQuantity", Element("valueQuantity", "Quantity", False)),
        ("Quantity", "value", Element("value", "decimal", False)),
        ("Observation", "component", Element("component", "ObservationComponent", True)),
        ("HumanName", "given", Element("given", "string", True)),
        ("Patient", "id", Element("id", "string", False)),
        ("Patient", "birthdate", None),
        ("Nonsense", "id", None),
    ],
)
def test_elements(type_: str, name: str, expected: Element | None) -> None:
    found = r4().element(type_, name)
    if found is not None and name == "id":
        assert (found.name, found.many) == ("id", False)
    else:
        assert found == expected


def test_a_choice_has_its_alternatives() -> None:
    assert {e.name for e in r4().choices("Patient", "deceased")} == {"deceasedBoolean", "deceasedDateTime"}
    assert {e.type for e in r4().choices("QuestionnaireResponseItemAnswer", "value")} >= {"decimal", "Coding"}
    assert r4().choices("Patient", "birthDate") == ()


def test_resources_are_told_from_other_types() -> None:
    assert {"Patient", "Observation", "QuestionnaireResponse", "Bundle"} <= r4().resources
    assert not {"Quantity", "Coding", "ObservationComponent"} & r4().resources
    assert r4().is_type("Quantity")
    assert r4().is_type("dateTime")
    assert not r4().is_type("quantity")


@pytest.mark.parametrize(
    ("type_", "name", "expected"),
    [
        ("Encounter", "reason", Element("reason", "CodeableConcept", True)),
        ("Observation", "comment", Element("comment", "string", False)),
        ("MedicationStatement", "taken", Element("taken", "code", False)),
        ("Encounter", "reasonCode", None),
    ],
)
def test_elements_that_stu3_has_otherwise(type_: str, name: str, expected: Element | None) -> None:
    assert stu3().element(type_, name) == expected


def test_stu3_has_resources_of_its_own() -> None:
    assert "ProcedureRequest" in stu3().resources - r4().resources
    assert "ServiceRequest" in r4().resources - stu3().resources
    assert "dateTime" in {element.type for element in stu3().choices("Observation", "effective")}
