"""The official nl-core examples: every value that `map_export` gives is the one fhirpathpy finds at that path."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhirpath_oracle import Oracle
from shared_material import shared
from zib_exports import MAPPINGS, PSEUDONYMS, Mapped, map_files

from pipelines.zib.laboratory_units import load_laboratory_units

EXAMPLES = shared("examples") / "nictiz-zib2020"
PROFILES: dict[str, set[str]] = {
    "zib_administration_agreement": set(),
    "zib_advance_directive": {"nl-core-AdvanceDirective"},
    "zib_alcohol_use": {"nl-core-AlcoholUse"},
    "zib_alert": {"nl-core-Alert"},
    "zib_allergy_intolerance": {"nl-core-AllergyIntolerance"},
    "zib_allergy_reaction": {"nl-core-AllergyIntolerance"},
    "zib_blood_pressure": {"nl-core-BloodPressure"},
    "zib_body_height": {"nl-core-BodyHeight"},
    "zib_body_weight": {"nl-core-BodyWeight"},
    "zib_contact_person": {"nl-core-ContactPerson"},
    "zib_drug_use": {"nl-core-DrugUse"},
    "zib_encounter": {"nl-core-Encounter"},
    "zib_episode_of_care": {"nl-core-EpisodeOfCare"},
    "zib_functional_or_mental_status": {"nl-core-FunctionalOrMentalStatus"},
    "zib_health_professional": {"nl-core-HealthProfessional-Practitioner"},
    "zib_health_professional_role": {"nl-core-HealthProfessional-PractitionerRole"},
    "zib_healthcare_provider": {"nl-core-HealthcareProvider"},
    "zib_healthcare_provider_organization": {"nl-core-HealthcareProvider-Organization"},
    "zib_laboratory_specimen": {"nl-core-LaboratoryTestResult.Specimen"},
    "zib_laboratory_test_result": {"nl-core-LaboratoryTestResult"},
    "zib_living_situation": {
        "nl-core-LivingSituation",
        "nl-core-LivingSituation.HouseAdaption",
        "nl-core-LivingSituation.HouseType",
        "nl-core-LivingSituation.LivingCondition",
    },
    "zib_medical_device": {
        "nl-core-MedicalDevice",
        "nl-core-AbilityToPerformMouthcareActivities.Prosthesis",
        "nl-core-HearingFunction.HearingAid",
        "nl-core-VisualFunction.VisualAid",
    },
    "zib_medical_device_product": {
        "nl-core-MedicalDevice.Product",
        "nl-core-AbilityToPerformMouthcareActivities.Prosthesis.Product",
        "nl-core-HearingFunction.HearingAid.Product",
        "nl-core-VisualFunction.VisualAid.Product",
    },
    "zib_medication_administration": set(),
    "zib_medication_agreement": set(),
    "zib_medication_dispense": set(),
    "zib_medication_use": set(),
    "zib_multidisciplinary_team_meeting": set(),
    "zib_multidisciplinary_team_meeting_plan": set(),
    "zib_nutrition_advice": {"nl-core-NutritionAdvice"},
    "zib_pain_score": {"nl-core-PainScore"},
    "zib_patient": {"nl-core-Patient"},
    "zib_payer": {"nl-core-Payer.InsuranceCompany", "nl-core-Payer.PayerPerson"},
    "zib_pharmaceutical_product": {"nl-core-PharmaceuticalProduct"},
    "zib_pharmaceutical_product_ingredient": set(),
    "zib_problem": {"nl-core-Problem"},
    "zib_procedure": {"nl-core-Procedure-event"},
    "zib_procedure_request": set(),
    "zib_text_result": {"nl-core-TextResult"},
    "zib_tnm_tumor_classification": set(),
    "zib_tobacco_use": {"nl-core-TobaccoUse"},
    "zib_treatment_directive": {"nl-core-TreatmentDirective2"},
    "zib_vaccination": {"nl-core-Vaccination-event"},
    "zib_vaccination_recommendation": {"nl-core-Vaccination-request"},
    "prom_answer": set(),
    "prom_observation": set(),
    "prom_question": set(),
}
"""The profiles of the examples that belong in each table; a table without is held by `golden`."""
CASES = [
    path
    for path in sorted((Path(__file__).parent / "golden").glob("*/input/*.ndjson"))
    if path.parent.parent.name != "contained-and-by-identifier"
]
"""What one resource gives by itself: of the case left out, rows depend on other resources."""
SOME = {"zib_allergy_reaction"}
"""Tables of a container that not every resource of the profile has."""
VIEWS = sorted(path.stem for path in MAPPINGS.glob("*.json"))
UNITS = {"laboratory_units": load_laboratory_units(MAPPINGS.parents[1] / "codes" / "laboratory_units.csv")}
ORACLE = Oracle(PSEUDONYMS.of_resource, PSEUDONYMS.of_identifier, units=UNITS)


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
        return type(found) in (int, float) and math.isclose(found, expected, rel_tol=1e-12)
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


@pytest.fixture(scope="module")
def mapped_cases(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """The golden cases: what the examples do not have, and what profiles do not ask but exports hold."""
    contents = {f"{path.parent.parent.name}-{path.name}": path.read_bytes() for path in CASES}
    return map_files(tmp_path_factory.mktemp("cases"), contents)


def cases() -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (f"{path.parent.parent.name}-{path.name}", line): json.loads(text)
        for path in CASES
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    }


@pytest.mark.parametrize("table", VIEWS)
def test_the_rows_of_the_golden_cases_are_those_that_fhirpathpy_finds(mapped_cases: Mapped, table: str) -> None:
    view = view_of(table)
    for place, resource in cases().items():
        expected = ORACLE.rows(view, resource)
        found = [row for row in mapped_cases.tables[table] if (row["source_file"], row["source_line"]) == place]
        assert len(found) == len(expected), place
        for left, right in zip(found, expected, strict=True):
            assert differences(left, right) == [], place


@pytest.mark.parametrize("table", VIEWS)
def test_every_column_has_a_value_somewhere(mapped: Mapped, mapped_cases: Mapped, table: str) -> None:
    rows = [*mapped.tables[table], *mapped_cases.tables[table]]
    assert rows
    empty = {name for name in rows[0] if all(row[name] is None for row in rows)}
    assert empty == set()


def test_every_table_is_held_against_the_examples() -> None:
    assert PROFILES.keys() == set(VIEWS)


@pytest.mark.parametrize("table", sorted(table for table, profiles in PROFILES.items() if profiles))
def test_the_resources_of_its_profiles_have_a_row_and_no_others(mapped: Mapped, table: str) -> None:
    rows = {row["source_file"] for row in mapped.tables[table]}
    for profile in PROFILES[table]:
        of_profile = {name for name, resource in examples().items() if profile in profiles_of(resource)}
        assert of_profile
        assert of_profile & rows if table in SOME else of_profile <= rows, profile
    others = {name for name in rows if not PROFILES[table] & profiles_of(examples()[name])}
    assert others == set()


@pytest.mark.parametrize("table", sorted(table for table, profiles in PROFILES.items() if not profiles))
def test_no_example_is_in_a_table_of_other_profiles(mapped: Mapped, table: str) -> None:
    assert mapped.tables[table] == []


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


def test_no_name_address_identifier_or_free_text_passes(mapped: Mapped) -> None:
    text = json.dumps(list(mapped.tables.values()), default=str) + mapped.written
    for resource in examples().values():
        for secret in secrets_of(resource):
            assert secret not in text, resource["id"]


def secrets_of(resource: dict[str, Any]) -> list[str]:
    """Identifiers, names, addresses and free text, where they are long enough to be recognised."""
    found = [note.get("text") for note in resource.get("note", [])] + [resource.get("conclusion")]
    found += [extension.get("valueString") for extension in resource.get("extension", [])]
    found += [resource.get("subscriberId"), resource.get("description")]
    if resource["resourceType"] in ("Patient", "Practitioner", "RelatedPerson", "PractitionerRole", "Specimen"):
        found += [identifier.get("value") for identifier in resource.get("identifier", [])]
        found += [contact.get("value") for contact in resource.get("telecom", [])]
        found += [name.get("family") for name in resource.get("name", [])]
        found += [address.get("postalCode") for address in resource.get("address", [])]
    displays = {coding.get("display") for coding in codings_of(resource)}
    return [value for value in found if value and len(value) > 4 and value not in displays]


def codings_of(value: Any) -> list[dict[str, Any]]:
    """Every Coding in a resource: a text that repeats the display of a code is no free text."""
    if isinstance(value, list):
        return [coding for item in value for coding in codings_of(item)]
    if not isinstance(value, dict):
        return []
    own = [coding for coding in value.get("coding", []) if isinstance(coding, dict)]
    return own + [coding for item in value.values() for coding in codings_of(item)]
