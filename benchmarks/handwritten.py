"""The baseline: DuckDB SQL as a data engineer would write it by hand for clean laboratory results.

It does no more than select: no check of a line, no quarantine, no file and line, no pseudonyms.
Usage: python benchmarks/handwritten.py RESOURCES.ndjson OUT.parquet
"""

import sys

import duckdb

SQL = """
COPY (
    SELECT id AS resource_key,
           split_part(subject.reference, '/', 2) AS patient_key,
           status,
           code.coding[1].code AS test_code,
           code.coding[1].system AS test_system,
           code.coding[1].display AS test_display,
           list_filter(code.coding, lambda c: c.system = 'http://loinc.org')[1].code AS test_loinc_code,
           valueQuantity.value AS value,
           valueQuantity.comparator AS value_comparator,
           valueQuantity.unit AS value_unit,
           CASE WHEN valueQuantity.system = 'http://unitsofmeasure.org' THEN valueQuantity.code END AS value_ucum_code,
           valueCodeableConcept.coding[1].code AS value_code,
           valueCodeableConcept.coding[1].system AS value_code_system,
           TRY_CAST(left(effectiveDateTime, 19) AS TIMESTAMP) AS effective_at,
           effectiveDateTime AS effective_text,
           referenceRange[1].low.value AS reference_low,
           referenceRange[1].high.value AS reference_high
    FROM read_json('{source}', format = 'newline_delimited', columns = {{
        resourceType: 'VARCHAR', id: 'VARCHAR', status: 'VARCHAR',
        category: 'STRUCT(coding STRUCT("system" VARCHAR, code VARCHAR)[])[]',
        code: 'STRUCT(coding STRUCT("system" VARCHAR, code VARCHAR, display VARCHAR)[])',
        subject: 'STRUCT(reference VARCHAR)',
        effectiveDateTime: 'VARCHAR',
        valueQuantity: 'STRUCT("value" DOUBLE, comparator VARCHAR, unit VARCHAR, "system" VARCHAR, code VARCHAR)',
        valueCodeableConcept: 'STRUCT(coding STRUCT("system" VARCHAR, code VARCHAR)[])',
        referenceRange: 'STRUCT(low STRUCT("value" DOUBLE), high STRUCT("value" DOUBLE))[]'
    }})
    WHERE resourceType = 'Observation'
      AND len(list_filter(flatten(list_transform(category, lambda c: c.coding)), lambda c: c.code = 'laboratory'
              AND c.system = 'http://terminology.hl7.org/CodeSystem/observation-category')) > 0
) TO '{target}' (FORMAT parquet)
"""

duckdb.sql(SQL.format(source=sys.argv[1], target=sys.argv[2]))
