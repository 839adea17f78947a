"""Lists that several columns of a view look into, such as the components with one code, found once per resource."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

_START = 'list_filter("_r_'
_TEXT = re.compile(r"'(?:[^']|'')*'")
_LAMBDA = re.compile(r"lambda (\w+):")
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[()]")


def share(columns: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """SQL of columns in which every list that stands in it more than once is a column too; those columns by name.

    A list is a ``list_filter`` over an element of the resource: it depends on nothing else in the expression.
    """
    found = Counter(text for column in columns for text in _lists(column))
    repeated = sorted((text for text, times in found.items() if times > 1), key=len, reverse=True)
    names = {text: f"_list{number}" for number, text in enumerate(repeated, start=1)}
    shared = list(columns)
    for text, name in names.items():
        shared = [column.replace(text, name) for column in shared]
    return shared, {name: text for text, name in names.items()}


def _lists(sql: str) -> Iterator[str]:
    start = sql.find(_START)
    while start >= 0:
        end = _closed(sql, start + len("list_filter"))
        if _stands_alone(sql[start:end], set(_LAMBDA.findall(sql))):
            yield sql[start:end]
        start = sql.find(_START, end)


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
