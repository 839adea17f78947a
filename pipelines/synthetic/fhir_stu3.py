"""Resources of the generator in FHIR STU3 and zib2017: what differs from R4 and zib2020.

Sources: the profiles of `Nictiz/Nictiz-STU3-Zib2017` and hl7.org/fhir/STU3, as in `docs/zib-releases.md`. Nothing here
is read from `mappings/zib/2017`, so that the chain is tested against something else than itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.synthetic.chart import EXTENSIONS, PROFILES, Resource
from pipelines.synthetic.codes import SNOMED, Code

LABORATORY_PROFILE = f"{PROFILES}zib-LaboratoryTestResult-Observation"
LABORATORY = Code(SNOMED, "49581000146104", "Laboratory test finding")
_MEDICATION_USE = Code("urn:oid:2.16.840.1.113883.2.4.3.11.60.20.77.5.3", "6", "Medicatiegebruik")

_PROFILES = {
    f"{PROFILES}nl-core-BloodPressure": f"{PROFILES}zib-BloodPressure",
    f"{PROFILES}nl-core-BodyHeight": f"{PROFILES}zib-BodyHeight",
    f"{PROFILES}nl-core-BodyWeight": f"{PROFILES}zib-BodyWeight",
    f"{PROFILES}nl-core-Encounter": f"{PROFILES}zib-Encounter",
    f"{PROFILES}nl-core-LaboratoryTestResult": LABORATORY_PROFILE,
    f"{PROFILES}nl-core-Patient": "http://fhir.nl/fhir/StructureDefinition/nl-core-patient",
    f"{PROFILES}nl-core-Problem": f"{PROFILES}zib-Problem",
    f"{PROFILES}nl-core-Procedure-event": f"{PROFILES}zib-Procedure",
    f"{PROFILES}nl-core-TobaccoUse": f"{PROFILES}zib-TobaccoUse",
    f"{PROFILES}mp-MedicationUse2": f"{PROFILES}zib-MedicationUse",
}
_URLS = {
    f"{EXTENSIONS}ext-AnatomicalLocation.Laterality": f"{EXTENSIONS}BodySite-Qualifier",
    f"{EXTENSIONS}ext-CodeSpecification": f"{EXTENSIONS}code-specification",
}
_SYSTEMS = {
    "http://terminology.hl7.org/CodeSystem/observation-category": "http://hl7.org/fhir/observation-category",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode": "http://hl7.org/fhir/v3/ActCode",
    "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender": "http://hl7.org/fhir/v3/AdministrativeGender",
}


def as_stu3(resource: Resource) -> Resource:
    """The resource as a hospital on STU3 writes it; `resource` itself is left as it is.

    Args:
        resource: of a type that the generator makes, in R4.
    """
    converted: Resource = _spelled(resource)
    if change := _CHANGES.get(converted["resourceType"]):
        change(converted)
    if "meta" in converted:
        converted["meta"]["profile"] = [_PROFILES[profile] for profile in converted["meta"]["profile"]]
    return converted


def _spelled(value: Any) -> Any:
    """A copy with the urls of STU3, and without the type of references, which R4 added."""
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {name: _spelled(inner) for name, inner in value.items() if not (name == "type" and "reference" in value)}
    for name, spellings in (("url", _URLS), ("system", _SYSTEMS)):
        if name in copy:
            copy[name] = spellings.get(copy[name], copy[name])
    return copy


def _condition(resource: Resource) -> None:
    """The statuses are codes; the code of the zib stands in an extension beside it."""
    for name in ("clinicalStatus", "verificationStatus"):
        first, *of_zib = resource[name]["coding"]
        resource[name] = first["code"]
        if of_zib:
            extension = {"url": f"{EXTENSIONS}code-specification", "valueCodeableConcept": {"coding": of_zib}}
            resource[f"_{name}"] = {"extension": [extension]}
    resource["assertedDate"] = resource.pop("recordedDate")


def _procedure(resource: Resource) -> None:
    """STU3 has no status for what was not done; `notDone` says it (hl7.org/fhir/STU3/procedure)."""
    if "encounter" in resource:
        resource["context"] = resource.pop("encounter")
    if resource["status"] == "not-done":
        resource |= {"status": "completed", "notDone": True}


def _observation(resource: Resource) -> None:
    for category in resource.get("category", []):
        if category["coding"][0]["code"] == "laboratory":
            category["coding"] = [LABORATORY.coding()]


def _medication(resource: Resource) -> None:
    resource |= {"category": _MEDICATION_USE.concept(), "taken": "y"}


def _questionnaire(resource: Resource) -> None:
    pending = list(resource["item"])
    while pending:
        item = pending.pop()
        pending += item.get("item", [])
        if "answerOption" in item:
            item["option"] = item.pop("answerOption")


def _response(resource: Resource) -> None:
    resource["questionnaire"] = {"reference": resource["questionnaire"]}


_CHANGES: dict[str, Callable[[Resource], None]] = {
    "Condition": _condition,
    "Procedure": _procedure,
    "Observation": _observation,
    "MedicationStatement": _medication,
    "Questionnaire": _questionnaire,
    "QuestionnaireResponse": _response,
}
