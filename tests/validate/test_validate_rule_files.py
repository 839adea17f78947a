"""The files of `expectations/` are real suites, with sources, in line with the zibs and with FHIR."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import great_expectations as gx
import pytest
import yaml
from contract_tables import (
    EXPECTATIONS,
    REPOSITORY,
    SUITES,
    VALUE_SETS,
    Checked,
    catalogue,
    frame_of,
    schema_of,
    table_of,
)
from fhir.resources import R4B, STU3

from pipelines.errors import TerminalError
from pipelines.validate.handbook import pages
from pipelines.validate.rules import load_reference_rules, load_suites
from pipelines.validate.workspace import ROW

CATALOGUE = REPOSITORY / "../shared/reference/zib2020_catalogue.json"


def value_set(table: str, rule_id: str) -> list[str]:
    for rule, expectation in zip(SUITES[table].rules, SUITES[table].expectations, strict=True):
        if rule.rule_id == rule_id:
            return list(expectation["kwargs"]["value_set"])
    raise KeyError(rule_id)


def test_every_zib_table_has_a_suite() -> None:
    assert set(SUITES) == {table.name for table in catalogue().tables}


@pytest.mark.parametrize("table", SUITES)
def test_a_suite_is_a_great_expectations_suite(table: str) -> None:
    content = yaml.safe_load((EXPECTATIONS / f"{table}.yaml").read_text(encoding="utf-8"))
    suite = gx.ExpectationSuite(**content)
    assert len(suite.expectations) == len(SUITES[table].rules)


@pytest.mark.parametrize("table", SUITES)
def test_a_suite_reads_only_columns_that_exist_or_are_derived(table: str, tmp_path: Path) -> None:
    assert set(frame_of(SUITES[table], [{}], tmp_path).column_names) == {ROW, *SUITES[table].columns}


@pytest.mark.parametrize("table", SUITES)
def test_every_date_of_a_table_is_judged_on_its_text_and_on_its_range(table: str) -> None:
    names = schema_of(table).names
    regexes = {each["kwargs"]["column"] for each in SUITES[table].expectations if "regex" in each["kwargs"]}
    ranges = {each["kwargs"]["column"] for each in SUITES[table].expectations if "min_value" in each["kwargs"]}
    own_text = {  # a moment beside a date of the same name is the same text, read as a moment too
        name: f"{name}_text" if f"{name}_text" in names else f"{name.rsplit('_', 1)[0]}_text"
        for name in names
        if name.endswith(("_date", "_at")) and f"{name.removesuffix('_at')}_date_text" not in names
    }
    assert set(own_text.values()) <= regexes
    assert set(own_text) <= ranges


def test_rule_ids_are_unique_and_every_rule_has_its_sentence() -> None:
    rules = [rule for suite in SUITES.values() for rule in suite.rules]
    rules += [reference.rule for reference in load_reference_rules(EXPECTATIONS)]
    assert len({rule.rule_id for rule in rules}) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"[A-Z]+(-[A-Z]+)+", rule.rule_id), rule.rule_id
        assert rule.sentence_nl.endswith("."), rule.rule_id
        assert rule.owner in ("data-quality", "clinical-methodology"), rule.rule_id
        assert rule.source.startswith(("operationalisation", "FHIR R4 http", "zib release 2020")), rule.rule_id


@pytest.mark.parametrize(
    ("resource_type", "element", "table", "rule_id"),
    [
        ("Patient", "gender", "zib_patient", "PATIENT-GENDER-UNKNOWN"),
        ("Procedure", "status", "zib_procedure", "PROCEDURE-STATUS-UNKNOWN"),
        ("Encounter", "status", "zib_encounter", "ENCOUNTER-STATUS-UNKNOWN"),
        ("Observation", "status", "zib_body_weight", "BODY-WEIGHT-STATUS-UNKNOWN"),
        ("MedicationStatement", "status", "zib_medication_use", "MEDICATION-USE-STATUS-UNKNOWN"),
        ("QuestionnaireResponse", "status", "prom_answer", "PROM-ANSWER-STATUS-UNKNOWN"),
        ("Condition", "clinicalStatus", "zib_problem", "PROBLEM-CLINICAL-STATUS-UNKNOWN"),
        ("Condition", "verificationStatus", "zib_problem", "PROBLEM-VERIFICATION-STATUS-UNKNOWN"),
    ],
)
def test_a_code_list_is_the_one_in_the_fhir_definition(
    resource_type: str, element: str, table: str, rule_id: str
) -> None:
    listed: set[str] = set()
    abbreviated = False
    for release in (R4B, STU3):
        field = release.get_fhir_model_class(resource_type).model_fields[element]
        extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        codes = extra.get("enum_values") or (field.title or "").split(" | ")
        abbreviated = abbreviated or any(str(code).endswith("+") for code in codes)  # ends in "and more"
        listed |= {str(code).removesuffix("+").strip() for code in codes if " " not in str(code).strip()} - {""}
    own = set(value_set(table, rule_id))
    assert listed <= own if abbreviated else listed == own


@pytest.mark.skipif(not CATALOGUE.exists(), reason="the zib catalogue is not part of this repository")
def test_code_systems_and_units_are_those_of_the_zib_catalogue() -> None:
    catalogue = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    elements = {
        (profile["id"], element["element"]): element
        for profile in catalogue["profiles"]
        for element in profile["elements"]
    }

    def bound(profile: str, element: str) -> str:
        return str(elements[profile, element]["binding"]["valueSet"])

    def units(profile: str) -> set[str]:
        return set(elements[profile, "Observation.value[x]"]["ucum"])

    assert SUITES["zib_problem"].bindings["problem_in_value_set"] == bound("nl-core-Problem", "Condition.code")
    assert SUITES["zib_procedure"].bindings["procedure_in_value_set"] == bound(
        "nl-core-Procedure-event", "Procedure.code"
    )
    assert SUITES["zib_laboratory_test_result"].bindings["test_in_value_set"] == bound(
        "nl-core-LaboratoryTestResult", "Observation.code"
    )
    assert set(value_set("zib_body_weight", "BODY-WEIGHT-UNIT-UNKNOWN")) == units("nl-core-BodyWeight")
    assert set(value_set("zib_body_height", "BODY-HEIGHT-UNIT-UNKNOWN")) == units("nl-core-BodyHeight")


@pytest.mark.skipif(not CATALOGUE.exists(), reason="the zib catalogue is not part of this repository")
def test_value_sets_are_those_of_the_catalogue_with_their_versions() -> None:
    known = json.loads(CATALOGUE.read_text(encoding="utf-8"))["value_sets"]
    codes: dict[str, set[tuple[str, str]]] = {}
    for row in VALUE_SETS.members.to_pylist():
        codes.setdefault(row["url"], set()).add((row["system"], row["code"]))
    for url, name in VALUE_SETS.names.items():
        assert name == f"{known[url]['name']} {known[url]['version']}"
        whole = {system for system, code in codes[url] if code is None}
        own = {(each["system"], each["code"]) for each in known[url]["codes"] if each["system"] not in whole}
        assert own <= codes[url], name


def test_every_binding_names_a_known_value_set_and_its_version() -> None:
    bound = [
        (expectation["meta"]["value_set"], rule)
        for suite in SUITES.values()
        for rule, expectation in zip(suite.rules, suite.expectations, strict=True)
        if "value_set" in expectation["meta"]
    ]
    assert len(bound) > 80
    for url, rule in bound:
        name, version = VALUE_SETS.names[url].split(" ")
        assert f"{name} of {version[:10]}" in rule.reason
        assert f"{name} (versie {version[:10]})" in rule.sentence_nl


def test_every_key_of_a_table_has_a_rule_that_says_where_it_leads() -> None:
    checked = {(table, rule.column) for rule in load_reference_rules(EXPECTATIONS) for table in rule.tables}
    keys = {
        (table.name, column.name)
        for table in catalogue().tables
        for column in table.view.outputs
        if column.name.endswith("_key") and column.name != "resource_key"
    }
    no_table = {
        ("zib_medication_dispense", "dispense_request_key"),
        ("zib_patient", "patient_key"),
        ("zib_payer", "payer_organization_key"),  # an insurance company is no healthcare provider
    }
    assert checked == keys - no_table


def test_the_handbook_lists_the_rules_as_they_are() -> None:
    folder = REPOSITORY / "docs" / "validation"
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")} == pages(EXPECTATIONS)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("name: [", "the file is not YAML"),
        ("- a\n- b", "the file is not a mapping"),
        ("name: zib_x\nmeta: {resource_type: Patient}", "the suite lacks 'expectations'"),
        (
            "name: zib_x\nmeta: {resource_type: Patient}\nexpectations: [{type: t, kwargs: {}, meta: {rule_id: A-B}}]",
            "rule A-B lacks 'severity'",
        ),
        ("name: zib_y\nmeta: {resource_type: Patient}\nexpectations: []", "not the file's name"),
    ],
    ids=["not YAML", "not a mapping", "no expectations", "incomplete rule", "other name"],
)
def test_a_file_that_is_no_suite_is_refused_by_name(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "zib_x.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(TerminalError) as raised:
        load_suites(tmp_path)
    assert raised.value.code == "EXPECTATIONS-INVALID"
    assert complaint in raised.value.what
    assert raised.value.where.endswith("zib_x.yaml")


META = "{rule_id: A-B, severity: error, owner: o, source: s, reason: r, sentence_nl: z}"


@pytest.mark.parametrize(
    ("expectation", "complaint"),
    [
        ("type: expect_column_values_nonsense, kwargs: {column: status}", "rule A-B is no expectation"),
        (
            "type: expect_column_values_to_be_in_set, kwargs: {column: status, values: [a]}",
            "rule A-B is no expectation",
        ),
        (
            "type: expect_column_values_to_not_be_null, kwargs: {column: status, row_condition: status == 1}",
            "the row_condition of rule A-B is text",
        ),
        (
            "type: expect_column_values_to_be_between, kwargs: {column: weight_value, max_value: {$PARAMETER: today}}",
            "rule A-B uses a parameter other than as_of",
        ),
    ],
    ids=["unknown type", "unknown argument", "condition as text", "unknown parameter"],
)
def test_a_rule_that_cannot_be_run_is_refused_by_name(tmp_path: Path, expectation: str, complaint: str) -> None:
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "zib_body_weight.yaml").write_text(
        f"name: zib_body_weight\nmeta: {{resource_type: Observation}}\nexpectations: [{{{expectation}, meta: {META}}}]",
        encoding="utf-8",
    )
    with pytest.raises(TerminalError) as raised:
        Checked(tmp_path / "batch", {"zib_body_weight": table_of("zib_body_weight", [{}])}, expectations=folder)
    assert raised.value.code == "EXPECTATIONS-INVALID"
    assert complaint in raised.value.what


def test_an_incomplete_cross_table_rule_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cross_table.yaml").write_text("references: [{rule_id: A-B}]", encoding="utf-8")
    with pytest.raises(TerminalError, match="EXPECTATIONS-INVALID: rule A-B lacks 'severity'"):
        load_reference_rules(tmp_path)


def test_importing_the_step_does_not_import_great_expectations_pandas_or_fhir() -> None:
    code = (
        "import sys; import pipelines.validate.suites, pipelines.validate.resources;"
        "print([name for name in ('great_expectations', 'pandas', 'fhir.resources') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
