"""ViewDefinitions compiled to one DuckDB query over a relation of resources.

The query reads from a relation named by the caller whose columns are the elements the view needs, each
prefixed with ``_r_``. Every ``forEach`` becomes an UNNEST in a projection, never a join.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.expressions import ExpressionError, Expressions, KeySql, criterion
from pipelines.sqlonfhir.fhir_types import SQL_TYPES, FhirTypes
from pipelines.sqlonfhir.values import Schema, Value, compact, quote, single

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_SELECT_KEYS = {"column", "select", "forEach", "forEachOrNull", "unionAll", "repeat", "id", "extension"}
_ANSI = {
    "DATE": "CASE WHEN length({0}) >= 10 THEN TRY_CAST(left({0}, 10) AS DATE) END",
    "TIMESTAMP": "CASE WHEN length({0}) >= 10 THEN TRY_CAST(left({0}, 19) AS TIMESTAMP) END",
}
"""`ansi/type` tags that a column may carry. Times are read as the local wall clock that was written."""
_PARTIAL_DATE = r"^\d{4}(-\d{2})?$"
EARLIEST, LATEST = "1900-01-01", "2100-01-01"
"""Dates outside this range are typing errors (operationalisation); the data checks are stricter."""


class ViewError(TerminalError):
    """The ViewDefinition is invalid (`VIEW-INVALID`) or needs something not supported (`VIEW-UNSUPPORTED`)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One output column: its name and its SQL over the relation it belongs to."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class CompiledView:
    """A ViewDefinition ready to run.

    Attributes:
        resource: FHIR type of the resources it reads.
        columns: output column names, in order.
        schema: what it reads of each resource.
    """

    resource: str
    columns: tuple[str, ...]
    schema: Schema
    _query: str
    _date_flaw: str

    def sql(self, relation: str, carry: Sequence[str] = ()) -> str:
        """The query over `relation`; the columns in `carry` pass through, before the view's own."""
        carried = "".join(f'"{name}", ' for name in carry)
        return self._query.replace("{{relation}}", relation).replace("{{carry}}", carried)

    def sql_with_date_flaw(self, relation: str, carry: Sequence[str] = ()) -> str:
        """As `sql`, after a column `_date_flaw`: the name of a dated column that holds no possible date, or null."""
        return self.sql(relation, carry).replace("SELECT ", f"SELECT {self._date_flaw} AS _date_flaw, ", 1)


@dataclass(slots=True)
class _Scope:
    """Where a select stands: the node paths start from, the row index, and the columns in reach."""

    this: Value
    row_index: str = "0"
    in_reach: list[str] = field(default_factory=list)


def compile_view(view: Mapping[str, Any], types: FhirTypes, *, key: KeySql, secret: KeySql) -> CompiledView:
    """Compile a ViewDefinition.

    Args:
        view: the ViewDefinition as parsed JSON.
        types: the FHIR release it is about.
        key: SQL from ``Type/id`` to the key that getResourceKey() and getReferenceKey() give.
        secret: SQL from a direct identifier to its pseudonym, for columns with the tag `pseudonym`.

    Raises:
        ViewError: with the path of the offending part, for example ``select[0].column[1].path``.
    """
    return _Compiler(view, types, key, secret).compile()


class _Compiler:
    def __init__(self, view: Mapping[str, Any], types: FhirTypes, key: KeySql, secret: KeySql) -> None:
        self._view = view
        self._types = types
        self._key = key
        self._secret = secret
        self._unnested = 0
        self._dates: list[tuple[str, str, str]] = []

    def compile(self) -> CompiledView:
        if not isinstance(self._view, Mapping):
            raise _invalid("a ViewDefinition is a JSON object", "$")
        resource = self._view.get("resource")
        if not isinstance(resource, str) or resource not in self._types.resources:
            raise _invalid("it must name a FHIR resource type", "resource")
        self._expressions = Expressions(self._types, dict(self._constants()), self._key)
        schema = Schema()
        root = Value("TRUE", resource, schema=schema, resource=True)
        relation = self._filtered(root)
        selects = _list_of_objects(self._view.get("select"), "select")
        if not selects:
            raise _invalid("it needs at least one select", "select")
        relation, columns = self._selects(selects, "select", relation, _Scope(root))
        if not columns:
            raise _invalid("it has no column", "select")
        outputs = ", ".join(f'{column.sql} AS "{column.name}"' for column in columns)
        query = f"SELECT {{{{carry}}}}{outputs} FROM {relation}"
        return CompiledView(resource, tuple(column.name for column in columns), schema, query, self._date_flaw(columns))

    def _date_flaw(self, columns: Sequence[Column]) -> str:
        by_sql = {column.sql for column in columns}
        cases = "".join(
            f" WHEN {raw} IS NOT NULL AND NOT regexp_matches({raw}, {quote(_PARTIAL_DATE)})"
            f" AND coalesce({read} NOT BETWEEN '{EARLIEST}' AND '{LATEST}', TRUE) THEN {quote(name)}"
            for name, raw, read in self._dates
            if read in by_sql
        )
        return f"CASE{cases} END" if cases else "NULL::VARCHAR"

    def _constants(self) -> Iterator[tuple[str, Value]]:
        for i, constant in enumerate(_list_of_objects(self._view.get("constant", []), "constant")):
            where = f"constant[{i}]"
            values = [(k, v) for k, v in constant.items() if k.startswith("value")]
            if not isinstance(constant.get("name"), str) or len(values) != 1:
                raise _invalid("a constant has a name and one value[x]", where)
            name, value = values[0]
            type_ = name[5:6].lower() + name[6:]
            if type_ not in SQL_TYPES or not isinstance(value, (str, int, float)):
                raise _invalid("its value is no FHIR primitive", f"{where}.{name}")
            sql = quote(value) if isinstance(value, str) else str(value).upper()
            yield constant["name"], Value(sql, type_)

    def _filtered(self, root: Value) -> str:
        conditions = []
        for i, where in enumerate(_list_of_objects(self._view.get("where", []), "where")):
            place = f"where[{i}].path"
            try:
                conditions.append(criterion(self._expression(where.get("path"), place, _Scope(root))))
            except ExpressionError as error:
                raise _invalid(str(error), place) from None
        relation = "{{relation}}"
        return f"(SELECT * FROM {relation} WHERE {' AND '.join(conditions)})" if conditions else relation

    def _expression(self, path: Any, place: str, scope: _Scope) -> Value:
        if not isinstance(path, str):
            raise _invalid("it must be a FHIRPath expression", place)
        try:
            return self._expressions.compile(path, scope.this, scope.row_index)
        except ExpressionError as error:
            code = "VIEW-UNSUPPORTED" if "not supported" in str(error) else "VIEW-INVALID"
            raise _invalid(str(error), place, code) from None

    def _selects(
        self, selects: Sequence[Mapping[str, Any]], place: str, relation: str, scope: _Scope
    ) -> tuple[str, list[Column]]:
        columns: list[Column] = []
        for i, select in enumerate(selects):
            relation, added = self._select(select, f"{place}[{i}]", relation, scope)
            for column in added:
                if column.name in {c.name for c in columns}:
                    raise _invalid(f"the column name '{column.name}' occurs twice", f"{place}[{i}]")
                columns.append(column)
        return relation, columns

    def _select(self, select: Mapping[str, Any], place: str, relation: str, scope: _Scope) -> tuple[str, list[Column]]:
        if unknown := set(select) - _SELECT_KEYS:
            raise _invalid(f"a select has no '{min(unknown)}'", place)
        if "repeat" in select:
            raise _invalid("repeat is not supported yet", f"{place}.repeat", "VIEW-UNSUPPORTED")
        inner = scope
        if "forEach" in select or "forEachOrNull" in select:
            relation, inner = self._for_each(select, place, relation, scope)
        columns = [
            self._column(column, f"{place}.column[{i}]", inner)
            for i, column in enumerate(_list_of_objects(select.get("column", []), f"{place}.column"))
        ]
        nested = _list_of_objects(select.get("select", []), f"{place}.select")
        relation, added = self._selects(nested, f"{place}.select", relation, inner)
        columns += added
        branches = _list_of_objects(select.get("unionAll", []), f"{place}.unionAll")
        if branches:
            relation, added = self._union(branches, f"{place}.unionAll", relation, inner, columns)
            columns = added
        scope.in_reach = inner.in_reach
        if len({column.name for column in columns}) != len(columns):
            raise _invalid("a column name occurs twice", place)
        return relation, columns

    def _for_each(self, select: Mapping[str, Any], place: str, relation: str, scope: _Scope) -> tuple[str, _Scope]:
        kind = "forEach" if "forEach" in select else "forEachOrNull"
        items = self._expression(select[kind], f"{place}.{kind}", scope)
        if items.resource:
            raise _invalid("it must select elements of the resource", f"{place}.{kind}")
        self._unnested += 1
        element, index = f"_e{self._unnested}", f"_i{self._unnested}"
        values = items.sql if items.many else f"CASE WHEN {items.sql} IS NOT NULL THEN [{items.sql}] ELSE [] END"
        unnest = [f"unnest({values}) AS {element}"]
        if kind == "forEachOrNull":
            unnest = [f"unnest(CASE WHEN coalesce(len({values}), 0) = 0 THEN [NULL] ELSE {values} END) AS {element}"]
        counted = "%rowIndex" in str(select)
        if counted:
            size = f"greatest(coalesce(len({values}), 0), {int(kind == 'forEachOrNull')})"
            unnest.append(f"unnest(range({size})) AS {index}")
        inner = _Scope(
            Value(element, items.type, schema=items.schema),
            index if counted else "0",
            [*scope.in_reach, element, *([index] if counted else [])],
        )
        return f"(SELECT *, {', '.join(unnest)} FROM {relation})", inner

    def _union(
        self,
        branches: Sequence[Mapping[str, Any]],
        place: str,
        relation: str,
        scope: _Scope,
        beside: list[Column],
    ) -> tuple[str, list[Column]]:
        """Concatenate the branches; columns already found `beside` them are computed before the union."""
        parts: list[str] = []
        expected: list[str] = []
        for i, branch in enumerate(branches):
            before = list(scope.in_reach)
            part, columns = self._select(branch, f"{place}[{i}]", relation, scope)
            extra = scope.in_reach[len(before) :]
            scope.in_reach = before
            names = [column.name for column in columns]
            if i and names != expected:
                raise _invalid("its columns differ from those of the first branch", f"{place}[{i}]")
            expected = names
            # Output columns of an inner union are in the relation already: leave them out of the star.
            drop = [*extra, *(column.name for column in columns if column.sql == f'"{column.name}"')]
            star = "*" if not drop else "* EXCLUDE (" + ", ".join(f'"{name}"' for name in drop) + ")"
            outputs = "".join(f', {column.sql} AS "{column.name}"' for column in [*beside, *columns])
            parts.append(f"SELECT {star}{outputs} FROM {part}")
        merged = [Column(name, f'"{name}"') for name in [*(c.name for c in beside), *expected]]
        return "(" + " UNION ALL ".join(parts) + ")", merged

    def _column(self, column: Mapping[str, Any], place: str, scope: _Scope) -> Column:
        name = column.get("name")
        if not isinstance(name, str) or not _NAME.match(name):
            raise _invalid("a column name starts with a letter and holds letters, digits and _", f"{place}.name")
        value = self._expression(column.get("path"), f"{place}.path", scope)
        if value.resource or value.type not in SQL_TYPES:
            raise _invalid(f"a column holds a primitive, not {value.type}", f"{place}.path")
        sql = single(value)
        if column.get("collection") is True:
            sql = f"coalesce({compact(value)}, [])" if value.many else f"list_filter([{sql}], lambda x: x IS NOT NULL)"
        return Column(name, self._tagged(sql, column, place))

    def _tagged(self, sql: str, column: Mapping[str, Any], place: str) -> str:
        for i, tag in enumerate(_list_of_objects(column.get("tag", []), f"{place}.tag")):
            match tag.get("name"), tag.get("value"):
                case "ansi/type", str(type_):
                    if type_ not in _ANSI:
                        raise _invalid(
                            f"ansi/type '{type_}' is not supported; use one of {', '.join(_ANSI)}",
                            f"{place}.tag[{i}]",
                            "VIEW-UNSUPPORTED",
                        )
                    raw, sql = sql, _ANSI[type_].format(sql)
                    self._dates.append((column["name"], raw, sql))
                case "canonical", "url" | "version" as part:
                    sql = f"nullif(split_part({sql}, '|', {1 if part == 'url' else 2}), '')"
                case "pseudonym", str(kind):
                    sql = self._secret(f"({quote(kind + ':')} || {sql})")
        return sql


def _invalid(what: str, place: str, code: str = "VIEW-INVALID") -> ViewError:
    return ViewError(code, what, where=place, remedy="Correct the ViewDefinition.")


def _list_of_objects(value: Any, place: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise _invalid("it must be a list of objects", place)
    return value
