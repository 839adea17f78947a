"""Codes, systems and displays that may be about a patient are not stored; real codes stay."""

import csv
import json
from pathlib import Path

import pytest
from zib_exports import PSEUDONYMS, ROOT, catalogue, map_files, ndjson

from pipelines.zib.private_codings import FINGERPRINT, PrivateCodings, is_snomed_id

SNOMED, UCUM, LOINC = "http://snomed.info/sct", "http://unitsofmeasure.org", "http://loinc.org"
BSN = "999911120"
META = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]}}
SECRETS = ("Jansen", BSN, "1950", "9999.11.120", "Dorpsstraat")


@pytest.fixture(scope="module")
def private() -> PrivateCodings:
    return PrivateCodings(catalogue().known_codes, PSEUDONYMS)


@pytest.mark.parametrize(
    "coding",
    [
        {"system": "urn:local", "code": f"Jansen, geb 03-02-1950 BSN {BSN}"},
        {"system": f"urn:epd:patient:{BSN}", "code": "A1", "display": "knie"},
        {"system": "urn:local", "code": "Jansen_1950-02-03"},
        {"system": "urn:local", "code": BSN, "display": "Jansen"},
        {"system": SNOMED, "code": BSN},
        {"system": LOINC, "code": BSN, "version": "Jansen Dorpsstraat"},
        {"system": SNOMED, "code": "57773001", "display": "Jansen 9999.11.120 Dorpsstraat 1"},
        {"system": "urn:local", "code": "A1", "version": "1950-02-03"},
        {"display": "Jansen"},
    ],
)
def test_a_coding_that_may_name_a_patient_is_stored_nowhere(tmp_path: Path, coding: dict[str, str]) -> None:
    condition = {"resourceType": "Condition", "id": "1", "code": {"coding": [coding]}, **META}
    found = map_files(tmp_path, {"c.ndjson": ndjson(condition)})
    (row,), (stored,) = found.tables["zib_problem"], found.codings
    text = json.dumps([row, stored], default=str)
    assert not [secret for secret in SECRETS if secret in text]
    assert row["problem_codings_id"] == stored["codings_id"]
    for part in ("system", "code", "display"):
        assert row[f"problem_{part}"] == stored[part]


def test_a_unit_that_may_name_a_patient_is_stored_nowhere(tmp_path: Path) -> None:
    quantity = {"value": 80, "unit": f"Jansen {BSN}", "system": UCUM, "code": BSN}
    loinc = {"coding": [{"system": LOINC, "code": "29463-7"}]}
    weight = {"resourceType": "Observation", "id": "1", "status": "final", "code": loinc, "valueQuantity": quantity}
    weight["meta"] = {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-BodyWeight"]}
    (row,) = map_files(tmp_path, {"o.ndjson": ndjson(weight)}).tables["zib_body_weight"]
    assert row["weight_ucum_code"].startswith(FINGERPRINT)
    assert row["weight_unit"].startswith(FINGERPRINT)


def test_a_code_without_a_system_that_may_name_a_patient_is_not_stored(tmp_path: Path) -> None:
    practitioner = {"resourceType": "Practitioner", "id": "1", "gender": f"Jansen {BSN}"}
    practitioner["meta"] = {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-HealthProfessional"]}
    (row,) = map_files(tmp_path, {"p.ndjson": ndjson(practitioner)}).tables["zib_health_professional"]
    assert row["gender"].startswith(FINGERPRINT)


def test_the_fingerprint_is_the_same_for_the_same_text_only(private: PrivateCodings) -> None:
    first, again, other = (private.code("urn:local", text) for text in ("a b", "a b", "a c"))
    assert first == again != other


def test_every_code_of_the_mappings_stays(private: PrivateCodings) -> None:
    count = 0
    for path in [
        *(ROOT / "mappings" / "zib" / "value_sets").glob("*.csv"),
        *(ROOT / "mappings" / "codes").glob("*.csv"),
    ]:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                system, code, display = row["system"], row["code"], row.get("display")
                assert private.system(system) == system
                assert private.code(system, code) == code, path.name
                assert private.display(system, code, display) == display, path.name
                count += 1
    assert count > 1000


@pytest.mark.parametrize(
    ("system", "code"), [("urn:oid:2.16.528.1.1007.3.3.7", "KNIE1"), (None, "D"), (UCUM, "10*9/L"), ("s", "a")]
)
def test_local_codes_stay(private: PrivateCodings, system: str | None, code: str) -> None:
    assert (private.system(system), private.code(system, code)) == (system, code)
    assert private.display(system, code, "Links, 2e graad") == "Links, 2e graad"


def test_snomed_identifiers_are_told_by_their_check_digit() -> None:
    assert all(map(is_snomed_id, ("57773001", "404684003", "999000041000000102")))
    assert not any(map(is_snomed_id, ("57773002", BSN, "12345", "0404684003")))
