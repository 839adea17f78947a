"""Each measure on a lake made by hand, where a reader can count along."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from fitgap_lake import (
    AS_OF,
    HIP,
    LOCAL,
    Operation,
    Person,
    Response,
    deliver,
    element,
    knie_heupartrose,
    run,
    shares,
)

from pipelines.fitgap.measure import Count, measure
from pipelines.indicators.elements import Check
from pipelines.lake.tables import Lake

HIPS = "primary-total-hip-arthroplasty:completed"
BEFORE = f"prom_answer@nrs-pain/activity:zib_procedure/{HIPS}:-182..0"
AFTER = f"prom_answer@nrs-pain/activity:zib_procedure/{HIPS}:63..110"


def test_a_code_is_filled_coded_with_its_system_and_in_a_system_that_value_sets_use(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        Person("p1"),
        Operation("snomed"),
        Operation("local code", system=LOCAL, code="HEUP"),
        Operation("code without system", system=None, code="HEUP"),
        Operation("no code", system=None, code=None),
    )
    found = shares(run(tmp_path), "zib_procedure.procedure_code", ["filled", "coded", "system"])
    assert found == [(3, 4), (2, 3), (1, 2)]


def test_index_events_are_completed_operations_with_a_code_of_the_value_set(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        Operation("hip"),
        Operation("planned hip", status="preparation"),
        Operation("other operation", code="274051007"),
    )
    assert shares(run(tmp_path), f"zib_procedure.procedure_code@{HIPS}", ["found"]) == [(1, 3)]


def test_a_date_is_filled_when_it_is_complete(tmp_path: Path) -> None:
    deliver(
        tmp_path, Operation("o1"), Operation("only a year", day=None), Operation("knee", code="609588000", day=None)
    )
    assert shares(run(tmp_path), f"zib_procedure.start_date@{HIPS}", ["filled"]) == [(1, 2)]


def test_a_row_is_linkable_when_its_patient_came_along(tmp_path: Path) -> None:
    deliver(
        tmp_path, Person("p1"), Operation("o1"), Operation("o2", patient="elsewhere"), Operation("o3", patient=None)
    )
    assert shares(run(tmp_path), "zib_procedure.patient_key", ["linkable"]) == [(1, 3)]


def test_a_patient_of_another_institution_links_nothing(tmp_path: Path) -> None:
    deliver(tmp_path, Person("p1"), institution="b")
    deliver(tmp_path, Operation("o1"))
    assert shares(run(tmp_path), "zib_procedure.patient_key", ["linkable"]) == [(0, 1)]


def test_a_side_is_filled_and_in_its_value_set(tmp_path: Path) -> None:
    deliver(tmp_path, Operation("o1"), Operation("o2", side="260521003"), Operation("o3", side=None))
    found = shares(run(tmp_path), f"zib_procedure.laterality_snomed_code@{HIPS}", ["filled", "value_set"])
    assert found == [(2, 3), (1, 2)]


def test_delay_counts_from_the_event_to_the_first_time_it_came_in_and_the_first_export_does_not_count(
    tmp_path: Path,
) -> None:
    march, may = datetime(2025, 3, 31, tzinfo=UTC), datetime(2025, 5, 31, tzinfo=UTC)
    deliver(tmp_path, Operation("old", day=date(2022, 1, 1)))
    deliver(
        tmp_path,
        Operation("old", day=date(2022, 1, 1)),
        Operation("after 10 days", day=date(2025, 3, 21)),
        Operation("after 30 days", day=date(2025, 3, 1)),
        Operation("after 31 days", day=date(2025, 2, 28)),
        landed=march,
    )
    deliver(tmp_path, Operation("after 10 days", day=date(2025, 3, 21)), landed=may)
    found = element(run(tmp_path), f"zib_procedure.start_date@{HIPS}")
    assert (found["checks"]["timely"]["part"], found["checks"]["timely"]["whole"]) == (2, 3)
    assert (found["median_days"], found["p90_days"]) == (30, 30.8)


def test_only_the_newest_version_of_a_resource_is_measured(tmp_path: Path) -> None:
    deliver(tmp_path, Operation("o1", day=None))
    deliver(tmp_path, Operation("o1"), landed=datetime(2025, 3, 31, tzinfo=UTC))
    assert shares(run(tmp_path), f"zib_procedure.start_date@{HIPS}", ["filled"]) == [(1, 1)]


def test_death_is_recorded_among_patients_with_the_operation(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        Person("p1", death=date(2024, 4, 1)),
        Person("p2"),
        Person("no operation", deceased=True),
        Operation("o1"),
        Operation("o2", patient="p2"),
    )
    content = run(tmp_path)
    assert shares(content, f"zib_patient.deceased@patients-of:zib_procedure/{HIPS}", ["recorded"]) == [(1, 2)]
    assert shares(content, "zib_patient.death_date@deceased", ["filled"]) == [(1, 2)]


def test_a_questionnaire_is_recognised_by_its_canonical_and_hangs_on_an_index_patient(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        Operation("o1"),
        Response("r1"),
        Response("r2", patient="somebody else"),
        Response("unknown questionnaire", questionnaire="http://example.org/nrs"),
        Response("not finished", status="in-progress"),
    )
    found = shares(run(tmp_path), "prom_answer.questionnaire@nrs-pain", ["recognised", "index_patient"])
    assert found == [(2, 3), (1, 2)]


def test_a_response_is_complete_when_it_can_be_scored(tmp_path: Path) -> None:
    deliver(tmp_path, Response("r1"), Response("no answer", answer=None), Response("out of range", answer=11))
    assert shares(run(tmp_path), "prom_answer.link_id@nrs-pain/activity", ["complete"]) == [(1, 3)]


def test_a_moment_is_hit_by_a_usable_score_inside_the_window_on_both_edges(tmp_path: Path) -> None:
    """Before: day -182 to 0. After 3 months: day 63 to 110, counted only when day 110 has passed."""
    operated = date(2024, 7, 1)
    patients = ["first day", "day of operation", "too early", "unusable", "nothing"]
    deliver(
        tmp_path,
        *[Operation(f"o {patient}", patient=patient, day=operated) for patient in patients],
        Operation("recent", patient="recent", day=date(2025, 12, 1)),
        Response("r1", "first day", date(2024, 1, 1)),
        Response("r2", "day of operation", operated),
        Response("r3", "too early", date(2023, 12, 31)),
        Response("r4", "unusable", operated, answer=None),
        Response("r5", "first day", date(2024, 9, 2)),
        Response("r6", "nothing", date(2024, 9, 1)),
        Response("r7", "day of operation", date(2024, 10, 19)),
        Response("r8", "too early", date(2024, 10, 20)),
    )
    content = run(tmp_path)
    assert shares(content, BEFORE, ["followed", "moment"]) == [(6, 6), (2, 6)]
    assert shares(content, AFTER, ["followed", "moment"]) == [(5, 6), (2, 5)]


def test_a_coding_that_a_concept_map_added_counts_through_zib_coding(tmp_path: Path) -> None:
    deliver(tmp_path, Operation("mapped", system=LOCAL, code="HEUP", codings="c1"), Operation("unmapped", system=LOCAL))
    connection = duckdb.connect()
    Lake(tmp_path / "lake").attach(connection, ["zib_procedure"])
    connection.execute(
        "CREATE TABLE zib_coding (institution VARCHAR, codings_id VARCHAR, system VARCHAR, code VARCHAR)"
    )
    coding = [["a", "c1", LOCAL, "HEUP"], ["a", "c1", "http://snomed.info/sct", HIP], ["b", "c1", "x", "y"]]
    connection.executemany("INSERT INTO zib_coding VALUES (?, ?, ?, ?)", coding)
    fit_gap = knie_heupartrose()
    _, measured = measure(connection, fit_gap.needs, fit_gap.definitions, AS_OF)
    assert measured["a", f"zib_procedure.procedure_code@{HIPS}"].counts[Check.FOUND] == Count(1, 2)
    assert measured["a", "zib_procedure.procedure_code"].counts[Check.SYSTEM] == Count(1, 2)


def test_a_table_without_a_column_reads_as_never_filled(tmp_path: Path) -> None:
    rows = pa.table(
        {"institution": ["a"], "resource_key": ["o1"], "patient_key": ["p1"], "status": ["completed"],
         "procedure_code": [HIP], "procedure_system": ["http://snomed.info/sct"], "start_date": [date(2024, 1, 1)]}
    )  # fmt: skip
    landed = datetime(2025, 1, 31, tzinfo=UTC)
    Lake(tmp_path / "lake").append("zib_procedure", rows, institution="a", batch_id="1", landed_at=landed)
    assert shares(run(tmp_path), f"zib_procedure.laterality_snomed_code@{HIPS}", ["filled"]) == [(0, 1)]
