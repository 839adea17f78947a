"""`zib_coding`: every coding behind a `<x>_codings_id` once, with what a concept map adds."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from small_mappings import small_catalogue
from zib_exports import Mapped, map_files, ndjson, zipped

from pipelines.errors import TerminalError

R4 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]}}
HEADER = "source_system,source_code,target_system,target_code,target_display,source\n"


def problem(id_: str, *codings: dict[str, Any]) -> dict[str, Any]:
    code = {"code": {"coding": list(codings)}} if codings else {}
    return {"resourceType": "Condition", "id": id_, **code, **R4}


def mapped(folder: Path, *resources: dict[str, Any], concept_map: str | None = None, pack: Any = ndjson) -> Mapped:
    tables = small_catalogue(folder / ".mappings", concept_map=concept_map)
    return map_files(folder, {"c.ndjson": pack(*resources)}, tables=tables)


def test_all_codings_are_kept_in_order_under_the_id_of_their_content(tmp_path: Path) -> None:
    one = {"system": "s", "version": "1", "code": "a", "display": "A"}
    other = {"code": "b"}
    found = mapped(tmp_path, problem("1", one, other), problem("2", one, other), problem("3", other), problem("4"))
    text = "s\x1f1\x1fa\x1fA\x1e\x1f\x1fb\x1f"
    id_ = hashlib.sha256(text.encode()).hexdigest()[:32]
    rows = sorted(found.tables["zib_problem"], key=lambda row: row["source_line"])
    assert [row["problem_codings_id"] for row in rows][:2] == [id_, id_]
    assert rows[2]["problem_codings_id"] not in (id_, None)
    assert rows[3]["problem_codings_id"] is None
    assert [row for row in found.codings if row["codings_id"] == id_] == [
        {"institution": "noord", "codings_id": id_, "position": 0, **one, "mapped_from": None},
        {
            "institution": "noord",
            "codings_id": id_,
            "position": 1,
            "system": None,
            "version": None,
            "code": "b",
            "display": None,
            "mapped_from": None,
        },
    ]
    assert len(found.codings) == 3


def test_every_id_has_codings_and_only_accepted_rows_bring_them(tmp_path: Path) -> None:
    lines = [problem(str(i), {"system": "s", "code": str(i % 7)}) for i in range(100)]
    for pack in (ndjson, lambda *r: zipped(ndjson(*r))):
        broken = mapped(tmp_path / str(id(pack)), *lines, "{", problem("x") | {"code": 5}, pack=pack)
        ids = {row["problem_codings_id"] for row in broken.tables["zib_problem"]}
        assert ids == {row["codings_id"] for row in broken.codings}
        assert len(broken.codings) == 7


def test_a_concept_map_adds_codings_after_those_that_were_written(tmp_path: Path) -> None:
    rows = ["s,a,t,x,X,made up", "s,a,t,y,Y,made up", "s,b,t,x,X,made up", "s,b,s,a,A,made up"]
    found = mapped(
        tmp_path,
        problem("1", {"system": "s", "code": "a"}, {"system": "s", "code": "b"}),
        problem("2", {"system": "s", "code": "c"}),
        concept_map=HEADER + "\n".join(rows) + "\n",
    )
    added = [(r["position"], r["system"], r["code"], r["display"], r["mapped_from"]) for r in found.codings]
    assert added[:4] == [
        (0, "s", "a", None, None),
        (1, "s", "b", None, None),
        (2, "t", "x", "X", 0),
        (3, "t", "y", "Y", 0),
    ]
    assert added[4:] == [(0, "s", "c", None, None)]


@pytest.mark.parametrize(
    "content", ["wrong,header\n", HEADER + "s,a,t,x,X\n", HEADER + "s,a,t,x,X,\n", HEADER + "a,b,c,d,e,f,g\n"]
)
def test_a_concept_map_that_is_not_complete_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(TerminalError, match="CONCEPT-MAP-INVALID"):
        small_catalogue(tmp_path, concept_map=content)


@pytest.mark.parametrize("rows", ["a,b,\n", "a,b,c\na,d,e\n", ",b,c\n"])
def test_code_systems_that_are_not_complete_are_an_error(tmp_path: Path, rows: str) -> None:
    with pytest.raises(TerminalError, match="CODE-SYSTEMS-INVALID"):
        small_catalogue(tmp_path, systems="from_system,to_system,source\n" + rows)
