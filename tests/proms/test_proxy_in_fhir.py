"""Who answered, as FHIR says it: QuestionnaireResponse.source through the view to the score."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from pipelines.proms.instruments import load_instruments
from pipelines.proms.scoring import score
from pipelines.sqlonfhir.run import load_view, run_view

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"reference": "Patient/p"}, "patient"),
        (None, "patient"),
        ({"reference": "RelatedPerson/daughter"}, "proxy"),
        ({"reference": "Practitioner/nurse"}, "professional"),
        ({"reference": "PractitionerRole/nurse"}, "professional"),
    ],
)
def test_the_source_of_a_response_tells_who_answered(
    tmp_path: Path, source: dict[str, str] | None, expected: str
) -> None:
    response = {
        "resourceType": "QuestionnaireResponse", "id": "r", "status": "completed",
        "subject": {"reference": "Patient/p"},
        "questionnaire": "http://uitkomststroom.nl/fhir/Questionnaire/mrs|1.0", "authored": "2024-05-01T10:00:00+02:00",
        "item": [{"linkId": "mrs", "answer": [{"valueInteger": 3}]}],
    }  # fmt: skip
    if source:
        response["source"] = source
    resources, out = tmp_path / "in.ndjson", tmp_path / "prom_answer.parquet"
    resources.write_text(json.dumps(response) + "\n", encoding="utf-8")
    run_view(load_view(MAPPINGS / "zib" / "2020" / "prom_answer.json"), resources, out, 1 << 20)
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE prom_answer AS SELECT 'H1' AS institution, * FROM '{out}'")
    score(connection, load_instruments(MAPPINGS / "proms"))
    assert connection.sql("SELECT answered_by, value FROM prom_score").fetchall() == [(expected, 3.0)]
