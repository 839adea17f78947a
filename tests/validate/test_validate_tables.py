"""What becomes of a batch: which rows are accepted, which are set aside, and for which rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract_tables import AS_OF, CODING, SUITES, Checked, schema_of, table_of

from pipelines.errors import TerminalError

SNOMED = "http://snomed.info/sct"
KNOWN = pa.table(
    {
        "institution": ["ziekenhuis-a"],
        "patient_key": ["b" * 32],
        "birth_date_text": ["1958-03-14"],
        "death_date_text": pa.array([None], pa.string()),
    }
)
Validate = Callable[..., Checked]


@pytest.fixture
def validate(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """Validates tables given as the changes to their example row; the example patient is known."""

    def run(tables: Mapping[str, list[dict[str, Any]]], known: pa.Table | None = KNOWN, as_of: date = AS_OF) -> Checked:
        rows = {name: table_of(name, rows) for name, rows in tables.items()}
        return Checked(tmp_path_factory.mktemp("batch"), rows, known_patients=known, as_of=as_of)

    return run


def set_aside(validation: Checked) -> list[tuple[int | None, str]]:
    return [(row.source_line, row.rule_id) for row in validation.quarantined]


def test_a_row_that_fails_an_error_rule_is_set_aside_with_its_place_and_reason(validate: Validate) -> None:
    result = validate(
        {
            "zib_body_weight": [
                {"resource_key": "1", "source_line": 1},
                {"resource_key": "2", "source_line": 2, "weight_value": 7000.0},
                {"resource_key": "3", "source_line": 3, "weight_ucum_code": "g", "weight_value": 81500.0},
            ]
        }
    )
    assert result.accepted["zib_body_weight"]["source_line"].to_pylist() == [1, 3]
    assert result.accepted["zib_body_weight"].schema == schema_of("zib_body_weight")
    (row,) = result.quarantined
    assert row.as_dict() == {
        "institution": "ziekenhuis-a",
        "source_file": "export.ndjson",
        "source_line": 2,
        "resource_type": "Observation",
        "resource_key": "2",
        "rule_id": "BODY-WEIGHT-RANGE",
        "reason": "zib_body_weight: weight_value in kg is outside 0.2 to 700, which is physiologically impossible",
        "step": "validate",
    }


def test_a_row_that_fails_several_rules_is_set_aside_once_for_the_first_rule_of_the_suite(validate: Validate) -> None:
    wrong = {"status": "klaar", "weight_value": -1.0, "weight_ucum_code": "kg"}
    result = validate({"zib_body_weight": [{"source_line": 1, **wrong}]})
    assert set_aside(result) == [(1, "BODY-WEIGHT-STATUS-UNKNOWN")]
    failed = {check.rule_id for check in result.checks if check.status == "failed"}
    assert failed == {"BODY-WEIGHT-STATUS-UNKNOWN", "BODY-WEIGHT-RANGE"}


@pytest.mark.parametrize(
    ("codings", "failed"),
    [
        pytest.param([("urn:oid:1.2.3", "P-17", None)], 1, id="a local code"),
        pytest.param([("urn:oid:1.2.3", "P-17", None), (SNOMED, "52734007", 0)], 0, id="a local code that is mapped"),
    ],
)
def test_a_warning_counts_rows_and_keeps_them(
    codings: list[tuple[str, str, int | None]], failed: int, tmp_path: Path
) -> None:
    coded = [
        {
            "institution": "ziekenhuis-a",
            "codings_id": "c1",
            "position": position,
            "system": system,
            "code": code,
            "mapped_from": mapped_from,
        }
        for position, (system, code, mapped_from) in enumerate(codings)
    ]
    tables = {
        "zib_procedure": table_of("zib_procedure", [{"procedure_codings_id": "c1"}]),
        "zib_coding": pa.Table.from_pylist(coded, schema=CODING),
    }
    result = Checked(tmp_path, tables, known_patients=KNOWN)
    assert result.quarantined == []
    assert result.accepted["zib_procedure"].num_rows == 1
    (check,) = [each for each in result.checks if each.rule_id == "PROCEDURE-CODE-NOT-STANDARD"]
    assert (check.severity, check.checked, check.failed) == ("warning", 1, failed)
    assert len(check.examples) == failed


def test_half_a_questionnaire_is_never_accepted(validate: Validate) -> None:
    answers = [
        {"resource_key": "r1", "source_line": 1, "link_id": "q1"},
        {"resource_key": "r1", "source_line": 1, "link_id": None},
        {"resource_key": "r1", "source_line": 1, "link_id": "q3"},
        {"resource_key": "r2", "source_line": 2, "link_id": "q1"},
    ]
    result = validate({"prom_answer": answers})
    assert result.accepted["prom_answer"]["resource_key"].to_pylist() == ["r2"]
    assert set_aside(result) == [(1, "PROM-ANSWER-LINK-ID-MISSING")] * 3
    assert [row.reason.endswith("(another row of the same resource failed)") for row in result.quarantined] == [
        True,
        False,
        True,
    ]


def test_rows_without_a_resource_key_do_not_drag_each_other_along(validate: Validate) -> None:
    rows = [{"resource_key": None, "source_line": 1}, {"resource_key": "2", "source_line": 2}]
    assert set_aside(validate({"zib_body_height": rows})) == [(1, "BODY-HEIGHT-KEY-MISSING")]


@pytest.mark.parametrize(
    ("patients", "known", "accepted"),
    [
        pytest.param([{}], None, 1, id="patient in this batch"),
        pytest.param([], KNOWN, 1, id="patient of an earlier batch"),
        pytest.param([], None, 0, id="no patient at all"),
        pytest.param([{"institution": "ziekenhuis-b"}], None, 0, id="patient of another institution"),
        pytest.param([{"gender": "V"}], None, 0, id="patient that was itself set aside"),
    ],
)
def test_a_resource_is_accepted_only_with_its_patient(
    validate: Validate, patients: list[dict[str, Any]], known: pa.Table | None, accepted: int
) -> None:
    result = validate({"zib_patient": patients, "zib_procedure": [{}]}, known)
    assert result.accepted["zib_procedure"].num_rows == accepted
    assert [row.rule_id for row in result.quarantined if row.resource_type == "Procedure"] == (
        [] if accepted else ["REFERENCE-PATIENT-MISSING"]
    )


def test_the_as_of_date_decides_what_lies_in_the_future(validate: Validate) -> None:
    tables = {"zib_body_weight": [{"effective_at": datetime(2025, 6, 30, 23, 59)}]}
    assert validate(tables, as_of=date(2025, 6, 30)).quarantined == []
    assert set_aside(validate(tables, as_of=date(2025, 6, 29))) == [(1, "BODY-WEIGHT-MOMENT-RANGE")]


@pytest.mark.parametrize(
    ("table", "planned", "done", "future"),
    [
        ("zib_encounter", "planned", "finished", {"start_at": datetime(2026, 1, 1, 9), "end_at": None}),
        ("zib_procedure", "preparation", "completed", {"start_date": date(2026, 1, 1), "end_date": None}),
        ("zib_medication_use", "intended", "active", {"start_date": date(2026, 1, 1), "end_date": None}),
    ],
)
def test_only_what_is_planned_may_lie_in_the_future(
    validate: Validate, table: str, planned: str, done: str, future: dict[str, Any]
) -> None:
    no_end = {name: None for name in ("end_text", "end_date_text") if name in schema_of(table).names}
    rows = [{**future, **no_end, "source_line": n, "status": status} for n, status in enumerate((planned, done), 1)]
    result = validate({table: [{**row, "resource_key": str(row["source_line"])} for row in rows]})
    assert result.accepted[table]["status"].to_pylist() == [planned]
    assert [row.source_line for row in result.quarantined] == [2]


def test_a_rule_with_nothing_to_check_is_not_applicable(validate: Validate) -> None:
    result = validate({name: [] for name in SUITES})
    assert {check.status for check in result.checks} == {"not_applicable"}
    assert {name: table.num_rows for name, table in result.accepted.items()} == dict.fromkeys(SUITES, 0)
    without_value = validate({"zib_body_weight": [{"weight_value": None, "weight_ucum_code": None}]})
    statuses = {check.rule_id: check.status for check in without_value.checks}
    assert statuses["BODY-WEIGHT-RANGE"] == statuses["BODY-WEIGHT-UNIT-MISSING"] == "not_applicable"
    assert statuses["BODY-WEIGHT-VALUE-MISSING"] == "failed"


def test_every_rule_reports_on_every_table_once(validate: Validate) -> None:
    checks = validate({name: [{}] for name in SUITES}).checks
    assert len({(check.table, check.rule_id) for check in checks}) == len(checks)
    assert {(check.table, check.rule_id) for check in checks} >= {
        (table, rule.rule_id) for table, suite in SUITES.items() for rule in suite.rules
    }


def test_a_table_without_a_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="EXPECTATIONS-MISSING: table zib_unheard_of has no suite"):
        Checked(tmp_path, {"zib_unheard_of": pa.table({"a": [1]})})


def test_a_table_without_a_column_of_its_suite_is_refused(tmp_path: Path) -> None:
    table = table_of("zib_body_weight", [{}]).drop_columns(["weight_value"])
    with pytest.raises(TerminalError, match=r"EXPECTATION-COLUMN-UNKNOWN.*weight_value"):
        Checked(tmp_path, {"zib_body_weight": table})


def test_a_folder_without_suites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="EXPECTATIONS-MISSING"):
        Checked(tmp_path / "batch", {}, expectations=tmp_path)
