"""Seconds of a fit-gap run over a lake of a million rows. Usage: python benchmarks/fit_gap.py [--rows 1000000]"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from pipelines.chain import Chain
from pipelines.lake.tables import Lake

_HOSPITALS = 12
_LANDED = datetime(2025, 12, 31, tzinfo=UTC)

# Per patient one operation and eight answers: two questionnaires of four questions, 30 days before and 365 after.
_TABLES = {
    "zib_patient": "SELECT md5('pat' || i) AS resource_key, md5('p' || i) AS patient_key, i % 50 = 0 AS deceased,"
    " NULL::DATE AS death_date, NULL::VARCHAR AS death_date_text FROM range({patients}) AS patient(i)",
    "zib_procedure": "SELECT md5('o' || i) AS resource_key, md5('p' || i) AS patient_key, 'completed' AS status,"
    " CASE i % 2 WHEN 0 THEN '52734007' ELSE '609588000' END AS procedure_code,"
    " 'http://snomed.info/sct' AS procedure_system, procedure_code AS procedure_snomed_code,"
    " '7771000' AS laterality_snomed_code, DATE '2023-01-01' + (i % 700)::INTEGER AS start_date"
    " FROM range({patients}) AS patient(i)",
    "prom_answer": "SELECT md5('r' || i || m) AS resource_key, md5('p' || i) AS patient_key,"
    " 'http://uitkomststroom.nl/fhir/Questionnaire/nrs-pain' AS questionnaire, '1.0' AS questionnaire_version,"
    " 'completed' AS status, DATE '2023-01-01' + (i % 700)::INTEGER + m::INTEGER AS authored_at,"
    " CASE q WHEN 0 THEN 'activity' WHEN 1 THEN 'rest' ELSE 'other' || q END AS link_id,"
    " (i % 11)::DOUBLE AS value_number, NULL::VARCHAR AS value_code, NULL::VARCHAR AS value_code_system,"
    " NULL::VARCHAR AS source_related_person_key, NULL::VARCHAR AS source_practitioner_key,"
    " NULL::VARCHAR AS source_practitioner_role_key"
    " FROM range({patients}) AS patient(i), unnest([-30, 365]) AS moment(m), range(4) AS question(q)",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    patients = options.rows // 10 // _HOSPITALS
    with tempfile.TemporaryDirectory(prefix="uitkomst-bench-") as folder:
        home = Path(folder)
        _fill(Lake(home / "lake"), patients)
        chain = Chain.at(home)
        started = time.perf_counter()
        run = chain.fit_gap(date(2025, 12, 31))
        seconds = time.perf_counter() - started
    rows = patients * 10 * _HOSPITALS
    print(f"fit-gap over {rows:,} rows, {len(run['institutions'])} institutions: {seconds:.1f} s")


def _fill(lake: Lake, patients: int) -> None:
    for number in range(_HOSPITALS):
        name = f"ziekenhuis-{number:02}"
        for table, sql in _TABLES.items():
            rows = duckdb.sql(f"SELECT '{name}' AS institution, * FROM ({sql.format(patients=patients)})")
            lake.append(table, rows.to_arrow_table(), institution=name, batch_id="1", landed_at=_LANDED)


if __name__ == "__main__":
    main()
