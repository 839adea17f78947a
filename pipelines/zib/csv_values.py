"""SQL from the text in a CSV extract to the values of a ZIB table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.sqlonfhir.tags import BETWEEN_CODINGS, BETWEEN_PARTS
from pipelines.sqlonfhir.values import quote
from pipelines.zib.csv_mapping import CodingSource, Content, CsvFormat, placeholders

_DATE_PARTS = {"dd": (r"\d{1,2}", "%d"), "mm": (r"\d{1,2}", "%m"), "yyyy": (r"\d{4}", "%Y")}
_TIME_PARTS = {"HH": (r"\d{1,2}", "%H"), "MM": (r"\d{2}", "%M"), "SS": (r"\d{2}", "%S")}
_FRACTION = r"(\.0+)?"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value as SQL, and the code and words for when it cannot be read (`unreadable` is SQL that tells)."""

    sql: str
    unreadable: str = "FALSE"
    code: str = ""
    reason: str = ""


def moment(text: str, format_: CsvFormat, column: str) -> Parsed:
    """A date, with or without a time, as TIMESTAMP; null also when its day does not exist."""
    date_pattern, date_format = _pattern(format_.date, _DATE_PARTS)
    time_pattern, time_format = _pattern(format_.time, _TIME_PARTS)
    written = f"{text}.trim().replace('T', ' ')"
    is_date = f"regexp_full_match({text}, {quote(date_pattern)})"
    is_moment = f"regexp_full_match({written}, {quote(f'{date_pattern} {time_pattern}{_FRACTION}')})"
    bare = f"regexp_replace({written}, '\\.0+$', '')"
    sql = (
        f"CASE WHEN {is_date} THEN try_strptime({text}, {quote(date_format)})"
        f" WHEN {is_moment} THEN try_strptime({bare}, {quote(f'{date_format} {time_format}')}) END"
    )
    shape = f"column {column} holds no date of the form {format_.date}, with or without a time {format_.time}"
    return Parsed(sql, f"{text} IS NOT NULL AND NOT ({is_date} OR {is_moment})", "CSV-DATE", shape)


def moment_text(text: str, parsed: Parsed, format_: CsvFormat) -> str:
    """SQL of the same as FHIR writes it: a date stays a date."""
    date_pattern, _ = _pattern(format_.date, _DATE_PARTS)
    whole_day = f"regexp_full_match({text}, {quote(date_pattern)})"
    day, second = (f"strftime({parsed.sql}, {quote(shape)})" for shape in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"))
    return f"CASE WHEN {whole_day} THEN {day} ELSE {second} END"


def number(text: str, format_: CsvFormat, column: str, *, comparator: bool, whole: bool) -> Parsed:
    """A number as DOUBLE (or BIGINT when `whole`), after a comparator if that is asked for."""
    mark, group = re.escape(format_.decimal), re.escape(format_.thousands)
    grouped = rf"\d{{1,3}}({group}\d{{3}})+|" if format_.thousands else ""
    fraction = "" if whole else rf"({mark}\d+)?"
    pattern = rf"[+-]?({grouped}\d+){fraction}"
    bare = f"regexp_replace({text}, '^[<>]=?\\s*', '')" if comparator else text
    digits = f"replace({bare}, {quote(format_.thousands)}, '')" if format_.thousands else bare
    sql = f"TRY_CAST(replace({digits}, {quote(format_.decimal)}, '.') AS {'BIGINT' if whole else 'DOUBLE'})"
    unreadable = f"{text} IS NOT NULL AND (NOT regexp_full_match({bare}, {quote(pattern)}) OR {sql} IS NULL)"
    kind = "whole number" if whole else f"number with '{format_.decimal}' before its decimals"
    return Parsed(sql, unreadable, "CSV-NUMBER", f"column {column} holds no {kind}")


def comparator(text: str) -> str:
    """SQL of the comparator before a number, null when there is none."""
    return f"nullif(regexp_extract({text}, '^[<>]=?'), '')"


def truth(text: str, content: Content, column: str) -> Parsed:
    """A BOOLEAN by the words the mapping gives, in either case."""
    words = {True: content.true_when, False: content.false_when}
    yes, no = (", ".join(quote(word.lower()) for word in words[side]) for side in (True, False))
    known = f"lower({text}) IN ({yes}, {no})"
    return Parsed(
        f"CASE WHEN lower({text}) IN ({yes}) THEN TRUE WHEN lower({text}) IN ({no}) THEN FALSE END",
        f"{text} IS NOT NULL AND NOT {known}",
        "CSV-VALUE",
        f"column {column} holds none of the words in true_when and false_when",
    )


def translated(text: str, codes: Mapping[str, str], column: str, systems: tuple[str, str]) -> Parsed:
    """A code replaced by the one that the concept map gives."""
    if not codes:
        sql = "NULL::VARCHAR"
    else:
        keys, values = (", ".join(quote(each) for each in side) for side in (codes, codes.values()))
        sql = f"map([{keys}], [{values}])[{text}]"
    what = f"column {column} holds a code of {systems[0]} that no concept map brings to {systems[1]}"
    return Parsed(sql, f"{text} IS NOT NULL AND {sql} IS NULL", "CSV-CODE", what)


def typed_id(resource_type: str, template: str, columns: Mapping[str, str]) -> str:
    """SQL of ``Type/id``, null when a column in the template is empty."""
    parts, rest = [quote(f"{resource_type}/")], template
    for name in placeholders(template):
        before, _, rest = rest.partition(f"{{{name}}}")
        parts += [quote(before), columns[name]] if before else [columns[name]]
    return " || ".join([*parts, quote(rest)] if rest else parts)


def codings_text(sources: tuple[CodingSource, ...], columns: Mapping[str, str]) -> str:
    """SQL of codings as `pipelines.sqlonfhir.tags.codings_text` gives them; those without a code are left out."""
    separators = quote(BETWEEN_PARTS + BETWEEN_CODINGS)

    def clean(sql: str) -> str:
        return f"translate(coalesce({sql}, ''), {separators}, '')"

    texts = []
    for source in sources:
        display = columns[source.display] if source.display is not None else "NULL"
        parts = [quote(source.system), "''", clean(columns[source.code]), clean(display)]
        coding = f"concat_ws({quote(BETWEEN_PARTS)}, {', '.join(parts)})"
        texts.append(f"CASE WHEN {columns[source.code]} IS NOT NULL THEN {coding} END")
    joined = f"concat_ws({quote(BETWEEN_CODINGS)}, {', '.join(texts)})"
    return f"nullif({joined}, '')"


def first_coding(sources: tuple[CodingSource, ...], columns: Mapping[str, str]) -> dict[str, str]:
    """SQL of code, system and display of the first coding that has a code."""

    def pick(values: list[str]) -> str:
        cases = " ".join(
            f"WHEN {columns[source.code]} IS NOT NULL THEN {value}"
            for source, value in zip(sources, values, strict=True)
        )
        return f"CASE {cases} END"

    return {
        "code": pick([columns[source.code] for source in sources]),
        "system": pick([quote(source.system) for source in sources]),
        "display": pick([columns[s.display] if s.display is not None else "NULL::VARCHAR" for s in sources]),
    }


def _pattern(format_: str, parts: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """A regular expression and a strptime format for a format of the mapping."""
    pattern, read, rest = "", "", format_
    compact = not re.search(r"[^A-Za-z]", format_)
    while rest:
        name = next((name for name in parts if rest.startswith(name)), None)
        if name is None:
            pattern, read, rest = pattern + re.escape(rest[0]), read + rest[0], rest[1:]
        else:
            digits = rf"\d{{{len(name)}}}" if compact else parts[name][0]
            pattern, read, rest = pattern + digits, read + parts[name][1], rest[len(name) :]
    return pattern, read
