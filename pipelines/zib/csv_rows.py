"""The query that makes the rows of one ZIB table from lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.sqlonfhir.values import quote
from pipelines.sqlonfhir.views import EARLIEST, LATEST, Column
from pipelines.zib.catalogue import Catalogue, ZibTable
from pipelines.zib.csv_mapping import CodingSource, Content, CsvFormat, TableRows, coded_columns, moment_family
from pipelines.zib.csv_values import (
    Parsed,
    codings_text,
    comparator,
    first_coding,
    moment,
    moment_text,
    number,
    translated,
    truth,
    typed_id,
)

TEXTS = "lines_of_text"
"""The relation that a query reads: `_row`, and the columns of the file as text."""
_CONSTANT = re.compile(r"'(?:[^']|'')*'")
_BSN_DIGITS = 9


@dataclass(frozen=True, slots=True)
class TableSql:
    """`sql` gives `_row`, `_flaw` (``code|reason`` or null), `_date_flaw`, the columns of `table`,
    and the columns of `pipelines.zib.duplicates.index_columns`."""

    table: str
    sql: str


class RowsQuery:
    """Builds the query for one table of a mapping.

    Args:
        texts: SQL of the file's columns by name.
    """

    def __init__(
        self, rows: TableRows, table: ZibTable, texts: Mapping[str, str], format_: CsvFormat, catalogue: Catalogue
    ) -> None:
        self._rows = rows
        self._table = table
        self._texts = dict(texts)
        self._format = format_
        self._catalogue = catalogue
        self._outputs = {column.name: column for column in table.view.outputs}
        self._values: dict[str, str] = {}
        self._flaws: list[tuple[str, str]] = []
        self._date_flaws: list[tuple[str, str]] = []

    def build(self) -> TableSql:
        """The query."""
        resource = self._table.view.resource
        self._values["resource_key"] = typed_id(resource, self._rows.id, self._texts)
        patient = self._rows.id if resource == "Patient" else self._rows.patient
        if patient is not None:
            self._values["patient_key"] = typed_id("Patient", patient, self._texts)
        self._flaws.append((f"{self._values['resource_key']} IS NULL", "RESOURCE-NO-ID|a column of its id is empty"))
        for name, content in self._rows.columns.items():
            self._add(self._outputs[name], content)
        for stem, written in self._rows.codings.items():
            sources = tuple(self._translated_source(source) for source in written)
            held = {**first_coding(sources, self._texts), "codings": codings_text(sources, self._texts)}
            for part, name in coded_columns(stem, self._outputs).items():
                self._values[name] = held[part]
        for column in self._table.view.outputs:
            if column.name not in self._values and (sql := self._implied(column)) is not None:
                self._values[column.name] = sql
        return TableSql(self._table.name, self._sql(resource))

    def _sql(self, resource: str) -> str:
        outputs = ", ".join(
            f'CAST({self._values.get(name, "NULL")} AS {column.type}) AS "{name}"'
            for name, column in self._outputs.items()
        )
        needed = " AND ".join(f"{self._texts[name]} IS NOT NULL" for name in self._rows.needs)
        content = ", ".join(dict.fromkeys(self._texts[name] for name in self._rows.reads))
        identity = self._values.get("bsn_pseudonym", "0") if resource == "Patient" else "0"
        birth = self._values.get("birth_date_text", "0") if resource == "Patient" else "0"
        return (
            f"SELECT _row, {_case(self._flaws)} AS _flaw, {_case(self._date_flaws)} AS _date_flaw, {outputs},"
            f" {quote(resource)} AS resource_type, hash({self._resource_id()}) AS id_hash,"
            f" hash({content}) AS content_hash, hash({identity}, {birth}) AS identity_hash,"
            f" NULL::TIMESTAMPTZ AS updated FROM {TEXTS}" + (f" WHERE {needed}" if needed else "")
        )

    def _resource_id(self) -> str:
        """SQL of the id without its type, as the index of FHIR resources hashes it."""
        prefix = len(self._table.view.resource) + 2
        return f"substr({self._values['resource_key']}, {prefix})"

    def _add(self, output: Column, content: Content) -> None:
        name = output.name
        if content.value is not None:
            self._values[name] = quote(content.value)
        elif content.refers_to is not None:
            self._values[name] = typed_id(content.refers_to, content.id or "", self._texts)
        else:
            text = self._texts[content.column or ""]
            if output.type in ("DATE", "TIMESTAMP"):
                self._add_moment(name, text, content.column or "")
            else:
                self._add_parsed(name, self._parsed(output, content, text))
            if content.comparator is not None:
                self._values[content.comparator] = comparator(text)

    def _parsed(self, output: Column, content: Content, text: str) -> Parsed:
        column = content.column or ""
        if output.type == "BOOLEAN":
            return truth(text, content, column)
        if output.type in ("DOUBLE", "BIGINT"):
            whole = output.type == "BIGINT"
            return number(text, self._format, column, comparator=content.comparator is not None, whole=whole)
        if output.name.endswith("_pseudonym"):
            kind = output.name.removesuffix("_pseudonym")
            padded = f"CASE WHEN length({text}) < {_BSN_DIGITS} THEN lpad({text}, {_BSN_DIGITS}, '0') ELSE {text} END"
            return Parsed(f"pseudonym_of_identifier({quote(f'{kind}:')} || {padded if kind == 'bsn' else text})")
        if content.translate is not None:
            return self._translated(text, column, content.translate.from_system, content.translate.to_system)
        return Parsed(text)

    def _translated(self, text: str, column: str, from_system: str, to_system: str) -> Parsed:
        codes = {
            code: target
            for (system, code), targets in self._catalogue.concept_map.items()
            if system == from_system
            for target_system, target, _ in targets
            if target_system == to_system
        }
        return translated(text, codes, column, (from_system, to_system))

    def _translated_source(self, source: CodingSource) -> CodingSource:
        """The source with its code translated, if it has to be, under a name of its own among the texts."""
        if source.translate_from is None:
            return source
        parsed = self._translated(self._texts[source.code], source.code, source.translate_from, source.system)
        self._flaws.append((parsed.unreadable, f"{parsed.code}|{parsed.reason}"))
        name = f"{source.code} as {source.system}"
        self._texts[name] = parsed.sql
        return source.model_copy(update={"code": name})

    def _add_parsed(self, name: str, parsed: Parsed) -> None:
        self._values[name] = parsed.sql
        if parsed.code:
            self._flaws.append((parsed.unreadable, f"{parsed.code}|{parsed.reason}"))

    def _add_moment(self, name: str, text: str, column: str) -> None:
        parsed = moment(text, self._format, column)
        self._flaws.append((parsed.unreadable, f"{parsed.code}|{parsed.reason}"))
        impossible = f"{text} IS NOT NULL AND coalesce({parsed.sql} NOT BETWEEN '{EARLIEST}' AND '{LATEST}', TRUE)"
        self._date_flaws.append((impossible, name))
        for filled, part in moment_family(name, self._outputs).items():
            self._values[filled] = moment_text(text, parsed, self._format) if part == "text" else parsed.sql

    def _implied(self, column: Column) -> str | None:
        """SQL of a column that follows from the view: the same in every row, or a quantity in another unit."""
        if _CONSTANT.fullmatch(column.sql):
            return column.sql
        if column.unit is None:
            return None
        unit = quote(column.unit) if not column.unit.startswith("@") else self._unit_of_code(column.unit[1:])
        if column.type == "VARCHAR" or unit is None:
            return unit
        for stem in _stems(column.name):
            code = self._values.get(f"{stem}_ucum_code")
            value = self._values.get(f"{stem}_value", self._values.get(stem))
            if code is not None and value is not None:
                return f"to_ucum(CAST({value} AS DOUBLE), CAST({code} AS VARCHAR), CAST({unit} AS VARCHAR))"
        return None

    def _unit_of_code(self, table: str) -> str | None:
        """SQL of the unit that a table of units gives to the first code in it; None when no system is in it."""
        units = self._catalogue.units.get(table, {})
        found = []
        for sources in self._rows.codings.values():
            for source in sources:
                of_system = {code: unit for (system, code), unit in units.items() if system == source.system}
                if of_system:
                    keys, values = (", ".join(map(quote, side)) for side in (of_system, of_system.values()))
                    found.append(f"map([{keys}], [{values}])[{self._texts[source.code]}]")
        return f"coalesce({', '.join(found)})" if found else None


def _stems(name: str) -> Iterator[str]:
    """The names that a column's name starts with, the longest first."""
    parts = name.split("_")
    for length in range(len(parts) - 1, 0, -1):
        yield "_".join(parts[:length])


def _case(cases: list[tuple[str, str]]) -> str:
    """SQL of the text of the first case that holds, null when none does."""
    if not cases:
        return "NULL::VARCHAR"
    return "CASE " + " ".join(f"WHEN {condition} THEN {quote(text)}" for condition, text in cases) + " END"
