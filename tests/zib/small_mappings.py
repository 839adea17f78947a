"""A small mapping of two releases, for what the real views do not show: written to a folder and compiled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.zib.catalogue import Catalogue, load_catalogue

Columns = list[tuple[str, str]]


def view(resource: str, columns: Columns, *, codings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A ViewDefinition with `resource_key`, the columns (name, path) and codings columns (element: path)."""
    listed: list[dict[str, Any]] = [{"name": "resource_key", "path": "getResourceKey()"}]
    listed += [{"name": name, "path": path} for name, path in columns]
    listed += [
        {
            "name": f"{element}_codings_id",
            "path": path,
            "collection": True,
            "tag": [{"name": "codings", "value": element}],
        }
        for element, path in (codings or {}).items()
    ]
    return {"resource": resource, "select": [{"column": listed}]}


PROBLEM = {
    "r4": view(
        "Condition",
        [
            ("patient_key", "subject.getReferenceKey(Patient)"),
            ("clinical_status", "clinicalStatus.coding.first().code"),
            ("problem_system", "code.coding.first().system"),
            ("recorded_date_text", "recordedDate"),
        ],
        codings={"problem": "code.coding"},
    ),
    "stu3": view(
        "Condition",
        [
            ("patient_key", "subject.getReferenceKey(Patient)"),
            ("clinical_status", "clinicalStatus"),
            ("problem_system", "code.coding.first().system"),
            ("recorded_date_text", "assertedDate"),
        ],
        codings={"problem": "code.coding"},
    ),
}
PRODUCT = view("Medication", [("maker_key", "ingredient.item.ofType(Reference).getReferenceKey(Medication).first()")])
AGREEMENT = view(
    "MedicationRequest",
    [
        ("patient_key", "subject.getReferenceKey(Patient)"),
        ("product_key", "medication.ofType(Reference).getReferenceKey(Medication)"),
    ],
)
PERSON = view("Practitioner", [("gender", "gender")])
PATIENT = view(
    "Patient", [("gender", "gender"), ("practitioner_key", "generalPractitioner.getReferenceKey(Practitioner).first()")]
)
SPECIMEN = view("Specimen", [("collected_text", "collection.collected.ofType(dateTime)")])
BOTH = {
    "zib_problem": PROBLEM,
    "zib_product": {"r4": PRODUCT, "stu3": PRODUCT},
    "zib_agreement": {"r4": AGREEMENT, "stu3": AGREEMENT},
    "zib_person": {"r4": PERSON, "stu3": PERSON},
    "zib_patient": {"r4": PATIENT, "stu3": PATIENT},
}
FOLDER = {"r4": "2020", "stu3": "2017"}


def small_catalogue(
    folder: Path,
    tables: Mapping[str, Mapping[str, Any]] = BOTH,
    *,
    systems: str | None = None,
    concept_map: str | None = None,
) -> Catalogue:
    """Write views (by table and release), and files of codes as CSV, below `folder`, and compile them."""
    for table, releases in tables.items():
        for release, definition in releases.items():
            path = folder / "zib" / FOLDER[release] / f"{table}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(definition), encoding="utf-8")
    if systems is not None:
        (folder / "zib" / "2017" / "systems.csv").write_text(systems, encoding="utf-8")
    if concept_map is not None:
        (folder / "codes" / "concept_maps").mkdir(parents=True)
        (folder / "codes" / "concept_maps" / "map.csv").write_text(concept_map, encoding="utf-8")
    return load_catalogue(folder)
