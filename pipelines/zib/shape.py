"""Whether a resource has the JSON shape that its elements ask for, before DuckDB reads it."""

from __future__ import annotations

import math
import re
from typing import Any

from pipelines.sqlonfhir.fhir_types import SQL_TYPES, Element
from pipelines.sqlonfhir.values import Schema

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_DEPTH = 120
_JSON_SAYS = {"BOOLEAN": "true or false", "BIGINT": "a whole number", "DOUBLE": "a number", "VARCHAR": "text"}


def misfit(resource: dict[str, Any], schema: Schema, path: str) -> str | None:
    """Where `resource` departs from the elements in `schema`, in words without its values; None if nowhere.

    Numbers written as JSON strings pass, as they do in DuckDB: nothing is lost in reading them. A JSON number where
    text belongs does not: its digits may have changed on the way (900000000000207008.0).
    """
    for element, below in schema:
        value = resource.get(element.name)
        if value is None:
            continue
        place = f"{path}.{element.name}"
        if element.many and not isinstance(value, list):
            return f"{place} must be a list"
        for item in value if element.many else [value]:
            if item is not None and (found := _item_misfit(item, element, below, place)):
                return found
    return None


def _item_misfit(item: Any, element: Element, below: Schema, place: str) -> str | None:
    if element.type not in SQL_TYPES:
        if not isinstance(item, dict):
            return f"{place} must be a JSON object"
        if (element.recursive or not below.children) and _is_too_deep(item):
            return f"{place} is nested too deeply"
        return misfit(item, below, place)
    sql_type = SQL_TYPES[element.type]
    match sql_type:
        case "BOOLEAN":
            fits = isinstance(item, bool) or item in ("true", "false")
        case "BIGINT":
            fits = isinstance(item, int) and not isinstance(item, bool) and abs(item) < 2**63
            fits = fits or (isinstance(item, str) and _WHOLE_NUMBER.fullmatch(item) is not None)
        case "DOUBLE":
            fits = (isinstance(item, (int, float)) and not isinstance(item, bool)) or (
                isinstance(item, str) and _NUMBER.fullmatch(item) is not None
            )
            fits = fits and _is_finite(item)
        case _:
            fits = isinstance(item, str)
    return None if fits else f"{place} must be {_JSON_SAYS[sql_type]}"


def _is_too_deep(item: Any) -> bool:
    """Whether what is kept as JSON is nested deeper than DuckDB reads: 128 levels, less those around this item."""
    level, depth = [item], 0
    while level and depth <= _DEPTH:
        level = [below for node in level for below in _below(node) if isinstance(below, (dict, list))]
        depth += 1
    return depth > _DEPTH


def _below(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node


def _is_finite(number: int | float | str) -> bool:
    """Whether a DOUBLE can hold it; 1e999 is valid JSON, but no number that DuckDB can keep."""
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False
