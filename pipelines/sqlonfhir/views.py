"""ViewDefinitions compiled to one DuckDB query over a relation of resources.

The query reads from a relation named by the caller whose columns are the elements the view needs, each
prefixed with ``_r_``. Every ``forEach`` becomes an UNNEST in a projection, never a join.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipelines.errors import TerminalError
from pipelines.sqlonfhir import fhirpath
from pipelines.sqlonfhir.expressions import ExpressionError, Expressions, KeySql, criterion
from pipelines.sqlonfhir.fhir_types import KEY, SQL_TYPES, FhirTypes
from pipelines.sqlonfhir.repeats import find_repeat
from pipelines.sqlonfhir.shared_lists import share
from pipelines.sqlonfhir.tags import UnitTable, codings_text, is_quantity, quantity_in, unit_for
from pipelines.sqlonfhir.values import Schema, Value, compact, quote, single

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SELECT_KEYS = {"column", "select", "forEach", "forEachOrNull", "unionAll", "repeat", "id", "extension"}
_UNFOLDING = {"forEach", "forEachOrNull", "repeat"}
_NOTHING = "nothing"
"""The type of the elements of a `repeat` whose paths do not exist."""
_TAGS = {"ansi/type", "canonical", "pseudonym"}
_ANSI = {
    "DATE": "CASE WHEN length({0}) >= 10 THEN TRY_CAST(left({0}, 10) AS DATE) END",
    "TIMESTAMP": "CASE WHEN length({0}) >= 10 THEN TRY_CAST(left({0}, 19) AS TIMESTAMP) END",
}
"""`ansi/type` tags that a column may carry. Times are read as the local wall clock that was written."""
_RELATION = f"relation_{secrets.token_hex(16)}"
"""Stands for the relation until it is known; no text of a view can be equal to it."""
_PARTIAL_DATE = r"^\d{4}(-\d{2})?$"
EARLIEST, LATEST = "1900-01-01", "2100-01-01"
"""Dates outside this range are typing errors (operationalisation); the data checks are stricter."""


class ViewError(TerminalError):
    """The ViewDefinition is invalid (`VIEW-INVALID`) or needs something not supported (`VIEW-UNSUPPORTED`)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One output column: name, SQL over the relation it belongs to, DuckDB type, and what the caller has to do.

    A column of kind ``key`` holds ``Type/id`` and has to become a key; one of kind ``codings`` holds the text of
    `codings_text` and has to become its id. Both only when `compile_view` was not told how. `unit` is what a tag
    says of units: the UCUM unit that a quantity is converted to, or ``@name`` of a table of units.
    """

    name: str
    sql: str
    type: str
    kind: Literal["value", "key", "codings"] = "value"
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class CompiledView:
    """A ViewDefinition ready to run.

    Attributes:
        resource: FHIR type of the resources it reads.
        types: the FHIR release it is about.
        outputs: output columns, in order.
        schema: what it reads of each resource.
        condition: SQL of whether a resource gives any row, as far as `where` says.
    """

    resource: str
    types: FhirTypes
    outputs: tuple[Column, ...]
    schema: Schema
    condition: str
    _source: str
    _date_flaw: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the output columns."""
        return tuple(column.name for column in self.outputs)

    def sql(self, relation: str) -> str:
        """The query over `relation`."""
        chosen = relation if self.condition == "TRUE" else f"(SELECT * FROM {relation} WHERE {self.condition})"
        return f"SELECT {self._selected} FROM {self._source.replace(_RELATION, chosen)}"

    def sql_with_row(self, chosen: str) -> str:
        """As `sql` over resources that all meet the condition, after `_row` of the relation and `_date_flaw`.

        `_date_flaw` is the name of a dated column that holds no possible date, or null.
        """
        source = self._source.replace(_RELATION, chosen)
        return f"SELECT _row, {self._date_flaw} AS _date_flaw, {self._selected} FROM {source}"

    @property
    def _selected(self) -> str:
        return ", ".join(f'{column.sql} AS "{column.name}"' for column in self.outputs)


@dataclass(slots=True)
class _Scope:
    """Where a select stands: the node paths start from, the row index, and the columns in reach."""

    this: Value
    row_index: str = "0"
    in_reach: list[str] = field(default_factory=list)


def compile_view(
    view: Mapping[str, Any],
    types: FhirTypes,
    *,
    key: KeySql | None,
    secret: KeySql,
    codings: KeySql | None,
    units: Mapping[str, UnitTable] | None = None,
) -> CompiledView:
    """Compile a ViewDefinition.

    Args:
        view: the ViewDefinition as parsed JSON.
        types: the FHIR release it is about.
        key: SQL from ``Type/id`` to the key that getResourceKey() and getReferenceKey() give; None to have
            ``Type/id`` itself in columns of kind ``key``, which the caller must turn into keys.
        secret: SQL from a direct identifier to its pseudonym, for columns with the tag `pseudonym`.
        codings: SQL from the text of `codings_text` to its id, for columns with the tag `codings`; None to have that
            text itself in columns of kind ``codings``.
        units: by name, the tables that the tags `ucum` and `ucum/unit` may point to as ``@name``.

    Raises:
        ViewError: with the path of the offending part, for example ``select[0].column[1].path``.
    """
    return _Compiler(view, types, key, secret, codings, units or {}).compile()


class _Compiler:
    def __init__(
        self,
        view: Mapping[str, Any],
        types: FhirTypes,
        key: KeySql | None,
        secret: KeySql,
        codings: KeySql | None,
        units: Mapping[str, UnitTable],
    ) -> None:
        self._view = view
        self._units = units
        self._codings = codings
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
        schema = Schema()
        root = Value("TRUE", resource, schema=schema, resource=True)
        self._expressions = Expressions(self._types, root, dict(self._constants()), self._key)
        condition = self._condition(root)
        selects = _list_of_objects(self._view.get("select"), "select")
        if not selects:
            raise _invalid("it needs at least one select", "select")
        relation, columns = self._selects(selects, "select", _RELATION, _Scope(root))
        if not columns:
            raise _invalid("it has no column", "select")
        filled = self._expressions.filled
        found, levels = share([filled(sql) for sql in (self._date_flaw(columns), *(c.sql for c in columns))])
        outputs = tuple(replace(column, sql=sql) for column, sql in zip(columns, found[1:], strict=True))
        source = filled(relation)
        for lists in levels:
            source = f"(SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in lists.items())} FROM {source})"
        return CompiledView(resource, self._types, outputs, schema, filled(condition), source, found[0])

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
            if not _is_constant(value, type_):
                raise _invalid("its value is no such FHIR primitive", f"{where}.{name}")
            sql = quote(value) if isinstance(value, str) else str(value).upper()
            yield constant["name"], Value(sql, type_)

    def _condition(self, root: Value) -> str:
        conditions = []
        for i, where in enumerate(_list_of_objects(self._view.get("where", []), "where")):
            place = f"where[{i}].path"
            try:
                conditions.append(criterion(self._expression(where.get("path"), place, _Scope(root))))
            except ExpressionError as error:
                raise _invalid(str(error), place) from None
        return " AND ".join(f"({condition})" for condition in conditions) or "TRUE"

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
                if column.name.lower() in {c.name.lower() for c in columns}:
                    raise _invalid(f"the column name '{column.name}' occurs twice", f"{place}[{i}]")
                columns.append(column)
        return relation, columns

    def _select(self, select: Mapping[str, Any], place: str, relation: str, scope: _Scope) -> tuple[str, list[Column]]:
        if unknown := set(select) - _SELECT_KEYS:
            raise _invalid(f"a select has no '{min(unknown)}'", place)
        if len(unfolding := _UNFOLDING & set(select)) > 1:
            raise _invalid(f"it has one of {', '.join(sorted(unfolding))}", place)
        inner = scope
        if scope.this.type == _NOTHING:
            pass
        elif "repeat" in select:
            relation, inner = self._repeat(select, f"{place}.repeat", relation, scope)
        elif unfolding:
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
        if len({column.name.lower() for column in columns}) != len(columns):
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

    def _repeat(self, select: Mapping[str, Any], place: str, relation: str, scope: _Scope) -> tuple[str, _Scope]:
        paths = select["repeat"]
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise _invalid("it must be a list of paths", place)
        try:
            repeat = find_repeat(self._types, scope.this, paths)
        except (ExpressionError, fhirpath.FhirPathSyntaxError) as error:
            code = "VIEW-UNSUPPORTED" if "not supported" in str(error) else "VIEW-INVALID"
            raise _invalid(str(error), place, code) from None
        if repeat is None:
            return f"(SELECT * FROM {relation} WHERE FALSE)", _Scope(Value("NULL", _NOTHING), "0", scope.in_reach)
        self._unnested += 1
        n = self._unnested
        counted = "%rowIndex" in str(select)
        number, index = (
            ", row_number() OVER () AS _n",
            f", row_number() OVER (PARTITION BY _n ORDER BY j.id) - 1 AS _i{n}",
        )
        element = self._expressions.parsed("j.value", repeat.schema)
        source = f"(SELECT *, {repeat.document} AS _document{number if counted else ''} FROM {relation}) d"
        working = "_document, _n" if counted else "_document"
        rows = (
            f"(SELECT d.* EXCLUDE ({working}), {element} AS _e{n}{index if counted else ''}"
            f" FROM {source}, json_tree(d._document) j"
            f" WHERE j.type = 'OBJECT' AND regexp_full_match(j.fullkey, {quote(repeat.pattern)}))"
        )
        reach = [*scope.in_reach, f"_e{n}", *([f"_i{n}"] if counted else [])]
        this = Value(f"_e{n}", repeat.type, schema=repeat.schema)
        return rows, _Scope(this, f"_i{n}" if counted else "0", reach)

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
        expected: list[tuple[str, str]] = []
        known: dict[str, Column] = {}
        for i, branch in enumerate(branches):
            before = list(scope.in_reach)
            part, columns = self._select(branch, f"{place}[{i}]", relation, scope)
            extra = scope.in_reach[len(before) :]
            scope.in_reach = before
            signature = [(column.name, column.type) for column in columns]
            if i and signature != expected:
                raise _invalid("its columns differ in name or type from those of the first branch", f"{place}[{i}]")
            expected = signature
            known |= {column.name: column for column in [*beside, *columns]}
            # Output columns of an inner union are in the relation already: leave them out of the star.
            drop = [*extra, *(column.name for column in columns if column.sql == f'"{column.name}"')]
            star = "*" if not drop else "* EXCLUDE (" + ", ".join(f'"{name}"' for name in drop) + ")"
            outputs = "".join(f', {column.sql} AS "{column.name}"' for column in [*beside, *columns])
            parts.append(f"SELECT {star}{outputs} FROM {part}")
        names = [*(column.name for column in beside), *(name for name, _ in expected)]
        merged = [replace(known[name], sql=f'"{name}"') for name in names]
        return "(" + " UNION ALL ".join(parts) + ")", merged

    def _column(self, column: Mapping[str, Any], place: str, scope: _Scope) -> Column:
        name = column.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _invalid("a column name starts with a letter and holds letters, digits and _", f"{place}.name")
        if scope.this.type == _NOTHING:
            several = "[]" if column.get("collection") is True else ""
            type_ = SQL_TYPES.get(str(column.get("type")), "VARCHAR") + several
            return Column(name, f"NULL::{type_}", type_)
        value = self._expression(column.get("path"), f"{place}.path", scope)
        tags = {str(tag.get("name")): tag for tag in _list_of_objects(column.get("tag", []), f"{place}.tag")}
        for tag in ("codings", "ucum", "ucum/unit"):
            if tag in tags:
                if len(tags) > 1:
                    raise _invalid(f"the tag '{tag}' goes with no other", f"{place}.tag")
                setting = tags[tag].get("value")
                match tag:
                    case "codings":
                        return self._codings_column(name, value, setting, column, place)
                    case "ucum":
                        read = self._ucum_column(name, value, self._unit(setting, place, scope), column, place)
                        return replace(read, unit=str(setting))
                return replace(self._unit_column(name, value, setting, place), unit=str(setting))
        return self._plain_column(name, value, column, place)

    def _plain_column(self, name: str, value: Value, column: Mapping[str, Any], place: str) -> Column:
        if value.resource or value.type not in SQL_TYPES:
            raise _invalid(f"a column holds a primitive, not {value.type}", f"{place}.path")
        sql = single(value)
        if value.type == KEY and (column.get("collection") is True or column.get("tag")):
            raise _invalid("a column of several or tagged keys is not supported", place, "VIEW-UNSUPPORTED")
        if column.get("collection") is True:
            sql = f"coalesce({compact(value)}, [])" if value.many else f"list_filter([{sql}], lambda x: x IS NOT NULL)"
        type_ = SQL_TYPES[value.type] + ("[]" if column.get("collection") is True else "")
        return self._tagged(Column(name, sql, type_, "key" if value.type == KEY else "value"), column, place)

    def _codings_column(self, name: str, value: Value, element: Any, column: Mapping[str, Any], place: str) -> Column:
        if name != f"{element}_codings_id" or column.get("collection") is not True or value.type != "Coding":
            what = "the tag 'codings' is for a collection of Coding, in a column <value of the tag>_codings_id"
            raise _invalid(what, f"{place}.tag")
        text = codings_text(self._expressions, value)
        if self._codings is None:
            return Column(name, text, "VARCHAR", "codings")
        return Column(name, self._codings(text), "VARCHAR")

    def _ucum_column(self, name: str, value: Value, unit: str, column: Mapping[str, Any], place: str) -> Column:
        if value.schema is None or not is_quantity(self._types, value.type) or column.get("collection") is True:
            raise _invalid(f"the tag 'ucum' is for one Quantity, not {value.type}", f"{place}.tag")
        return Column(name, quantity_in(self._expressions, value, unit), "DOUBLE")

    def _unit(self, unit: Any, place: str, scope: _Scope) -> str:
        """SQL of the unit that a `ucum` tag names; ``@table`` looks it up by the codings in `code`."""
        if not isinstance(unit, str) or not unit:
            raise _invalid("the tag 'ucum' names a UCUM unit", f"{place}.tag")
        if not unit.startswith("@"):
            return quote(unit)
        codings = self._expression("code.coding", f"{place}.tag", scope)
        return unit_for(self._expressions, codings, self._unit_table(unit, place))

    def _unit_column(self, name: str, value: Value, setting: Any, place: str) -> Column:
        if value.type != "Coding":
            raise _invalid(f"the tag 'ucum/unit' is for codings, not {value.type}", f"{place}.tag")
        return Column(name, unit_for(self._expressions, value, self._unit_table(setting, place)), "VARCHAR")

    def _unit_table(self, setting: Any, place: str) -> UnitTable:
        if not isinstance(setting, str) or not setting.startswith("@"):
            raise _invalid("a table of units is written as @name", f"{place}.tag")
        if (table := self._units.get(setting[1:])) is None:
            raise _invalid(f"the table of units {setting} is not known here", f"{place}.tag", "VIEW-UNSUPPORTED")
        return table

    def _tagged(self, output: Column, column: Mapping[str, Any], place: str) -> Column:
        for i, tag in enumerate(_list_of_objects(column.get("tag", []), f"{place}.tag")):
            if tag.get("name") in _TAGS and output.type != "VARCHAR":
                raise _invalid(f"the tag '{tag['name']}' is for one text", f"{place}.tag[{i}]")
            match tag.get("name"), tag.get("value"):
                case "ansi/type", str(type_):
                    if type_ not in _ANSI:
                        known = ", ".join(_ANSI)
                        what = f"ansi/type '{type_}' is not supported; use one of {known}"
                        raise _invalid(what, f"{place}.tag[{i}]", "VIEW-UNSUPPORTED")
                    raw, output = output.sql, replace(output, sql=_ANSI[type_].format(output.sql), type=type_)
                    self._dates.append((output.name, raw, output.sql))
                case "canonical", "url" | "version" as part:
                    number = 1 if part == "url" else 2
                    output = replace(output, sql=f"nullif(split_part({output.sql}, '|', {number}), '')")
                case "pseudonym", str(kind):
                    output = replace(output, sql=self._secret(f"({quote(kind + ':')} || {output.sql})"))
                case str(name), _ if name in _TAGS:
                    raise _invalid(f"the tag '{name}' has no such value", f"{place}.tag[{i}]")
        return output


def _invalid(what: str, place: str, code: str = "VIEW-INVALID") -> ViewError:
    return ViewError(code, what, where=place, remedy="Correct the ViewDefinition.")


def _is_constant(value: Any, type_: str) -> bool:
    match SQL_TYPES.get(type_) if type_ != KEY else None:
        case "BOOLEAN":
            return isinstance(value, bool)
        case "BIGINT":
            return isinstance(value, int) and not isinstance(value, bool)
        case "DOUBLE":
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        case "VARCHAR":
            return isinstance(value, str)
    return False


def _list_of_objects(value: Any, place: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise _invalid("it must be a list of objects", place)
    return value
