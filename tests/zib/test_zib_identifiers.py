"""References by identifier only lead to the resource of the export that has it, if there is exactly one."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_mappings import small_catalogue
from zib_exports import PSEUDONYMS, Mapped, map_files, ndjson, zipped

BSN = "http://fhir.nl/fhir/NamingSystem/bsn"
R4 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]}}


def problem(id_: str, number: str, system: str | None = BSN) -> dict[str, Any]:
    identifier = {"value": number} | ({"system": system} if system else {})
    return {"resourceType": "Condition", "id": id_, "subject": {"identifier": identifier}, **R4}


def patient(id_: str, *numbers: str, system: str = BSN) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "identifier": [{"system": system, "value": n} for n in numbers]}


def mapped(folder: Path, contents: dict[str, Any]) -> Mapped:
    return map_files(folder, contents, tables=small_catalogue(folder / ".mappings"))


def patients(found: Mapped) -> list[str]:
    return [row["patient_key"] for row in sorted(found.tables["zib_problem"], key=lambda row: row["source_line"])]


@pytest.mark.parametrize("pack", [ndjson, lambda *r: zipped(ndjson(*r))], ids=["clean", "gzip"])
def test_it_leads_to_the_resource_that_has_the_identifier(tmp_path: Path, pack: Any) -> None:
    contents = {
        "Condition.ndjson": pack(problem("a", "999990019"), problem("b", "999990020"), problem("c", "none")),
        "Patient.ndjson": pack(patient("p", "7", "999990019"), patient("q", "999990020")),
    }
    found = mapped(tmp_path, contents)
    of = PSEUDONYMS.of_resource
    assert patients(found) == [of("Patient/p"), of("Patient/q"), of(f"Patient?{BSN}|none")]
    assert {row["resource_key"] for row in found.tables["zib_patient"]} == {of("Patient/p"), of("Patient/q")}
    assert "99999" not in found.written + json.dumps([found.tables, found.codings], default=str)


def test_an_identifier_of_two_resources_leads_nowhere(tmp_path: Path) -> None:
    contents = {
        "c.ndjson": ndjson(problem("a", "1")),
        "p.ndjson": ndjson(patient("p", "1"), patient("q", "1"), patient("p", "1")),
    }
    assert patients(mapped(tmp_path, contents)) == [PSEUDONYMS.of_resource(f"Patient?{BSN}|1")]


def test_a_resource_that_occurs_twice_is_one(tmp_path: Path) -> None:
    contents = {"c.ndjson": ndjson(problem("a", "1")), "p.ndjson": ndjson(patient("p", "1"), patient("p", "1"))}
    assert patients(mapped(tmp_path, contents)) == [PSEUDONYMS.of_resource("Patient/p")]


@pytest.mark.parametrize("system", ["http://other", None])
def test_another_system_is_another_identifier(tmp_path: Path, system: str | None) -> None:
    contents = {"c.ndjson": ndjson(problem("a", "1", system)), "p.ndjson": ndjson(patient("p", "1"))}
    assert patients(mapped(tmp_path, contents)) == [PSEUDONYMS.of_resource(f"Patient?{system or ''}|1")]
