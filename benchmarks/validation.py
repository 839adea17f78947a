"""Speed and memory of the validation of a batch against the mapping of the same rows, in the same run.

The named baseline is `uitkomst map` of 500,000 resources that fill ten ZIB tables, 0.5% of them with a planted defect.
Both are whole processes, imports included, and take turns; the ratio is of the medians.
Usage: python benchmarks/validation.py [--rows 500000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mapping import BIN, measure
from observations import write_observations

NL_CORE = "http://nictiz.nl/fhir/StructureDefinition/nl-core-"
SNOMED = "http://snomed.info/sct"
PATIENTS = 6000
VALIDATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipelines.chain import Chain
chain = Chain.at(Path(sys.argv[1]))
chain.validate(chain.find_batch(sys.argv[2], sys.argv[3]))
"""
PREPARE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipelines.chain import Chain
from pipelines.extract.exports import find_exports
chain = Chain.at(Path(sys.argv[1]))
(export,) = find_exports(Path(sys.argv[2]))
batch = chain.land(export, now=datetime(2026, 1, 1, tzinfo=UTC))
chain.map(batch)
print(batch.institution, batch.batch_id)
"""


def write_export(folder: Path, rows: int) -> None:
    """Half Observations of five zibs, the rest spread over five other resource types; every 200th is defective."""
    folder.mkdir()
    chance = random.Random(7)
    write_observations(folder / "clean.ndjson", rows // 2, PATIENTS)
    with (folder / "clean.ndjson").open() as source, (folder / "Observation.ndjson").open("w") as target:
        for number, line in enumerate(source):
            target.write(_spoilt(line) if number % 200 == 0 else line)
    (folder / "clean.ndjson").unlink()
    others = {"Condition": _condition, "Procedure": _procedure, "Encounter": _encounter, "MedicationStatement": _use}
    counts = dict.fromkeys(others, (rows - rows // 2 - PATIENTS) // len(others))
    for kind, make in others.items():
        with (folder / f"{kind}.ndjson").open("w") as target:
            for number in range(counts[kind]):
                resource = make(number) | {"resourceType": kind, "id": f"{kind}-{number}"}
                reference = {"reference": f"Patient/patient-{chance.randrange(PATIENTS)}"}
                resource["subject"] = {"reference": "Patient/nobody"} if number % 200 == 0 else reference
                target.write(json.dumps(resource) + "\n")
    with (folder / "Patient.ndjson").open("w") as target:
        for number in range(PATIENTS):
            patient = {"resourceType": "Patient", "id": f"patient-{number}", "gender": "female"}
            born = {"birthDate": f"19{number % 60 + 20}-0{number % 9 + 1}-15", "meta": _meta("Patient")}
            target.write(json.dumps(patient | born) + "\n")


def _spoilt(line: str) -> str:
    """An Observation with a status that does not exist: found by validation, not by the mapping."""
    return json.dumps(json.loads(line) | {"status": "klaar"}) + "\n"


def _meta(profile: str) -> dict[str, Any]:
    return {"profile": [NL_CORE + profile]}


def _concept(code: str) -> dict[str, Any]:
    return {"coding": [{"system": SNOMED, "code": code, "display": "code"}]}


def _day(number: int) -> str:
    return f"202{number % 5}-{number % 12 + 1:02}-{number % 28 + 1:02}"


def _condition(number: int) -> dict[str, Any]:
    return {"meta": _meta("Problem"), "code": _concept("239872002"), "onsetDateTime": _day(number)}


def _procedure(number: int) -> dict[str, Any]:
    return {
        "meta": _meta("Procedure-event"),
        "status": "completed",
        "code": _concept("52734007"),
        "performedPeriod": {"start": _day(number), "end": _day(number)},
    }


def _encounter(number: int) -> dict[str, Any]:
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    period = {"start": f"{_day(number)}T09:00:00+01:00", "end": f"{_day(number)}T10:00:00+01:00"}
    return {"meta": _meta("Encounter"), "status": "finished", "class": ambulatory, "period": period}


def _use(number: int) -> dict[str, Any]:
    return {
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/mp-MedicationUse2"]},
        "status": "active",
        "category": _concept("422979000"),
        "medicationCodeableConcept": _concept("387207008"),
        "effectivePeriod": {"start": _day(number)},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="uitkomst-bench-"))
    try:
        compare(work, options.rows, options.rounds)
    finally:
        shutil.rmtree(work)


def compare(work: Path, rows: int, rounds: int) -> None:
    export, home, script = work / "ziekenhuis", work / "home", work / "validate.py"
    write_export(export, rows)
    script.write_text(VALIDATE)
    (work / "prepare.py").write_text(PREPARE)
    prepared = subprocess.run(
        [sys.executable, work / "prepare.py", home, export], capture_output=True, text=True, check=True
    )
    validation = [sys.executable, str(script), str(home), *prepared.stdout.split()]
    mapping = [str(BIN / "uitkomst"), "map", str(export), "--out", str(work / "mapped")]
    figures: dict[str, list[tuple[float, float]]] = {"map": [], "validate": []}
    for _ in range(rounds):
        figures["map"].append(measure(mapping))
        figures["validate"].append(measure(validation))
    seconds = {name: statistics.median(each[0] for each in runs) for name, runs in figures.items()}
    memory = {name: max(each[1] for each in runs) for name, runs in figures.items()}
    (checks,) = home.glob("batches/*/*/checks.json")
    content = json.loads(checks.read_bytes())
    filled = {name: table["rows"] for name, table in content["tables"].items() if table["rows"]}
    aside = sum(table["rows"] - table["accepted"] for table in content["tables"].values())
    print(
        f"{sum(filled.values()):,} rows in {len(filled)} tables, {aside:,} set aside, {len(content['checks'])} checks"
    )
    print(f"baseline, uitkomst map    {seconds['map']:6.2f} s   {memory['map']:6.0f} MB")
    print(f"validation                {seconds['validate']:6.2f} s   {memory['validate']:6.0f} MB")
    print(f"ratio                     {seconds['validate'] / seconds['map']:6.2f}x")


if __name__ == "__main__":
    main()
