"""Lists that several columns of a view look into, such as the components with one code, found once per resource."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache

_START = 'list_filter("_r_'
_DERIVED = re.compile(r"\b(?:coalesce|flatten)\(")
_LIST = re.compile(r"\b_list\d")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_LAMBDA = re.compile(r"lambda (\w+):")
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[()]")


def share(columns: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """SQL of columns in which what stands in it more than once is a column too; those columns by name, in levels.

    The first level holds lists: a ``list_filter`` over an element of the resource. The second holds what is found in
    those lists, such as the first quantity. They depend on nothing else in the expression.
    """
    shared, lists = _named(columns, _lists, "_list")
    if not lists:
        return shared, []
    shared, derived = _named(shared, _derived, "_found")
    return shared, [lists, derived] if derived else [lists]


def _named(
    columns: Sequence[str], parts: Callable[[str], Iterator[str]], prefix: str
) -> tuple[list[str], dict[str, str]]:
    """The columns with names for the parts that occur more than once, the longest first; the parts by name."""
    shared, names = list(columns), dict[str, str]()
    parts_of = cache(lambda sql: tuple(parts(sql)))  # most columns stay as they are from round to round
    while repeated := [text for text, n in Counter(p for c in shared for p in parts_of(c)).items() if n > 1]:
        text, name = max(repeated, key=len), f"{prefix}{len(names) + 1}"
        shared, names[name] = [column.replace(text, name) for column in shared], text
    return shared, names


def _lists(sql: str) -> Iterator[str]:
    start = sql.find(_START)
    while start >= 0:
        end = _closed(sql, start + len("list_filter"))
        if _stands_alone(sql[start:end], set(_LAMBDA.findall(sql))):
            yield sql[start:end]
        start = sql.find(_START, end)


def _derived(sql: str) -> Iterator[str]:
    variables = set(_LAMBDA.findall(sql))
    for start in _DERIVED.finditer(sql) if _LIST.search(sql) else ():
        part = sql[start.start() : _closed(sql, start.end() - 1)]
        bare = _TEXT.sub("", part)
        # What raises an error stays where it is: there a condition may keep it from being computed.
        if _LIST.search(bare) and "error(" not in bare and _stands_alone(part, variables):
            yield part


def _stands_alone(part: str, variables: set[str]) -> bool:
    """Whether it uses no variable of a lambda that it is in."""
    bare = _TEXT.sub("", part)
    return not set(_WORD.findall(bare)) & (variables - set(_LAMBDA.findall(bare)))


def _closed(sql: str, opening: int) -> int:
    """The position after the bracket that closes the one at `opening`."""
    depth = 0
    for token in _TOKEN.finditer(sql, opening):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    raise AssertionError("an unclosed bracket in compiled SQL")
