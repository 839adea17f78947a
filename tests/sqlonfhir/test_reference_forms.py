"""Every form of a reference, tagged columns and `repeat`, compared with fhirpathpy and a naive reading of the rules."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_view_oracle import BLOOD_PRESSURE, agrees, coding, found_at
from view_running import LIMIT, Row, columns, compiled, value_of

from pipelines.sqlonfhir.run import run_view

U = "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
CONTAINED = [
    {"resourceType": "Practitioner", "id": "a", "name": [{"family": "x"}]},
    {"resourceType": "Organization", "id": "b"},
]


def request(subject: Row, **more: Any) -> Row:
    return {"resourceType": "MedicationRequest", "id": "m.1", "contained": CONTAINED, "subject": subject, **more}


@pytest.mark.parametrize(
    ("reference", "practitioner", "any_type"),
    [
        ({"reference": "Practitioner/p"}, "p", "p"),
        ({"reference": "https://x.nl/fhir/Practitioner/p/_history/2"}, "p", "p"),
        ({"reference": "Organization/o"}, None, "o"),
        ({"reference": "Practitioner/p", "type": "Organization"}, "p", "p"),
        ({"reference": f"urn:uuid:{U}"}, U, None),
        ({"reference": f"urn:uuid:{U}", "type": "Practitioner"}, U, U),
        ({"reference": f"urn:uuid:{U}", "type": "Organization"}, None, U),
        ({"reference": "#a"}, "MedicationRequest.m.1#a", "MedicationRequest.m.1#a"),
        ({"reference": "#b"}, None, "MedicationRequest.m.1#b"),
        ({"reference": "#none"}, "MedicationRequest.m.1#none", None),
        ({"identifier": {"system": "urn:s", "value": "5"}}, None, None),
        ({"reference": "Practitioner/p", "identifier": {"value": "5"}}, "p", "p"),
        ({"display": "Dr. X"}, None, None),
        ({}, None, None),
    ],
)
def test_a_reference_in_any_form(
    tmp_path: Path, reference: Row, practitioner: str | None, any_type: str | None
) -> None:
    resource = request({"reference": "Patient/x"}, requester=reference)
    assert found_at(tmp_path, resource, "requester.getReferenceKey(Practitioner)") == practitioner
    assert found_at(tmp_path, resource, "requester.getReferenceKey()") == any_type


def test_a_contained_resource_that_is_a_row_of_its_own(tmp_path: Path) -> None:
    medication = {
        "resourceType": "Medication",
        "id": "MedicationRequest.m.1#c",
        "manufacturer": {"reference": "#b"},
        "ingredient": [{"itemReference": {"reference": "Substance/s"}}, {"itemReference": {"reference": "#d"}}],
    }
    assert found_at(tmp_path, medication, "getResourceKey()") == "MedicationRequest.m.1#c"
    assert found_at(tmp_path, medication, "manufacturer.getReferenceKey(Organization)") == "MedicationRequest.m.1#b"
    rows = agrees(
        tmp_path,
        {
            "resource": "Medication",
            "select": [
                {
                    "forEach": "ingredient",
                    "column": [{"name": "it", "path": "item.ofType(Reference).getReferenceKey(Substance)"}],
                }
            ],
        },
        medication,
    )
    assert [row["it"] for row in rows] == ["s", "MedicationRequest.m.1#d"]


def test_the_first_of_several_references_that_has_the_type(tmp_path: Path) -> None:
    performers = [
        {"reference": "#b"},
        {"reference": "Organization/o"},
        {"reference": "#a"},
        {"reference": "Practitioner/p"},
    ]
    resource = BLOOD_PRESSURE | {"contained": CONTAINED, "performer": performers}
    assert found_at(tmp_path, resource, "performer.getReferenceKey(Practitioner).first()") == "Observation.bp#a"


@pytest.mark.parametrize("release", ["r4", "stu3"])
@pytest.mark.parametrize(
    "codings",
    [
        [],
        [coding("1")],
        [coding("1", version="2", display="Een"), coding("2", "urn:t")],
        [{"display": "only text"}, coding("é")],
    ],
)
def test_codings(tmp_path: Path, codings: list[Row], release: Any) -> None:
    resource = {"resourceType": "Observation", "id": "o", "code": {"coding": codings} if codings else {"text": "x"}}
    column = {"name": "code_codings_id", "path": "code.coding", "collection": True}
    view = {
        "resource": "Observation",
        "select": [{"column": [column | {"tag": [{"name": "codings", "value": "code"}]}]}],
    }
    (row,) = agrees(tmp_path, view, resource, release=release)
    assert (row["code_codings_id"] is None) == (codings == [])


def test_codings_of_a_repeating_element_are_in_one_list_and_their_order_counts(tmp_path: Path) -> None:
    ids = []
    for codes in ("12", "21"):
        resource = BLOOD_PRESSURE | {"category": [{"coding": [coding(code)]} for code in codes]}
        column = {"name": "c_codings_id", "path": "category.coding", "collection": True}
        view = {
            "resource": "Observation",
            "select": [{"column": [column | {"tag": [{"name": "codings", "value": "c"}]}]}],
        }
        ids += [row["c_codings_id"] for row in agrees(tmp_path, view, resource)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"value": 70300, "system": "http://unitsofmeasure.org", "code": "g"}, 70.3),
        ({"value": 70.3, "system": "http://unitsofmeasure.org", "code": "kg", "unit": "kilo"}, 70.3),
        ({"value": 70.3, "system": "urn:other", "code": "kg"}, None),
        ({"value": 70.3, "code": "kg"}, None),
        ({"value": 70.3, "system": "http://unitsofmeasure.org", "code": "cm"}, None),
        ({"system": "http://unitsofmeasure.org", "code": "kg"}, None),
    ],
)
def test_a_quantity_in_one_unit(tmp_path: Path, quantity: Row, expected: float | None) -> None:
    resource = {"resourceType": "Observation", "id": "o", "valueQuantity": quantity}
    tag = [{"name": "ucum", "value": "kg"}]
    assert found_at(tmp_path, resource, "value.ofType(Quantity)", tag=tag) == expected


def item(depth: int, number: str = "1") -> Row:
    answers = [{"valueString": number}]
    if depth == 0:
        return {"linkId": number, "answer": answers}
    below = [item(depth - 1, f"{number}.{n}") for n in range(2 if depth < 4 else 1)]
    return {"linkId": number, "item": below, "answer": [answers[0] | {"item": [item(0, f"{number}.a")]}]}


@pytest.mark.parametrize("depth", [0, 1, 3, 12, 40])
def test_repeat_at_any_depth(tmp_path: Path, depth: int) -> None:
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "q",
        "status": "completed",
        "item": [item(depth), {"linkId": "2"}],
    }
    text = "answer.value.ofType(string).first()"
    found = columns(n="%rowIndex", link="linkId", text=text, below="item.linkId.count()")
    view = {"resource": "QuestionnaireResponse", "select": [{"repeat": ["item", "answer.item"], "column": found}]}
    rows = agrees(tmp_path, view, response)
    assert max(row["link"].count(".") for row in rows) == depth
    assert [row["n"] for row in rows] == list(range(len(rows)))


@pytest.mark.parametrize(
    "bad",
    [
        {"linkId": "1", "item": [{"linkId": "1.1", "answer": [{"valueBoolean": "perhaps"}]}]},
        item(70),
    ],
    ids=["a value of another type", "deeper than DuckDB reads"],
)
def test_what_lies_deep_is_checked_as_what_lies_on_top(tmp_path: Path, bad: Row) -> None:
    response = {"resourceType": "QuestionnaireResponse", "id": "q", "item": [bad]}
    column = [{"name": "it", "path": "answer.value.ofType(boolean).first()"}]
    view = compiled({"resource": "QuestionnaireResponse", "select": [{"repeat": ["item"], "column": column}]})
    source = tmp_path / "resources.ndjson"
    source.write_text(json.dumps(response) + "\n", encoding="utf-8")
    assert run_view(view, source, tmp_path / "rows.ndjson", LIMIT) == {"VALUE-WRONG-TYPE": 1}


@pytest.mark.parametrize(
    ("element", "value", "path", "low", "high"),
    [
        ("valueQuantity", {"value": 5}, "value.ofType(Quantity).value", 4.5, 5.5),
        ("valueQuantity", {"value": -1.5}, "value.ofType(Quantity).value", -1.55, -1.45),
        ("valueInteger", 3, "value.ofType(integer)", 2.5, 3.5),
        (
            "valueDateTime",
            "2024",
            "value.ofType(dateTime)",
            "2024-01-01T00:00:00.000+14:00",
            "2024-12-31T23:59:59.999-12:00",
        ),
        (
            "valueDateTime",
            "2024-02",
            "value.ofType(dateTime)",
            "2024-02-01T00:00:00.000+14:00",
            "2024-02-29T23:59:59.999-12:00",
        ),
        (
            "valueDateTime",
            "2024-02-03T04:05:06Z",
            "value.ofType(dateTime)",
            "2024-02-03T04:05:06.000Z",
            "2024-02-03T04:05:06.999Z",
        ),
        ("valueDateTime", "2024-13", "value.ofType(dateTime)", None, None),
        ("valueTime", "12:30:01.5", "value.ofType(time)", "12:30:01.500", "12:30:01.599"),
    ],
)
def test_boundaries(tmp_path: Path, element: str, value: Any, path: str, low: Any, high: Any) -> None:
    resource = {"resourceType": "Observation", "id": "o", element: value}
    assert value_of(tmp_path, f"{path}.lowBoundary()", resource) == low
    assert value_of(tmp_path, f"{path}.highBoundary()", resource) == high


def test_zeros_at_the_end_of_a_number_count_and_do_not_change_its_value(tmp_path: Path) -> None:
    value = "value.ofType(Quantity).value"
    view = compiled(
        {"resource": "Observation", "select": [{"column": columns(low=f"{value}.lowBoundary()", it=value)}]}
    )
    source, out = tmp_path / "resources.ndjson", tmp_path / "rows.csv"
    line = '{"resourceType": "Observation", "id": "o", "valueQuantity": {"value": %s}}\n'
    source.write_text("".join(line % text for text in ("1.0", "1.00", "1.50e2", "2")), encoding="utf-8")
    run_view(view, source, out, LIMIT)
    assert out.read_text(encoding="utf-8").split() == ["low,it", "0.95,1.0", "0.995,1.0", "149.5,150.0", "1.5,2.0"]
