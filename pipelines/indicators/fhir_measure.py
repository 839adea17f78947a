"""An indicator as a FHIR R4 `Measure`, made from its definition.

Criteria are given twice: in words (`description`, Dutch) and as the part of the definition that decides (`expression`,
YAML, RFC 9512), which `docs/indicators.md` says how to read. Codes: the HL7 terminology named beside them.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from pipelines.indicators.definitions import Indicator, OutcomeSet
from pipelines.indicators.shapes import AllOrNone, ChangeBetween, ResponseRate

CANONICAL = "http://uitkomststroom.nl/fhir"
POPULATIONS = "http://terminology.hl7.org/CodeSystem/measure-population"

_SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
_TYPES = "http://terminology.hl7.org/CodeSystem/measure-type"
_COMPOSITES = "http://terminology.hl7.org/CodeSystem/composite-measure-scoring"
_IMPROVEMENT = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
_SUBJECTS = "http://hl7.org/fhir/resource-types"
_SCORINGS = {
    "proportion": "proportion",
    "mean": "continuous-variable",
    "median": "continuous-variable",
    "cumulative_incidence": "continuous-variable",
    "count": "cohort",
}
_NOTATIONS = {"higher_is_better": "increase", "lower_is_better": "decrease"}


def measure_url(indicator: Indicator) -> str:
    """The canonical URL of an indicator, without its version."""
    return f"{CANONICAL}/Measure/{indicator.id}"


def improvement_notation(indicator: Indicator) -> dict[str, Any]:
    """`improvementNotation`, which `Measure` and `MeasureReport` share; nothing without a direction."""
    if indicator.direction not in _NOTATIONS:
        return {}
    return {"improvementNotation": code_of(_IMPROVEMENT, _NOTATIONS[indicator.direction])}


def fhir_measure(outcome_set: OutcomeSet, indicator: Indicator) -> dict[str, Any]:
    """The `Measure` as JSON; a version below 1 is a draft.

    `library` names the data requirements (`Library/<id>`), `guidance` holds what the definition decided by itself.
    """
    content: dict[str, Any] = {
        "resourceType": "Measure",
        "id": indicator.id,
        "language": "nl",
        "url": measure_url(indicator),
        "version": indicator.version,
        "name": "".join(part.capitalize() for part in indicator.id.split("-")),
        "title": indicator.title_nl,
        "subtitle": indicator.title_en,
        "status": "draft" if indicator.version.startswith("0.") else "active",
        "subjectCodeableConcept": code_of(_SUBJECTS, "Patient"),
        "publisher": "Uitkomststroom",
        "description": indicator.description_nl,
        "topic": [{"text": outcome_set.title_nl}],
        "relatedArtifact": _sources(outcome_set, indicator),
        "library": [f"{CANONICAL}/Library/{indicator.id}"],
        "scoring": code_of(_SCORING, "composite" if _composite(indicator) else _SCORINGS[indicator.statistic]),
        "type": [code_of(_TYPES, name) for name in _types(indicator)],
        "rateAggregation": indicator.statistic,
        "guidance": "\n".join([*outcome_set.operationalisation, *indicator.operationalisation]),
        "group": [{"population": _populations(outcome_set, indicator)}],
    }
    if _composite(indicator):
        content["compositeScoring"] = code_of(_COMPOSITES, "all-or-nothing")
    content |= improvement_notation(indicator)
    if indicator.case_mix:
        titles = [outcome_set.variables[name].title_nl for name in indicator.case_mix]
        content["riskAdjustment"] = f"Indirecte standaardisatie, logistische regressie op: {', '.join(titles)}"
    if indicator.stratifiers:
        content["group"][0]["stratifier"] = [
            {"code": {"text": name}, "description": outcome_set.variables[name].title_nl, "criteria": _yaml(variable)}
            for name in indicator.stratifiers
            for variable in [outcome_set.variables[name]]
        ]
    return content


def _composite(indicator: Indicator) -> bool:
    return isinstance(indicator.measure, AllOrNone)


def _types(indicator: Indicator) -> list[str]:
    if isinstance(indicator.measure, ChangeBetween) or (
        isinstance(indicator.measure, ResponseRate) and indicator.kind == "outcome"
    ):
        return [indicator.kind, "patient-reported-outcome"]
    return [indicator.kind, "composite"] if _composite(indicator) else [indicator.kind]


def _sources(outcome_set: OutcomeSet, indicator: Indicator) -> list[dict[str, Any]]:
    found = [{"type": "citation", "citation": indicator.source}]
    found += [{"type": "citation", "citation": each} for each in outcome_set.sources]
    found += [{"type": "justification", "display": f"{b.value:g}: {b.description}", "citation": b.source}
              for b in indicator.benchmarks]  # fmt: skip
    if isinstance(indicator.measure, AllOrNone):
        parts = [*indicator.measure.met, *indicator.measure.not_met]
        found += [{"type": "composed-of", "resource": f"{CANONICAL}/Measure/{part}"} for part in parts]
    return found


def _populations(outcome_set: OutcomeSet, indicator: Indicator) -> list[dict[str, Any]]:
    cohort = outcome_set.cohorts[indicator.cohort]
    everyone = {"cohort": cohort.model_dump(mode="json", exclude_none=True),
                "index": outcome_set.events[cohort.index].model_dump(mode="json", exclude_none=True)}  # fmt: skip
    continuous = _SCORINGS[indicator.statistic] == "continuous-variable"
    found = [_population("initial-population", cohort.title_nl, everyone)]
    if indicator.statistic == "count":
        return found
    within = indicator.denominator.conditions if indicator.denominator else []
    titles = "; ".join(each.title_nl for each in within) or cohort.title_nl
    found.append(_population("measure-population" if continuous else "denominator", titles, within))
    if indicator.exclusions:
        code = "measure-population-exclusion" if continuous else "denominator-exclusion"
        titles = "; ".join(each.title_nl for each in indicator.exclusions)
        found.append(_population(code, titles, indicator.exclusions))
    code = "measure-observation" if continuous else "numerator"
    found.append(_population(code, indicator.description_nl, indicator.measure))
    return found


def _population(code: str, description: str, criteria: Any) -> dict[str, Any]:
    return {"code": code_of(POPULATIONS, code), "description": description.strip(), "criteria": _yaml(criteria)}


def _yaml(part: Any) -> dict[str, str]:
    if isinstance(part, BaseModel):
        part = part.model_dump(mode="json", exclude_none=True)
    elif isinstance(part, list):
        part = [each.model_dump(mode="json", exclude_none=True) for each in part]
    return {"language": "application/yaml", "expression": yaml.safe_dump(part, allow_unicode=True, sort_keys=False)}


def code_of(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}
