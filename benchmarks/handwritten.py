"""The baseline: DuckDB SQL as a data engineer would write it by hand for clean Observations.

It does no more than select: no check of a line, no quarantine, no file and line.
Usage: python benchmarks/handwritten.py view|map|map-plain|map-full RESOURCES.ndjson OUT

`view` writes the laboratory results, with plain keys, reading the file once. `map` writes the same five zib tables as
`uitkomst map`, with keys as HMAC-SHA-256 pseudonyms too, reading it once. `map-plain` does so with plain keys. These
tables are narrow: the columns an indicator needs. `map-full` writes them with all columns and values of ours
(`handwritten_full.py`), and zib_coding.
"""

import sys
from pathlib import Path

import duckdb
import handwritten_full as full

CODING = 'STRUCT(coding STRUCT("system" VARCHAR, code VARCHAR, display VARCHAR)[])'
QUANTITY = 'STRUCT("value" DOUBLE, comparator VARCHAR, unit VARCHAR, "system" VARCHAR, code VARCHAR)'
LABORATORY_COLUMNS = f"""
    resourceType: 'VARCHAR', id: 'VARCHAR', status: 'VARCHAR', category: '{CODING}[]', code: '{CODING}',
    subject: 'STRUCT(reference VARCHAR)', effectiveDateTime: 'VARCHAR', valueQuantity: '{QUANTITY}',
    valueCodeableConcept: '{CODING}',
    referenceRange: 'STRUCT(low STRUCT("value" DOUBLE), high STRUCT("value" DOUBLE))[]'"""
ALL_COLUMNS = f"{LABORATORY_COLUMNS}, component: 'STRUCT(code {CODING}, valueQuantity STRUCT(\"value\" DOUBLE))[]'"
READ = "read_json('{source}', format = 'newline_delimited', columns = {{{columns}}})"

COMMON = """id AS resource_key, split_part(subject.reference, '/', 2) AS patient_key, status,
    TRY_CAST(left(effectiveDateTime, 19) AS TIMESTAMP) AS effective_at, effectiveDateTime AS effective_text"""
UNIT = "CASE WHEN valueQuantity.system = 'http://unitsofmeasure.org' THEN valueQuantity.code END"
HAS_LOINC = "len(list_filter(code.coding, lambda c: c.system = 'http://loinc.org' AND c.code = '{}')) > 0"
PART = """list_filter(component, lambda p: len(list_filter(p.code.coding,
    lambda c: c.system = '{}' AND c.code = '{}')) > 0)[1].valueQuantity.value"""

LABORATORY = f"""
SELECT {COMMON}, code.coding[1].code AS test_code, code.coding[1].system AS test_system,
    code.coding[1].display AS test_display,
    list_filter(code.coding, lambda c: c.system = 'http://loinc.org')[1].code AS test_loinc_code,
    valueQuantity.value AS value, valueQuantity.comparator AS value_comparator, valueQuantity.unit AS value_unit,
    {UNIT} AS value_ucum_code, valueCodeableConcept.coding[1].code AS value_code,
    valueCodeableConcept.coding[1].system AS value_code_system,
    referenceRange[1].low.value AS reference_low, referenceRange[1].high.value AS reference_high
FROM observations WHERE resourceType = 'Observation'
    AND len(list_filter(flatten(list_transform(category, lambda c: c.coding)), lambda c: c.code = 'laboratory'
        AND c.system = 'http://terminology.hl7.org/CodeSystem/observation-category')) > 0"""
OTHERS = {
    "zib_blood_pressure": f"""
        SELECT {COMMON}, {PART.format("http://loinc.org", "8480-6")} AS systolic_mmhg,
            {PART.format("http://loinc.org", "8462-4")} AS diastolic_mmhg,
            {PART.format("http://snomed.info/sct", "6797001")} AS mean_mmhg
        FROM observations WHERE {HAS_LOINC.format("85354-9")}""",
    "zib_body_weight": f"""
        SELECT {COMMON}, valueQuantity.value AS weight_value, {UNIT} AS weight_ucum_code
        FROM observations WHERE {HAS_LOINC.format("29463-7")}""",
    "zib_body_height": f"""
        SELECT {COMMON}, valueQuantity.value AS height_value, {UNIT} AS height_ucum_code
        FROM observations WHERE {HAS_LOINC.format("8302-2")}""",
    "zib_tobacco_use": f"""
        SELECT {COMMON}, valueCodeableConcept.coding[1].code AS tobacco_use_code,
            valueCodeableConcept.coding[1].system AS tobacco_use_system,
            valueCodeableConcept.coding[1].display AS tobacco_use_display
        FROM observations
        WHERE len(list_filter(code.coding,
                  lambda c: c.system = 'http://snomed.info/sct' AND c.code = '365980008')) > 0""",
}


PSEUDONYM = "left(sha256({outer} || unhex(sha256({inner} || encode({text})))), 32)".replace(
    "{inner}", "'" + "\\x41" * 64 + "'::BLOB"
).replace("{outer}", "'" + "\\x2B" * 64 + "'::BLOB")


def with_pseudonyms(query: str) -> str:
    """The query with its two keys hashed."""
    for plain, text in (
        ("id AS resource_key", "'Observation/' || id"),
        ("split_part(subject.reference, '/', 2) AS patient_key", "subject.reference"),
    ):
        query = query.replace(plain, f"{PSEUDONYM.format(text=text)} AS {plain.split()[-1]}")
    return query


def map_fully(source: Path, out: Path) -> None:
    """Write the five tables and zib_coding with all their columns."""
    duckdb.execute(f"SET VARIABLE institution = '{source.parent.name}'; {full.MACROS}")
    duckdb.sql(f"CREATE TABLE observations AS FROM {READ.format(source=source, columns=full.COLUMNS)}")
    origin = f"'{source.parent.name}' AS institution, '{source.name}' AS source_file, source_line"
    for table, query in full.TABLES.items():
        query = query.replace("SELECT ", f"SELECT {origin}, ", 1)
        duckdb.sql(f"COPY ({query}) TO '{out / table}.parquet' (FORMAT parquet)")
    codings = full.CODINGS.replace("SELECT ", f"SELECT '{source.parent.name}' AS institution, ", 1)
    duckdb.sql(f"COPY ({codings}) TO '{out}/zib_coding.parquet' (FORMAT parquet)")


def main() -> None:
    what, source, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if what == "view":
        read = READ.format(source=source, columns=LABORATORY_COLUMNS)
        duckdb.sql(f"COPY ({LABORATORY.replace('FROM observations', 'FROM ' + read)}) TO '{out}' (FORMAT parquet)")
        return
    out.mkdir(exist_ok=True)
    if what == "map-full":
        map_fully(Path(source), out)
        return
    duckdb.sql(f"CREATE TABLE observations AS FROM {READ.format(source=source, columns=ALL_COLUMNS)}")
    for table, query in {"zib_laboratory_test_result": LABORATORY, **OTHERS}.items():
        query = with_pseudonyms(query) if what == "map" else query
        duckdb.sql(f"COPY ({query}) TO '{out / table}.parquet' (FORMAT parquet)")


if __name__ == "__main__":
    main()
