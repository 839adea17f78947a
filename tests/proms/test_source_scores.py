"""Scores that the record holds already, as Observations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest

from pipelines.proms.instruments import load_instruments
from pipelines.proms.scoring import score

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
INSTRUMENTS = load_instruments(MAPPINGS / "proms")

_TABLES = """
CREATE TABLE prom_answer (
    institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, questionnaire VARCHAR,
    questionnaire_version VARCHAR, status VARCHAR, authored_at TIMESTAMP, source_related_person_key VARCHAR,
    source_practitioner_key VARCHAR,
    source_practitioner_role_key VARCHAR, link_id VARCHAR, value_number DOUBLE, value_code VARCHAR);
CREATE TABLE prom_observation (
    institution VARCHAR, resource_key VARCHAR, patient_key VARCHAR, status VARCHAR, score_loinc_code VARCHAR,
    score_snomed_code VARCHAR, value_number DOUBLE, effective_at TIMESTAMP);
"""

CASES = [
    ("a T-score of a CAT", "final", "77861-3", None, 62.4, ("promis-cat-depression", "1.0", 62.4, None)),
    ("an amended one", "amended", "91721-1", None, 38.1, ("promis-cat-physical-function", "2.0", 38.1, None)),
    ("an mRS with two codes", "final", "75859-9", "1255866005", 3.0, ("mrs", "1.0", 3.0, None)),
    ("an EQ-5D index", "corrected", None, "736534008", 0.81, ("eq-5d-5l", "NL-2016", 0.81, None)),
    ("not final", "preliminary", "77861-3", None, 62.4, ("promis-cat-depression", "1.0", None, "result not final")),
    ("withdrawn", "entered-in-error", "75859-9", None, 3.0, ("mrs", "1.0", None, "entered in error")),
    ("impossible", "final", "75859-9", None, 7.0, ("mrs", "1.0", None, "item out of range")),
    ("empty", "final", "75859-9", None, None, ("mrs", "1.0", None, "item missing")),
]


@pytest.mark.parametrize(("what", "status", "loinc", "snomed", "value", "expected"), CASES, ids=[c[0] for c in CASES])
def test_an_observation_is_taken_over(
    what: str,
    status: str,
    loinc: str | None,
    snomed: str | None,
    value: float | None,
    expected: tuple[str, str, float | None, str | None],
) -> None:
    connection = duckdb.connect()
    connection.execute(_TABLES)
    connection.execute(
        "INSERT INTO prom_observation VALUES ('H1', 'o', 'p', ?, ?, ?, ?, TIMESTAMP '2024-03-01 10:00:00')",
        [status, loinc, snomed, value],
    )
    connection.execute(
        "INSERT INTO prom_observation VALUES ('H1', 'x', 'p', 'final', '2160-0', NULL, 80, '2024-03-01 10:00:00')"
    )
    score(connection, INSTRUMENTS)
    rows = connection.sql(
        "SELECT instrument, instrument_version, value, missing_reason, scored_by, resource_key FROM prom_score"
    ).fetchall()
    assert rows == [(*expected, "source", "o")]


def test_the_view_selects_exactly_the_codes_of_the_instruments() -> None:
    view = json.loads((MAPPINGS / "zib" / "2020" / "prom_observation.json").read_text(encoding="utf-8"))
    loinc, snomed = view["where"][0]["path"].split(" or (system = %snomed")
    found = {("http://loinc.org", code) for code in re.findall(r"'([^']+)'", loinc)}
    found |= {("http://snomed.info/sct", code) for code in re.findall(r"'([^']+)'", snomed)}
    assert found == {(c.system, c.code) for i in INSTRUMENTS for rule in i.scores for c in rule.codes}
