"""Errors an operator meets: what is wrong, where, and what to do about it.

Every error has a stable `code` (see docs/errors.md) and is either Terminal (a retry cannot help;
Airflow fails the task) or Transient (a retry may help). Messages never hold a value from a patient's record.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class UitkomstError(Exception):
    """Base of all errors that are reported to a person as one line.

    Args:
        code: stable code, upper case with hyphens, for example ``EXPORT-MISSING``.
        what: what is wrong, without a value from a patient's record.
        where: the file, setting or element it is about.
        remedy: what to do, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, what: str, *, where: str, remedy: str) -> None:
        super().__init__(code, what, where, remedy)
        self.code = code
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.what} ({self.where}). {self.remedy}"


class TerminalError(UitkomstError):
    """A retry cannot help: the input, a setting or a definition has to change first. Exit code 2."""

    exit_code = 2


class TransientError(UitkomstError):
    """A retry may help: a lock, a full disk or an unreachable database. Exit code 75 (EX_TEMPFAIL)."""

    exit_code = 75


def disk_is_full(error: Exception) -> bool:
    """Whether an error of Python, or of a library that only says it in words, is about a full disk or quota."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error).lower()
    return any(words in text for words in ("no space left", "disk quota exceeded", "os error 28", "os error 122"))
