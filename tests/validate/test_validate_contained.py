"""A line with a contained resource feeds two tables, and is judged once, as the resource that it is."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain import Chain
from pipelines.extract.exports import find_exports

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PROFILES = "http://nictiz.nl/fhir/StructureDefinition/"
PATIENT = {"resourceType": "Patient", "id": "p", "meta": {"profile": [PROFILES + "nl-core-Patient"]}}
PRODUCT = {
    "resourceType": "Medication",
    "id": "m",
    "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "N02BE01"}]},
}
USE: dict[str, Any] = {
    "resourceType": "MedicationStatement",
    "id": "use",
    "meta": {"profile": [PROFILES + "mp-MedicationUse2"]},
    "contained": [PRODUCT],
    "status": "active",
    "category": {"coding": [{"system": "urn:oid:2.16.840.1.113883.2.4.3.11.60.20.77.5.3", "code": "6"}]},
    "medicationReference": {"reference": "#m"},
    "subject": {"reference": "Patient/p"},
    "effectivePeriod": {"start": "2025-01-01"},
}


@pytest.mark.parametrize(("change", "invalid"), [({}, []), ({"onbekend": 1}, ["MedicationStatement"])])
def test_a_contained_resource_is_judged_with_its_root(
    change: dict[str, Any], invalid: list[str], tmp_path: Path
) -> None:
    drop = tmp_path / "exports" / "noord"
    drop.mkdir(parents=True)
    (drop / "Patient.ndjson").write_text(json.dumps(PATIENT | {"birthDate": "1950-01-01"}) + "\n", encoding="utf-8")
    (drop / "MedicationStatement.ndjson").write_text(json.dumps(USE | change) + "\n", encoding="utf-8")
    (export,) = find_exports(tmp_path / "exports")
    Chain.at(tmp_path / "home").process(export, now=NOW)
    (path,) = tmp_path.glob("home/batches/*/*/quarantine.ndjson")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["resource_type"] for row in rows if row["rule_id"] == "RESOURCE-INVALID"] == invalid
    assert bool(rows) == bool(invalid)
    (checks,) = tmp_path.glob("home/batches/*/*/checks.json")
    strata = json.loads(checks.read_bytes())["resources"]["strata"]
    assert {each["resource_type"] for each in strata} == {"Patient", "MedicationStatement", "Medication"}
