"""What a FHIRPath expression compiles to: a piece of DuckDB SQL with its FHIR type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.sqlonfhir.fhir_types import KEY, SQL_TYPES, Element

NOT_SINGLE = "more than one value where one is expected"
"""How the error of a query starts when a path gives several values for a column that takes one."""

NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})


@dataclass(slots=True)
class Schema:
    """The elements a view reads, as a tree: only these are parsed out of the JSON.

    Attributes:
        children: by JSON name.
        as_text: for a decimal, whether it is kept as written, with the zeros at its end.
    """

    children: dict[str, tuple[Element, Schema]] = field(default_factory=dict)
    as_text: bool = False

    def child(self, element: Element) -> Schema:
        """Record that `element` is read and return its own node."""
        return self.children.setdefault(element.name, (element, Schema()))[1]

    def merge(self, other: Schema) -> None:
        """Add what `other` reads."""
        self._merge(other, {id(other): self}, set())

    def _merge(self, other: Schema, counterparts: dict[int, Schema], done: set[tuple[int, int]]) -> None:
        if (id(self), id(other)) in done:
            return
        done.add((id(self), id(other)))
        self.as_text = self.as_text or other.as_text
        for name, (element, schema) in list(other.children.items()):
            counterpart = counterparts.setdefault(id(schema), Schema())
            own = self.children.setdefault(name, (element, counterpart))[1]
            own._merge(schema, counterparts, done)

    def columns(self) -> dict[str, str]:
        """DuckDB column types by element, as `read_json` takes them."""
        return {element.name: _sql_type(element, schema) for element, schema in self.children.values()}

    @property
    def is_recursive(self) -> bool:
        """Whether it reads elements that are kept as JSON, whose shape DuckDB does not check."""
        return any(element.recursive or schema.is_recursive for element, schema in self)

    @property
    def keeps_decimals(self) -> bool:
        """Whether it needs decimals as they were written, which DuckDB does not keep."""
        return self.as_text or any(not element.recursive and schema.keeps_decimals for element, schema in self)

    def structure(self) -> Any:
        """The structure of its elements as DuckDB's `from_json` takes it."""
        return {element.name: _structure(element, schema) for element, schema in self} or "JSON"

    def __iter__(self) -> Iterator[tuple[Element, Schema]]:
        return iter(self.children.values())


def _primitive(element: Element, schema: Schema) -> str | None:
    return "VARCHAR" if schema.as_text else SQL_TYPES.get(element.type)


def _structure(element: Element, schema: Schema) -> Any:
    structure = _primitive(element, schema) or ("JSON" if element.recursive else schema.structure())
    return [structure] if element.many else structure


def _sql_type(element: Element, schema: Schema) -> str:
    if primitive := _primitive(element, schema):
        base = primitive
    elif schema.children and not element.recursive:
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
