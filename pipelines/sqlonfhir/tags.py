"""What the column tags `codings`, `ucum` and `ucum/unit` compile to."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.sqlonfhir.expressions import Expressions
from pipelines.sqlonfhir.fhir_types import FhirTypes
from pipelines.sqlonfhir.units import UCUM
from pipelines.sqlonfhir.values import Value, quote, single

BETWEEN_PARTS, BETWEEN_CODINGS = "\x1f", "\x1e"
"""Unit and record separator: no FHIR string may hold them (hl7.org/fhir/R4/datatypes.html#string)."""
CODING_PARTS = ("system", "version", "code", "display")


def codings_text(expressions: Expressions, codings: Value) -> str:
    """SQL of the codings as one text, the same for the same codings; null when there is none.

    Per coding its `CODING_PARTS`, an absent one empty, with `BETWEEN_PARTS`; the codings with `BETWEEN_CODINGS`.
    """
    several = codings.sql if codings.many else f"[{codings.sql}]"
    alone = codings.with_sql(f"({codings.sql})[1]", many=False) if codings.many else codings
    parts = [expressions.read(alone, name).sql for name in CODING_PARTS]
    # Nearly always there is one coding, which needs no list, and its texts hold no separator.
    plain = f"concat({', '.join(parts)})"
    separators = " OR ".join(f"contains({plain}, {quote(each)})" for each in (BETWEEN_PARTS, BETWEEN_CODINGS))
    simple = f"concat_ws({quote(BETWEEN_PARTS)}, " + ", ".join(f"coalesce({part}, '')" for part in parts) + ")"
    text = _coding_text(expressions, codings.with_sql("_coding", many=False))
    joined = f"array_to_string(list_transform({several}, lambda _coding: {text}), {quote(BETWEEN_CODINGS)})"
    if not codings.many:
        return f"CASE WHEN {codings.sql} IS NOT NULL THEN CASE WHEN {separators} THEN {joined} ELSE {simple} END END"
    number = f"len({codings.sql})"
    return f"CASE WHEN {number} = 1 AND NOT ({separators}) THEN {simple} WHEN {number} > 0 THEN {joined} END"


def _coding_text(expressions: Expressions, coding: Value) -> str:
    parts = (expressions.read(coding, name).sql for name in CODING_PARTS)
    # A separator that a text does hold, against the rules, must not look like the end of a part.
    separators = quote(BETWEEN_PARTS + BETWEEN_CODINGS)
    clean = (f"translate(coalesce({part}, ''), {separators}, '')" for part in parts)
    return f" || {quote(BETWEEN_PARTS)} || ".join(clean)


def is_quantity(types: FhirTypes, type_: str) -> bool:
    """Whether `type_` is Quantity or one of its kinds, such as Age or Duration."""
    return all(types.element(type_, name) is not None for name in ("value", "system", "code", "comparator"))


def quantity_in(expressions: Expressions, quantity: Value, unit: str) -> str:
    """SQL of a quantity's value in the UCUM unit that the SQL `unit` gives; its code counts only where it is UCUM."""
    one = quantity.with_sql(single(quantity), many=False)
    value, system, code = (expressions.read(one, name).sql for name in ("value", "system", "code"))
    if not unit.startswith("'"):  # looked up per row: to repeat that costs more than it saves
        return f"to_ucum({value}, CASE WHEN {system} = {quote(UCUM)} THEN {code} END, {unit})"
    # Nearly always the unit is the one asked for, or there is nothing to convert: neither needs Python.
    converted = f"CASE WHEN {code} IS NOT NULL THEN to_ucum({value}, {code}, {unit}) END"
    same = f"{code} = {unit} AND isfinite({value})"
    return f"CASE WHEN {system} = {quote(UCUM)} THEN CASE WHEN {same} THEN {value} ELSE {converted} END END"


UnitTable = Mapping[tuple[str, str], str]
"""The UCUM unit of each (system, code), for example of a laboratory test."""


def unit_for(expressions: Expressions, codings: Value, units: UnitTable) -> str:
    """SQL of the unit that the first coding in the table has; null when none is in it."""
    if not units:
        return "NULL::VARCHAR"
    pairs = (f"{quote(f'{system}|{code}')}: {quote(unit)}" for (system, code), unit in sorted(units.items()))
    table = "MAP {" + ", ".join(pairs) + "}"
    coding = codings.with_sql("_coding", many=False)
    system, code = (expressions.read(coding, name).sql for name in ("system", "code"))
    items = codings.sql if codings.many else f"[{codings.sql}]"
    found = f"list_transform({items}, lambda _coding: {table}[{system} || '|' || {code}])"
    return f"list_filter({found}, lambda _unit: _unit IS NOT NULL)[1]"
