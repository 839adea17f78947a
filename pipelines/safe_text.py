"""Texts of others made safe to show: in a cell of a CSV file, and on a terminal."""

from __future__ import annotations

import re

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def as_text_cell(text: str) -> str:
    """A text for a CSV cell: an apostrophe before what a spreadsheet would run as a formula.

    Source: owasp.org/www-community/attacks/CSV_Injection. Numbers are not to be given to it.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def printable(text: str) -> str:
    """A text for a terminal: without control characters, and without those that turn the order of writing."""
    return _CONTROL.sub("", text)
