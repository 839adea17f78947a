"""Due lists for a PROM platform: CSV, and FHIR R4 Tasks that ask for a questionnaire."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.safe_text import as_text_cell

Row = Mapping[str, Any]
COLUMNS = (
    "patient_key", "cohort", "index_key", "index_date", "planned", "instrument", "instrument_version", "questionnaire",
    "moment", "due_from", "due_until", "target_date", "state",
)  # fmt: skip
PSEUDONYM = "http://uitkomststroom.nl/fhir/NamingSystem/pseudonym"
DUE = "http://uitkomststroom.nl/fhir/NamingSystem/prom-due"
# HL7 Structured Data Capture 4.0.0 (R4): the codes of ValueSet http://hl7.org/fhir/uv/sdc/ValueSet/task-code.
SDC = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
_STATUS = {"upcoming": "requested", "open": "requested", "started": "in-progress"}


def write_due(rows: Iterable[Row], out: Path, name: str) -> list[Path]:
    """Write `<name>.csv` and `<name>.ndjson` (one Task a line) in folder `out`; a file is there whole or not at all.

    Args:
        rows: rows of `prom_due` of one institution.
    """
    listed = list(rows)
    out.mkdir(parents=True, exist_ok=True)
    table, tasks = out / f"{name}.csv", out / f"{name}.ndjson"
    with _aside(table).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({n: as_text_cell(v) if isinstance(v, str) else v for n, v in row.items()} for row in listed)
    with _aside(tasks).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(task, ensure_ascii=False) + "\n" for task in due_tasks(listed))
    for path in (table, tasks):
        _aside(path).replace(path)
    return [table, tasks]


def due_tasks(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """One FHIR R4 Task per row. The patient and the operation are named by their pseudonym, as a logical reference.

    The id follows from what is asked of whom, so the same row gives the same Task in every export.
    """
    for row in rows:
        asked = (row["institution"], row["patient_key"], row["index_key"], row["instrument"], row["moment"])
        task_id = hashlib.sha256("\x1f".join(asked).encode()).hexdigest()[:32]
        yield {
            "resourceType": "Task",
            "id": task_id,
            "identifier": [{"system": DUE, "value": task_id}],
            "instantiatesCanonical": row["questionnaire"],
            "basedOn": [_logical("Procedure", row["index_key"])],
            "status": _STATUS[row["state"]],
            "intent": "order",
            "code": {
                "coding": [{"system": SDC, "code": "complete-questionnaire", "display": "Complete Questionnaire"}]
            },
            "for": _logical("Patient", row["patient_key"]),
            "authoredOn": _day(row["as_of"]),
            "restriction": {
                "repetitions": 1,
                "period": {"start": _day(row["due_from"]), "end": _day(row["due_until"])},
            },
            "input": [
                {
                    "type": {"text": "questionnaire"},
                    "valueCanonical": row["questionnaire"],
                },
                {"type": {"text": "moment"}, "valueCode": row["moment"]},
            ],
        }


def _logical(kind: str, key: str) -> dict[str, Any]:
    return {"type": kind, "identifier": {"system": PSEUDONYM, "value": key}}


def _day(value: date | str) -> str:
    return value if isinstance(value, str) else value.isoformat()


def _aside(path: Path) -> Path:
    return path.with_suffix(path.suffix + ".aside")
