"""`uitkomst map` and `uitkomst view` as a data engineer runs them, on the input of a bad day."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.settings import PROJECT

UITKOMST = Path(sys.executable).parent / "uitkomst"
WEIGHT = '{"coding":[{"system":"http://loinc.org","code":"29463-7"}]}'


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(UITKOMST), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


def patient(id_: str, **elements: object) -> str:
    return json.dumps({"resourceType": "Patient", "id": id_, "birthDate": "1950-01-01", **elements})


def weight(id_: str, value: str = "70.5", day: str = "2025-01-01") -> str:
    quantity = f'{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}'
    return (
        f'{{"resourceType":"Observation","id":"{id_}","status":"final","code":{WEIGHT},'
        f'"subject":{{"reference":"Patient/a"}},"effectiveDateTime":"{day}","valueQuantity":{quantity}}}'
    )


def lines(*texts: str) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


ZIPPED = gzip.compress(lines(*(weight(f"z{i}") for i in range(2000))))
CASES = {
    "a broken line": ("x.ndjson", lines(patient("a"), "{broken", patient("b")), 2, {"LINE-NOT-JSON": 1}),
    "a 20 MB line": ("x.ndjson", lines(patient("a"), patient("b", language="n" * 20_000_000)), 1, {"LINE-TOO-LONG": 1}),
    "bad UTF-8": (
        "x.ndjson",
        lines(patient("a")) + b'{"resourceType":"Patient","id":"\xff"}\n',
        1,
        {"LINE-NOT-UTF8": 1},
    ),
    "an empty file": ("x.ndjson", b"", 0, {"FILE-EMPTY": 1}),
    "a gzip cut short": ("x.ndjson.gz", ZIPPED[: len(ZIPPED) // 2], None, {"GZIP-DAMAGED": 1}),
    "a Bundle with entry null": ("x.json", b'{"resourceType":"Bundle","entry":null}', 0, {"BUNDLE-EMPTY": 1}),
    "a type nobody maps": ("x.ndjson", lines('{"resourceType":"Slot","id":"1"}'), 0, {"TYPE-NOT-MAPPED": 1}),
    "two patients with one id": (
        "x.ndjson",
        lines(patient("a"), patient("a", gender="male"), patient("b")),
        1,
        {"DUPLICATE-CONFLICT": 2},
    ),
    "a date in the year 0001": (
        "x.ndjson",
        lines(weight("1"), weight("2", day="0001-01-01")),
        1,
        {"DATE-IMPOSSIBLE": 1},
    ),
    "a date in the year 2999": (
        "x.ndjson",
        lines(weight("1"), weight("2", day="2999-01-01")),
        1,
        {"DATE-IMPOSSIBLE": 1},
    ),
    "a decimal comma": ("x.ndjson", lines(weight("1"), weight("2", "70,5")), 1, {"LINE-NOT-JSON": 1}),
    "a decimal comma in text": ("x.ndjson", lines(weight("1"), weight("2", '"70,5"')), 1, {"VALUE-WRONG-TYPE": 1}),
    "a file of another kind": ("x.pdf", b"%PDF", 0, {"FILE-NOT-FHIR": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_a_code_and_the_run_goes_on(case: str, tmp_path: Path) -> None:
    name, content, accepted, codes = CASES[case]
    export = tmp_path / "noord"
    export.mkdir()
    (export / name).write_bytes(content)
    (export / "other.ndjson").write_bytes(lines(patient("good")))
    finished = run("map", export, "--out", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    files = {file["file"]: file for file in report["institutions"][0]["files"]}
    found = Counter(files[name]["quarantined"]) + Counter(files[name]["skipped"])
    assert found == codes
    assert accepted is None or files[name]["accepted"] == accepted
    assert files["other.ndjson"]["accepted"] == 1
    assert report["totals"]["lines"] == sum(report["totals"][key] for key in ("accepted", "quarantined", "skipped"))


def test_a_bsn_is_nowhere_in_what_map_writes(tmp_path: Path) -> None:
    bsn = "999990019"
    export = tmp_path / "noord"
    export.mkdir()
    identifier = [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": bsn}]
    good = patient(bsn, identifier=identifier)
    (export / f"{bsn}.ndjson").write_bytes(lines(good, '{"resourceType":"Patient","id":"' + bsn))
    finished = run("map", export, "--out", tmp_path / "out")
    assert bsn not in finished.stdout + finished.stderr
    for path in (tmp_path / "out").iterdir():
        content = (
            str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text(encoding="utf-8")
        )
        assert bsn not in content, path.name
    (row,) = pq.read_table(tmp_path / "out" / "zib_patient.parquet").to_pylist()
    assert len(row["bsn_pseudonym"]) == len(row["resource_key"]) == 32


@pytest.mark.parametrize(
    ("arguments", "settings", "code"),
    [
        (["map", "nowhere", "--out", "out"], {}, "EXPORT-MISSING"),
        (["run", "nowhere", "--home", "home"], {}, "EXPORT-MISSING"),
        (["view", "nowhere.json", "nothing.ndjson"], {}, "FILE-MISSING"),
        (["run", "nowhere"], {"UITKOMST_RETENTION_DAYS": "soon"}, "SETTING-INVALID"),
        (["map", ".", "--out", "out"], {"UITKOMST_PSEUDONYM_KEY": "short"}, "KEY-TOO-SHORT"),
        (["run", ".", "--home", "/dev/null/home"], {}, "HOME-UNUSABLE"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    arguments: list[str], settings: dict[str, str], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = run(*arguments, **settings)
    assert finished.returncode == 2
    last = finished.stderr.splitlines()[-1]
    assert last.startswith(f"{code}: ")
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".ndjson"])
def test_view_writes_every_format_and_standard_output(ending: str, tmp_path: Path) -> None:
    view = {"resource": "Patient", "select": [{"column": [{"name": "key", "path": "getResourceKey()"}]}]}
    (tmp_path / "view.json").write_text(json.dumps(view), encoding="utf-8")
    (tmp_path / "patients.ndjson").write_bytes(lines(patient("a"), patient("b")))
    finished = run("view", tmp_path / "view.json", tmp_path / "patients.ndjson")
    assert [json.loads(line) for line in finished.stdout.splitlines()] == [{"key": "a"}, {"key": "b"}]
    out = tmp_path / f"rows{ending}"
    assert run("view", tmp_path / "view.json", tmp_path / "patients.ndjson", "--out", out).returncode == 0
    assert out.stat().st_size > 0


def test_an_unsupported_view_is_named_with_its_path(tmp_path: Path) -> None:
    view = {
        "resource": "Questionnaire",
        "select": [{"repeat": ["extension"], "column": [{"name": "l", "path": "url"}]}],
    }
    (tmp_path / "view.json").write_text(json.dumps(view), encoding="utf-8")
    (tmp_path / "none.ndjson").write_bytes(b"")
    finished = run("view", tmp_path / "view.json", tmp_path / "none.ndjson")
    assert finished.returncode == 2
    assert finished.stderr.startswith("VIEW-UNSUPPORTED: ")
    assert "select[0].repeat" in finished.stderr


CREATININE = {
    "resourceType": "Observation",
    "id": "g1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9"}]},
    "valueQuantity": {"value": 0.09, "system": "http://unitsofmeasure.org", "code": "mmol/L"},
}


@pytest.mark.parametrize(
    ("folder", "system", "code"),
    [
        ("2020", "http://terminology.hl7.org/CodeSystem/observation-category", "laboratory"),
        ("2017", "http://snomed.info/sct", "49581000146104"),
    ],
)
def test_the_laboratory_views_of_both_releases_run_by_themselves(
    folder: str, system: str, code: str, tmp_path: Path
) -> None:
    resource = {**CREATININE, "category": [{"coding": [{"system": system, "code": code}]}]}
    (tmp_path / "results.ndjson").write_bytes(lines(json.dumps(resource)))
    view = PROJECT / "mappings" / "zib" / folder / "zib_laboratory_test_result.json"
    finished = run("view", view, tmp_path / "results.ndjson")
    assert finished.returncode == 0, finished.stderr
    (row,) = [json.loads(line) for line in finished.stdout.splitlines()]
    assert (row["value_ucum_code"], row["value_converted_ucum_code"]) == ("mmol/L", "umol/L")
    assert row["value_converted"] == pytest.approx(90)


def test_a_view_about_another_release_is_not_run(tmp_path: Path) -> None:
    view = {
        "resource": "Patient",
        "fhirVersion": ["5.0.0"],
        "select": [{"column": [{"name": "key", "path": "getResourceKey()"}]}],
    }
    (tmp_path / "view.json").write_text(json.dumps(view), encoding="utf-8")
    finished = run("view", tmp_path / "view.json", tmp_path / "none.ndjson")
    assert finished.returncode == 2
    assert finished.stderr.startswith("VIEW-UNSUPPORTED: ")
