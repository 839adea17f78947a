"""K3.6.3 and K3.1.2 on FHIR resources as the Santeon IBD guide writes them, from mapping to answer."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from zib_exports import PSEUDONYMS, ROOT, map_files, ndjson

from pipelines.indicators.definitions import load_outcome_set
from pipelines.indicators.measures import measure
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments

NZA = "urn:oid:2.16.840.1.113883.2.4.6.14"
AS_OF = date(2026, 6, 1)
Resource = dict[str, Any]


def reference(kind: str, name: str) -> Resource:
    return {"reference": f"{kind}/{name}"}


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def patient(name: str) -> Resource:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1980-01-01"}


def procedure(name: str, of: str, start: str, *, code: str = "034620", system: str = NZA, **more: Any) -> Resource:
    return {"resourceType": "Procedure", "id": name, "status": "completed", "code": coded(system, code),
            "subject": reference("Patient", of), "performedPeriod": {"start": start}, **more}  # fmt: skip


def calprotectin(name: str, of: str, at: str, **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": name, "status": "final", "code": coded("http://loinc.org", "38445-3"),
            "subject": reference("Patient", of), "effectiveDateTime": at,
            "valueQuantity": {"value": 250, "unit": "mg/kg", "system": "http://unitsofmeasure.org", "code": "mg/kg"},
            **more}  # fmt: skip


def specialist(name: str, code: str) -> Resource:
    specialty = coded("https://santeon.nl/fhir/CodeSystem/nza-specialisme", code)
    return {"resourceType": "PractitionerRole", "id": name, "active": True, "specialty": [specialty]}


def dbc(name: str, of: str, specialty: str, diagnosis: str, care_type: str) -> list[Resource]:
    """A DBC as profile nl-dbc has it: care type as type, diagnosis as a Condition; the specialty is a type as well."""
    nza = "https://declaratie.nza.nl"
    condition = {"resourceType": "Condition", "id": f"{name}-d", "subject": reference("Patient", of),
                 "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
                 "code": coded(f"{nza}/diagnose", diagnosis)}  # fmt: skip
    episode = {"resourceType": "EpisodeOfCare", "id": name, "status": "finished", "patient": reference("Patient", of),
               "type": [coded(f"{nza}/zorgtype", care_type), coded(f"{nza}/specialisme", specialty)],
               "diagnosis": [{"condition": reference("Condition", f"{name}-d")}],
               "period": {"start": "2025-02-01", "end": "2025-06-01"}}  # fmt: skip
    return [condition, episode]


def performed_by(role: str) -> Resource:
    return {"performer": [{"actor": reference("PractitionerRole", role)}]}


def resources() -> Iterator[Resource]:
    for name in "abcdefghi":
        yield patient(name)
    yield specialist("mdl", "0318")
    yield specialist("kno", "0308")
    # K3.6.3: each procedure by itself, 90 and 91 days, not completed, another address, another code
    yield procedure("a1", "a", "2025-06-15T14:00:00Z")
    yield procedure("a2", "a", "2025-12-15T14:00:00Z", code="035582")
    yield calprotectin("a3", "a", "2025-03-17T09:30:00Z")
    yield procedure("b1", "b", "2025-06-15T14:00:00Z", code="034686")
    yield calprotectin("b2", "b", "2025-03-16T09:30:00Z")
    yield procedure("c1", "c", "2025-06-15T14:00:00Z", code="034690") | {"status": "in-progress"}
    yield procedure("d1", "d", "2025-06-15T14:00:00Z", system="https://declaratie.nza.nl/zorgactiviteit")
    laboratory = coded("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory")
    yield calprotectin("d3", "d", "2025-06-15T18:00:00Z", category=[laboratory])
    yield procedure("d2", "d", "2025-06-15T14:00:00Z", code="034621")
    # K3.1.2: by specialty, diagnosis and care type together, and who performed
    yield from dbc("e", "e", "0318", "601", "11")
    yield procedure("e1", "e", "2025-12-31", **performed_by("mdl"))
    yield from dbc("f", "f", "0313", "923", "21")
    yield procedure("f1", "f", "2025-03-01", **performed_by("kno"))
    yield from dbc("g", "g", "0303", "115", "11")
    yield procedure("g1", "g", "2026-01-01", **performed_by("mdl"))
    yield from dbc("h", "h", "0318", "922", "11")
    yield from dbc("i", "i", "0318", "602", "13")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """`outcome_patient` of these resources."""
    given = list(resources())
    kinds = sorted({each["resourceType"] for each in given})
    files = {f"{kind}.ndjson": ndjson(*(each for each in given if each["resourceType"] == kind)) for kind in kinds}
    mapped = map_files(tmp_path_factory.mktemp("guide"), files)
    assert mapped.quarantine == []
    roles = load_table_roles(ROOT / "mappings" / "table_roles.yaml")
    instruments = load_instruments(ROOT / "mappings" / "proms")
    ibd = load_outcome_set(ROOT / "mappings" / "outcome_sets" / "ibd", ROOT / "mappings" / "codes", instruments, roles)
    with duckdb.connect() as connection:
        for name, rows in {**mapped.tables, "zib_coding": mapped.codings}.items():
            if rows:
                connection.register("rows_of_table", pa.Table.from_pylist(rows))
                connection.execute(f"CREATE TABLE {name} AS FROM rows_of_table")
        measure(connection, ibd, roles, AS_OF)
        yield connection


def found(connection: duckdb.DuckDBPyConnection, indicator: str, kind: str, names: str) -> dict[str, Any]:
    """The answer by the id of the index resource; of resources that start no case there is none."""
    keys = {PSEUDONYMS.of_resource(f"{kind}/{name}"): name for name in names.split()}
    rows = connection.execute(
        "SELECT index_key, CASE WHEN status = 'included' THEN numerator::VARCHAR ELSE status END FROM outcome_patient"
        " WHERE indicator = ?",
        [indicator],
    ).fetchall()
    return {keys[key]: answer for key, answer in rows if key in keys}


def test_calprotectin_before_an_endoscopy_is_judged_per_procedure(answers: duckdb.DuckDBPyConnection) -> None:
    assert found(answers, "ibd-k363", "Procedure", "a1 a2 b1 c1 d1 d2") == {
        "a1": "true",  # 90 days before, without a category as in the guide's profile
        "a2": "false",  # the same patient, another window
        "b1": "false",  # 91 days before
        "d1": "true",  # the list under its other address; on the day itself, with a category
    }


def test_an_endoscopy_counts_by_dbc_and_performer(answers: duckdb.DuckDBPyConnection) -> None:
    assert found(answers, "ibd-k312", "EpisodeOfCare", "e f g h i") == {
        "e": "true",  # on the last day of the year
        "f": "false",  # by another specialist
        "g": "false",  # on the first day of the next year
    }


def test_nobody_else_is_in_the_cohort(answers: duckdb.DuckDBPyConnection) -> None:
    """922 is no diagnosis of 0318, and 13 no care type of the cohort."""
    assert answers.execute("SELECT count(*) FROM outcome_patient WHERE indicator = 'ibd-k312'").fetchone() == (3,)
    assert answers.execute("SELECT count(*) FROM outcome_patient WHERE indicator = 'ibd-k363'").fetchone() == (7,)
