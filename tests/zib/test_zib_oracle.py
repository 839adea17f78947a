"""The official nl-core examples: every value that `map_export` gives is the one fhirpathpy finds at that path."""

import json
import math
from functools import cache
from typing import Any

import pytest
from fhirpath_oracle import Oracle
from shared_material import shared
from zib_exports import MAPPINGS, PSEUDONYMS, Mapped, map_files

EXAMPLES = shared("examples") / "nictiz-zib2020"
PROFILES = {
    "nl-core-Patient": "zib_patient",
    "nl-core-Problem": "zib_problem",
    "nl-core-Procedure-event": "zib_procedure",
    "nl-core-Encounter": "zib_encounter",
    "nl-core-LaboratoryTestResult": "zib_laboratory_test_result",
    "nl-core-BloodPressure": "zib_blood_pressure",
    "nl-core-BodyWeight": "zib_body_weight",
    "nl-core-BodyHeight": "zib_body_height",
    "nl-core-TobaccoUse": "zib_tobacco_use",
}
VIEWS = sorted(path.stem for path in MAPPINGS.glob("*.json"))
ORACLE = Oracle(PSEUDONYMS.of_resource, PSEUDONYMS.of_identifier)


@cache
def examples() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("*.json"))}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """All examples, each in its own file."""
    contents = {path.name: path.read_bytes() for path in EXAMPLES.glob("*.json")}
    return map_files(tmp_path_factory.mktemp("examples"), contents)


@pytest.fixture(scope="module")
def mapped_as_one_file(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """All examples in one NDJSON file."""
    lines = "".join(json.dumps(resource) + "\n" for resource in examples().values())
    return map_files(tmp_path_factory.mktemp("examples"), {"all.ndjson": lines})


def view_of(table: str) -> dict[str, Any]:
    view = json.loads((MAPPINGS / f"{table}.json").read_text(encoding="utf-8"))
    assert isinstance(view, dict)
    return view


def profiles_of(resource: dict[str, Any]) -> set[str]:
    return {profile.rpartition("/")[2] for profile in resource.get("meta", {}).get("profile", [])}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The columns that differ, by name only."""
    assert set(expected) <= set(found)
    return [name for name, value in expected.items() if not _same(found[name], value)]


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        return isinstance(found, float) and math.isclose(found, expected, rel_tol=1e-12)
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("table", VIEWS)
def test_the_rows_are_those_that_fhirpathpy_finds(mapped: Mapped, table: str) -> None:
    view = view_of(table)
    for name, resource in examples().items():
        expected = ORACLE.rows(view, resource)
        found = [row for row in mapped.tables[table] if row["source_file"] == name]
        assert len(found) == len(expected), f"{name} has {len(found)} rows in {table}"
        for left, right in zip(found, expected, strict=True):
            assert differences(left, right) == [], name


@pytest.mark.parametrize(("profile", "table"), PROFILES.items())
def test_every_resource_of_a_mapped_profile_has_a_row(mapped: Mapped, profile: str, table: str) -> None:
    of_profile = {name for name, resource in examples().items() if profile in profiles_of(resource)}
    assert of_profile
    assert of_profile <= {row["source_file"] for row in mapped.tables[table]}


@pytest.mark.parametrize(("profile", "table"), PROFILES.items())
def test_no_other_profile_has_a_row(mapped: Mapped, profile: str, table: str) -> None:
    rows = {row["source_file"] for row in mapped.tables[table]}
    others = {name for name in rows if profile not in profiles_of(examples()[name])}
    assert others == set(), sorted(map(str, (profiles_of(examples()[name]) for name in others)))


def test_none_is_lost_without_a_reason(mapped: Mapped) -> None:
    assert len(examples()) == 271
    assert sum(account["lines"] for account in mapped.files.values()) == 271
    for name, account in mapped.files.items():
        outcomes = account["accepted"] + sum(account["quarantined"].values()) + sum(account["skipped"].values())
        assert outcomes == 1, name
    assert mapped.quarantine == []
    assert set(mapped.codes()) == {"TYPE-NOT-MAPPED", "NOTHING-MAPPED"}


def test_one_file_gives_the_same_rows_as_a_file_each(mapped: Mapped, mapped_as_one_file: Mapped) -> None:
    for table in VIEWS:
        assert mapped_as_one_file.rows(table) == mapped.rows(table)


def test_no_name_address_or_identifier_passes(mapped: Mapped) -> None:
    text = json.dumps(list(mapped.tables.values()), default=str) + mapped.written
    for resource in examples().values():
        for secret in secrets_of(resource):
            assert secret not in text, resource["id"]


def secrets_of(resource: dict[str, Any]) -> list[str]:
    """Identifiers, family names and phone numbers of a patient, where they are long enough to be recognised."""
    if resource["resourceType"] != "Patient":
        return []
    found = [identifier.get("value") for identifier in resource.get("identifier", [])]
    found += [name.get("family") for name in resource.get("name", [])]
    found += [contact.get("value") for contact in resource.get("telecom", [])]
    found += [address.get("postalCode") for address in resource.get("address", [])]
    return [value for value in found if value and len(value) > 4]
