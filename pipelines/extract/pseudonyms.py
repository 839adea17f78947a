"""Keyed pseudonyms (HMAC-SHA-256, RFC 2104), in Python and as the same function in DuckDB SQL.

A pseudonym is the first 128 bits of the HMAC as 32 hex digits. Keys of resources are bound to the
institution; the pseudonym of a national number (`bsn`) is not, so that one person has one pseudonym.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
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

    def of_resources(self, typed_ids: Iterable[bytes]) -> list[bytes]:
        """As `of_resource` for many, as 16 bytes each: the padded key is hashed once instead of for each."""
        inner, outer = (hashlib.sha256(block) for block in self._padded_key())
        inner.update(f"{self.institution}|".encode())
        start, finish, digests = inner.copy, outer.copy, []
        for typed_id in typed_ids:
            first, second = start(), finish()
            first.update(typed_id)
            second.update(first.digest())
            digests.append(second.digest()[: _DIGITS // 2])
        return digests

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Define the macro `pseudonym_of_identifier` on `connection`, the same function as `of_identifier`."""
        inner, outer = (_blob(block) for block in self._padded_key())
        connection.execute(
            "CREATE OR REPLACE MACRO pseudonym_of_identifier(text) AS"
            f" left(sha256({outer} || unhex(sha256({inner} || encode(text)))), {_DIGITS})"
        )

    def _digest(self, text: str) -> str:
        return hmac.digest(self.key, text.encode(), "sha256").hex()[:_DIGITS]

    def _padded_key(self) -> tuple[bytes, bytes]:
        """The key xor ipad, and xor opad (RFC 2104, section 2)."""
        block = (hashlib.sha256(self.key).digest() if len(self.key) > _BLOCK else self.key).ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def _blob(data: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'::BLOB"
