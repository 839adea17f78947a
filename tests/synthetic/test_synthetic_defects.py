"""Every defect lies where the truth says, is what it says, and everything else is untouched."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from synthetic_exports import Export
from synthetic_reading import entries

from pipelines.synthetic.defects import KINDS


def files(folder: Path) -> dict[tuple[str, str], list[str]]:
    return {
        (path.parent.name, path.name): entries(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "truth.json"
    }


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_without_the_defects_the_flawed_export_is_the_sound_one(sound: Export, flawed: Export) -> None:
    lines = files(flawed.folder)
    for defect in sorted(flawed.truth.defects, key=lambda d: -d.line):
        del lines[defect.institution, defect.file][defect.line - 1]
    assert lines == files(sound.folder)


def test_defects_are_the_asked_share_and_of_every_kind(flawed: Export) -> None:
    per_institution = Counter(d.institution for d in flawed.truth.defects)
    for institution in flawed.truth.institutions:
        asked = round(0.05 * sum(institution.resources.values()))
        assert per_institution[institution.institution] == asked
    assert {d.kind for d in flawed.truth.defects} == set(KINDS)


def test_a_sound_export_has_no_defects(sound: Export) -> None:
    assert sound.truth.defects == ()


@pytest.mark.parametrize("kind", KINDS)
def test_each_defect_is_at_its_line(flawed: Export, kind: str) -> None:
    lines = files(flawed.folder)
    patients = {
        json.loads(text)["id"] for texts in lines.values() for text in texts if text.startswith('{"resourceType":"Pat')
    }
    for defect in (d for d in flawed.truth.defects if d.kind == kind):
        texts = lines[defect.institution, defect.file]
        text = texts[defect.line - 1]
        assert is_json(text) == (kind != "broken-json")
        if kind == "duplicate":
            assert text in texts[: defect.line - 1]
        elif kind != "broken-json":
            assert shows(kind, json.loads(text), patients)


def shows(kind: str, resource: dict, patients: set[str]) -> bool:  # type: ignore[type-arg]
    """Whether the observation has this defect."""
    if kind == "wrong-type":
        return isinstance(resource["status"], dict) or not isinstance(resource["valueQuantity"]["value"], float)
    if kind == "impossible-date":
        return resource["effectiveDateTime"] in {"2025-02-30", "0001-01-01", "2999-12-31"}
    if kind == "unknown-unit":
        return resource["valueQuantity"]["code"] in {"kilo", "pond"}
    if kind == "unmapped-code":
        return "loinc" not in json.dumps(resource["code"])
    if kind in ("missing-id", "missing-status"):
        return kind.removeprefix("missing-") not in resource
    if kind == "unknown-status":
        return resource["status"] not in {"final", "amended"}
    if kind == "missing-subject":
        return "reference" not in resource.get("subject", {})
    if kind == "missing-unit":
        return "code" not in resource["valueQuantity"]
    if kind == "implausible-value":
        return not 0.2 <= resource["valueQuantity"]["value"] <= 700
    if kind == "before-birth":
        return resource["effectiveDateTime"] < "1910"
    return resource["subject"]["reference"].removeprefix("Patient/") not in patients
