"""A synthetic export is what it says: the same every time, valid FHIR, and complete."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from itertools import islice
from pathlib import Path

import pytest
from synthetic_exports import AS_OF, Export, make
from synthetic_reading import answers, questionnaire, resources

from pipelines.errors import TerminalError
from pipelines.synthetic.export import synthesise
from pipelines.synthetic.hospitals import Packaging
from pipelines.synthetic.people import bsn_numbers
from pipelines.zib.releases import release_of

PROJECT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def passes_eleven_test(bsn: str) -> bool:
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return len(bsn) == 9 and sum(int(d) * w for d, w in zip(bsn, weights, strict=True)) % 11 == 0


def test_equal_arguments_give_equal_bytes(flawed: Export, tmp_path: Path) -> None:
    assert contents(make(tmp_path / "again", defect_share=0.05).folder) == contents(flawed.folder)


def test_bytes_do_not_depend_on_hash_randomisation(sound: Export, tmp_path: Path) -> None:
    script = (
        "from datetime import date; from pathlib import Path\n"
        "from pipelines.synthetic.export import synthesise\n"
        f"synthesise(Path({str(tmp_path / 'other')!r}), hospitals=8, patients=20, seed=7,"
        f"as_of=date.fromisoformat({AS_OF.isoformat()!r}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT, env=environment)
    assert contents(tmp_path / "other") == contents(sound.folder)


def test_another_seed_gives_other_patients(sound: Export, tmp_path: Path) -> None:
    synthesise(tmp_path / "other", hospitals=8, patients=20, seed=8, as_of=AS_OF)
    assert contents(tmp_path / "other") != contents(sound.folder)


@pytest.mark.parametrize(("release", "package"), [("r4", "R4B"), ("stu3", "STU3")])
def test_every_resource_fits_the_model_of_its_release(sound: Export, release: str, package: str) -> None:
    model_of = importlib.import_module(f"fhir.resources.{package}").get_fhir_model_class
    seen = set()
    for institution in sound.truth.institutions:
        if institution.release == release:
            for resource in resources(sound.folder / institution.institution):
                assert model_of(resource["resourceType"]).model_validate(resource)
                seen.add(resource["resourceType"])
    assert len(seen) == 8


def test_no_resource_of_stu3_could_be_taken_for_r4(sound: Export) -> None:
    told = {
        (institution.release, r["resourceType"], release_of(r))
        for institution in sound.truth.institutions
        for r in resources(sound.folder / institution.institution)
    }
    assert {(release, type_, found) for release, type_, found in told if found not in (release, None)} == set()
    assert {type_ for _, type_, found in told if found is None} <= {"Questionnaire", "QuestionnaireResponse"}


def test_every_file_is_what_its_name_says(sound: Export) -> None:
    packaging = {i.institution: i.packaging for i in sound.truth.institutions}
    assert set(packaging.values()) == {p.value for p in Packaging}
    for institution, kind in packaging.items():
        names = {p.name for p in (sound.folder / institution).iterdir()}
        expected = {
            "ndjson": "Patient.ndjson",
            "ndjson-gzip": "Patient.ndjson.gz",
            "bundles": "bundle-001.json",
            "mixed-ndjson": "export.ndjson",
            "ndjson-and-singles": "patient-1.json",
        }[kind]
        assert expected in names


def test_resources_per_institution_equal_the_truth(sound: Export) -> None:
    for institution in sound.truth.institutions:
        written = Counter(r["resourceType"] for r in resources(sound.folder / institution.institution))
        assert dict(written) == institution.resources
        assert written["Patient"] == institution.patients


def test_ids_are_unique_and_references_resolve(sound: Export) -> None:
    for institution in sound.truth.institutions:
        found = resources(sound.folder / institution.institution)
        keys = [f"{r['resourceType']}/{r['id']}" for r in found]
        assert len(keys) == len(set(keys))
        for resource in found:
            references = [resource.get(name) for name in ("subject", "encounter", "context", "source")]
            references += resource.get("reasonReference", [])
            assert {r["reference"] for r in references if r} <= set(keys)


def test_nothing_is_dated_after_the_export_but_planned_operations(sound: Export) -> None:
    for resource in resources(sound.folder):
        if resource.get("status") != "preparation":
            # Dates and times as text; a date sorts before its own times, so compare with the day after.
            assert max(re.findall(r'"(\d{4}-\d{2}-\d{2}[^"]*)"', json.dumps(resource)), default="") < "2025-07-01"


def test_profiles_are_of_nictiz(sound: Export) -> None:
    unprofiled = {"Questionnaire", "QuestionnaireResponse"}
    for resource in resources(sound.folder):
        if resource["resourceType"] not in unprofiled:
            (profile,) = resource["meta"]["profile"]
            assert re.match(r"http://(nictiz|fhir)\.nl/fhir/StructureDefinition/(nl-core|mp|zib)-", profile)


def test_bsn_satisfies_the_eleven_test_and_is_unique(sound: Export) -> None:
    bsns = [r["identifier"][0]["value"] for r in resources(sound.folder) if r["resourceType"] == "Patient"]
    assert all(map(passes_eleven_test, bsns))
    assert len(bsns) == len(set(bsns))
    assert all(map(passes_eleven_test, islice(bsn_numbers(), 20_000)))
    assert passes_eleven_test("111222333")
    assert not passes_eleven_test("111222334")


def test_prom_answers_lie_in_range_in_every_dialect(sound: Export) -> None:
    ranges = {"hoos-ps": (0, 4), "koos-ps": (0, 4), "nrs-pain": (0, 10), "eq-5d-5l": (1, 5)}
    coded, grouped = set(), 0
    for response in (r for r in resources(sound.folder) if r["resourceType"] == "QuestionnaireResponse"):
        instrument = questionnaire(response).rsplit("/", 1)[1].split("|")[0]
        low, high = ranges[instrument]
        for link_id, value in answers(response).items():
            assert 0 <= value <= 100 if link_id == "vas" else low <= value <= high
        grouped += "item" in response["item"][0]
        coded |= {instrument for item in response["item"] if "valueCoding" in item.get("answer", [{}])[0]}
    assert coded == {"hoos-ps", "koos-ps", "eq-5d-5l"}
    assert grouped > 0


def test_sizes_vary_around_the_mean(full_size: Export) -> None:
    sizes = [i.patients for i in full_size.truth.institutions]
    assert len(sizes) == 12
    assert sum(sizes) == 12 * 400
    assert min(sizes) < 200 < 600 < max(sizes)


def test_progress_counts_hospitals(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    synthesise(tmp_path, hospitals=3, patients=2, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_one_hospital_with_one_patient_is_enough(tmp_path: Path) -> None:
    truth = synthesise(tmp_path, hospitals=1, patients=1, defect_share=1.0)
    assert truth.outliers == ()
    assert truth.institutions[0].patients == 1


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    synthesise(tmp_path, hospitals=3, patients=2)
    synthesise(tmp_path, hospitals=2, patients=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["truth.json", "ziekenhuis-01", "ziekenhuis-02"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TerminalError, match="SYNTHETIC-OUT-NOT-EMPTY"):
        synthesise(tmp_path, hospitals=1, patients=1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"hospitals": 0}, {"patients": 0}, {"defect_share": 1.5}])
def test_impossible_arguments_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(TerminalError, match="SYNTHETIC-ARGUMENT"):
        synthesise(tmp_path, **wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_truth_on_disk_is_the_truth_returned(sound: Export) -> None:
    stored = json.loads((sound.folder / "truth.json").read_text())
    assert stored["arguments"]["as_of"] == AS_OF.isoformat()
    assert [i["institution"] for i in stored["institutions"]] == [i.institution for i in sound.truth.institutions]
    assert date.fromisoformat(stored["arguments"]["as_of"]) == AS_OF
