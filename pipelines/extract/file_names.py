"""The name by which a file of an export is shown outside the landing zone: one that cannot tell who a patient is.

An export often has a file per patient, named after a number, a name or a birth date.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache

from pipelines.sqlonfhir.fhir_types import r4, stu3

_SUFFIXES = re.compile(r"(?:\.(?:ndjson|jsonl|json|csv|tsv|txt|xml|xlsx|pdf|zip))?(?:\.gz)?\Z", re.IGNORECASE)
_ALLOWED = re.compile(r"[A-Za-z0-9._~/-]*")
_MOST_DIGITS = 4
_WORDS = frozenset((
    "alerts", "all", "allergie", "allergieen", "allergies", "alles", "batch", "behandeling", "behandelingen",
    "bulk", "bundle", "bundles", "clean", "codes", "condition", "conditions", "consult", "consulten", "contact",
    "contacten", "core", "data", "delta", "diagnose", "diagnosen", "diagnoses", "diagnostiek", "dossier",
    "encounters", "epd", "export", "exports", "extract", "fhir", "files", "full", "gewicht", "group", "hix",
    "history", "import", "incremental", "index", "json", "ndjson", "inhoud", "input", "kliniek", "lab",
    "laboratorium", "leeg", "lengte", "lijst", "list", "meting", "metingen", "medicatie", "medication",
    "medications", "mixed", "nictiz", "nl", "none", "observaties", "observations", "ok", "opname", "opnames",
    "other", "output", "overig", "page", "part", "partial", "patienten", "patients", "patient", "poli",
    "polikliniek", "proms", "prom", "procedures", "problem", "problemen", "problems", "questionnaires",
    "release", "report", "resources", "responses", "result", "results", "rows", "sub", "system", "test",
    "uitslag", "uitslagen", "update", "vaccinatie", "vaccinaties", "verrichting", "verrichtingen",
    "vragenlijst", "vragenlijsten", "zib", "zibs", "zipped", "zorg",
))  # fmt: skip
"""Words in names of exports that say what is in a file (operationalisation)."""


def shown_name(path: str, number: int) -> str:
    """A file's path in its export as it may be shown: itself when made of known words and at most four digits.

    Known are the FHIR resource types, `_WORDS` and single letters. Any other becomes `file-<number>-` with six hex
    digits of the hash of the path, and keeps the endings that tell what it holds.
    """
    ending = _SUFFIXES.search(path)
    suffix = ending.group() if ending else ""
    bare = path.removesuffix(suffix)
    digits = sum(letter.isdigit() for letter in bare)
    if digits <= _MOST_DIGITS and _ALLOWED.fullmatch(bare) and all(map(_is_known, re.findall("[A-Za-z]+", bare))):
        return path
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"file-{number}-{digest}{suffix}"


def _is_known(word: str) -> bool:
    lower = word.lower()
    return len(word) == 1 or lower in _WORDS or lower in _resource_types()


@cache
def _resource_types() -> frozenset[str]:
    return frozenset(name.lower() for release in (r4(), stu3()) for name in release.resources)
