"""How CSV extracts become rows of ZIB tables: one YAML file per kind of extract in `mappings/csv/`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.errors import TerminalError
from pipelines.extract.exports import unnumbered
from pipelines.proms.definition_file import Definition, definition_error, read_definition
from pipelines.zib.catalogue import Catalogue, ZibTable

CODE = "CSV-MAPPING-INVALID"
DateFormat = Literal["dd-mm-yyyy", "dd/mm/yyyy", "dd.mm.yyyy", "yyyy-mm-dd", "yyyy/mm/dd", "yyyymmdd", "mm/dd/yyyy"]
TimeFormat = Literal["HH:MM", "HH:MM:SS", "HHMM", "HHMMSS"]
Encoding = Literal["utf-8", "utf-8-bom", "windows-1252"]
_PLACE = re.compile(r"\{([^{}]*)\}")
_FILE_ENDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz")


class CsvFormat(Definition):
    """How a file is written. A date may stand alone or with a time after a space or `T`."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[^\w\s\"']$|^\t$")] = ";"
    encoding: Encoding = "utf-8"
    quote: Literal['"', "'", "none"] = '"'
    date: DateFormat = "dd-mm-yyyy"
    time: TimeFormat = "HH:MM"
    decimal: Literal[",", "."] = ","
    thousands: Literal["", ".", ",", " ", "'"] = ""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same mark")
        return self


class Translate(Definition):
    """Codes replaced by those that a concept map gives them, from one code system to another."""

    from_system: str
    to_system: str


class Content(Definition):
    """What one column of a ZIB table holds: the value of a column of the file, or the same `value` in every row."""

    column: str | None = None
    value: str | None = None
    translate: Translate | None = None
    comparator: str | None = None
    refers_to: str | None = None
    id: str | None = None
    true_when: tuple[str, ...] = ()
    false_when: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.column, self.value, self.id)) != 1:
            raise ValueError("give one of: column, value, or id with refers_to")
        if (self.id is None) != (self.refers_to is None):
            raise ValueError("id and refers_to go together")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that it reads."""
        return (self.column,) if self.column is not None else placeholders(self.id or "")


def _content(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class CodingSource(Definition):
    """One coding of a coded element: columns of the file with the code and its name, and the system of the code.

    With `translate_from` the file holds a code of that system, and the concept map gives the one of `system`.
    """

    code: str
    system: str
    display: str | None = None
    translate_from: str | None = None


class TableRows(Definition):
    """One row of a ZIB table per line of the file; none when a column in `needs` is empty."""

    table: str
    id: str
    patient: str | None = None
    needs: tuple[str, ...] = ()
    columns: dict[str, Annotated[Content, BeforeValidator(_content)]] = Field(default_factory=dict)
    codings: dict[str, Annotated[tuple[CodingSource, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @property
    def reads(self) -> list[str]:
        """The columns of the file that it reads, in order of first use."""
        codings = [source for sources in self.codings.values() for source in sources]
        names = [*placeholders(self.id), *placeholders(self.patient or ""), *self.needs]
        names += [name for content in self.columns.values() for name in content.columns]
        names += [name for source in codings for name in (source.code, source.display) if name is not None]
        return list(dict.fromkeys(names))


class CsvFile(Definition):
    """The files of one name pattern. `ignore` names the columns that are left out, each with the reason."""

    file: Annotated[str, Field(min_length=1)]
    format: CsvFormat | None = None
    ignore: dict[str, str] = Field(default_factory=dict)
    tables: Annotated[tuple[TableRows, ...], Field(min_length=1)]

    @property
    def reads(self) -> list[str]:
        """The columns of the file that its tables read, in order of first use."""
        return list(dict.fromkeys(name for table in self.tables for name in table.reads))


class CsvMapping(Definition):
    """A kind of extract. `institutions` limits it to their exports; without it any export may hold it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    source: str
    institutions: tuple[str, ...] = ()
    format: CsvFormat = CsvFormat()
    files: Annotated[tuple[CsvFile, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class MappedFile:
    """What is to be done with one file of an export: its place in a mapping, and the format that holds for it."""

    mapping: Path
    rows: CsvFile
    format: CsvFormat


class CsvMappings:
    """All mappings of CSV extracts; finds the one for a file."""

    def __init__(self, mappings: Mapping[Path, CsvMapping]) -> None:
        self._mappings = mappings

    def of_file(self, institution: str, name: str, original: str) -> MappedFile | None:
        """What is to be done with a file, by its original name without folders; None when no mapping is about it.

        Raises:
            TerminalError: `CSV-MAPPING-AMBIGUOUS` when two patterns match the name.
        """
        bare = unnumbered(original).rpartition("/")[2].lower()
        if not bare.endswith(_FILE_ENDINGS):
            return None
        found = [
            MappedFile(path, file, file.format or mapping.format)
            for path, mapping in self._mappings.items()
            if not mapping.institutions or institution in mapping.institutions
            for file in mapping.files
            if fnmatch.fnmatchcase(bare, file.file.lower())
            or fnmatch.fnmatchcase(bare.removesuffix(".gz"), file.file.lower())
        ]
        if len(found) > 1:
            both = " and ".join(f"'{one.rows.file}' of {one.mapping.name}" for one in found[:2])
            raise TerminalError(
                "CSV-MAPPING-AMBIGUOUS",
                f"it matches {both}",
                where=f"{institution}/{name}",
                remedy="Make the patterns narrower, or name the institutions each mapping is for.",
            )
        return found[0] if found else None


def load_csv_mappings(folder: Path, catalogue: Catalogue) -> CsvMappings:
    """Every mapping in `folder`, checked against the ZIB tables; none when there is no such folder.

    Raises:
        TerminalError: `CSV-MAPPING-INVALID`, naming file and field.
    """
    tables = {table.name: table for table in catalogue.tables}
    mappings: dict[Path, CsvMapping] = {}
    for path in sorted(folder.glob("*.yaml")):
        mapping = read_definition(path, CsvMapping, CODE)
        if mapping.name != path.stem:
            raise definition_error(path, f"field 'name': it has to be the file's name, {path.stem}", CODE)
        for i, file in enumerate(mapping.files):
            for j, rows in enumerate(file.tables):
                for what in _misfits(rows, tables):
                    raise definition_error(path, f"field 'files.{i}.tables.{j}.{what}", CODE)
            if both := sorted(set(file.ignore) & set(file.reads)):
                raise definition_error(path, f"field 'files.{i}.ignore': {both[0]} is read by a table", CODE)
        mappings[path] = mapping
    return CsvMappings(mappings)


def placeholders(template: str) -> tuple[str, ...]:
    """The columns named in a template such as ``{Opname}-{Volgnummer}``."""
    return tuple(_PLACE.findall(template))


def moment_family(name: str, columns: Collection[str]) -> dict[str, str]:
    """What one date or moment fills, by column: `x_date` and `x_at`, and as `text` their `x_date_text` or `x_text`."""
    stem = name.removesuffix("_date").removesuffix("_at")
    parts = {
        f"{stem}_date": "date", f"{stem}_at": "at", f"{stem}_date_text": "text", f"{stem}_text": "text"
    }  # fmt: skip
    return {column: part for column, part in parts.items() if column in columns}


def coded_columns(stem: str, columns: Collection[str]) -> dict[str, str]:
    """The columns of a coded element by what they hold: code, system, display and codings."""
    code = f"{stem}_code" if f"{stem}_code" in columns else stem
    held = {"code": code, "system": f"{stem}_system", "display": f"{stem}_display", "codings": f"{stem}_codings_id"}
    return {part: column for part, column in held.items() if column in columns}


def _misfits(rows: TableRows, tables: Mapping[str, ZibTable]) -> Iterator[str]:
    """What does not fit the ZIB table, as ``field': what is wrong``."""
    if rows.table not in tables:
        yield f"table': there is no such ZIB table; one of {', '.join(sorted(tables))}"
        return
    if not placeholders(rows.id):
        yield "id': it names no column, as in {Nummer}"
    outputs = {column.name: column for column in tables[rows.table].view.outputs}
    if rows.patient is not None and not placeholders(rows.patient):
        yield "patient': it names no column, as in {Patientnummer}"
    moments = [name for name in rows.columns if name in outputs and outputs[name].type in ("DATE", "TIMESTAMP")]
    filled = {column for name in moments for column in moment_family(name, outputs) if column != name}
    filled |= {column for stem in rows.codings for column in coded_columns(stem, outputs).values()}
    for name, content in rows.columns.items():
        if name not in outputs or name in ("resource_key", "patient_key"):
            free = sorted(set(outputs) - {"resource_key", "patient_key"})
            yield f"columns.{name}': {rows.table} has no such column to fill; one of {', '.join(free)}"
        elif name in filled:
            yield f"columns.{name}': it is filled already, from a date, moment or coding"
        else:
            yield from (f"columns.{name}': {what}" for what in _wrong_content(content, outputs[name], outputs))
    for stem in rows.codings:
        if "codings" not in coded_columns(stem, outputs):
            stems = sorted(name.removesuffix("_codings_id") for name in outputs if name.endswith("_codings_id"))
            yield f"codings.{stem}': {rows.table} has no coded element of that name; one of {', '.join(stems)}"


def _wrong_content(content: Content, output: Any, outputs: Mapping[str, Any]) -> Iterator[str]:
    if (output.kind == "key") != (content.refers_to is not None):
        yield "a key is given by refers_to and id" if output.kind == "key" else "only a key has refers_to"
    if output.kind == "codings":
        yield "codings are given under 'codings'"
    if (output.type == "BOOLEAN") != bool(content.true_when and content.false_when):
        yield "true_when and false_when belong to a BOOLEAN column, and it needs both"
    if content.translate is not None and output.type != "VARCHAR":
        yield "only a text column can be translated"
    if content.comparator is not None and (output.type != "DOUBLE" or content.comparator not in outputs):
        yield "comparator names a column of the table, for the < or > before a number"
