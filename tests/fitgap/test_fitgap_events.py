"""What is measured of events beyond operations: links, details, values, times, alternatives, and what they block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fitgap_lake import AS_OF, HIP, KNEE, MAPPINGS, OPENING, SNOMED, shares, verdict

from pipelines.fitgap.run import FitGap, load_fit_gap, run_fit_gap
from pipelines.indicators.definitions import load_outcome_set
from pipelines.indicators.requirements import requirements
from pipelines.lake.tables import Lake

COXARTHROSIS = "239872002"
INPATIENT = {"status": "finished", "start_at": datetime(2024, 3, 1, 9), "start_text": "2024-03-01T09:00:00+01:00"}
Row = Mapping[str, Any]


@cache
def every_shape() -> FitGap:
    """The fit-gap of the set with every shape."""
    known = load_fit_gap(MAPPINGS, ["knie-heupartrose"])
    folder = Path(__file__).parent / "every-shape"
    outcome_set = load_outcome_set(folder, MAPPINGS / "codes", known.instruments, known.roles)
    needs = requirements(outcome_set, known.instruments, known.roles, {})
    value_sets = {**known.definitions.value_sets, **outcome_set.value_sets}
    definitions = replace(known.definitions, value_sets=value_sets)
    return replace(known, sets=(outcome_set,), needs=tuple(needs), definitions=definitions)


def deliver(home: Path, tables: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Put rows in the lake of `home` and run; a row without a patient is of p1."""
    home.mkdir(exist_ok=True)
    for table, rows in tables.items():
        content = [{"institution": "a", "resource_key": f"{table}-{number}", "patient_key": "p1", **row}
                   for number, row in enumerate(rows)]  # fmt: skip
        for institution in sorted({row["institution"] for row in content}):
            _append(home, table, [row for row in content if row["institution"] == institution], institution)
    return run_fit_gap(home, every_shape(), as_of=AS_OF, versions={}, on_progress=lambda done, total: None)


def _append(home: Path, table: str, rows: Sequence[Row], institution: str) -> None:
    names = sorted({name for row in rows for name in row})
    arrays = {name: pa.array([row.get(name) for row in rows]) for name in names}
    typed = {name: each.cast(pa.string()) if pa.types.is_null(each.type) else each for name, each in arrays.items()}
    lake = Lake(home / "lake")
    lake.append(table, pa.table(typed), institution=institution, batch_id="1", landed_at=OPENING)


def operation(code: str = HIP, **more: Any) -> Row:
    return {
        "status": "completed",
        "procedure_code": code,
        "procedure_system": SNOMED,
        "start_date": date(2024, 3, 1),
        **more,
    }


def problem(key: str, code: str = COXARTHROSIS) -> Row:
    return {"resource_key": key, "problem_code": code, "problem_system": SNOMED, "verification_status": "confirmed"}


def test_a_link_leads_somewhere_when_the_resource_came_along_and_counts_when_that_is_the_right_kind(
    tmp_path: Path,
) -> None:
    encounters = [
        {**INPATIENT, "problem_key": "arthrosis"},
        {**INPATIENT, "problem_key": "other"},
        {**INPATIENT, "problem_key": "elsewhere"},
        {**INPATIENT, "problem_key": None},
    ]
    problems = [problem("arthrosis"), problem("other", "73211009")]
    content = deliver(tmp_path, {"zib_encounter": encounters, "zib_problem": problems})
    link = "zib_encounter.problem_key@*>zib_problem"
    assert shares(content, link, ["detailed", "resolved"]) == [(3, 4), (2, 3)]
    event = "zib_encounter.resource_key@*[problem_key>zib_problem/coxarthrosis]"
    assert shares(content, event, ["found"]) == [(1, 4)]


def test_a_link_of_another_institution_leads_nowhere(tmp_path: Path) -> None:
    problems = [{**problem("arthrosis"), "institution": "b"}]
    content = deliver(tmp_path, {"zib_encounter": [{**INPATIENT, "problem_key": "arthrosis"}], "zib_problem": problems})
    assert shares(content, "zib_encounter.problem_key@*>zib_problem", ["resolved"]) == [(0, 1)]


def test_minutes_need_a_date_with_time_and_offset(tmp_path: Path) -> None:
    texts = ["2024-03-01T09:00:00+01:00", "2024-03-01T08:00:00Z", "2024-03-01T09:00:00", "2024-03-01", "2024", None]
    encounters = [{**INPATIENT, "problem_key": "x", "start_text": text, "end_text": text} for text in texts]
    content = deliver(tmp_path, {"zib_encounter": encounters, "zib_problem": [problem("x")]})
    started = "zib_encounter.start_text@*[problem_key>zib_problem/coxarthrosis]"
    assert shares(content, started, ["precise"]) == [(2, 6)]
    assert shares(content, "zib_encounter.end_text@*:finished", ["ended", "precise"]) == [(4, 6), (2, 6)]


def test_a_detail_is_one_of_any_of_its_codings_and_rows_entered_in_error_do_not_count(tmp_path: Path) -> None:
    coded = {**INPATIENT, "destination_code": "239873007", "destination_system": SNOMED}
    encounters = [
        {**coded, "destination_codings_id": "c0"},
        {
            **INPATIENT,
            "destination_code": "HUIS",
            "destination_system": "urn:oid:1.2.3",
            "destination_codings_id": "c1",
        },
        {
            **INPATIENT,
            "destination_code": "HUIS",
            "destination_system": "urn:oid:1.2.3",
            "destination_codings_id": "c2",
        },
        {**coded, "status": "entered-in-error", "destination_codings_id": "c0"},
        INPATIENT,
    ]
    codings = [{"codings_id": "c1", "system": SNOMED, "code": "239873007"}]
    content = deliver(tmp_path, {"zib_encounter": encounters, "zib_coding": codings})
    detail = "zib_encounter.destination_codings_id@*=gonarthrosis"
    assert shares(content, detail, ["detailed", "system"]) == [(3, 4), (2, 3)]
    event = "zib_encounter.resource_key@*[destination_codings_id=gonarthrosis]"
    assert shares(content, event, ["found"]) == [(2, 5)]


def test_a_value_with_a_comparator_is_a_bound_and_no_value(tmp_path: Path) -> None:
    weights = [{"weight_kg": 80.0}, {"weight_kg": 200.0, "weight_comparator": ">"}, {"weight_kg": None}]
    content = deliver(tmp_path, {"zib_body_weight": [{"status": "final", **each} for each in weights]})
    assert shares(content, "zib_body_weight.weight_kg@*", ["filled"]) == [(1, 3)]


def test_one_of_several_events_is_enough_over_tables_too(tmp_path: Path) -> None:
    content = deliver(tmp_path, {"zib_procedure": [operation(KNEE), operation("1")], "zib_problem": [problem("x")]})
    both = "primary-total-hip-arthroplasty:completed|primary-total-knee-arthroplasty:completed"
    assert shares(content, f"zib_procedure.procedure_code@{both}", ["found"]) == [(1, 2)]
    either = "zib_problem.problem_code@zib_problem/coxarthrosis|zib_procedure/revision-hip-arthroplasty:completed"
    assert shares(content, either, ["found"]) == [(1, 3)]
    assert shares(content, "zib_problem+zib_procedure", ["present"]) == [(3, 3)]


def test_birth_date_and_sex_are_asked_of_patients_with_an_index_event(tmp_path: Path) -> None:
    patients = [
        {"patient_key": "p1", "birth_date": date(1950, 1, 1), "gender": "female", "deceased": None},
        {"patient_key": "p2", "birth_date": None, "gender": "unknown", "deceased": None},
        {"patient_key": "not operated", "birth_date": None, "gender": None, "deceased": None},
    ]
    operations = [operation(), operation(patient_key="p2")]
    content = deliver(tmp_path, {"zib_patient": patients, "zib_procedure": operations})
    of = "patients-of:zib_procedure/primary-total-hip-arthroplasty:completed"
    assert shares(content, f"zib_patient.birth_date@{of}", ["filled"]) == [(1, 2)]
    assert shares(content, f"zib_patient.gender@{of}", ["filled"]) == [(1, 2)]


@pytest.mark.parametrize(
    ("indicator", "first"),
    [
        ("event-within", "Er zijn geen verrichtingen ontvangen."),
        ("volume", "Er zijn geen contacten ontvangen."),
        ("score", "Er zijn geen contacten ontvangen."),
    ],
)
def test_without_any_data_the_index_event_is_the_first_thing_missing(
    tmp_path: Path, indicator: str, first: str
) -> None:
    tmp_path.joinpath("home").mkdir()
    content = run_fit_gap(
        tmp_path / "home", every_shape(), as_of=AS_OF, versions={}, on_progress=lambda done, total: None
    )
    found = verdict(content, indicator, "nog geen instelling")
    assert (found["status"], found["cause_nl"]) == ("not", first)


def test_what_only_adjusts_or_divides_makes_an_indicator_partly_ready_at_worst(tmp_path: Path) -> None:
    scores = {"zib_encounter": [{**INPATIENT, "end_text": "2024-03-09"}] * 20, "zib_patient": [{"deceased": None}]}
    answers = [
        {"resource_key": f"r{number}", "questionnaire": "http://uitkomststroom.nl/fhir/Questionnaire/nrs-pain",
         "questionnaire_version": "1.0", "status": "completed", "authored_at": datetime(2024, 3, 2, 9),
         "link_id": "activity", "value_number": 8.0, "value_code": None, "value_code_system": None,
         "source_related_person_key": None, "source_practitioner_key": None, "source_practitioner_role_key": None}
        for number in range(20)
    ]  # fmt: skip
    found = verdict(deliver(tmp_path, {**scores, "prom_answer": answers}), "score")
    assert (found["status"], found["cause_nl"]) == ("partly", "Er zijn geen gewichtsmetingen ontvangen.")


def test_a_composite_waits_for_what_its_parts_wait_for(tmp_path: Path) -> None:
    content = deliver(tmp_path, {"zib_procedure": [operation()] * 20, "zib_patient": [{"deceased": None}]})
    keys = {
        each["indicator"]: {gap["key"] for gap in each["gaps"]} for each in content["institutions"][0]["indicators"]
    }
    assert "prom_answer:present" in keys["response-rate"]
    assert "zib_problem:present" in keys["event-within"]
    assert {"prom_answer:present", "zib_problem:present"} <= keys["all-or-none"]


def test_what_is_set_aside_counts_for_the_table_whose_rule_it_failed(tmp_path: Path) -> None:
    """Weights and laboratory results are the same FHIR resource; only a rule tells which one was set aside."""
    batch = tmp_path / "batches" / "a" / "1"
    batch.mkdir(parents=True)
    line = {
        "institution": "a",
        "source_file": "o.ndjson",
        "resource_type": "Observation",
        "reason": "x",
        "step": "validate",
    }
    rules = ["BODY-WEIGHT-RANGE", "BODY-WEIGHT-RANGE", "LABORATORY-UNIT-MISSING", "RESOURCE-INVALID"]
    rows = [{**line, "source_line": n, "resource_key": f"k{n}", "rule_id": rule} for n, rule in enumerate(rules)]
    batch.joinpath("quarantine.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    checks = [
        {"table": "zib_body_weight", "rule_id": "BODY-WEIGHT-RANGE", "failed": 2},
        {"table": "zib_laboratory_test_result", "rule_id": "LABORATORY-UNIT-MISSING", "failed": 1},
    ]
    batch.joinpath("checks.json").write_text(json.dumps({"batch": {}, "checks": checks}), encoding="utf-8")
    content = deliver(tmp_path, {"zib_body_weight": [{"status": "final", "weight_kg": 80.0}]})
    assert shares(content, "zib_body_weight.patient_key", ["accepted"]) == [(1, 3)]
    assert shares(content, "zib_laboratory_test_result.patient_key", ["accepted"]) == [(0, 1)]
    assert shares(content, "zib_body_height.patient_key", ["accepted"]) == [(0, 0)]
