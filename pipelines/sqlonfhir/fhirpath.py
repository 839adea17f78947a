"""The FHIRPath subset of SQL-on-FHIR, parsed into a small syntax tree (a Pratt parser)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `type` is a FHIR primitive type (``string``, ``integer``, ``decimal``, ``boolean``, ...)."""

    value: str | int | float | bool
    type: str


@dataclass(frozen=True, slots=True)
class Variable:
    """An external constant, ``%name``."""

    name: str


@dataclass(frozen=True, slots=True)
class This:
    """``$this``."""


@dataclass(frozen=True, slots=True)
class Member:
    """An element by name; `target` is None at the start of a path."""

    target: Node | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function; `target` is None at the start of a path."""

    target: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """``target[position]``, zero-based."""

    target: Node
    position: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """An infix operator."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative:
    """Unary minus."""

    operand: Node


Node = Literal | Variable | This | Member | Call | Index | Binary | Negative

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<date>@[0-9T:+\-.Z]+)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<variable>%(?:[A-Za-z_][A-Za-z0-9_\-]*|`[^`]*`))
    | (?P<this>\$this)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]*`)
    | (?P<operator><=|>=|!=|!~|[-+*/=~<>()\[\].,|&])
    )""",
    re.VERBOSE,
)
_PRECEDENCE = {
    "implies": 1,
    "or": 2,
    "xor": 2,
    "and": 3,
    "=": 5,
    "!=": 5,
    "<": 6,
    "<=": 6,
    ">": 6,
    ">=": 6,
    "|": 7,
    "+": 9,
    "-": 9,
    "&": 9,
    "*": 10,
    "/": 10,
}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class FhirPathSyntaxError(ValueError):
    """The text is no FHIRPath expression, or uses an operator outside the SQL-on-FHIR subset."""


def parse(text: str) -> Node:
    """Parse one FHIRPath expression.

    Raises:
        FhirPathSyntaxError: with the position of the offending character.
    """
    parser = _Parser(text)
    try:
        node = parser.expression(0)
    except RecursionError:
        raise FhirPathSyntaxError("the expression is nested too deeply, from position 0 on") from None
    parser.expect_end()
    return node


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else _ESCAPES.get(escape[2], escape[2])


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._tokenise(text)
        self._next = 0

    def _tokenise(self, text: str) -> list[tuple[str, str, int]]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise FhirPathSyntaxError(f"unexpected character at position {start} of '{text}'")
            tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
        return [*tokens, ("end", "", len(text))]

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._next]

    def _take(self) -> tuple[str, str, int]:
        self._next += 1
        return self._tokens[self._next - 1]

    def _accept(self, operator: str) -> bool:
        if self._peek()[:2] == ("operator", operator):
            self._next += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise self._error(f"'{operator}' expected")

    def _error(self, message: str) -> FhirPathSyntaxError:
        return FhirPathSyntaxError(f"{message} at position {self._peek()[2]} of '{self._text}'")

    def expect_end(self) -> None:
        if self._peek()[0] != "end":
            raise self._error("end of expression expected")

    def expression(self, minimum: int) -> Node:
        left = self._unary()
        while (power := _PRECEDENCE.get(self._peek()[1], 0)) > minimum and self._peek()[0] != "string":
            operator = self._take()[1]
            left = Binary(operator, left, self.expression(power))
        return left

    def _unary(self) -> Node:
        if self._accept("-"):
            return Negative(self._unary())
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._accept("."):
                node = self._member(node)
            elif self._accept("["):
                node = Index(node, self.expression(0))
                self._expect("]")
            else:
                return node

    def _primary(self) -> Node:
        kind, text, _ = self._peek()
        if self._accept("("):
            node = self.expression(0)
            self._expect(")")
            return node
        if kind == "name" and text not in ("true", "false"):
            return self._member(None)
        if kind in ("operator", "end"):
            raise self._error("an expression expected")
        self._take()
        match kind:
            case "string":
                return Literal(_ESCAPE.sub(_unescaped, text[1:-1]), "string")
            case "number":
                return Literal(float(text), "decimal") if "." in text else Literal(int(text), "integer")
            case "date":
                type_ = "time" if text[1] == "T" else "dateTime" if "T" in text else "date"
                return Literal(text[1:].removeprefix("T").removesuffix("T"), type_)
            case "variable":
                return Variable(text[1:].strip("`"))
            case "this":
                return This()
        return Literal(text == "true", "boolean")

    def _member(self, target: Node | None) -> Node:
        kind, text, _ = self._peek()
        if kind == "this":
            self._take()
            return This()
        if kind != "name":
            raise self._error("an element or function name expected")
        self._take()
        if not self._accept("("):
            return Member(target, text.strip("`"))
        arguments: list[Node] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self.expression(0))
        return Call(target, text, tuple(arguments))
