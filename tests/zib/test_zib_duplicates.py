"""A resource that occurs more than once: the same, an older version, or a conflict."""

from pathlib import Path
from typing import Any

import pytest
from zib_exports import Mapped, map_files, ndjson

OLD, MIDDLE, NEW = "2024-01-01T00:00:00Z", "2024-02-01T12:00:00+01:00", "2024-02-01T12:00:00Z"


def patient(gender: str = "male", updated: str | None = None, **more: Any) -> dict[str, Any]:
    meta = {"meta": {"lastUpdated": updated}} if updated else {}
    return {"resourceType": "Patient", "id": "p1", "birthDate": "1960-01-01", "gender": gender} | meta | more


def numbered(number: str) -> dict[str, Any]:
    return {"identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": number}]}


def genders(mapped: Mapped) -> list[tuple[str, int]]:
    return sorted((row["gender"], row["source_line"]) for row in mapped.tables["zib_patient"])


def in_lines(folder: Path, *resources: dict[str, Any]) -> Mapped:
    return map_files(folder, {"Patient.ndjson": ndjson(*resources)})


# The same content twice


def test_the_first_of_identical_resources_stays(tmp_path: Path) -> None:
    mapped = in_lines(tmp_path, patient(), patient(), patient())
    assert genders(mapped) == [("male", 1)]
    assert mapped.codes() == {"DUPLICATE-IDENTICAL": 2}


def test_what_is_not_mapped_makes_no_difference(tmp_path: Path) -> None:
    mapped = in_lines(tmp_path, patient(updated=OLD), patient(updated=NEW, text={"status": "empty"}))
    assert genders(mapped) == [("male", 1)]
    assert mapped.codes() == {"DUPLICATE-IDENTICAL": 1}


def test_identical_resources_in_two_files(tmp_path: Path) -> None:
    mapped = map_files(tmp_path, {"b.ndjson": ndjson(patient()), "a.json": ndjson(patient())})
    assert [row["source_file"] for row in mapped.tables["zib_patient"]] == ["a.json"]
    assert mapped.files["b.ndjson"]["skipped"] == {"DUPLICATE-IDENTICAL": 1}


# Versions in order


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_newest_version_stays_whatever_the_order_of_the_lines(tmp_path: Path, order: tuple[int, ...]) -> None:
    versions = [patient("male", OLD), patient("other", MIDDLE), patient("female", NEW)]
    mapped = in_lines(tmp_path, *(versions[i] for i in order))
    assert genders(mapped) == [("female", order.index(2) + 1)]
    assert mapped.codes() == {"SUPERSEDED": 2}


def test_the_newest_version_twice_stays_once(tmp_path: Path) -> None:
    mapped = in_lines(tmp_path, patient("female", NEW), patient("male", OLD), patient("female", NEW))
    assert genders(mapped) == [("female", 1)]
    assert mapped.codes() == {"SUPERSEDED": 1, "DUPLICATE-IDENTICAL": 1}


def test_a_correction_that_was_taken_back(tmp_path: Path) -> None:
    mapped = in_lines(tmp_path, patient("male", OLD), patient("female", MIDDLE), patient("male", NEW))
    assert genders(mapped) == [("male", 3)]
    assert mapped.codes() == {"SUPERSEDED": 2}


# Conflicts


@pytest.mark.parametrize(
    "versions",
    [
        [patient("male"), patient("female")],
        [patient("male", OLD), patient("female")],
        [patient("male", "yesterday"), patient("female", NEW)],
        [patient("male", NEW), patient("female", NEW)],
        [patient("male", "2024-02-01T13:00:00+01:00"), patient("female", NEW)],
        [patient("male", OLD), patient("male", NEW), patient("female", NEW)],
        [patient("male", OLD, **numbered("999990019")), patient("male", NEW, **numbered("999990020"))],
        [patient("male", OLD), patient("male", NEW, birthDate="1961-01-01")],
    ],
    ids=[
        "no times",
        "one time",
        "no time that can be read",
        "one moment",
        "one moment in two zones",
        "two newest",
        "two persons by number",
        "two persons by birth date",
    ],
)
def test_nobody_can_tell_which_one_is_true(tmp_path: Path, versions: list[dict[str, Any]]) -> None:
    other = patient() | {"id": "p2"}
    mapped = in_lines(tmp_path, *versions, other)
    assert genders(mapped) == [("male", len(versions) + 1)]
    assert mapped.codes() == {"DUPLICATE-CONFLICT": len(versions)}
    assert {row["resource_type"] for row in mapped.quarantine} == {"Patient"}
    assert "99999" not in mapped.written


def test_two_types_may_share_an_id(tmp_path: Path) -> None:
    encounter = {"resourceType": "Encounter", "id": "p1", "status": "finished", "class": {"code": "IMP"}}
    mapped = map_files(tmp_path, {"mixed.ndjson": ndjson(patient(), encounter)})
    assert len(mapped.tables["zib_patient"]) == len(mapped.tables["zib_encounter"]) == 1
    assert mapped.codes() == {}


def test_a_conflict_takes_the_rows_of_every_table_with_it(tmp_path: Path) -> None:
    answers = [{"linkId": "1", "answer": [{"valueInteger": 1}]}, {"linkId": "2", "answer": [{"valueInteger": 2}]}]
    responses = [
        {"resourceType": "QuestionnaireResponse", "id": "q", "status": status, "item": answers}
        for status in ("completed", "amended")
    ]
    mapped = map_files(tmp_path, {"q.ndjson": ndjson(*responses)})
    assert mapped.tables["prom_answer"] == []
    assert mapped.codes() == {"DUPLICATE-CONFLICT": 2}
