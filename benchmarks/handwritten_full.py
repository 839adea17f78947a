"""SQL by hand for the five zib tables with all their columns, equal to what `uitkomst map` writes of clean data.

Elements are read once into a table; each part of an Observation that several columns need is found once.
"""

from __future__ import annotations

CODING = 'STRUCT("system" VARCHAR, version VARCHAR, code VARCHAR, display VARCHAR)'
CONCEPT = f"STRUCT(coding {CODING}[])"
QUANTITY = 'STRUCT("value" DOUBLE, comparator VARCHAR, unit VARCHAR, "system" VARCHAR, code VARCHAR)'
REFERENCE = "STRUCT(reference VARCHAR)"
COLUMNS = f"""
    resourceType: 'VARCHAR', id: 'VARCHAR', status: 'VARCHAR', category: '{CONCEPT}[]', code: '{CONCEPT}',
    subject: '{REFERENCE}', effectiveDateTime: 'VARCHAR', effectivePeriod: 'STRUCT("start" VARCHAR, "end" VARCHAR)',
    valueQuantity: '{QUANTITY}', valueCodeableConcept: '{CONCEPT}', valueInteger: 'BIGINT', valueBoolean: 'BOOLEAN',
    method: '{CONCEPT}', bodySite: '{CONCEPT}', interpretation: '{CONCEPT}[]', specimen: '{REFERENCE}',
    performer: '{REFERENCE}[]', referenceRange: 'STRUCT(low {QUANTITY}, high {QUANTITY})[]',
    extension: 'STRUCT(url VARCHAR, valueReference {REFERENCE}, valueCodeableConcept {CONCEPT})[]', component: '
    STRUCT(code {CONCEPT}, valueQuantity {QUANTITY}, valueInteger BIGINT, valueCodeableConcept {CONCEPT})[]'"""

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/observation-"
SECRET = "w" * 64
"""The key of the pseudonyms: `UITKOMST_PSEUDONYM_KEY` when the output of `uitkomst map` is to be equal."""
INNER, OUTER = "\\x41" * 64, "\\x2B" * 64
"""`SECRET` xor ipad and xor opad (RFC 2104)."""
MACROS = f"""
CREATE MACRO pseudonym(t) AS left(sha256('{OUTER}'::BLOB
    || unhex(sha256('{INNER}'::BLOB || encode(getvariable('institution') || '|' || t)))), 32);
CREATE MACRO among(l, kind) AS list_filter(l, lambda r: starts_with(r.reference, kind || '/'))[1].reference;
CREATE MACRO key_to(r, kind) AS CASE WHEN starts_with(r, kind || '/') THEN pseudonym(r) END;
CREATE MACRO key_among(l, kind) AS pseudonym(among(l, kind));
CREATE MACRO coding_text(c) AS concat_ws(chr(31),
    coalesce(c.system, ''), coalesce(c.version, ''), coalesce(c.code, ''), coalesce(c.display, ''));
CREATE MACRO codings_id(l) AS left(sha256(CASE len(l) WHEN 0 THEN NULL WHEN 1 THEN coding_text(l[1])
    ELSE array_to_string(list_transform(l, lambda c: coding_text(c)), chr(30)) END), 32);
CREATE MACRO codes(l) AS list_transform(l, lambda c: c.system || '|' || c.code);
CREATE MACRO ucum(q) AS CASE WHEN q.system = 'http://unitsofmeasure.org' THEN q.code END;
CREATE MACRO part(l, c) AS list_filter(l, lambda p: list_contains(codes(p.code.coding), c))[1];
CREATE MACRO moment(t) AS TRY_CAST(left(t, 19) AS TIMESTAMP);
CREATE MACRO in_kg(q) AS CASE ucum(q) WHEN 'kg' THEN q.value WHEN 'g' THEN q.value / 1000 END;
CREATE MACRO in_cm(q) AS CASE ucum(q) WHEN 'cm' THEN q.value WHEN 'm' THEN q.value * 100 END;
CREATE MACRO in_mmhg(q) AS CASE ucum(q) WHEN 'mm[Hg]' THEN q.value END;
CREATE MACRO laboratory_unit(c) AS CASE c
    WHEN '{LOINC}|2160-0' THEN 'mg/dL' WHEN '{LOINC}|718-7' THEN 'g/dL' END;"""

COMMON = """resource_key, patient_key, status, 'http://hl7.org/fhir/observation-status' AS status_system"""
EFFECTIVE = "moment(effective) AS effective_at, effective AS effective_text"


def coded(name: str, codings: str) -> str:
    """The four columns of a coded element."""
    first = (f"{codings}[1].{part} AS {name}_{part}" for part in ("code", "system", "display"))
    return ", ".join([*first, f"codings_id({codings}) AS {name}_codings_id"])


def measured(name: str, quantity: str) -> str:
    """The four columns of a quantity as delivered."""
    return f"""{quantity}.value AS {name}_value, {quantity}.comparator AS {name}_comparator,
        {quantity}.unit AS {name}_unit, ucum({quantity}) AS {name}_ucum_code"""


def extended(name: str) -> str:
    """The extension of an Observation with that name."""
    return f"list_filter(extension, lambda e: e.url = '{EXTENSION}{name}')[1]"


def parts(**codes: str) -> str:
    """Components by their code, each found once."""
    return ", ".join(f"part(component, '{code}') AS {name}" for name, code in codes.items())


def limit(end: str) -> str:
    """The columns of one end of the reference range."""
    quantity = f"referenceRange[1].{end}"
    return f"""{quantity}.value AS reference_{end}, {quantity}.unit AS reference_{end}_unit,
        ucum({quantity}) AS reference_{end}_ucum_code"""


OBSERVATIONS = """
SELECT *, rowid + 1 AS source_line, pseudonym('Observation/' || id) AS resource_key,
    key_to(subject.reference, 'Patient') AS patient_key, coalesce(effectiveDateTime, effectivePeriod.start) AS effective
FROM observations"""
CODED = "list_contains(codes(code.coding), '{}')"
IS_LABORATORY = """list_contains(codes(flatten(list_transform(category, lambda c: c.coding))),
    'http://terminology.hl7.org/CodeSystem/observation-category|laboratory')"""
RESULT_TYPE = f"""list_filter(category,
    lambda c: list_contains(list_transform(c.coding, lambda d: d.system), '{SNOMED}'))[1].coding"""

LABORATORY = f"""
SELECT {COMMON}, {coded("test", "code.coding")},
    list_filter(code.coding, lambda c: c.system = '{LOINC}')[1].code AS test_loinc_code,
    {coded("result_type", "result_type")}, valueQuantity.value AS value,
    valueQuantity.comparator AS value_comparator, valueQuantity.unit AS value_unit,
    ucum(valueQuantity) AS value_ucum_code, CASE WHEN ucum(valueQuantity) = unit THEN valueQuantity.value END
        AS value_converted, unit AS value_converted_ucum_code,
    valueCodeableConcept.coding[1].code AS value_code, valueCodeableConcept.coding[1].system AS value_code_system,
    valueCodeableConcept.coding[1].display AS value_code_display,
    codings_id(valueCodeableConcept.coding) AS value_code_codings_id,
    valueInteger AS value_integer, valueBoolean AS value_boolean, {EFFECTIVE}, {coded("test_method", "method.coding")},
    {coded("interpretation", "interpreted")}, {limit("low")}, {limit("high")},
    key_to(specimen.reference, 'Specimen') AS specimen_key,
    key_to({extended("sequelTo")}.valueReference.reference, 'Observation') AS related_result_key,
    key_among(performer, 'PractitionerRole') AS performer_key,
    key_among(performer, 'Practitioner') AS performer_practitioner_key,
    key_among(performer, 'Organization') AS performer_organization_key
FROM (SELECT *, laboratory_unit(code.coding[1].system || '|' || code.coding[1].code) AS unit,
        {RESULT_TYPE} AS result_type,
        flatten(list_transform(interpretation, lambda c: c.coding)) AS interpreted
    FROM ({OBSERVATIONS} WHERE {IS_LABORATORY}))"""

BLOOD_PRESSURE_PARTS = parts(
    systolic=f"{LOINC}|8480-6",
    diastolic=f"{LOINC}|8462-4",
    mean=f"{SNOMED}|6797001",
    endpoint=f"{SNOMED}|85549003",
    cuff=f"{SNOMED}|70665002",
)
PRESSURES = ", ".join(
    f"{measured(name, f'{name}.valueQuantity')}, in_mmhg({name}.valueQuantity) AS {name}_mmhg"
    for name in ("systolic", "diastolic", "mean")
)
BLOOD_PRESSURE = f"""
SELECT {COMMON}, {PRESSURES}, {EFFECTIVE}, {coded("measuring_location", "bodySite.coding")},
    {coded("measuring_method", "method.coding")}, {coded("position", "body_position.coding")},
    {coded("diastolic_endpoint", "endpoint.valueCodeableConcept.coding")},
    {coded("cuff_type", "cuff.valueCodeableConcept.coding")}
FROM (SELECT *, {BLOOD_PRESSURE_PARTS}, {extended("bodyPosition")}.valueCodeableConcept AS body_position
    FROM ({OBSERVATIONS} WHERE {CODED.format(f"{LOINC}|85354-9")}))"""

BODY_WEIGHT = f"""
SELECT {COMMON}, {measured("weight", "valueQuantity")}, in_kg(valueQuantity) AS weight_kg, {EFFECTIVE},
    {coded("clothing", "clothing.valueCodeableConcept.coding")}
FROM (SELECT *, {parts(clothing=f"{SNOMED}|248159006")}
    FROM ({OBSERVATIONS} WHERE {CODED.format(f"{LOINC}|29463-7")}))"""

BODY_HEIGHT = f"""
SELECT {COMMON}, {measured("height", "valueQuantity")}, in_cm(valueQuantity) AS height_cm, {EFFECTIVE},
    {coded("position", "posture.valueCodeableConcept.coding")}
FROM (SELECT *, {parts(posture=f"{SNOMED}|425260001")}
    FROM ({OBSERVATIONS} WHERE {CODED.format(f"{LOINC}|8302-2")}))"""

TOBACCO_PARTS = parts(kind=f"{SNOMED}|53661000146106", amount=f"{SNOMED}|266918002", years=f"{SNOMED}|401201003")
TOBACCO_USE = f"""
SELECT {COMMON}, {coded("tobacco_use", "valueCodeableConcept.coding")}, {EFFECTIVE},
    moment(effectivePeriod.start) AS start_at, effectivePeriod.start AS start_text,
    moment(effectivePeriod.end) AS end_at, effectivePeriod.end AS end_text,
    {coded("type_of_tobacco", "kind.valueCodeableConcept.coding")}, {measured("amount", "amount.valueQuantity")},
    coalesce(years.valueInteger, years.valueQuantity.value)::DOUBLE AS pack_years
FROM (SELECT *, {TOBACCO_PARTS} FROM ({OBSERVATIONS} WHERE {CODED.format(f"{SNOMED}|365980008")}))"""

TABLES = {
    "zib_laboratory_test_result": LABORATORY,
    "zib_blood_pressure": BLOOD_PRESSURE,
    "zib_body_weight": BODY_WEIGHT,
    "zib_body_height": BODY_HEIGHT,
    "zib_tobacco_use": TOBACCO_USE,
}
CODED_ELEMENTS = f"""
    SELECT code.coding AS codings FROM observations WHERE {IS_LABORATORY}
    UNION SELECT valueCodeableConcept.coding FROM observations
    UNION SELECT method.coding FROM observations
    UNION SELECT bodySite.coding FROM observations WHERE {CODED.format(f"{LOINC}|85354-9")}
    UNION SELECT flatten(list_transform(interpretation, lambda c: c.coding)) FROM observations WHERE {IS_LABORATORY}
    UNION SELECT {extended("bodyPosition")}.valueCodeableConcept.coding FROM observations
    UNION SELECT unnest(list_transform(component, lambda p: p.valueCodeableConcept.coding)) FROM observations
    UNION SELECT {RESULT_TYPE} FROM observations WHERE {IS_LABORATORY}"""
CODINGS = f"""
SELECT codings_id(codings) AS codings_id, unnest(range(len(codings))) AS "position", unnest(codings, recursive := true),
    NULL::BIGINT AS mapped_from
FROM ({CODED_ELEMENTS}) WHERE len(codings) > 0"""
