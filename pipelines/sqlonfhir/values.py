"""What a FHIRPath expression compiles to: a piece of DuckDB SQL with its FHIR type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipelines.sqlonfhir.fhir_types import KEY, SQL_TYPES, Element

NOT_SINGLE = "more than one value where one is expected"
"""How the error of a query starts when a path gives several values for a column that takes one."""

NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})


@dataclass(slots=True)
class Schema:
    """The elements a view reads, as a tree: only these are parsed out of the JSON."""

    children: dict[str, tuple[Element, Schema]] = field(default_factory=dict)

    def child(self, element: Element) -> Schema:
        """Record that `element` is read and return its own node."""
        return self.children.setdefault(element.name, (element, Schema()))[1]

    def merge(self, other: Schema) -> None:
        """Add what `other` reads."""
        for element, schema in other.children.values():
            self.child(element).merge(schema)

    def columns(self) -> dict[str, str]:
        """DuckDB column types by element, as `read_json` takes them."""
        return {element.name: _sql_type(element, schema) for element, schema in self.children.values()}

    def __iter__(self) -> Iterator[tuple[Element, Schema]]:
        return iter(self.children.values())


def _sql_type(element: Element, schema: Schema) -> str:
    if element.type in SQL_TYPES:
        base = SQL_TYPES[element.type]
    elif schema.children:
        base = "STRUCT(" + ", ".join(f'"{name}" {type_}' for name, type_ in schema.columns().items()) + ")"
    else:
        base = "JSON"
    return base + "[]" if element.many else base


@dataclass(frozen=True, slots=True)
class Value:
    """SQL that yields a value (or, when `many`, a list) of one FHIR type.

    Attributes:
        sql: the SQL; for the resource itself, the condition under which it counts (``TRUE`` if always).
        type: the FHIR type.
        many: whether `sql` is a list.
        schema: where reads of child elements are recorded; None for computed values.
        resource: whether this is the resource itself, whose elements are columns.
        dense: whether the list is known to hold no null.
        head: cheaper SQL for the first item of the list, if there is any.
        source: for a primitive element, what it was read from and as which element: its extensions lie beside it.
    """

    sql: str
    type: str
    many: bool = False
    schema: Schema | None = None
    resource: bool = False
    dense: bool = False
    head: str | None = None
    source: tuple[Value, Element] | None = None

    def with_sql(self, sql: str, *, many: bool | None = None) -> Value:
        """The same type with other SQL."""
        return replace(self, sql=sql, many=self.many if many is None else many, head=None, source=None)

    @property
    def is_text(self) -> bool:
        """Whether it holds text: a string, code, URI, or a date as written."""
        return self.type != KEY and SQL_TYPES.get(self.type) == "VARCHAR"

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.type in NUMBERS


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice element such as ``value[x]`` of `origin`: at most one of its `alternatives` is present."""

    origin: Value
    alternatives: tuple[Element, ...]


def quote(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def compact(value: Value) -> str:
    """The list `value` without nulls. Lists of JSON objects have none worth the time to look for."""
    if value.dense or value.type not in SQL_TYPES:
        return value.sql
    return f"list_filter({value.sql}, lambda x: x IS NOT NULL)"


def exists(value: Value) -> str:
    """SQL boolean: whether `value` holds anything."""
    if value.resource:
        return f"coalesce({value.sql}, FALSE)"
    return f"(coalesce(len({compact(value)}), 0) > 0)" if value.many else f"({value.sql} IS NOT NULL)"


def single(value: Value) -> str:
    """`value` as one value; several are an error when the query runs."""
    if not value.many:
        return value.sql
    items = compact(value)
    return f"CASE WHEN len({items}) > 1 THEN error('{NOT_SINGLE}: ' || len({items})) ELSE {items}[1] END"
