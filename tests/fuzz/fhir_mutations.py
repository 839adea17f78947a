"""Resources bent out of shape the way exports are: structure-aware mutations for Hypothesis."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

REFERENCES = (
    "Patient/p1",
    "https://epd.example/fhir/Patient/p1/_history/2",
    "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
    "#c1",
    "#",
    "Patient/",
    "",
)
DATES = ("2024", "2024-05", "2024-05-01", "2024-02-30", "0001-01-01", "2999-12-31T25:61:00Z", "01-05-2024", "vandaag")
ODD_TEXTS = ("", " ", "\x00", "\ud83d", "\u202e", "1,5", "NaN", "null", "'; DROP TABLE x; --", "é" * 300, "|", "a|b|c")
ODD_NUMBERS = (0, -1, 5.40, 1e999, -1e-400, 2**63, 2**64 + 1, 10**40, 0.1 + 0.2)

SEEDS: tuple[dict[str, Any], ...] = (
    {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Patient"]},
        "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999900006"}],
        "gender": "female",
        "birthDate": "1951-07-04",
        "deceasedBoolean": False,
    },
    {
        "resourceType": "Condition",
        "id": "c1",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]},
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "239873007", "display": "artrose van knie"}]},
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2019-03",
    },
    {
        "resourceType": "Condition",
        "id": "c2",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/zib-Problem"]},
        "clinicalStatus": "active",
        "verificationStatus": "confirmed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "239872002"}]},
        "subject": {"reference": "Patient/p1"},
    },
    {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9", "display": "Creatinine"}]},
        "subject": {"identifier": {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999900006"}},
        "effectiveDateTime": "2024-05-01T08:15:00+02:00",
        "valueQuantity": {"value": 84, "unit": "umol/L", "system": "http://unitsofmeasure.org", "code": "umol/L"},
    },
    {
        "resourceType": "Observation",
        "id": "o2",
        "status": "final",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "subject": {"reference": "Patient/p1"},
        "effectivePeriod": {"start": "2024-05-01", "end": "2024-05-02"},
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                "valueQuantity": {
                    "value": 138.5,
                    "unit": "mmHg",
                    "system": "http://unitsofmeasure.org",
                    "code": "mm[Hg]",
                },
            }
        ],
    },
    {
        "resourceType": "Procedure",
        "id": "v1",
        "status": "completed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "609588000"}]},
        "subject": {"reference": "Patient/p1"},
        "performedPeriod": {"start": "2024-06-03T09:00:00+02:00", "end": "2024-06-03T10:20:00+02:00"},
        "bodySite": [{"coding": [{"system": "http://snomed.info/sct", "code": "72696002"}]}],
    },
    {
        "resourceType": "MedicationStatement",
        "id": "m1",
        "status": "active",
        "category": {"coding": [{"system": "http://snomed.info/sct", "code": "422979000"}]},
        "contained": [
            {
                "resourceType": "Medication",
                "id": "c1",
                "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "N02BE01"}]},
            }
        ],
        "medicationReference": {"reference": "#c1"},
        "subject": {"reference": "Patient/p1"},
        "effectivePeriod": {"start": "2024-01-01"},
    },
    {
        "resourceType": "QuestionnaireResponse",
        "id": "q1",
        "questionnaire": "http://example.org/Questionnaire/koos-ps|1.0",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2024-09-01T12:00:00+02:00",
        "item": [{"linkId": "1", "answer": [{"valueInteger": 2, "item": [{"linkId": "1.1"}]}]}],
    },
)


def places(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, the root included."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def _parent(root: Any, path: Path) -> Any:
    node = root
    for key in path[:-1]:
        node = node[key]
    return node


def _value_at(root: Any, path: Path) -> Any:
    return _parent(root, path)[path[-1]]


scalars: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(DATES),
    st.sampled_from(REFERENCES),
    st.none(),
    st.booleans(),
    st.text(max_size=12),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["value", "coding", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """One seed resource with up to four changes; rarely something that is no resource at all."""
    if draw(st.integers(0, 30)) == 0:
        return draw(values)
    resource = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    resource["id"] = draw(st.sampled_from([resource["id"], "p1", "o1", "x" * 65, "with/slash", ""]))
    for _ in range(draw(st.integers(0, 4))):
        inside = [path for path in places(resource) if path]
        if not inside or not _changed(draw, resource, draw(st.sampled_from(inside))):
            break
    return resource


def _changed(draw: st.DrawFn, resource: dict[str, Any], path: Path) -> bool:
    """Change one place; False when it went too deep for another change."""
    parent, key = _parent(resource, path), path[-1]
    value = parent[key]
    match draw(st.sampled_from(["replace", "remove", "wrap", "unwrap", "double", "rename", "deepen", "graft"])):
        case "replace":
            parent[key] = draw(values)
        case "remove":
            del parent[key]
        case "wrap":
            parent[key] = [value]
        case "unwrap":
            parent[key] = value[0] if isinstance(value, list) and value else value
        case "double":
            parent[key] = [*value, *value] if isinstance(value, list) else [value, value]
        case "rename" if isinstance(parent, dict):
            parent[draw(st.sampled_from(["_birthDate", "context", "encounter", "value", "extension", "é"]))] = value
        case "deepen":
            for _ in range(draw(st.sampled_from([1, 40, 1200]))):
                value = {"item": [value]}
            parent[key] = value
            return False
        case "graft":
            parent[key] = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    return True


def as_json(value: Any) -> str:
    """`value` as JSON on one line; what nests too deeply for the encoder is written by hand."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 5000 + "]" * 5000
