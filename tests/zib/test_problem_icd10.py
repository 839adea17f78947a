"""ICD-10 codes of problems: Dutch data names the Dutch edition, other data the international one."""

import json
from pathlib import Path

import pytest
from zib_exports import MAPPINGS

from pipelines.sqlonfhir.run import load_view, run_view


@pytest.mark.parametrize("folder", ["2020", "2017"])
@pytest.mark.parametrize("system", ["http://hl7.org/fhir/sid/icd-10-nl", "http://hl7.org/fhir/sid/icd-10"])
def test_both_editions_of_icd_10_are_read(folder: str, system: str, tmp_path: Path) -> None:
    snomed = {"system": "http://snomed.info/sct", "code": "239873007"}
    profile = {
        "2020": "http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem",
        "2017": "http://nictiz.nl/fhir/StructureDefinition/zib-Problem",
    }[folder]
    problem = {
        "resourceType": "Condition",
        "id": "p",
        "meta": {"profile": [profile]},
        "code": {"coding": [snomed, {"system": system, "code": "M17.1"}]},
    }
    (tmp_path / "problem.ndjson").write_text(json.dumps(problem) + "\n", encoding="utf-8")
    view = load_view(MAPPINGS.parent / folder / "zib_problem.json")
    assert not run_view(view, tmp_path / "problem.ndjson", tmp_path / "rows.ndjson", 1 << 20)
    (row,) = [json.loads(line) for line in (tmp_path / "rows.ndjson").read_text(encoding="utf-8").splitlines()]
    assert (row["problem_icd10_code"], row["problem_snomed_code"]) == ("M17.1", "239873007")
