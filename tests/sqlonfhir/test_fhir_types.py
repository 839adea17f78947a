"""The facts about FHIR R4 that the compiler rests on."""

import json
from pathlib import Path

import pytest

from pipelines.sqlonfhir import fhir_types
from pipelines.sqlonfhir.fhir_types import Element, from_models, r4


def test_the_file_holds_what_the_models_say() -> None:
    path = Path(fhir_types.__file__).with_name("fhir_r4.json")
    assert json.loads(path.read_text(encoding="utf-8")) == from_models()


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
