"""The official zib2017 examples (STU3): every value is the one that fhirpathpy finds at its path."""

import csv
import json
from functools import cache
from typing import Any

import pytest
from fhirpath_oracle import Oracle
from shared_material import shared
from test_zib_oracle import UNITS, differences, profiles_of, secrets_of
from zib_exports import MAPPINGS, PSEUDONYMS, Mapped, map_files

VIEWS_2017 = MAPPINGS.parent / "2017"
EXAMPLES = shared("examples") / "nictiz-zib2017"
_DEVICES = {
    "zib-MedicalDevice",
    "zib-AbilityToPerformMouthcareActivities-MedicalDevice",
    "zib-BladderFunction-UrineCatheter",
    "zib-HearingFunction-HearingAid",
    "zib-Respiration-AdministeredOxygen-AdministrationDevice",
    "zib-VisualFunction-VisualAid",
    "zib-Wound-MedicalDevice",
}
_PRODUCTS = {
    "zib-MedicalDeviceProduct",
    "zib-AbilityToPerformMouthcareActivities-MedicalDeviceProduct",
    "zib-BladderFunction-UrineCatheterProduct",
    "zib-HearingFunction-HearingAid-Product",
    "zib-Respiration-AdministeredOxygen-AdministrationDeviceProduct",
    "zib-VisualFunction-VisualAidProduct",
    "zib-Wound-MedicalDeviceProduct",
}
PROFILES: dict[str, set[str]] = {
    "prom_answer": set(),
    "prom_observation": set(),
    "prom_question": set(),
    "zib_administration_agreement": {"zib-AdministrationAgreement"},
    "zib_advance_directive": {"zib-AdvanceDirective"},
    "zib_alcohol_use": {"zib-AlcoholUse"},
    "zib_alert": {"zib-Alert"},
    "zib_allergy_intolerance": {"zib-AllergyIntolerance"},
    "zib_allergy_reaction": {"zib-AllergyIntolerance"},
    "zib_blood_pressure": {"zib-BloodPressure"},
    "zib_body_height": {"zib-BodyHeight"},
    "zib_body_weight": {"zib-BodyWeight"},
    "zib_contact_person": {"nl-core-relatedperson"},
    "zib_drug_use": {"zib-DrugUse"},
    "zib_encounter": {"zib-Encounter", "gp-Encounter"},
    "zib_episode_of_care": {"nl-core-episodeofcare"},
    "zib_functional_or_mental_status": {"zib-FunctionalOrMentalStatus"},
    "zib_health_professional": {"nl-core-practitioner"},
    "zib_health_professional_role": {"nl-core-practitionerrole"},
    "zib_healthcare_provider": {"nl-core-location"},
    "zib_healthcare_provider_organization": {"nl-core-organization"},
    "zib_laboratory_specimen": {"zib-LaboratoryTestResult-Specimen", "zib-LaboratoryTestResult-Specimen-Isolate"},
    "zib_laboratory_test_result": {"zib-LaboratoryTestResult-Observation", "vitalsign-bloodglucose"},
    "zib_living_situation": {"zib-LivingSituation"},
    "zib_medical_device": _DEVICES,
    "zib_medical_device_product": _PRODUCTS,
    "zib_medication_administration": {"zib-MedicationAdministration", "zib-Infusion-AdministeringSystem"},
    "zib_medication_agreement": {"zib-MedicationAgreement"},
    "zib_medication_dispense": {"zib-Dispense"},
    "zib_medication_use": {"zib-MedicationUse"},
    "zib_nutrition_advice": {"zib-NutritionAdvice"},
    "zib_pain_score": {"zib-PainScore"},
    "zib_patient": {"nl-core-patient"},
    "zib_payer": {"zib-Payer"},
    "zib_pharmaceutical_product": {"zib-Product"},
    "zib_pharmaceutical_product_ingredient": set(),
    "zib_problem": {"zib-Problem"},
    "zib_procedure": {"zib-Procedure"},
    "zib_procedure_request": {"zib-ProcedureRequest"},
    "zib_text_result": {"zib-TextResult"},
    "zib_tobacco_use": {"zib-TobaccoUse"},
    "zib_treatment_directive": {"zib-TreatmentDirective"},
    "zib_vaccination": {"zib-Vaccination"},
    "zib_vaccination_recommendation": {"zib-VaccinationRecommendation"},
}
"""The profiles of the examples that belong in each table; a table without is held by `test_releases_agree`."""
OTHER_ZIB = {"nl-core-organization-04.json": "an insurance company, zib Payer"}
"""Examples of a mapped profile that are another zib."""


def _systems() -> dict[str, str]:
    with (VIEWS_2017 / "systems.csv").open(encoding="utf-8", newline="") as lines:
        return {row["from_system"]: row["to_system"] for row in csv.DictReader(lines)}


VIEWS = sorted(path.stem for path in VIEWS_2017.glob("*.json"))


@cache
def examples() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("*.json"))}


@cache
def _identified() -> dict[str, str]:
    """``Type/id`` of the examples by ``Type?system|value`` of their identifiers."""
    found = {}
    for resource in examples().values():
        identifiers = resource.get("identifier", [])
        for identifier in identifiers if isinstance(identifiers, list) else [identifiers]:
            of_type = f"{resource['resourceType']}?{identifier.get('system', '')}|{identifier.get('value')}"
            found[of_type] = f"{resource['resourceType']}/{resource['id']}"
    return found


def key_of(text: str) -> str | None:
    return PSEUDONYMS.of_resource(_identified().get(text, text))


def with_contained(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """A resource, and those that it contains under the ids that they get as rows of their own."""
    start = f"{resource['resourceType']}.{resource['id']}#"
    return [resource, *(inner | {"id": start + inner["id"]} for inner in resource.get("contained", []))]


ORACLE = Oracle(key_of, PSEUDONYMS.of_identifier, "stu3", units=UNITS, systems=_systems())


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """All examples, each in its own file."""
    contents = {path.name: path.read_bytes() for path in EXAMPLES.glob("*.json")}
    return map_files(tmp_path_factory.mktemp("examples"), contents)


@pytest.mark.parametrize("table", VIEWS)
def test_the_rows_are_those_that_fhirpathpy_finds(mapped: Mapped, table: str) -> None:
    view = json.loads((VIEWS_2017 / f"{table}.json").read_text(encoding="utf-8"))
    for name, resource in examples().items():
        expected = [row for each in with_contained(resource) for row in ORACLE.rows(view, each)]
        found = [row for row in mapped.tables[table] if row["source_file"] == name]
        assert len(found) == len(expected), f"{name} has {len(found)} rows in {table}"
        for left, right in zip(found, expected, strict=True):
            assert differences(left, right) == [], name


def test_every_table_is_held_against_the_examples() -> None:
    assert PROFILES.keys() == set(VIEWS)


@pytest.mark.parametrize("table", VIEWS)
def test_the_resources_of_its_profiles_have_a_row_and_no_others(mapped: Mapped, table: str) -> None:
    own = {name: key_of(f"{it['resourceType']}/{it['id']}") for name, it in examples().items()}
    found = mapped.tables[table]
    rows = {row["source_file"] for row in found if row["resource_key"] == own[row["source_file"]]}
    of_profiles = {name for name, resource in examples().items() if PROFILES[table] & profiles_of(resource)}
    assert rows == of_profiles - OTHER_ZIB.keys()


def test_the_examples_have_every_profile_that_is_expected() -> None:
    assert set().union(*PROFILES.values()) <= set().union(*map(profiles_of, examples().values()))


def test_none_is_lost_without_a_reason(mapped: Mapped) -> None:
    assert len(examples()) == 208
    for name, account in mapped.files.items():
        outcomes = account["accepted"] + sum(account["quarantined"].values()) + sum(account["skipped"].values())
        assert account["lines"] == outcomes == 1, name
    assert mapped.quarantine == []
    assert set(mapped.codes()) == {"TYPE-NOT-MAPPED", "NOTHING-MAPPED"}


def test_no_name_address_or_identifier_passes(mapped: Mapped) -> None:
    text = json.dumps(list(mapped.tables.values()), default=str) + json.dumps(mapped.codings) + mapped.written
    secrets = {secret for resource in examples().values() for secret in secrets_of(resource)}
    assert secrets
    assert not [secret for secret in secrets if secret in text]
