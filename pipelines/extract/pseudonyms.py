"""Keyed pseudonyms (HMAC-SHA-256, RFC 2104), in Python and as the same function in DuckDB SQL.

A pseudonym is the first 128 bits of the HMAC as 32 hex digits. Keys of resources are bound to the
institution; the pseudonym of a national number (`bsn`) is not, so that one person has one pseudonym.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import duckdb

_BLOCK = 64
_DIGITS = 32


@dataclass(frozen=True, slots=True, repr=False)
class Pseudonyms:
    """Makes the pseudonyms of one institution with one secret key."""

    key: bytes
    institution: str

    def of_resource(self, typed_id: str) -> str:
        """The pseudonym of ``Type/id``."""
        return self._digest(f"{self.institution}|{typed_id}")

    def of_identifier(self, typed_identifier: str) -> str:
        """The pseudonym of a direct identifier written as ``kind:value``."""
        return self._digest(typed_identifier)

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Define the macros `pseudonym_of_resource` and `pseudonym_of_identifier` on `connection`."""
        block = (hashlib.sha256(self.key).digest() if len(self.key) > _BLOCK else self.key).ljust(_BLOCK, b"\0")
        inner, outer = (_blob(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
        prefix = self.institution.replace("'", "''")
        connection.execute(
            "CREATE OR REPLACE TEMP MACRO pseudonym_of_identifier(text) AS"
            f" left(sha256({outer} || unhex(sha256({inner} || encode(text)))), {_DIGITS})"
        )
        connection.execute(
            "CREATE OR REPLACE TEMP MACRO pseudonym_of_resource(text) AS"
            f" left(sha256({outer} || unhex(sha256({inner} || encode('{prefix}|' || text)))), {_DIGITS})"
        )

    def _digest(self, text: str) -> str:
        return hmac.digest(self.key, text.encode(), "sha256").hex()[:_DIGITS]


def _blob(data: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'::BLOB"
