"""One fit-gap run over the lake of a home: measured, judged, compared and stored."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.errors import TerminalError
from pipelines.feedback.page import write_page
from pipelines.fitgap.compare import compare
from pipelines.fitgap.criteria import Criteria, load_criteria
from pipelines.fitgap.exchange import judge_elements, judge_set
from pipelines.fitgap.measure import Count, Definitions, Measured, Measurements, measure
from pipelines.fitgap.tables import CODING_TABLE
from pipelines.fitgap.unlocking import unlocking_order
from pipelines.fitgap.verdict import Gap, IndicatorVerdict, Status, judge, judge_indicator
from pipelines.indicators.definitions import OutcomeSet, load_outcome_sets
from pipelines.indicators.elements import LATERALITY, Requirement, tables_of
from pipelines.indicators.requirements import load_concepts, requirements
from pipelines.indicators.table_roles import TableRoles, load_table_roles
from pipelines.indicators.value_sets import load_value_set
from pipelines.lake.tables import Lake
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.sqlonfhir.reading import open_duckdb

FORMAT = "uitkomststroom/fit-gap/1"
NO_INSTITUTION = "nog geen instelling"
_INSTITUTION_ROOTS = ("landing", "batches")
_RUN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{8}")

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FitGap:
    """What a run needs to know: the outcome sets, their requirements, and when data are good enough."""

    sets: tuple[OutcomeSet, ...]
    instruments: tuple[Instrument, ...]
    roles: dict[str, TableRoles]
    criteria: Criteria
    needs: tuple[Requirement, ...]
    definitions: Definitions


def load_fit_gap(mappings: Path, names: Sequence[str]) -> FitGap:
    """Read everything from `mappings`; without `names` all outcome sets.

    Raises:
        TerminalError: OUTCOME-SET-UNKNOWN for a name that is no folder of `outcome_sets`, or the code of a file
            that cannot be used.
    """
    instruments = load_instruments(mappings / "proms")
    roles = load_table_roles(mappings / "table_roles.yaml")
    criteria = load_criteria(mappings / "fitgap.yaml")
    concepts = load_concepts(mappings / "zib" / "2020" / "elements.csv")
    sets = load_outcome_sets(mappings, instruments, roles, names)
    needs = [need for each in sets for need in requirements(each, instruments, roles, concepts)]
    value_sets = {name: value_set for each in sets for name, value_set in each.value_sets.items()}
    value_sets[LATERALITY] = load_value_set(mappings / "codes", LATERALITY)
    definitions = Definitions(value_sets, instruments, roles, criteria.timely_days)
    return FitGap(sets, tuple(instruments), roles, criteria, tuple(needs), definitions)


def run_fit_gap(
    home: Path, fit_gap: FitGap, *, as_of: date, versions: Mapping[str, str], on_progress: OnProgress
) -> dict[str, Any]:
    """Measure and judge, also an empty lake: the run as it is stored (docs/fit-gap.md), without a comparison."""
    on_progress(0, 3)
    quarantine = sorted(home.glob("batches/*/*/quarantine.ndjson"))
    tables = sorted({table for need in fit_gap.needs for table in tables_of(need)} | {"zib_patient", CODING_TABLE})
    with tempfile.TemporaryDirectory(prefix="spill-", dir=home) as spill:
        connection = open_duckdb(Path(spill), memory="1GB")
        Lake(home / "lake").attach(connection, tables)
        on_progress(1, 3)
        seen, measured = measure(connection, fit_gap.needs, fit_gap.definitions, as_of, quarantine)
        connection.close()
    on_progress(2, 3)
    institutions = sorted({*seen, *_landed(home)}) or [NO_INSTITUTION]
    judged = {name: _judge(name, fit_gap, _of_institution(measured, name, fit_gap.needs)) for name in institutions}
    content = {
        "format": FORMAT,
        "as_of": as_of.isoformat(),
        "versions": dict(versions),
        "minimum_for_display": fit_gap.criteria.minimum_for_display,
        "criteria": {
            str(check): each.model_dump(include={"label_nl", "presence", "ready", "partly", "reason"})
            for check, each in fit_gap.criteria.checks.items()
        },
        "sources": fit_gap.criteria.sources,
        "operationalisation": fit_gap.criteria.operationalisation,
        "sets": [_describe_set(each) for each in fit_gap.sets],
        "elements": _describe_elements(fit_gap.needs),
        "institutions": [_institution(name, *judged[name], fit_gap) for name in institutions],
        "overall": _overall({name: verdicts for name, (verdicts, _) in judged.items()}),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    on_progress(3, 3)
    return {"run": f"{as_of.isoformat()}-{digest}", **content}


def store(home: Path, run: Mapping[str, Any]) -> Path:
    """Keep a run as `home/fitgap/<run>.json`."""
    return write_run(run, home / "fitgap" / f"{run['run']}.json")


def write_run(run: Mapping[str, Any], path: Path) -> Path:
    """Write a run as JSON, aside first, so that nobody reads half of it.

    Raises:
        TransientError: the file could not be written.
    """
    return write_page(path, json.dumps(run, indent=1, ensure_ascii=False) + "\n")


def with_comparison(home: Path, run: dict[str, Any], earlier: str | None) -> dict[str, Any]:
    """The run with `comparison`: to the run of that name, else to the one stored last, else None.

    Raises:
        TerminalError: FITGAP-RUN-UNKNOWN when the named run is not stored in `home` or cannot be read.
    """
    folder = home / "fitgap"
    if earlier is not None:
        return {**run, "comparison": compare(_read_run(folder, earlier), run)}
    stored = [path for path in folder.glob("*.json") if path.stem != run["run"] and _RUN_NAME.fullmatch(path.stem)]
    newest = max(stored, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
    return {**run, "comparison": compare(_read_run(folder, newest.stem), run) if newest else None}


def _read_run(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content.get("format") == FORMAT:
            return content
        what = "it has another format than this version writes"
    except FileNotFoundError:
        what = f"there is no run {name}"
    except ValueError:
        what = "the file is not valid JSON"
    known = ", ".join(sorted(each.stem for each in folder.glob("*.json"))[-5:]) or "none"
    raise TerminalError("FITGAP-RUN-UNKNOWN", what, where=str(path), remedy=f"Choose one of the last runs: {known}.")


def _landed(home: Path) -> set[str]:
    """Institutions that delivered something, also when nothing of it reached the lake."""
    return {each.name for root in _INSTITUTION_ROOTS for each in (home / root).glob("[!.]*") if each.is_dir()}


def _of_institution(measured: Measurements, institution: str, needs: Sequence[Requirement]) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for need in needs:
        known = measured.get((institution, need.element))
        found.setdefault(need.element, known or Measured())
        for check in need.checks:
            found[need.element].counts.setdefault(check, Count(0, 0))
    return found


def _judge(
    institution: str, fit_gap: FitGap, measured: dict[str, Measured]
) -> tuple[list[IndicatorVerdict], dict[str, Measured]]:
    by_indicator: dict[tuple[str, str], list[Requirement]] = {}
    for need in fit_gap.needs:
        by_indicator.setdefault((need.outcome_set, need.indicator), []).append(need)
    verdicts = [judge_indicator(needs, measured, fit_gap.criteria, fit_gap.roles) for needs in by_indicator.values()]
    return verdicts, measured


def _institution(
    name: str, verdicts: Sequence[IndicatorVerdict], measured: Mapping[str, Measured], fit_gap: FitGap
) -> dict[str, Any]:
    tests = judge_elements(fit_gap.needs, measured, fit_gap.criteria)
    sets = [judge_set(each.id, fit_gap.needs, tests) for each in fit_gap.sets]
    blocking = {f"{v.outcome_set}/{v.indicator}": {gap.key for gap in v.gaps} for v in verdicts}
    return {
        "institution": name,
        "indicators": [_verdict(each) for each in verdicts],
        "elements": [
            {
                "element": element,
                "checks": _checks(each, fit_gap.criteria),
                "median_days": each.median_days,
                "p90_days": each.p90_days,
                "registrable": tests[element].registrable,
                "exchangeable": tests[element].exchangeable,
            }
            for element, each in measured.items()
        ],
        "fixes": _steps(blocking, _gaps(verdicts)),
        "tests": [
            {
                "outcome_set": each.outcome_set,
                "registrable": {"conclusion": each.registrable_conclusion, **_tally(each.registrable)},
                "exchangeable": {"conclusion": each.exchangeable_conclusion, **_tally(each.exchangeable)},
            }
            for each in sets
        ],
    }


def _checks(measured: Measured, criteria: Criteria) -> dict[str, Any]:
    return {
        str(check): {
            "part": count.part,
            "whole": count.whole,
            "share": None if count.share is None else round(count.share, 4),
            "status": judge(criteria.checks[check], count),
        }
        for check, count in measured.counts.items()
    }


def _verdict(verdict: IndicatorVerdict) -> dict[str, Any]:
    first = verdict.gaps[0] if verdict.gaps else None
    return {
        "outcome_set": verdict.outcome_set,
        "indicator": verdict.indicator,
        "status": verdict.status,
        "cause_nl": first.cause_nl if first else None,
        "gaps": [
            {"key": gap.key, "element": gap.element, "check": gap.check, "status": gap.status,
             "cause_nl": gap.cause_nl, "who_nl": gap.who_nl, "fix_nl": gap.fix_nl}
            for gap in verdict.gaps
        ],
    }  # fmt: skip


def _gaps(verdicts: Sequence[IndicatorVerdict]) -> dict[str, Gap]:
    return {gap.key: gap for verdict in verdicts for gap in verdict.gaps}


def _steps(blocking: Mapping[str, set[str]], gaps: Mapping[str, Gap]) -> list[dict[str, Any]]:
    ready = sum(not needs for needs in blocking.values())
    steps = []
    for step in unlocking_order(blocking):
        ready += len(step.unlocks)
        fixes = [
            {"key": key, "who_nl": gaps[key].who_nl, "fix_nl": gaps[key].fix_nl,
             "touches": sum(key in needs for needs in blocking.values())}
            for key in step.fixes
        ]  # fmt: skip
        steps.append({"fixes": fixes, "unlocks": list(step.unlocks), "ready_after": ready})
    return steps


def _overall(judged: Mapping[str, Sequence[IndicatorVerdict]]) -> dict[str, Any]:
    statuses: dict[tuple[str, str], Counter[Status]] = {}
    for verdicts in judged.values():
        for verdict in verdicts:
            statuses.setdefault((verdict.outcome_set, verdict.indicator), Counter())[verdict.status] += 1
    blocking = {
        f"{institution}/{v.outcome_set}/{v.indicator}": {gap.key for gap in v.gaps}
        for institution, verdicts in judged.items()
        for v in verdicts
    }
    gaps = _gaps([verdict for verdicts in judged.values() for verdict in verdicts])
    return {
        "indicators": [
            {"outcome_set": outcome_set, "indicator": indicator, **_tally(counts)}
            for (outcome_set, indicator), counts in statuses.items()
        ],
        "fixes": _steps(blocking, gaps),
    }


def _tally(counts: Mapping[Status, int]) -> dict[str, int]:
    return {str(status): counts.get(status, 0) for status in Status}


def _describe_set(outcome_set: OutcomeSet) -> dict[str, Any]:
    return {
        "id": outcome_set.id,
        "version": outcome_set.version,
        "title_nl": outcome_set.title_nl,
        "indicators": [{"id": each.id, "title_nl": each.title_nl} for each in outcome_set.indicators],
    }


def _describe_elements(needs: Sequence[Requirement]) -> list[dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    for need in needs:
        known = described.setdefault(
            need.element,
            {
                "element": need.element, "title_nl": need.title_nl, "role": need.role, "table": need.table,
                "columns": list(need.columns), "zib": need.zib, "concept": need.concept,
                "value_set": need.value_sets[0] if len(need.value_sets) == 1 else None,
                "value_sets": list(need.value_sets), "mandatory": False, "needed_by": [],
            },
        )  # fmt: skip
        known["mandatory"] = known["mandatory"] or need.mandatory
        known["needed_by"].append(f"{need.outcome_set}/{need.indicator}")
    return list(described.values())
