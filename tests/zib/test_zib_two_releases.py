"""Exports in R4, in STU3 and in both: every resource is read by the views of its own release, or set aside."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_mappings import BOTH, PERSON, PROBLEM, small_catalogue, view
from zib_exports import Mapped, bundle, map_files, ndjson, zipped

from pipelines.errors import TerminalError

R4 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Problem"]}}
STU3 = {"meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/zib-Problem"]}}


def problem(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": id_, "subject": {"reference": "Patient/p"}, **more}


def r4(id_: str, **more: Any) -> dict[str, Any]:
    return problem(id_, clinicalStatus={"coding": [{"code": "active"}]}, recordedDate="2024-01-01", **more)


def stu3(id_: str, **more: Any) -> dict[str, Any]:
    return problem(id_, clinicalStatus="active", assertedDate="2024-01-01", **more)


def mapped(folder: Path, contents: dict[str, Any]) -> Mapped:
    return map_files(folder, contents, tables=small_catalogue(folder / ".mappings"))


def statuses(result: Mapped) -> list[tuple[str, int, str | None, str | None]]:
    return sorted(
        (row["source_file"], row["source_line"], row["clinical_status"], row["recorded_date_text"])
        for row in result.tables["zib_problem"]
    )


def test_the_same_problem_gives_the_same_row_in_both_releases(tmp_path: Path) -> None:
    results = [
        mapped(tmp_path / r["id"], {"c.ndjson": ndjson(r | {"id": "c"})}) for r in (r4("x", **R4), stu3("y", **STU3))
    ]
    assert results[0].tables["zib_problem"] == results[1].tables["zib_problem"]
    assert statuses(results[0]) == [("c.ndjson", 1, "active", "2024-01-01")]


@pytest.mark.parametrize("profiles", [True, False], ids=["profiles", "shape only"])
@pytest.mark.parametrize("form", ["whole file", "gzip", "Bundle"])
@pytest.mark.parametrize("order", [0, 1])
def test_releases_mixed_in_one_file(tmp_path: Path, profiles: bool, form: str, order: int) -> None:
    both = [r4("a", **(R4 if profiles else {})), stu3("b", **(STU3 if profiles else {}))]
    both = both[::-1] if order else both
    contents: dict[str, Any] = {
        "whole file": {"c.ndjson": ndjson(*both)},
        "gzip": {"c.ndjson": zipped(ndjson(*both))},
        "Bundle": {"c.ndjson": json.dumps(bundle(*both))},
    }[form]
    found = mapped(tmp_path, contents)
    assert statuses(found) == [("c.ndjson", 1, "active", "2024-01-01"), ("c.ndjson", 2, "active", "2024-01-01")]
    assert found.quarantine == []


def test_one_resource_of_the_other_release_late_in_a_clean_file(tmp_path: Path) -> None:
    lines = [r4(f"c{i}", **R4) for i in range(300)] + [stu3("other", **STU3)]
    found = mapped(tmp_path, {"c.ndjson": ndjson(*lines)})
    assert len(statuses(found)) == 301
    assert {row[2:] for row in statuses(found)} == {("active", "2024-01-01")}


def test_a_resource_without_evidence_goes_with_its_file(tmp_path: Path) -> None:
    found = mapped(
        tmp_path,
        {
            "a.ndjson": ndjson(problem("a"), stu3("b"), problem("c", code={"text": "x"})),
            "b.ndjson": ndjson(r4("d", **R4), problem("e")),
        },
    )
    assert len(statuses(found)) == 5
    assert found.codes() == {}


def test_a_file_without_evidence_goes_with_the_export(tmp_path: Path) -> None:
    # Read as R4, clinicalStatus of any kind would be no text; the type tells nothing here.
    found = mapped(tmp_path, {"a.ndjson": ndjson(problem("a")), "b.ndjson": zipped(ndjson(stu3("b"), problem("c")))})
    assert len(statuses(found)) == 3
    assert found.codes() == {}


def test_a_stated_version_counts_for_the_whole_export(tmp_path: Path) -> None:
    capability = {"resourceType": "CapabilityStatement", "id": "m", "fhirVersion": "3.0.2"}
    only_r4 = {"zib_problem": {"r4": PROBLEM["r4"], "stu3": PROBLEM["stu3"]}, "zib_person": {"r4": PERSON}}
    tables = small_catalogue(tmp_path / ".mappings", only_r4)
    person = {"resourceType": "Practitioner", "id": "x", "gender": "male"}
    found = map_files(tmp_path, {"z.json": ndjson(capability), "a.ndjson": ndjson(person)}, tables=tables)
    assert found.codes() == {"TYPE-NOT-MAPPED": 2}


def test_no_evidence_anywhere_is_no_matter_when_both_read_the_same(tmp_path: Path) -> None:
    found = mapped(tmp_path, {"a.ndjson": ndjson(problem("a"), problem("b")), "b.json": ndjson(problem("c"))})
    assert len(statuses(found)) == 3
    assert found.quarantine == []


def test_no_evidence_anywhere_and_another_reading_is_set_aside(tmp_path: Path) -> None:
    tables = small_catalogue(
        tmp_path / ".mappings",
        {
            "zib_person": {
                "r4": view("Practitioner", [("gender", "gender")]),
                "stu3": view("Practitioner", [("gender", "name.first().family")]),
            }
        },
    )
    same, other = ({"resourceType": "Practitioner", "id": i, "gender": "male"} for i in "ab")
    same |= {"name": [{"family": "male"}]}
    found = map_files(tmp_path, {"a.ndjson": ndjson(same, other)}, tables=tables)
    assert found.lines == {("a.ndjson", 2): "RELEASE-UNKNOWN"}
    assert [row["source_line"] for row in found.tables["zib_person"]] == [1]


def test_evidence_of_both_releases_elsewhere_decides_nothing(tmp_path: Path) -> None:
    tables = small_catalogue(tmp_path / ".mappings", {"zib_problem": PROBLEM, "zib_person": {"r4": PERSON}})
    person = {"resourceType": "Practitioner", "id": "x", "gender": "male"}
    found = map_files(
        tmp_path,
        {"a.ndjson": ndjson(r4("a")), "b.ndjson": ndjson(stu3("b")), "c.ndjson": ndjson(person)},
        tables=tables,
    )
    assert found.lines == {("c.ndjson", 1): "RELEASE-UNKNOWN"}


CONFLICTS = {
    "profile of R4, element of STU3": problem("x", assertedDate="2024-01-01", **R4),
    "profile of STU3, element of R4": problem(
        "x", recordedDate="2024-01-01", meta={"profile": ["http://fhir.nl/fhir/StructureDefinition/x"]}
    ),
    "elements of both": problem("x", clinicalStatus="active", recordedDate="2024-01-01"),
    "profiles of both": problem(
        "x", meta={"profile": [*R4["meta"]["profile"], "http://fhir.nl/fhir/StructureDefinition/x"]}
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
@pytest.mark.parametrize("form", ["whole file", "alone", "gzip"])
def test_what_tells_both_releases_is_set_aside(tmp_path: Path, case: str, form: str) -> None:
    others = [] if form == "alone" else [r4("a", **R4), r4("b", **R4)]
    text = ndjson(*others, CONFLICTS[case])
    found = mapped(tmp_path, {"c.ndjson": zipped(text) if form == "gzip" else text})
    assert found.lines == {("c.ndjson", len(others) + 1): "RELEASE-CONFLICT"}
    assert len(found.tables["zib_problem"]) == len(others)


def test_an_element_of_the_other_release_that_no_view_reads_is_no_matter(tmp_path: Path) -> None:
    found = mapped(tmp_path, {"c.ndjson": ndjson(r4("a", **R4, context={"reference": "Encounter/e"}))})
    assert found.quarantine == []


def test_tables_that_differ_between_releases_are_an_error(tmp_path: Path) -> None:
    tables = BOTH | {"zib_person": {"r4": PERSON, "stu3": view("Practitioner", [("sex", "gender")])}}
    with pytest.raises(TerminalError, match="MAPPING-RELEASES-DIFFER"):
        small_catalogue(tmp_path, tables)
    with pytest.raises(TerminalError, match="MAPPING-RELEASES-DIFFER"):
        small_catalogue(
            tmp_path, BOTH | {"zib_person": {"r4": PERSON, "stu3": view("Practitioner", [("gender", "active")])}}
        )


def test_a_release_without_views_maps_nothing(tmp_path: Path) -> None:
    tables = small_catalogue(tmp_path / ".mappings", {"zib_problem": {"r4": PROBLEM["r4"]}})
    found = map_files(tmp_path, {"a.ndjson": ndjson(stu3("a")), "b.ndjson": ndjson(problem("b"))}, tables=tables)
    assert found.files["a.ndjson"]["skipped"] == {"TYPE-NOT-MAPPED": 1}


def test_code_systems_of_stu3_are_spelled_as_in_r4(tmp_path: Path) -> None:
    tables = small_catalogue(
        tmp_path / ".mappings", systems="from_system,to_system,source\nhttp://old,http://new,a source\n"
    )
    code = {"code": {"coding": [{"system": "http://old", "code": "1"}, {"system": "http://kept", "code": "2"}]}}
    found = map_files(
        tmp_path, {"a.ndjson": ndjson(stu3("a", **code)), "b.ndjson": ndjson(r4("b", **code))}, tables=tables
    )
    systems = {row["source_file"]: row["problem_system"] for row in found.tables["zib_problem"]}
    assert systems == {"a.ndjson": "http://new", "b.ndjson": "http://old"}
    assert {row["system"] for row in found.codings} == {"http://new", "http://old", "http://kept"}


def test_a_view_that_needs_decimals_as_written_is_refused_and_named(tmp_path: Path) -> None:
    weight = view("Observation", [("low", "value.ofType(Quantity).value.lowBoundary()")])
    with pytest.raises(TerminalError, match=r"VIEW-UNSUPPORTED.*decimals.*zib_weight\.json"):
        small_catalogue(tmp_path, BOTH | {"zib_weight": {"r4": weight, "stu3": weight}})
    dated = view("Observation", [("low", "effective.ofType(dateTime).lowBoundary()")])
    assert small_catalogue(tmp_path, {"zib_weight": {"r4": dated, "stu3": dated}}).tables
