"""`lowBoundary()` and `highBoundary()`: the least and the greatest value that a value as written may stand for.

See hl7.org/fhirpath (lowBoundary, highBoundary). The text as written says how precise it is: 1.0 is 0.95 to 1.05.
"""

from __future__ import annotations

from typing import Literal

from pipelines.sqlonfhir.values import quote

End = Literal["low", "high"]

_MOMENT = r"^(\d{4}(?:-\d{2}(?:-\d{2})?)?)(?:T(\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?)(Z|[+-]\d{2}:\d{2})?)?$"
_NUMBER = r"^-?\d+(?:\.(\d+))?(?:[eE]([+-]?\d+))?$"
_CLOCK = {"low": "00:00:00.000", "high": "23:59:59.999"}
_ZONE = {"low": "+14:00", "high": "-12:00"}
"""Where the day that has no time zone begins first and ends last."""


def number_boundary(text: str, end: End) -> str:
    """SQL of the boundary (DOUBLE) of a number as written; null when it is none."""
    parts = f"regexp_extract({text}, {quote(_NUMBER)}, ['fraction', 'power'])"
    digits = f"(length({parts}.fraction) - coalesce(TRY_CAST({parts}.power AS INTEGER), 0))"
    sign = "-" if end == "low" else "+"
    return f"round(TRY_CAST({text} AS DOUBLE) {sign} 0.5 * power(10.0, -{digits}), ({digits} + 1)::INTEGER)"


def date_boundary(text: str, end: End) -> str:
    """SQL of the first or last day (VARCHAR) of a date as written, which may lack its day or month."""
    first = f"TRY_CAST({text} || substr('0001-01-01', length({text}) + 1) AS DATE)"
    if end == "low":
        return f"strftime({first}, '%Y-%m-%d')"
    return (
        f"CASE length({text}) WHEN 4 THEN {text} || '-12-31'"
        f" WHEN 7 THEN strftime(last_day({first}), '%Y-%m-%d') WHEN 10 THEN strftime({first}, '%Y-%m-%d') END"
    )


def time_boundary(text: str, end: End) -> str:
    """SQL of the first or last millisecond (VARCHAR) of a time as written."""
    return f"left({text} || substr({quote(_CLOCK[end])}, length({text}) + 1), 12)"


def moment_boundary(text: str, end: End) -> str:
    """SQL of the first or last millisecond (VARCHAR) of a dateTime or instant; without a zone, of any zone."""
    parts = f"regexp_extract({text}, {quote(_MOMENT)}, ['day', 'clock', 'zone'])"
    day = date_boundary(f"{parts}.day", end)
    zone = f"coalesce(nullif({parts}.zone, ''), {quote(_ZONE[end])})"
    return f"({day} || 'T' || {time_boundary(f'{parts}.clock', end)} || {zone})"
