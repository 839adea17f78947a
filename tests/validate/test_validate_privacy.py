"""No value of a patient leaves a validation: not in results, checks, reasons, exceptions, logs or output."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from contract_tables import AS_OF, EXPECTATIONS, SUITES, Checked, checks_content, frame_of, table_of
from great_expectations.validator.v1_validator import Validator

from pipelines.chain import Chain
from pipelines.errors import TerminalError
from pipelines.extract.exports import find_exports
from pipelines.validate.command import judge_batches
from pipelines.validate.gx_session import gx_session
from pipelines.validate.resources import check_resource
from pipelines.validate.rules import Rule, Suite

SECRETS = ["geheim-status", "8765.25", "1851-07-09", "2025-02-30", "geheim-eenheid", "1852-08-10"]

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

DEFECTIVE = {
    "zib_patient": [
        {
            "gender": SECRETS[0],
            "birth_date": date(1851, 7, 9),
            "death_date_text": SECRETS[3],
            "death_date": None,
        }
    ],
    "zib_body_weight": [
        {"weight_value": 8765.25},
        {"weight_ucum_code": SECRETS[4], "effective_at": datetime(1852, 8, 10, 1)},
        {"effective_at": None, "effective_text": SECRETS[3], "status": SECRETS[0]},
    ],
}


def assert_nothing_secret(text: str) -> None:
    assert [position for position, secret in enumerate(SECRETS) if secret in text] == []


def test_great_expectations_is_only_used_with_values_excluded_and_its_results_hold_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    formats: list[dict[str, Any]] = []
    results: list[str] = []
    original = Validator.validate_expectation_suite  # Batch.validate ends here too

    def watched(self: Validator, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        assert isinstance(self.result_format, dict)
        formats.append(self.result_format)
        results.append(json.dumps(result.to_json_dict(), default=str))
        return result

    monkeypatch.setattr(Validator, "validate_expectation_suite", watched)
    tables = {name: table_of(name, rows) for name, rows in DEFECTIVE.items()}
    validation = Checked(tmp_path, tables)

    assert validation.quarantined
    assert results
    assert all(each["exclude_unexpected_values"] is True for each in formats)
    assert all(each["unexpected_index_column_names"] == ["row"] for each in formats)
    assert_nothing_secret("".join(results))


def test_a_validation_tells_no_value_to_anyone(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    tables = {name: table_of(name, rows) for name, rows in DEFECTIVE.items()}
    validation = Checked(tmp_path, tables)

    output = capfd.readouterr()
    assert (output.out, output.err) == ("", ""), "no progress bar, no message"
    assert "great_expectations" not in caplog.text
    assert_nothing_secret(caplog.text)
    assert_nothing_secret(repr(validation.quarantined) + repr(validation.checks))


def test_no_file_of_a_run_and_no_message_holds_a_value_of_a_defective_resource(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every element of some defective resources holds a value of its own; none of them may be in what is written."""
    caplog.set_level(logging.DEBUG)
    secrets: list[str] = []

    def secret(text: str) -> str:
        secrets.append(text)
        return text

    def code(name: str) -> dict[str, Any]:
        coding = {"system": secret(f"urn:geheim:{name}"), "code": secret(f"geheimcode-{name}")}
        return {
            "coding": [coding | {"display": secret(f"geheime naam {name}")}],
            "text": secret(f"geheime tekst {name}"),
        }

    profile = "http://nictiz.nl/fhir/StructureDefinition/nl-core-"
    patient = {
        "resourceType": "Patient",
        "id": secret("geheimpatient-1"),
        "meta": {"profile": [f"{profile}Patient"]},
        "gender": secret("geheimgeslacht"),
        "birthDate": secret("1931-07-09"),
        "name": [{"family": secret("Geheimenaam"), "given": [secret("Geheimevoornaam")]}],
    }
    weight = {
        "resourceType": "Observation",
        "id": secret("geheimgewicht-1"),
        "meta": {"profile": [f"{profile}BodyWeight"]},
        "status": secret("geheimestatus"),
        "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/geheimpatient-1", "display": secret("Geheimeweergave")},
        "effectiveDateTime": secret("1927-03-04"),
        "valueQuantity": {"value": 98765.25, "unit": secret("geheimeenheid"), "code": secret("geheimucum")},
        "note": [{"text": secret("geheimenotitie")}],
    }
    problem = {
        "resourceType": "Condition",
        "id": secret("geheimprobleem-1"),
        "meta": {"profile": [f"{profile}Problem"]},
        "code": code("probleem"),
        "bodySite": [code("plaats")],
        "clinicalStatus": code("status"),
        "subject": {"reference": secret("Patient/geheimonbekend")},
        "onsetDateTime": secret("1926-01-02"),
        "abatementDateTime": secret("1925-01-02"),
        secret("geheimelement"): secret("geheimewaarde"),
    }
    secrets.append("98765.25")
    folder = tmp_path / "exports" / "ziekenhuis-a"
    folder.mkdir(parents=True)
    for resource in (patient, weight, problem):
        (folder / f"{resource['resourceType']}.ndjson").write_text(json.dumps(resource) + "\n", encoding="utf-8")

    chain = Chain.at(tmp_path / "home")
    (export,) = find_exports(tmp_path / "exports")
    chain.process(export, now=datetime(2025, 6, 30, tzinfo=UTC))
    judge_batches(tmp_path / "home", EXPECTATIONS, None, institution=None, batch_id=None)

    output = capfd.readouterr()
    written = {
        path: path.read_text(encoding="utf-8")
        for path in (tmp_path / "home" / "batches").rglob("*")
        if path.is_file() and path.suffix != ".parquet"
    }
    assert {path.name for path in written} >= {"checks.json", "validation.html", "validation.json", "index.html"}
    assert any(
        json.loads(text)["verdicts"]["exceeded"]
        for path, text in written.items()
        if path.suffix == ".json" and path.name == "validation.json"
    )
    said = {"stdout": output.out, "stderr": output.err, "log": caplog.text}
    found = [
        (str(place), number)
        for place, text in {**written, **said}.items()
        for number, value in enumerate(secrets)
        if value in text
    ]
    assert found == []


@pytest.mark.parametrize("ending", ["validation.html", "index.html"])
def test_the_pages_ask_nothing_from_the_network(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "batches" / "ziekenhuis-a" / "b1"
    folder.mkdir(parents=True)
    content = checks_content({"zib_body_weight": table_of("zib_body_weight", [{"status": "klaar"}])}, tmp_path)
    (folder / "checks.json").write_text(json.dumps(content), encoding="utf-8")
    judge_batches(tmp_path, EXPECTATIONS, None, institution=None, batch_id=None)
    pages = [path for path in folder.rglob("*.html") if path.name == ending]
    assert pages
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text), page.name
        assert "@import" not in text
        assert "<script" not in text


def test_a_rule_that_cannot_be_evaluated_says_which_rule_and_no_value(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    rule = Rule("STATUS-RANGE", "error", "data-quality", "operationalisation", "", "")
    between = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "status", "min_value": 1, "max_value": 2},
        "meta": {"rule_id": "STATUS-RANGE"},
    }
    suite = Suite("zib_body_weight", "Observation", (rule,), (between,), {})
    chunk = frame_of(SUITES["zib_body_weight"], DEFECTIVE["zib_body_weight"], tmp_path)
    with gx_session() as session, pytest.raises(TerminalError) as raised:
        session.run(suite, chunk, AS_OF)
    assert raised.value.code == "EXPECTATION-FAILED"
    assert "STATUS-RANGE" in str(raised.value)
    output = capfd.readouterr()
    assert raised.value.__cause__ is None
    assert_nothing_secret(repr(raised.value) + caplog.text + output.out + output.err)


def test_loggers_are_as_before_after_a_session() -> None:
    def state() -> tuple[object, ...]:
        logger = logging.getLogger("great_expectations")
        return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers)

    before = state()
    with gx_session():
        pass
    assert state() == before


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "geheim-status"},
        {"resourceType": "Patient", "geheim-status": 1, "birthDate": "2025-02-30"},
        {
            "resourceType": "Patient",
            "gender": ["geheim-status"],
            "name": [{"family": {"8765.25": "geheim-eenheid"}}],
        },
        {"resourceType": "Observation", "contained": [{"resourceType": "geheim-status"}]},
    ],
    ids=["unknown type", "unknown element", "wrong types", "unknown contained type"],
)
def test_a_resource_problem_holds_no_value_and_no_invented_element_name(resource: dict[str, Any]) -> None:
    problems = check_resource(json.dumps(resource))
    assert problems
    assert_nothing_secret(repr(problems))
