"""SQL from the text in a CSV extract to the values of a ZIB table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.sqlonfhir.tags import BETWEEN_CODINGS, BETWEEN_PARTS
from pipelines.sqlonfhir.values import quote
from pipelines.zib.csv_mapping import CodingSource, Content, CsvFormat, placeholders

_DIRECTIVES = {"dd": "%d", "mm": "%m", "yyyy": "%Y", "HH": "%H", "MM": "%M", "SS": "%S"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value as SQL, and the code and words for when it cannot be read (`unreadable` is SQL that tells)."""

    sql: str
    unreadable: str = "FALSE"
    code: str = ""
    reason: str = ""


def moment(text: str, format_: CsvFormat, column: str) -> Parsed:
    """A date, with or without a time, as TIMESTAMP."""
    sql = f"coalesce({_with_time(text, format_)}, try_strptime({text}, {quote(_strptime(format_.date))}))"
    shape = f"column {column} holds no date of the form {format_.date}, with or without a time {format_.time}"
    return Parsed(sql, f"{text} IS NOT NULL AND {sql} IS NULL", "CSV-DATE", f"{shape}, or one that does not exist")


def moment_text(text: str, parsed: Parsed, format_: CsvFormat) -> str:
    """SQL of the same as FHIR writes it: a date stays a date."""
    written = f"replace(CAST({parsed.sql} AS VARCHAR), ' ', 'T')"
    return f"CASE WHEN {_with_time(text, format_)} IS NULL THEN left({written}, 10) ELSE {written} END"


def _with_time(text: str, format_: CsvFormat) -> str:
    shape = quote(_strptime(f"{format_.date} {format_.time}"))
    return f"try_strptime(replace({text}, 'T', ' '), {shape})"


def _strptime(shape: str) -> str:
    for name, directive in _DIRECTIVES.items():
        shape = shape.replace(name, directive)
    return shape


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
