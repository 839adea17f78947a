"""Reads a synthetic export back, knowing only the layout that is promised, and counts naively."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipelines.synthetic.scoring import score

Resource = dict[str, Any]

PRIMARY = {"52734007": "hip", "609588000": "knee"}
REVISION = {"revision-hip-arthroplasty": "hip", "revision-knee-arthroplasty": "knee"}
FUNCTION = {"hip": "hoos-ps", "knee": "koos-ps"}
POST = {"3m": (63, 110, 91), "12m": (323, 407, 365)}


def entries(path: Path) -> list[str]:
    """The resources of one file as text, by line or Bundle entry: position + 1 is the line of a defect."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode().splitlines()
    if path.name.startswith("bundle-"):
        bundle = json.loads(path.read_text())
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
        return [json.dumps(e["resource"], ensure_ascii=False, separators=(",", ":")) for e in bundle["entry"]]
    return path.read_text().splitlines()


def resources(folder: Path) -> list[Resource]:
    """All resources of one institution, or of all when given the export itself."""
    return [
        json.loads(text) for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "truth.json"
        for text in entries(path)
    ]  # fmt: skip


def answers(response: Resource) -> dict[str, int]:
    """Answers by linkId, whatever the hospital's way of writing them."""
    found: dict[str, int] = {}
    pending = list(response["item"])
    while pending:
        item = pending.pop()
        pending += item.get("item", [])
        for answer in item.get("answer", []):
            value = answer["valueInteger"] if "valueInteger" in answer else int(answer["valueCoding"]["code"])
            found[item["linkId"]] = value
    return found


def questionnaire(response: Resource) -> str:
    """The canonical of the questionnaire that was answered; STU3 has it in a Reference."""
    named = response["questionnaire"]
    return str(named["reference"] if isinstance(named, dict) else named)


def recount(folder: Path, as_of: date) -> dict[str, list[float]]:
    """Each indicator's contribution per index operation, counted from the files alone."""
    everything = resources(folder)
    deaths = {
        r["id"]: date.fromisoformat(r["deceasedDateTime"][:10])
        for r in everything
        if r["resourceType"] == "Patient" and "deceasedDateTime" in r
    }
    proms: dict[str, list[tuple[date, str, float]]] = defaultdict(list)
    procedures: dict[str, list[Resource]] = defaultdict(list)
    for r in everything:
        if r["resourceType"] == "QuestionnaireResponse":
            instrument = questionnaire(r).rsplit("/", 1)[1].removesuffix("|1.0")
            value = score(instrument, answers(r))
            if value is not None:
                proms[_patient(r)].append((date.fromisoformat(r["authored"][:10]), instrument, value))
        if r["resourceType"] == "Procedure" and r["status"] == "completed" and not r.get("notDone"):
            procedures[_patient(r)].append(r)
    counts: dict[str, list[float]] = defaultdict(list)
    for patient, operations in procedures.items():
        for index in (o for o in operations if _code(o) in PRIMARY):
            _count(counts, index, operations, deaths.get(patient), proms[patient], as_of)
    return counts


def _count(
    counts: dict[str, list[float]],
    index: Resource,
    operations: list[Resource],
    death: date | None,
    proms: list[tuple[date, str, float]],
    as_of: date,
) -> None:
    joint, on = PRIMARY[_code(index)], _on(index)
    if on + timedelta(days=365) <= as_of:
        revisions = [o for o in operations if REVISION.get(_code(o)) == joint and _side(o) == _side(index)]
        counts[f"{joint}-revision-1y"].append(any(0 < (_on(o) - on).days < 366 for o in revisions))
    if joint == "hip" and on + timedelta(days=30) <= as_of:
        counts["hip-mortality-30d"].append(death is not None and (death - on).days <= 30)
    for moment, (first, last, target) in POST.items():
        changes = (
            ("nrs-activity", "nrs-pain", -1),
            ("eq5d", "eq-5d-5l", 1),
            (FUNCTION[joint], FUNCTION[joint], -1),
        )
        for name, instrument, sign in changes:
            scored = [((day - on).days, value) for day, kind, value in proms if kind == instrument]
            before = sorted(s for s in scored if -182 <= s[0] <= 0)
            after = sorted((s for s in scored if first <= s[0] <= last), key=lambda s: abs(s[0] - target))
            if before and after:
                counts[f"{joint}-{name}-change-{moment}"].append(sign * (after[0][1] - before[-1][1]))
        if on + timedelta(days=last) <= as_of:
            counts[f"{joint}-prom-response-{moment}"].append(bool(before and after))


def _patient(resource: Resource) -> str:
    return str(resource["subject"]["reference"]).removeprefix("Patient/")


def _code(procedure: Resource) -> str:
    return str(procedure["code"]["coding"][0]["code"])


def _on(procedure: Resource) -> date:
    start = procedure.get("performedDateTime") or procedure["performedPeriod"]["start"]
    return date.fromisoformat(start[:10])


def _side(procedure: Resource) -> str:
    return str(procedure["bodySite"][0]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"])
