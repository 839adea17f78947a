"""CSV extracts give the rows that the same facts give as FHIR resources, with every line accounted for."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.errors import TerminalError
from pipelines.extract.exports import find_exports
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.settings import PROJECT
from pipelines.zib.catalogue import Catalogue, load_catalogue
from pipelines.zib.csv_extract import CsvExtracts
from pipelines.zib.csv_mapping import load_csv_mappings
from pipelines.zib.mapping import map_export

PSEUDONYMS = Pseudonyms(b"a key for tests, 32 bytes long!!", "noord")
HIX = "urn:uitkomststroom:example:hix"

PATIENTS = """\
Patientnummer;BSN;Achternaam;Voorletters;Adres;Postcode;Telefoon;Geslacht;Geboortedatum;Overlijdensdatum
P1;999911120;Verzonnen;A.B.;"Laan 1; achter";1234AB;0612345678;V;03-02-1950;
P2;12345672;Bedacht;C.;Plein 2;4321ZZ;0687654321;M;31-12-1944;05-01-2025
"""
DIAGNOSES = """\
Diagnosenummer;Patientnummer;ICD10;Omschrijving;Lokalecode;Status;Begindatum;Einddatum;Registratiedatum
D1;P1;M17.1;Overige primaire gonartrose;KNIE1;A;01-03-2024;;02-03-2024
D2;P2;;;HEUP;I;15-06-2023;16-06-2024;
"""
PROCEDURES = """\
Verrichtingnummer;Patientnummer;Status;Zorgactiviteit;Omschrijving;Uitvoerdatum;Opnamenummer
V1;P1;U;038565;"Totale ""primaire"" knievervanging; links";10-04-2024 08:15;O1
V2;P2;G;038567;Totale heupvervanging;11-04-2024;
"""
LABORATORY = """\
Monsternummer;Patientnummer;Bepaling;Bepaling omschrijving;Status;Uitslag;Eenheid;Afnamemoment;Referentie laag;\
Referentie hoog;Opmerking
M1;P1;KREA;Kreatinine;D;1.087,5;umol/L;09-04-2024 07:30;45,0;84,0;"niet nuchter
volgens patient"
M1;P1;CRP;C-reactief proteine;D;<0,3;mg/L;09-04-2024 07:30;;10,0;
M2;P2;KREA;Kreatinine;V;;umol/L;09-04-2024;;;
"""
FILES = {"patienten.csv": PATIENTS, "diagnosen.csv": DIAGNOSES, "verrichtingen.csv": PROCEDURES, "lab.csv": LABORATORY}


def coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def lab(id_: str, code: str, display: str, quantity: dict[str, Any], low: float | None, high: float) -> dict[str, Any]:
    category = coding("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory")
    limits = {"high": {"value": high}} | ({"low": {"value": low}} if low is not None else {})
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "subject": {"reference": "Patient/P1"},
        "category": [{"coding": [category]}], "code": {"coding": [coding(f"{HIX}:bepaling", code, display)]},
        "valueQuantity": {"system": "http://unitsofmeasure.org", **quantity},
        "effectiveDateTime": "2024-04-09T07:30:00", "referenceRange": [limits],
    }  # fmt: skip


def bsn(value: str) -> list[dict[str, str]]:
    return [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": value}]


def procedure(id_: str, patient: str, status: str, performed: str, code: str, display: str) -> dict[str, Any]:
    return {
        "resourceType": "Procedure", "id": id_, "subject": {"reference": f"Patient/{patient}"}, "status": status,
        "performedDateTime": performed,
        "code": {"coding": [coding("urn:oid:2.16.840.1.113883.2.4.6.14", code, display)]},
    }  # fmt: skip


def condition(id_: str, patient: str, status: str, codings: list[dict[str, str]], **dates: str) -> dict[str, Any]:
    clinical = {"coding": [coding("http://terminology.hl7.org/CodeSystem/condition-clinical", status)]}
    return {
        "resourceType": "Condition", "id": id_, "subject": {"reference": f"Patient/{patient}"},
        "clinicalStatus": clinical, "code": {"coding": codings}, **dates,
    }  # fmt: skip


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "P1", "identifier": bsn("999911120"), "gender": "female",
     "birthDate": "1950-02-03", "name": [{"family": "Verzonnen"}]},
    {"resourceType": "Patient", "id": "P2", "identifier": bsn("012345672"), "gender": "male",
     "birthDate": "1944-12-31", "deceasedDateTime": "2025-01-05"},
    condition("D1", "P1", "active", [coding("http://hl7.org/fhir/sid/icd-10", "M17.1", "Overige primaire gonartrose"),
              coding(f"{HIX}:diagnose", "KNIE1")], onsetDateTime="2024-03-01", recordedDate="2024-03-02"),
    condition("D2", "P2", "inactive", [coding(f"{HIX}:diagnose", "HEUP")], onsetDateTime="2023-06-15",
              abatementDateTime="2024-06-16"),
    {**procedure("V1", "P1", "completed", "2024-04-10T08:15:00", "038565", 'Totale "primaire" knievervanging; links'),
     "encounter": {"reference": "Encounter/O1"}},
    procedure("V2", "P2", "not-done", "2024-04-11", "038567", "Totale heupvervanging"),
    lab("M1-KREA", "KREA", "Kreatinine", {"value": 1087.5, "unit": "umol/L", "code": "umol/L"}, 45, 84),
    lab("M1-CRP", "CRP", "C-reactief proteine",
        {"value": 0.3, "comparator": "<", "unit": "mg/L", "code": "mg/L"}, None, 10),
]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(PROJECT / "mappings")


class Mapped:
    """What became of an export of institution `noord`."""

    def __init__(
        self, folder: Path, catalogue: Catalogue, files: dict[str, str | bytes], mappings: Path | None = None,
        limit: int = 1 << 20,
    ) -> None:  # fmt: skip
        out, work = folder / "out", folder / "work"
        for name, content in files.items():
            path = folder / "drop" / "noord" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8-sig") if isinstance(content, str) else content)
        out.mkdir()
        work.mkdir()
        csv = load_csv_mappings(mappings or PROJECT / "mappings" / "csv", catalogue)
        self.extracts = CsvExtracts(csv, catalogue, PSEUDONYMS, work=work, maximum_line_bytes=limit)
        (export,) = find_exports(folder / "drop")
        self.report = map_export(
            export, out, catalogue=catalogue, pseudonyms=PSEUDONYMS, work=work, maximum_line_bytes=limit,
            read_extract=self.extracts.read,
        ).as_dict()  # fmt: skip
        assert not [path for path in work.rglob("*") if path.is_file()], "identifiers stayed behind"
        self.tables = {path.stem: pq.read_table(path) for path in out.glob("*.parquet")}
        text = (out / "quarantine.ndjson").read_text(encoding="utf-8")
        self.quarantine = [json.loads(line) for line in text.splitlines()]
        self.written = text + json.dumps(self.report) + repr([table.to_pydict() for table in self.tables.values()])
        totals = self.report["totals"]
        assert totals["lines"] == totals["accepted"] + totals["quarantined"] + totals["skipped"]
        assert totals["quarantined"] == len(self.quarantine)

    def rows(self, table: str) -> list[dict[str, Any]]:
        places = {"source_file", "source_line"}
        rows = [{k: v for k, v in row.items() if k not in places} for row in self.tables[table].to_pylist()]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))

    @property
    def flaws(self) -> dict[int | None, str]:
        return {row["source_line"]: row["rule_id"] for row in self.quarantine}


def test_the_hix_example_gives_the_tables_of_the_same_patients_in_fhir(catalogue: Catalogue, tmp_path: Path) -> None:
    extract = Mapped(tmp_path / "csv", catalogue, dict(FILES))
    fhir = Mapped(
        tmp_path / "fhir", catalogue, {"all.ndjson": "".join(json.dumps(r) + "\n" for r in RESOURCES).encode()}
    )
    assert extract.quarantine == fhir.quarantine == []
    assert extract.tables.keys() == fhir.tables.keys()
    filled = [name for name in fhir.tables if fhir.tables[name].num_rows]
    assert set(filled) == {
        "zib_patient", "zib_problem", "zib_procedure", "zib_laboratory_test_result", "zib_coding"
    }  # fmt: skip
    for name in fhir.tables:
        assert extract.tables[name].schema.equals(fhir.tables[name].schema), name
        expected = fhir.rows(name)
        if name == "zib_laboratory_test_result":  # the extract does not say that a result is a laboratory result
            expected = [{**row, **{k: None for k in row if k.startswith("result_type")}} for row in expected]
        if name == "zib_coding":
            lists = {row["codings_id"] for row in extract.rows(name)}
            expected = [row for row in expected if row["codings_id"] in lists]
        assert extract.rows(name) == expected, name


def test_values_are_read_as_the_mapping_says(catalogue: Catalogue, tmp_path: Path) -> None:
    mapped = Mapped(tmp_path, catalogue, dict(FILES))
    creatinine, crp = sorted(mapped.rows("zib_laboratory_test_result"), key=lambda row: -row["value"])
    assert creatinine["value"] == 1087.5
    assert creatinine["effective_at"] == datetime(2024, 4, 9, 7, 30)
    assert (crp["value"], crp["value_comparator"], crp["reference_low"]) == (0.3, "<", None)
    by_birth = {row["birth_date"]: row for row in mapped.rows("zib_patient")}
    assert by_birth[date(1944, 12, 31)]["death_date_text"] == "2025-01-05"
    lines = {(r["source_file"], r["source_line"]) for r in mapped.tables["zib_laboratory_test_result"].to_pylist()}
    assert lines == {("lab.csv", 2), ("lab.csv", 4)}, "a quoted line break shifts no line number"
    account = next(f for f in mapped.report["files"] if f["file"] == "lab.csv")
    assert account["lines"] == LABORATORY.count("\n")
    assert account["skipped"] == {"CSV-HEADER": 1, "LINE-CONTINUED": 1, "NOTHING-MAPPED": 1}
    loinc = [row for row in mapped.rows("zib_coding") if row["system"] == "http://loinc.org"]
    assert [(row["code"], row["mapped_from"]) for row in loinc] == [("14682-9", 0)]


WEIGHTS = """\
name: gewicht
title: Weights in grams
source: invented
files:
  - file: "gewicht.csv"
    tables:
      - table: zib_body_weight
        id: "w-{Nr}"
        patient: "{Patient}"
        columns:
          status: {value: final}
          weight_value: Gewicht
          weight_ucum_code: Eenheid
          effective_at: Datum
"""


def test_quantities_are_converted_to_the_unit_of_the_zib(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "gewicht.yaml").write_text(WEIGHTS, encoding="utf-8")
    text = "Nr;Patient;Gewicht;Eenheid;Datum\n1;P1;70300;g;01-01-2025\n2;P1;71,5;kg;02-01-2025\n3;P1;72;pond;\n"
    mapped = Mapped(tmp_path, catalogue, {"gewicht.csv": text}, tmp_path / "mappings")
    assert [row["weight_kg"] for row in mapped.tables["zib_body_weight"].to_pylist()] == [70.3, 71.5, None]
    keys = mapped.tables["zib_body_weight"]["resource_key"].to_pylist()
    assert keys[0] == PSEUDONYMS.of_resource("Observation/w-1")


def test_a_diagnosis_in_csv_joins_its_patient_in_fhir(catalogue: Catalogue, tmp_path: Path) -> None:
    patient = json.dumps(RESOURCES[0]).encode() + b"\n"
    mapped = Mapped(tmp_path, catalogue, {"Patient.ndjson": patient, "diagnosen.csv": DIAGNOSES})
    (known,) = mapped.rows("zib_patient")
    assert known["patient_key"] in {row["patient_key"] for row in mapped.rows("zib_problem")}


def test_no_direct_identifier_passes(catalogue: Catalogue, tmp_path: Path) -> None:
    written = Mapped(tmp_path, catalogue, dict(FILES)).written
    for value in ("999911120", "12345672", "Verzonnen", "Bedacht", "Laan 1", "1234AB", "0612345678", "P1", "nuchter"):
        assert value not in written


def test_a_column_nobody_names_is_reported_and_one_that_is_absent_named(catalogue: Catalogue, tmp_path: Path) -> None:
    diagnoses = DIAGNOSES.replace("Registratiedatum", "Registratiedatum;Behandelaar 12345678", 1).replace(
        "02-03-2024", "02-03-2024;x", 1
    )
    diagnoses = diagnoses.replace("16-06-2024;\n", "16-06-2024;;\n")
    patients = PATIENTS.replace("Geslacht", "Sekse", 1)
    mapped = Mapped(tmp_path, catalogue, {"diagnosen.csv": diagnoses, "patienten.csv": patients})
    assert mapped.extracts.columns_not_mapped == {"diagnosen.csv": ["column 10"]}
    assert mapped.extracts.columns_missing == {"patienten.csv": ["Geslacht"]}
    assert mapped.tables["zib_problem"].num_rows == 2
    (row,) = mapped.quarantine
    assert (row["rule_id"], row["source_line"]) == ("CSV-COLUMN-MISSING", None)
    assert "Geslacht" in row["reason"]
    assert "Verzonnen" not in mapped.written


BAD = {
    2: (b"D1;P1;M17.1;Gonartrose;;A;01-03-2024;", "CSV-FIELDS"),
    3: (b'D2;P1;M17.1;"Gon"artrose;;A;01-03-2024;;', "CSV-QUOTE"),
    4: (b"D3;P1;M17.1;Gonartrose;;A;2024-03-01;;", "CSV-DATE"),
    5: (b"D4;P1;M17.1;Gon\xefrtrose;;A;01-03-2024;;", "CSV-ENCODING"),
    6: (b"", "blank"),
    7: (b"D5;P1;M17.1;Gonartrose;;X;01-03-2024;;", "CSV-CODE"),
    8: (b"D6;P1;M17.1;Gonartrose;;A;30-02-2024;;", "CSV-DATE"),
    9: (b";P1;M17.1;Gonartrose;;A;01-03-2024;;", "RESOURCE-NO-ID"),
    10: (b'D7;P1;M17.1;"Gonartrose', "CSV-QUOTE"),
    11: (b"D8;P1;M17.1;Gon" + b"a" * 3000 + b";;A;01-03-2024;;", "LINE-TOO-LONG"),
    12: (b'D9;P1;M17.1;Een 12" pin;;A;01-03-2024;;', "accepted"),
    13: (b"D10;P1;M17.1;;;;;;", "accepted"),
    14: (b"D11;P1;M17.1;Gonartrose;;A;01-03-0024;;", "DATE-IMPOSSIBLE"),
}


def test_bad_lines_get_a_reason_and_the_others_are_read(catalogue: Catalogue, tmp_path: Path) -> None:
    lines = [DIAGNOSES.splitlines()[0].encode(), *(line for line, _ in BAD.values())]
    mapped = Mapped(tmp_path, catalogue, {"diagnosen.csv": b"\r\n".join(lines) + b"\r\n"}, limit=2048)
    assert mapped.flaws == {n: rule for n, (_, rule) in BAD.items() if rule not in ("blank", "accepted")}
    accepted = {row["source_line"] for row in mapped.tables["zib_problem"].to_pylist()}
    assert accepted == {n for n, (_, rule) in BAD.items() if rule == "accepted"}
    (account,) = mapped.report["files"]
    assert account["lines"] == len(lines)


@pytest.mark.parametrize("number", ["1.087,55", "12,5", "-3", "+4,0", "1087"])
def test_numbers_in_the_declared_form_are_read(number: str, catalogue: Catalogue, tmp_path: Path) -> None:
    mapped = Mapped(tmp_path, catalogue, {"lab.csv": LABORATORY.replace("1.087,5", number, 1)})
    value = float(number.replace(".", "").replace(",", "."))
    assert value in {row["value"] for row in mapped.rows("zib_laboratory_test_result")}


@pytest.mark.parametrize("number", ["12.5", "1,2,3", "twaalf", "1.08,5", "12,", "1e3", "NaN", "0x10", ">"])
def test_numbers_in_another_form_are_set_aside_not_guessed(number: str, catalogue: Catalogue, tmp_path: Path) -> None:
    mapped = Mapped(tmp_path, catalogue, {"lab.csv": LABORATORY.replace("1.087,5", number, 1)})
    assert mapped.flaws == {2: "CSV-NUMBER"}
    assert "Uitslag" in mapped.quarantine[0]["reason"]
    assert number not in mapped.quarantine[0]["reason"] or number == ">"


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_encoding_and_line_end_is_read(encoding: str, end: str, catalogue: Catalogue, tmp_path: Path) -> None:
    mapping = (PROJECT / "mappings" / "csv" / "hix.yaml").read_text(encoding="utf-8")
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "hix.yaml").write_text(mapping.replace("encoding: utf-8-bom", f"encoding: {encoding}"), encoding="utf-8")
    text = DIAGNOSES.replace("gonartrose", "gonartrose – één", 1).replace("\n", end)
    mapped = Mapped(tmp_path, catalogue, {"diagnosen.csv": text.encode(encoding)}, folder)
    assert mapped.quarantine == []
    assert "Overige primaire gonartrose – één" in {row["problem_display"] for row in mapped.rows("zib_problem")}


def test_a_file_no_mapping_matches_is_skipped_and_two_matches_are_an_error(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    mapped = Mapped(tmp_path / "one", catalogue, {"medicatie.csv": "a;b\n1;2\n"})
    assert mapped.report["files"][0]["skipped"] == {"CSV-NO-MAPPING": 2}
    assert mapped.extracts.as_dict()["csv_files_not_mapped"] == ["medicatie.csv"]
    with pytest.raises(TerminalError, match="CSV-MAPPING-AMBIGUOUS"):
        Mapped(tmp_path / "two", catalogue, {"patient-diagnose.csv": PATIENTS})


FIELDS = {
    "unknown table": ("table: zib_problem", "table: zib_nothing", r"files.1.tables.0.table.*zib_problem"),
    "unknown column": ("onset_date: Begin", "onset_dat: Begin", r"columns.onset_dat.*one of.*onset_date"),
    "unknown element": ("problem:  ", "problems:  ", r"codings.problems.*one of.*problem"),
    "unknown field": ("needs: [Uit", "need: [Uit", r"need.*not permitted"),
    "unknown encoding": (
        "encoding: utf-8-bom",
        "encoding: latin",
        r"format.encoding.*'utf-8', 'utf-8-bom' or 'windows-1252'",
    ),
    "unknown date": ("date: dd-mm-yyyy", "date: d-m-y", r"format.date.*'dd-mm-yyyy'"),
    "a key as text": ('{refers_to: Encounter, id: "{Opnamenummer}"}', "Opnamenummer", "a key is given by refers_to"),
    "twice": ("problem_icd10_code: ICD10", "problem_code: ICD10", "filled already"),
    "ignored and read": ("Opmerking: free", "Uitslag: free", "is read by a table"),
    "no yaml": ("name: hix", "name: [", "not valid YAML"),
    "another name": ("name: hix", "name: other", "has to be the file's name"),
    "same marks": ('thousands: "."', 'thousands: ","', "same mark"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_wrong_mapping_is_named_with_file_and_field(case: str, catalogue: Catalogue, tmp_path: Path) -> None:
    before, after, message = FIELDS[case]
    text = (PROJECT / "mappings" / "csv" / "hix.yaml").read_text(encoding="utf-8")
    assert text.count(before) == 1
    (tmp_path / "hix.yaml").write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(TerminalError, match=message) as caught:
        load_csv_mappings(tmp_path, catalogue)
    assert caught.value.code == "CSV-MAPPING-INVALID"
    assert "hix.yaml" in caught.value.where
