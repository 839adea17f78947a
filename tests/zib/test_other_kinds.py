"""JSON of another kind than FHIR has is set aside, from a file read as a whole as well as record by record."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_mappings import small_catalogue
from zib_exports import map_files, ndjson, zipped

R4 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]}}


def problem(id_: str, **more: Any) -> dict[str, Any]:
    coding = {"system": "http://snomed.info/sct", "code": "239872002"}
    return {
        "resourceType": "Condition",
        "id": id_,
        "code": {"coding": [coding]},
        "subject": {"reference": "Patient/p"},
        **R4,
        **more,
    }


WRONG: dict[str, dict[str, Any]] = {
    "a code as decimal": {"code": {"coding": [{"code": 900000000000207008.0}]}},
    "a code as boolean": {"code": {"coding": [{"code": True}]}},
    "a system as number": {"code": {"coding": [{"system": -5, "code": "1"}]}},
    "a reference as number": {"subject": {"reference": 5}},
    "a date as number": {"recordedDate": 2024},
    "an object for a list": {"code": {"coding": {"code": "1"}}},
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",", " :   ")], ids=["tight", "usual", "wide"])
@pytest.mark.parametrize("gzipped", [False, True], ids=["whole", "by record"])
def test_another_kind_is_set_aside(tmp_path: Path, case: str, separators: tuple[str, str], gzipped: bool) -> None:
    lines = [json.dumps(r, separators=separators) for r in (problem("a"), problem("b", **WRONG[case]), problem("c"))]
    text = ndjson(*lines)
    tables = small_catalogue(tmp_path / ".mappings")
    found = map_files(tmp_path, {"c.ndjson": zipped(text) if gzipped else text}, tables=tables)
    assert found.lines == {("c.ndjson", 2): "VALUE-WRONG-TYPE"}
    assert len(found.tables["zib_problem"]) == 2


def test_another_kind_is_seen_wherever_a_file_is_cut_into_blocks(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipelines.zib.kinds._BLOCK", 37)
    tables = small_catalogue(tmp_path / ".mappings")
    schema = tables.schemas["r4"]["Condition"]
    from pipelines.zib.kinds import may_have_other_kinds

    path = tmp_path / "x.ndjson"
    for shift in range(37):
        for code, expected in ((5, True), ("5", False)):
            path.write_text(ndjson(problem("a" * shift, code={"coding": [{"code": code}]})), encoding="utf-8")
            assert may_have_other_kinds(path, schema) == expected
