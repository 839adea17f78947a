"""The checks on zib2017 (STU3) and zib2020 (R4): the same verdict on the same data, and no false alarm."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from contract_tables import EXPECTATIONS, REPOSITORY, SUITES
from shared_material import SHARED
from validated_exports import Judged, judge

from pipelines.validate.resources import check_resource
from pipelines.validate.rules import load_reference_rules

FIXTURES = REPOSITORY / "tests" / "zib" / "two_releases"
RELEASES = {"stu3": "zib2017", "r4": "zib2020"}

NOT_IN_THE_LIST_OF_2020 = "the fixture has a code that the value set of 2020 lacks"
NO_MEDICATION_OF_ITS_OWN = "the fixture leaves it out on purpose: the other half of a choice"
FIXTURE_FAILURES = {
    "ADMINISTRATION-AGREEMENT-AGREEMENT-MISSING": NO_MEDICATION_OF_ITS_OWN,
    "BLOOD-PRESSURE-DIASTOLIC-ENDPOINT-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "BODY-HEIGHT-UNIT-UNKNOWN": "written in metres, to be converted; the profile wants cm or inches",
    "CONTACT-PERSON-RELATIONSHIP-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "CONTACT-PERSON-ROLE-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "ENCOUNTER-CONTACT-WITH-ROLE-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "LABORATORY-SPECIMEN-PATIENT-MISSING": "the second specimen names no patient",
    "LABORATORY-VALUE-MISSING": "the fourth test has no value",
    "MEDICATION-DISPENSE-DISPENSED-MISSING": "the second dispense was not handed over",
    "MEDICATION-DISPENSE-DISTRIBUTION-FORM-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "NUTRITION-ADVICE-DIET-TYPE-MISSING": "the second advice has no diet",
    "PROCEDURE-DATE-MISSING": "the third and fourth procedure have no date",
    "PROCEDURE-REQUEST-AUTHORED-MISSING": "only the first request has a date",
    "PROCEDURE-REQUEST-PROCEDURE-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "TEXT-RESULT-TEXT-RESULT-TYPE-NOT-IN-VALUE-SET": NOT_IN_THE_LIST_OF_2020,
    "VACCINATION-DOSE-UNIT-MISSING": "the unit is one of the G-Standaard, and the zib has no such list for a vaccine",
}
"""What fails in the fixtures of both releases, by rule: each a real gap."""

TEXT_ONLY = "the example has words and no code"
ABSENT = "the example does not have it"
NOT_AMONG = "the example refers to a resource that is not among the examples"
OTHER_CODE = "the example has a code that is not in the value set"
EXAMPLE_FAILURES = {
    "zib2017": {
        "ADMINISTRATION-AGREEMENT-STATUS-MISSING": ABSENT,
        "CONTACT-PERSON-RELATIONSHIP-NOT-IN-VALUE-SET": "a relation of the list of 2017 that the list of 2020 lacks",
        "CONTACT-PERSON-ROLE-NOT-IN-VALUE-SET": "the list of 2017 counts 1, 2; that of 2020 has 01, 02",
        "HEALTHCARE-PROVIDER-ORGANIZATION-ORGANIZATION-TYPE-MISSING": ABSENT,
        "LABORATORY-MOMENT-MISSING": ABSENT,
        "MEDICAL-DEVICE-PRODUCT-PRODUCT-TYPE-MISSING": TEXT_ONLY,
        "MEDICATION-AGREEMENT-STATUS-MISSING": ABSENT,
        "MEDICATION-DISPENSE-STATUS-MISSING": ABSENT,
        "NUTRITION-ADVICE-DIET-TYPE-MISSING": TEXT_ONLY,
        "PAYER-STATUS-MISSING": ABSENT,
        "PROCEDURE-DATE-MISSING": ABSENT,
        "PROCEDURE-REQUEST-AUTHORED-MISSING": ABSENT,
        "REFERENCE-MEDICATION-MISSING": NOT_AMONG,
    },
    "zib2020": {
        "ALERT-ALERT-NAME-MISSING": ABSENT,
        "DRUG-USE-DRUG-USE-NOT-IN-VALUE-SET": OTHER_CODE,
        "DRUG-USE-ROUTE-OF-ADMINISTRATION-NOT-IN-VALUE-SET": OTHER_CODE,
        "ENCOUNTER-PATIENT-MISSING": ABSENT,
        "HEALTH-PROFESSIONAL-ROLE-SPECIALTY-MISSING": ABSENT,
        "HEALTHCARE-PROVIDER-ORGANIZATION-ORGANIZATION-TYPE-MISSING": ABSENT,
        "LABORATORY-MOMENT-MISSING": ABSENT,
        "LABORATORY-SPECIMEN-COLLECTED-MISSING": ABSENT,
        "LABORATORY-VALUE-MISSING": ABSENT,
        "NUTRITION-ADVICE-DIET-TYPE-MISSING": TEXT_ONLY,
        "PATIENT-BIRTH-DATE-MISSING": ABSENT,
        "PATIENT-GENDER-MISSING": ABSENT,
        "PHARMACEUTICAL-PRODUCT-MEDICATION-NOT-IN-VALUE-SET": OTHER_CODE,
        "PROCEDURE-DATE-MISSING": ABSENT,
        "REFERENCE-INDICATION-MISSING": "the stoma is a Condition, but no zib Problem, so it is in no table",
        "REFERENCE-PATIENT-MISSING": NOT_AMONG,
        "TOBACCO-USE-CODE-NOT-STANDARD": OTHER_CODE,
    },
}
"""What fails in the official examples, by rule: each a real gap in the example."""


def judged(folder: Path, source: Path) -> Judged:
    shutil.copytree(source, folder / "exports" / "noord")
    return judge(folder / "home", folder / "exports")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    """One made-up patient, written by hand in both releases."""
    return {release: judged(tmp_path_factory.mktemp(release), FIXTURES / release) for release in RELEASES}


def without_source() -> set[tuple[str, str]]:
    """(table, rule) of the rules over columns that STU3 has no source for."""
    with (REPOSITORY / "mappings/zib/2017/omissions.csv").open(encoding="utf-8", newline="") as lines:
        omitted = {(row["table"], row["column"]) for row in csv.DictReader(lines)}
    missing = {table for table, column in omitted if column == "*"}
    own = {
        (table, rule.rule_id)
        for table, suite in SUITES.items()
        for rule in suite.rules
        for expectation in suite.expectations
        if expectation["meta"]["rule_id"] == rule.rule_id
        and (table in missing or (table, bound_column(expectation["kwargs"].get("column", ""))) in omitted)
    }
    references = {
        (table, rule.rule.rule_id)
        for rule in load_reference_rules(EXPECTATIONS)
        for table in rule.tables
        if table in missing or (table, rule.column) in omitted
    }
    return own | references


def bound_column(column: str) -> str:
    """The column that a derived column about a value set is about."""
    start = column.removesuffix("_in_value_set")
    return column if start == column else f"{start}_codings_id"


def test_no_check_gives_another_verdict_in_one_release_than_in_the_other(both: dict[str, Judged]) -> None:
    stu3, r4 = both["stu3"].verdicts, both["r4"].verdicts
    assert stu3.keys() == r4.keys()
    unlike = {key for key in r4 if stu3[key] != r4[key]}
    assert unlike <= without_source()
    assert {stu3[key][0] for key in unlike} <= {"not_applicable"}
    assert sum(status == "passed" for status, *_ in stu3.values()) > 250


def test_what_fails_in_the_fixtures_is_wrong_in_the_fixtures(both: dict[str, Judged]) -> None:
    for release, found in both.items():
        assert found.failed.keys() == FIXTURE_FAILURES.keys(), release
        assert [row["rule_id"] for row in found.quarantine] == ["BODY-HEIGHT-UNIT-UNKNOWN"], release


@pytest.mark.parametrize("zibs", RELEASES.values())
def test_what_fails_in_the_official_examples_is_wrong_in_the_examples(zibs: str, tmp_path: Path) -> None:
    examples = SHARED / "examples" / f"nictiz-{zibs}"
    if not examples.exists():
        pytest.skip("the official examples are not here")
    found = judged(tmp_path, examples)
    assert found.failed.keys() == EXAMPLE_FAILURES[zibs].keys()
    errors = {check["rule_id"] for check in found.checks if check["severity"] == "error" and check["failed"]}
    assert errors == ({"ENCOUNTER-PATIENT-MISSING", "REFERENCE-PATIENT-MISSING"} if zibs == "zib2020" else set())


def test_every_fixture_fits_the_model_of_its_own_release() -> None:
    for release in RELEASES:
        for path in sorted((FIXTURES / release).glob("*.json")):
            assert check_resource(path.read_text(encoding="utf-8")) == [], path.name


def test_what_the_other_release_has_is_no_part_of_this_one() -> None:
    """The same Procedure with a profile of zib2020 is R4, which does not know `context`."""
    resource = json.loads((FIXTURES / "stu3" / "Procedure-proc1.json").read_text(encoding="utf-8"))
    resource["meta"]["profile"] = ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Procedure-event"]
    assert {str(problem) for problem in check_resource(json.dumps(resource))} == {"Procedure: extra_forbidden"}
    resource = json.loads((FIXTURES / "r4" / "Procedure-proc1.json").read_text(encoding="utf-8"))
    resource["meta"]["profile"] = ["http://fhir.nl/fhir/StructureDefinition/nl-core-procedure"]
    assert "Procedure: extra_forbidden" in {str(problem) for problem in check_resource(json.dumps(resource))}


@pytest.mark.skipif(not (SHARED / "examples").exists(), reason="the official examples are not here")
def test_the_official_stu3_examples_fit_the_stu3_models() -> None:
    """Every one that the mapping takes: R4 would refuse most of them."""
    paths = sorted((SHARED / "examples" / "nictiz-zib2017").glob("*.json"))
    failed = [path.name for path in paths if check_resource(path.read_text(encoding="utf-8"))]
    assert len(paths) == 208
    assert failed == []
