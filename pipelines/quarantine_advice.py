"""What a quarantined row means for the hospital, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.validate.rules import load_reference_rules, load_suites

_AT_THE_SOURCE = "Ask the hospital to correct it at the source and to deliver it again."
_EXPORT = "Ask the hospital to mend its export and to deliver the file again."
REMEDIES = {
    "BUNDLE-ENTRY-EMPTY": _EXPORT,
    "BUNDLE-IN-NDJSON": "Give the Bundle a file of its own, or its resources a line each.",
    "CSV-CODE": "Add the code to mappings/codes/concept_maps, and retry.",
    "CSV-COLUMN-MISSING": "Correct the name of the column in mappings/csv, and retry; or ask for the column.",
    "CSV-DATE": "Correct the date format in mappings/csv when it is wrong, and retry; or ask for a mended file.",
    "CSV-ENCODING": "Correct the encoding in mappings/csv when it is wrong, and retry; or ask for a mended file.",
    "CSV-FIELDS": _EXPORT,
    "CSV-NUMBER": "Correct decimal or thousands in mappings/csv when wrong, and retry; or ask for a mended file.",
    "CSV-QUOTE": _EXPORT,
    "CSV-VALUE": "Add the word to true_when or false_when in mappings/csv, and retry.",
    "DATE-IMPOSSIBLE": _AT_THE_SOURCE,
    "DUPLICATE-CONFLICT": "Ask the hospital which version is true, or for meta.lastUpdated in all of them.",
    "FILE-NOT-JSON": _EXPORT,
    "FILE-NOT-UTF8": _EXPORT,
    "GZIP-DAMAGED": _EXPORT,
    "LINE-NOT-JSON": _EXPORT,
    "LINE-NOT-UTF8": _EXPORT,
    "LINE-TOO-LONG": "Raise UITKOMST_MAXIMUM_LINE_BYTES when the line is sound, and retry.",
    "REFERENCE-PATIENT-MISSING": "Ask for the patient's resource; once it is loaded, retry brings this row back.",
    "RELEASE-CONFLICT": "Ask the hospital for resources of one FHIR release, with the profiles of that release.",
    "RELEASE-UNKNOWN": "Ask the hospital for meta.profile, or for the CapabilityStatement in its export.",
    "RESOURCE-INVALID": _EXPORT,
    "RESOURCE-NOT-OBJECT": _EXPORT,
    "RESOURCE-NO-ID": _EXPORT,
    "RESOURCE-NO-TYPE": _EXPORT,
    "RESOURCE-TYPE-UNKNOWN": _EXPORT,
    "VALUE-WRONG-TYPE": _EXPORT,
}
"""By rule id, for the rules that are in no file of `expectations/`."""


@dataclass(frozen=True, slots=True)
class Advice:
    """`sentence_nl` is for the hospital, and empty when the rule has none; `remedy` is for who runs the pipeline."""

    sentence_nl: str
    remedy: str


def load_advice(expectations: Path) -> dict[str, Advice]:
    """Advice by rule id, for the rules of `expectations/` and of the steps before."""
    advice = {rule_id: Advice("", remedy) for rule_id, remedy in REMEDIES.items()}
    for table, suite in load_suites(expectations).items():
        for rule in suite.rules:
            remedy = f"{_AT_THE_SOURCE} When the rule is wrong: correct expectations/{table}.yaml and retry."
            advice[rule.rule_id] = Advice(rule.sentence_nl, remedy)
    for reference in load_reference_rules(expectations):
        rule = reference.rule
        advice[rule.rule_id] = Advice(rule.sentence_nl, REMEDIES.get(rule.rule_id, _AT_THE_SOURCE))
    return advice
