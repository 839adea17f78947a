"""FHIRPath expressions compiled to DuckDB SQL, typed by the FHIR models."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from pipelines.sqlonfhir import fhirpath
from pipelines.sqlonfhir.boundaries import End, date_boundary, moment_boundary, number_boundary, time_boundary
from pipelines.sqlonfhir.fhir_types import KEY, SQL_TYPES, Element, FhirTypes
from pipelines.sqlonfhir.references import ReferenceParts, Root, key_of
from pipelines.sqlonfhir.values import NUMBERS, Choice, Schema, Value, compact, exists, quote, single

KeySql = Callable[[str], str]
"""From SQL that yields ``Type/id`` to SQL that yields the key a view shows."""

_STRUCTURE = f"structure_{secrets.token_hex(16)}"
"""Stands for a structure until it is known; no text of a view can be equal to it."""
_COMPARING = frozenset({"=", "!="})

_WITHOUT_ARGUMENT = {"exists", "empty", "count", "first", "last", "not", "getResourceKey"}


class ExpressionError(ValueError):
    """The expression is invalid for the resource, or uses something outside the supported subset."""


class Expressions:
    """Compiles FHIRPath nodes in the context of one view.

    Args:
        types: the FHIR release.
        root: the resource that the view is about.
        constants: the view's constants by name.
        key: how ``getResourceKey()`` and ``getReferenceKey()`` turn ``Type/id`` into a key; None to leave that to
            the caller, who gets values of type `KEY`.
    """

    def __init__(self, types: FhirTypes, root: Value, constants: Mapping[str, Value], key: KeySql | None) -> None:
        self._types = types
        self._root = root
        self._constants = constants
        self._key = key
        self._depth = 0
        self._parsed: list[Schema] = []

    def compile(self, text: str, this: Value, row_index: str) -> Value:
        """Compile `text` evaluated on `this`; a bare choice element takes its only alternative.

        Raises:
            ExpressionError: for an invalid or unsupported expression, naming the offending part.
        """
        try:
            node = fhirpath.parse(text)
            return self._value(node, this, row_index)
        except fhirpath.FhirPathSyntaxError as error:
            raise ExpressionError(str(error)) from None
        except RecursionError:
            raise ExpressionError("an expression this long or nested is not supported") from None

    def _value(self, node: fhirpath.Node, this: Value, row_index: str) -> Value:
        result = self._compile(node, this, row_index)
        if isinstance(result, Choice):
            raise ExpressionError("a choice element needs ofType(...) to say which type is meant")
        return result

    def _compile(self, node: fhirpath.Node, this: Value, row_index: str) -> Value | Choice:
        match node:
            case fhirpath.This():
                return this
            case fhirpath.Literal(constant, type_):
                return Value(_literal(constant), type_)
            case fhirpath.Variable("rowIndex"):
                return Value(row_index, "integer")
            case fhirpath.Variable(name):
                if name not in self._constants:
                    raise ExpressionError(f"the constant %{name} is not defined")
                return self._constants[name]
            case fhirpath.Member(target, name):
                origin = this if target is None else self._value(target, this, row_index)
                if target is None and name == this.type and this.resource:
                    return this
                return self._member(origin, name)
            case fhirpath.Index(target, position):
                items = self._value(target, this, row_index)
                at = self._value(position, this, row_index)
                if not at.is_number or at.type == "decimal":
                    raise ExpressionError(f"a position must be a whole number, not {at.type}")
                return self._item(items, f"{single(at)} + 1")
            case fhirpath.Negative(operand):
                value = self._value(operand, this, row_index)
                if not value.is_number:
                    raise ExpressionError(f"-{value.type}: it must be a number")
                return Value(f"(-{single(value)})", value.type)
            case fhirpath.Binary(operator, left, right):
                return _binary(operator, self._value(left, this, row_index), self._value(right, this, row_index))
            case fhirpath.Call(target, name, arguments):
                origin_or_choice = this if target is None else self._compile(target, this, row_index)
                return self._call(origin_or_choice, name, arguments, row_index)

    def _member(self, origin: Value, name: str) -> Value | Choice:
        if name == "extension" and origin.type in SQL_TYPES:
            return self.read(self._beside(origin), "extension")
        element = self._types.element(origin.type, name)
        if element is not None:
            return self._read(origin, element)
        choices = self._types.choices(origin.type, name)
        if not choices:
            raise ExpressionError(f"{origin.type} has no element '{name}'")
        return Choice(origin, choices)

    def _beside(self, primitive: Value) -> Value:
        """The object in which JSON keeps the extensions of a primitive, such as ``_birthDate``."""
        if primitive.source is None:
            raise ExpressionError("the extension of a primitive that was filtered or computed is not supported")
        origin, element = primitive.source
        return self._read(origin, Element(f"_{element.name}", "Element", element.many))

    def _read(self, origin: Value, element: Element) -> Value:
        found = self._read_plainly(origin, element)
        if element.type == "decimal":
            # A boundary elsewhere may want the text of the number, as it was written.
            type_ = "DOUBLE[]" if found.many else "DOUBLE"
            head = None if found.head is None else f"({found.head})::DOUBLE"
            found = replace(found, sql=f"(({found.sql})::{type_})", head=head)
        return replace(found, source=(origin, element)) if element.type in SQL_TYPES else found

    def _read_plainly(self, origin: Value, element: Element) -> Value:
        if origin.schema is None:
            raise ExpressionError(f"'{element.name}' cannot be read from a computed value")
        schema = origin.schema.child(element)
        if element.recursive:
            return self._read_recursive(origin, element, schema)
        if origin.resource:
            column = f'"_r_{element.name}"'
            sql = column if origin.sql == "TRUE" else f"CASE WHEN {origin.sql} THEN {column} END"
            return Value(sql, element.type, element.many, schema)
        if not origin.many:
            return Value(f'({origin.sql})."{element.name}"', element.type, element.many, schema)
        with self._each() as x:
            items = f'list_transform({origin.sql}, lambda {x}: {x}."{element.name}")'
        if element.many:
            return Value(f"flatten({items})", element.type, True, schema)
        present = f"list_filter({items}, lambda {x}: {x} IS NOT NULL)"
        # Nearly always the first item has the element; only where it has not, the others are looked at.
        head = f'coalesce(({origin.head or f"{origin.sql}[1]"})."{element.name}", ({present})[1])'
        return Value(present, element.type, True, schema, dense=True, head=head)

    def _read_recursive(self, origin: Value, element: Element, schema: Schema) -> Value:
        """An element that is kept as JSON, because it may hold itself."""
        with self._each() as x:
            each = f"{x}: {self.parsed(x, schema)}"
        if not origin.many:
            kept = f'({origin.sql})."{element.name}"'
        else:
            kept = f'list_transform({origin.sql}, lambda {x}: {x}."{element.name}")'
            kept = f"flatten({kept})" if element.many else kept
        if not (origin.many or element.many):
            return Value(self.parsed(kept, schema), element.type, False, schema)
        items = f"list_transform({kept}, lambda {each})"
        return Value(items, element.type, True, schema)

    def parsed(self, text: str, schema: Schema) -> str:
        """SQL of a JSON object as a struct of what is read of it, which `filled` knows when all is compiled."""
        self._parsed.append(schema)
        return f"from_json({text}, '{_STRUCTURE}_{len(self._parsed) - 1}_')"

    def filled(self, sql: str) -> str:
        """`sql` with the structures that `parsed` left open."""
        return re.sub(rf"{_STRUCTURE}_(\d+)_", lambda match: json.dumps(self._parsed[int(match[1])].structure()), sql)

    @contextmanager
    def _each(self) -> Iterator[str]:
        """The name of one item of a list, for what is compiled about it.

        It tells only how deep the list stands, so that what is asked twice reads the same and DuckDB does it once.
        """
        self._depth += 1
        try:
            yield f"_x{self._depth}"
        finally:
            self._depth -= 1

    def _item(self, items: Value, position: str) -> Value:
        if not items.many:
            return items.with_sql(f"CASE WHEN {position} = 1 THEN {items.sql} END")
        return items.with_sql(f"({compact(items)})[{position}]", many=False)

    def _call(self, origin: Value | Choice, name: str, arguments: tuple[fhirpath.Node, ...], row_index: str) -> Value:
        if name == "ofType":
            return self._of_type(origin, _type_argument(name, arguments))
        if isinstance(origin, Choice):
            if name in ("exists", "empty") and not arguments:
                values = [self._read(origin.origin, element) for element in origin.alternatives]
                some = "(" + " OR ".join(exists(value) for value in values) + ")"
                return Value(some if name == "exists" else f"(NOT {some})", "boolean")
            raise ExpressionError(f"{name}() on a choice element needs ofType(...) first")
        if name == "iif":
            return self._iif(origin, arguments, row_index)
        if name in ("lowBoundary", "highBoundary"):
            _expect(name, arguments, 0)
            return self._boundary(origin, "low" if name == "lowBoundary" else "high")
        if name in ("where", "exists") and arguments:
            _expect(name, arguments, 1)
            kept = self._where(origin, arguments[0], row_index)
            return kept if name == "where" else Value(exists(kept), "boolean")
        if name == "where":
            _expect(name, arguments, 1)
        if name in ("extension", "join"):
            texts = [self._text_argument(name, argument, row_index) for argument in arguments]
            return self._extension(origin, texts) if name == "extension" else _join(origin, texts)
        if name == "getReferenceKey":
            return self._reference_key(origin, _type_argument(name, arguments) if arguments else None)
        if name in _WITHOUT_ARGUMENT:
            _expect(name, arguments, 0)
        return self._simple_call(origin, name)

    def _simple_call(self, origin: Value, name: str) -> Value:
        match name:
            case "exists":
                return Value(exists(origin), "boolean")
            case "empty":
                return Value(f"(NOT {exists(origin)})", "boolean")
            case "count":
                size = f"coalesce(len({compact(origin)}), 0)" if origin.many else f"{exists(origin)}::BIGINT"
                return Value(size, "integer")
            case "first" if origin.head is not None:
                return origin.with_sql(origin.head, many=False)
            case "first":
                return self._item(origin, "1") if origin.many else origin
            case "last":
                return self._item(origin, "-1") if origin.many else origin
            case "not":
                return Value(f"(NOT {criterion(origin)})", "boolean")
            case "getResourceKey":
                if not origin.resource:
                    raise ExpressionError("getResourceKey() applies to the resource itself")
                id_ = self._read(origin, Element("id", "id", False))
                return self._keyed(f"({quote(origin.type + '/')} || {id_.sql})")
        raise ExpressionError(f"the function {name}() is not supported")

    def _boundary(self, origin: Value, end: End) -> Value:
        match origin.type:
            case "decimal":
                if origin.source is None:
                    raise ExpressionError("the boundary of a decimal that was filtered or computed is not supported")
                written = self._read_plainly(*origin.source)
                assert written.schema is not None
                written.schema.as_text = True
                return Value(number_boundary(single(written), end), "decimal")
            case "integer" | "positiveInt" | "unsignedInt":
                return Value(number_boundary(f"({single(origin)})::VARCHAR", end), "decimal")
            case "date":
                return Value(date_boundary(single(origin), end), "date")
            case "dateTime" | "instant":
                return Value(moment_boundary(single(origin), end), origin.type)
            case "time":
                return Value(time_boundary(single(origin), end), "time")
        raise ExpressionError(f"{end}Boundary() of {origin.type}: it must be a number, a date or a time")

    def _of_type(self, origin: Value | Choice, type_: str) -> Value:
        if not self._types.is_type(type_):
            raise ExpressionError(f"ofType({type_}): there is no such FHIR type")
        if isinstance(origin, Choice):
            for element in origin.alternatives:
                if element.type == type_:
                    return self._read(origin.origin, element)
        elif origin.type == type_:
            return origin
        elif origin.type == "Resource":
            raise ExpressionError("what stands in a contained resource is not supported: it is a row of its own table")
        raise ExpressionError(f"ofType({type_}): the element cannot have that type")

    def _iif(self, origin: Value, arguments: tuple[fhirpath.Node, ...], row_index: str) -> Value:
        """``iif(condition, then, otherwise)`` of single primitive values; without `otherwise` it is empty."""
        if len(arguments) not in (2, 3):
            _expect("iif", arguments, 3)
        test, *chosen = (self._value(argument, origin, row_index) for argument in arguments)
        types = {value.type for value in chosen}
        alike = len(types) == 1 or (KEY not in types and all(value.is_text for value in chosen))
        if any(value.many for value in chosen) or not alike or not types <= SQL_TYPES.keys():
            raise ExpressionError("iif() chooses between single values of one type")
        branches = f"THEN {chosen[0].sql}" + "".join(f" ELSE {value.sql}" for value in chosen[1:])
        return Value(f"CASE WHEN {criterion(test)} {branches} END", types.pop() if len(types) == 1 else "string")

    def _where(self, origin: Value, condition: fhirpath.Node, row_index: str) -> Value:
        if origin.resource:
            test = criterion(self._value(condition, origin, row_index))
            return origin.with_sql(test if origin.sql == "TRUE" else f"({origin.sql} AND {test})")
        if not origin.many:
            test = criterion(self._value(condition, origin, row_index))
            return origin.with_sql(f"CASE WHEN {test} THEN {origin.sql} END")
        with self._each() as x:
            test = criterion(self._value(condition, origin.with_sql(x, many=False), row_index))
        return origin.with_sql(f"list_filter({origin.sql}, lambda {x}: {test})")

    def _extension(self, origin: Value, texts: list[str]) -> Value:
        _expect("extension", texts, 1)
        extensions = self._member(origin, "extension")
        assert isinstance(extensions, Value)
        same_url = fhirpath.Binary("=", fhirpath.Member(None, "url"), fhirpath.Literal(texts[0], "string"))
        return self._where(extensions, same_url, "0")

    def _reference_key(self, origin: Value, type_: str | None) -> Value:
        if origin.type != "Reference":
            raise ExpressionError("getReferenceKey() applies to a Reference")
        if type_ is not None and type_ not in self._types.resources:
            raise ExpressionError(f"getReferenceKey({type_}): there is no such FHIR resource")
        if not origin.many:
            return self._keyed(key_of(self._reference_parts(origin), self._root_of_references(), type_))
        with self._each() as x:
            parts = self._reference_parts(origin.with_sql(x, many=False))
            each = self._keyed(key_of(parts, self._root_of_references(), type_))
        keys = Value(f"list_transform({origin.sql}, lambda {x}: {each.sql})", each.type, many=True)
        alone = self._reference_parts(origin.with_sql(f"({origin.sql})[1]", many=False))
        head = self._keyed(key_of(alone, self._root_of_references(), type_))
        more = f"CASE WHEN len({origin.sql}) > 1 THEN ({compact(keys)})[1] END"
        return replace(keys, head=f"coalesce({head.sql}, {more})")

    def _reference_parts(self, origin: Value) -> ReferenceParts:
        identifier = self.read(origin, "identifier")
        has_type = self._types.element("Reference", "type") is not None
        return ReferenceParts(
            self.read(origin, "reference").sql,
            self.read(origin, "type").sql if has_type else "NULL",
            self.read(identifier, "system").sql,
            self.read(identifier, "value").sql,
        )

    def _root_of_references(self) -> Root:
        contained = self._read(self._root, Element("contained", "Resource", True))
        for name in ("id", "resourceType"):
            self._read(contained, Element(name, "code", False))
        return Root(self._root.type, self._read(self._root, Element("id", "id", False)).sql, contained.sql)

    def read(self, origin: Value, name: str) -> Value:
        """The element `name` of `origin`, which has it and for which it is no choice element."""
        element = self._types.element(origin.type, name)
        assert element is not None, f"{origin.type}.{name}"
        return self._read(origin, element)

    def _keyed(self, typed_id: str) -> Value:
        return Value(typed_id, KEY) if self._key is None else Value(self._key(typed_id), "string")

    def _text_argument(self, function: str, node: fhirpath.Node, row_index: str) -> str:
        if isinstance(node, fhirpath.Literal) and isinstance(node.value, str):
            return node.value
        constant = self._constants.get(node.name) if isinstance(node, fhirpath.Variable) else None
        if constant is not None and constant.is_text:
            return constant.sql[1:-1].replace("''", "'")
        raise ExpressionError(f"{function}() takes a string")


def criterion(value: Value) -> str:
    """`value` as an SQL condition.

    Raises:
        ExpressionError: when it is no boolean.
    """
    if value.type != "boolean":
        raise ExpressionError(f"a condition must be a boolean, not {value.type}")
    return single(value)


def _literal(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return quote(value) if isinstance(value, str) else repr(value)


def _join(origin: Value, texts: list[str]) -> Value:
    if origin.type == KEY:
        raise ExpressionError("join() of keys is not supported")
    if origin.type not in SQL_TYPES:
        raise ExpressionError(f"join() applies to primitive values, not {origin.type}")
    if len(texts) > 1:
        _expect("join", texts, 1)
    separator = quote(texts[0]) if texts else "''"
    items = compact(origin) if origin.many else f"[{origin.sql}]"
    return Value(f"CASE WHEN {exists(origin)} THEN array_to_string({items}, {separator}) END", "string")


def _binary(operator: str, left: Value, right: Value) -> Value:
    if KEY in (left.type, right.type) and operator not in _COMPARING:
        raise ExpressionError(f"keys with {operator} are not supported")
    match operator:
        case "and" | "or":
            return Value(f"({criterion(left)} {operator.upper()} {criterion(right)})", "boolean")
        case "xor":
            return Value(f"({criterion(left)} <> {criterion(right)})", "boolean")
        case "implies":
            return Value(f"((NOT {criterion(left)}) OR {criterion(right)})", "boolean")
        case "=" | "!=":
            return Value(_equality(operator, left, right), "boolean")
        case "<" | "<=" | ">" | ">=":
            if left.is_number != right.is_number:
                raise ExpressionError(f"{left.type} and {right.type} cannot be compared with {operator}")
            return Value(f"({single(left)} {operator} {single(right)})", "boolean")
        case "|":
            return _union(left, right)
        case "&" if left.is_text and right.is_text:
            return Value(f"(coalesce({single(left)}, '') || coalesce({single(right)}, ''))", "string")
        case "+" if left.is_text and right.is_text:
            return Value(f"({single(left)} || {single(right)})", "string")
    if not (left.is_number and right.is_number):
        wanted = {"+": "numbers or both texts", "&": "texts"}.get(operator, "numbers")
        raise ExpressionError(f"{left.type} {operator} {right.type}: both must be {wanted}")
    if operator == "/":
        return Value(f"({single(left)}::DOUBLE / nullif({single(right)}, 0))", "decimal")
    type_ = "decimal" if "decimal" in (left.type, right.type) else "integer"
    return Value(f"({single(left)} {operator} {single(right)})", type_)


def _union(left: Value, right: Value) -> Value:
    """Both values, each once; a common step towards `first()` of two places where an element may be."""
    if left.many and right.many:
        raise ExpressionError("| between two lists is not supported")
    if left.is_number and right.is_number and not (left.many or right.many):
        left, right = (Value(f"{value.sql}::DOUBLE", "decimal") for value in (left, right))
    if SQL_TYPES.get(left.type) is None or SQL_TYPES.get(left.type) != SQL_TYPES.get(right.type):
        raise ExpressionError(f"| between {left.type} and {right.type} is not supported")
    if left.many or right.many:
        items, one = (left.sql, right.sql) if left.many else (right.sql, left.sql)
        other = f"CASE WHEN NOT coalesce(list_contains({items}, {one}), FALSE) THEN [{one}] ELSE [] END"
        both = (f"coalesce({items}, [])", other) if left.many else (other, f"coalesce({items}, [])")
        return Value(f"list_concat({both[0]}, {both[1]})", left.type, many=True)
    second = f"CASE WHEN {right.sql} IS DISTINCT FROM {left.sql} THEN {right.sql} END"
    items = f"list_filter([{left.sql}, {second}], lambda x: x IS NOT NULL)"
    return Value(items, left.type, many=True, dense=True, head=f"coalesce({left.sql}, {right.sql})")


def _equality(operator: str, left: Value, right: Value) -> str:
    if not {left.type, right.type} <= SQL_TYPES.keys():
        raise ExpressionError(f"{operator} between {left.type} and {right.type} is not supported")
    if (left.type in NUMBERS) != (right.type in NUMBERS) or (left.type == "boolean") != (right.type == "boolean"):
        same = "FALSE"
    elif left.many and right.many:
        a, b = compact(left), compact(right)
        same = f"(nullif({a}, []) = nullif({b}, []))"
    elif left.many or right.many:
        items, one = (compact(left), right.sql) if left.many else (compact(right), left.sql)
        same = f"CASE WHEN len({items}) > 0 AND {one} IS NOT NULL THEN len({items}) = 1 AND {items}[1] = {one} END"
    else:
        same = f"({left.sql} = {right.sql})"
    return same if operator == "=" else f"(NOT {same})"


def _expect(name: str, arguments: tuple[fhirpath.Node, ...] | list[str], count: int) -> None:
    if len(arguments) != count:
        raise ExpressionError(f"{name}() takes {count} argument{'s' * (count != 1)}, not {len(arguments)}")


def _type_argument(name: str, arguments: tuple[fhirpath.Node, ...]) -> str:
    match arguments:
        case (fhirpath.Member(None, type_),):
            return type_
        case (fhirpath.Member(fhirpath.Member(None, "FHIR" | "System"), type_),):
            return type_
    raise ExpressionError(f"{name}() takes the name of a FHIR type")
