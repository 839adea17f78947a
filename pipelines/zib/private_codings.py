"""Codes, systems and displays that may be stored: what could name a patient is replaced or left out.

EPDs put a name, a birth date or a citizen service number (BSN) where a code belongs. What has the form of a code
stays; the rest becomes a fingerprint, the same for the same text, so that it can be counted and looked up at the
source (operationalisation; docs/adr/0003-every-key-is-a-pseudonym.md).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.sqlonfhir.tags import BETWEEN_CODINGS, BETWEEN_PARTS
from pipelines.sqlonfhir.units import UCUM

FINGERPRINT = "not-a-code-"
_SNOMED, _LOINC = "http://snomed.info/sct", "http://loinc.org"
_NO_LONG_NUMBERS = frozenset({UCUM, _LOINC})
"""Known systems of which no code is a number of eight digits or a date."""
_CODE_PRIMITIVES = frozenset(("status", "gender", "intent", "severity", "criticality", "category", "decision"))
"""Last words of the columns that hold a FHIR `code` without a system."""
_URI = re.compile(r"(?:https?://|urn:)[^\s\"',|()]+")
_TOKEN, _SYSTEM = re.compile(r"\S{1,64}"), re.compile(r"\S{1,255}")
_BSN = re.compile(
    r"(?<!\d)\d{8,9}(?!\d)"
    r"|(?<![\d.])(?:\d{3,4}[. -]\d\d[. -]\d{3}|\d{3}[. -]\d{3}[. -]\d{3}|\d\d[. -]\d\d[. -]\d\d[. -]\d{3})(?!\d)"
)
_DAY, _MONTH, _YEAR = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}[-/.]?{_MONTH}[-/.]?{_DAY}|{_DAY}{_MONTH}{_YEAR})(?!\d)"
    rf"|(?<![\d.])(?:{_DAY}|[1-9])[-/. ](?:{_MONTH}|[1-9])[-/. ]{_YEAR}(?!\d)"
)
_DIGITS = re.compile(r"\d{6,}")


@dataclass(frozen=True, slots=True)
class KnownCodes:
    """What `mappings/` says of codes: the code systems in it, and its codes that look like no code."""

    systems: frozenset[str] = frozenset()
    odd_codes: frozenset[str] = frozenset()


def load_known_codes(mappings: Path) -> KnownCodes:
    """The systems named in any file below `codes`, `csv`, `proms` and `zib`, and the odd codes of their CSV files."""
    systems: set[str] = {UCUM, _SNOMED, _LOINC}
    odd: set[str] = set()
    for folder in ("codes", "csv", "proms", "zib"):
        for path in sorted((mappings / folder).rglob("*")):
            if path.suffix not in (".csv", ".json", ".yaml"):
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            systems.update(_URI.findall(text))
            if path.suffix == ".csv":
                odd.update(code for code in _codes_in(text) if not _is_code(code))
    return KnownCodes(frozenset(systems), frozenset(odd))


def _codes_in(text: str) -> Iterable[str]:
    for row in csv.DictReader(text.splitlines()):
        yield from (row[name] for name in ("code", "source_code", "target_code") if row.get(name))


class PrivateCodings:
    """Makes codings of one institution fit to be stored. A text without a flaw stays as it is."""

    def __init__(self, known: KnownCodes, pseudonyms: Pseudonyms) -> None:
        self._known = known
        self._pseudonyms = pseudonyms
        self.codings = lru_cache(maxsize=1 << 16)(self._codings)

    def system(self, system: str | None) -> str | None:
        """A code system, or its fingerprint when it is no URI or may hold a number or birth date of a patient."""
        if not system or system in self._known.systems or (_SYSTEM.fullmatch(system) and not _identifies(system)):
            return system
        return self._fingerprint(system)

    def code(self, system: str | None, code: str | None) -> str | None:
        """A code, or its fingerprint when it is not code-like or may hold a number or birth date of a patient."""
        if not code or code in self._known.odd_codes or (_is_code(code) and not self._may_identify(system, code)):
            return code
        return self._fingerprint(code)

    def display(self, system: str | None, code: str | None, display: str | None) -> str | None:
        """A display; null when it may be about a patient."""
        if not display:
            return display
        known = system in self._known.systems
        if code and self.code(system, code) != code:
            return None
        others = display.replace(code, "") if known and code else display  # some displays repeat their code
        if not _identifies(others) and (known or (code and not _DIGITS.search(display))):
            return display
        return None

    def unit(self, unit: str | None) -> str | None:
        """A unit as text, or its fingerprint."""
        if not unit or (len(unit) <= 64 and not _identifies(unit) and not _DIGITS.search(unit)):
            return unit
        return self._fingerprint(unit)

    def columns(self, rows: pa.Table) -> pa.Table:
        """Rows of a ZIB table with every code, system, display and unit fit to be stored, per distinct value."""
        changed: dict[str, pa.Array] = {}
        nothing = pa.nulls(rows.num_rows, pa.string())
        for name in rows.column_names:
            base, _, suffix = name.rpartition("_")
            system = rows[f"{base}_system"] if f"{base}_system" in rows.column_names else nothing
            if name.endswith("_ucum_code"):  # annotations in braces have blanks in practice
                changed[name] = _per_distinct(self.unit, rows[name])
            elif (suffix == "code" and system is nothing) or suffix in _CODE_PRIMITIVES:
                changed[name] = _per_distinct(lambda code: self.code(_SNOMED, code), rows[name])
            elif suffix == "code":
                changed[name] = _per_distinct(self.code, system, rows[name])
            elif suffix == "system":
                changed[name] = _per_distinct(self.system, rows[name])
            elif suffix == "unit":
                changed[name] = _per_distinct(self.unit, rows[name])
            elif suffix == "display":
                code = rows[f"{base}_code"] if f"{base}_code" in rows.column_names else nothing
                changed[name] = _per_distinct(self.display, system, code, rows[name])
        for name, column in changed.items():
            rows = rows.set_column(rows.column_names.index(name), name, column)
        return rows

    def _codings(self, text: str) -> str:
        """A list of codings as text (`pipelines.sqlonfhir.tags.codings_text`), each fit to be stored."""
        return BETWEEN_CODINGS.join(self._coding(coding) for coding in text.split(BETWEEN_CODINGS))

    def _coding(self, text: str) -> str:
        system, version, code, display = text.split(BETWEEN_PARTS)
        if system not in self._known.systems and version:
            version = self.code(None, version) or ""
        elif version and not _SYSTEM.fullmatch(version):
            version = self._fingerprint(version)
        parts = (self.system(system), version, self.code(system, code), self.display(system, code, display))
        return BETWEEN_PARTS.join(part or "" for part in parts)

    def _may_identify(self, system: str | None, code: str) -> bool:
        if system == _SNOMED:
            return _identifies(code) and not is_snomed_id(code)
        exempt = system in self._known.systems and system not in _NO_LONG_NUMBERS
        return not exempt and _identifies(code)

    def _fingerprint(self, text: str) -> str:
        return FINGERPRINT + self._pseudonyms.of_identifier(f"coding:{text}")[:8]


def is_snomed_id(code: str) -> bool:
    """Whether digits are a SNOMED CT identifier: partition and Verhoeff check digit.

    Source: SNOMED CT Release File Specification, section 6 (docs.snomed.org), on SCTIDs.
    """
    if not re.fullmatch(r"[1-9][0-9]{5,17}", code) or code[-3:-1] not in ("00", "01", "02", "10", "11", "12"):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = _times(check, _permuted(place % 8, int(digit)))
    return check == 0


def _times(left: int, right: int) -> int:
    """The product in the dihedral group of ten elements: 0-4 turn, 5-9 turn and reflect."""
    turned = left % 5 + right % 5 if left < 5 else left % 5 - right % 5
    return turned % 5 + 5 * ((left >= 5) != (right >= 5))


_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _permuted(times: int, digit: int) -> int:
    for _ in range(times):
        digit = _PERMUTATION[digit]
    return digit


def _is_code(code: str) -> bool:
    return _TOKEN.fullmatch(code) is not None


def _identifies(text: str) -> bool:
    """Whether a text holds a number that passes the eleven-test of a BSN, or a date."""
    if _DATE.search(text):
        return True
    return any(_passes_eleven_test(re.sub(r"\D", "", found)) for found in _BSN.findall(text))


def _passes_eleven_test(digits: str) -> bool:
    nine = [int(digit) for digit in digits.zfill(9)]
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return any(nine) and sum(w * d for w, d in zip(weights, nine, strict=True)) % 11 == 0


def _per_distinct(change: Callable[..., str | None], *columns: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The last column, changed by a function of all columns that is called once per distinct row."""
    encoded = [pa.table({"c": column})["c"].combine_chunks().dictionary_encode("encode") for column in columns]
    sizes = [max(len(each.dictionary), 1) for each in encoded]
    place = np.ravel_multi_index([each.indices.to_numpy() for each in encoded], sizes)
    rows = pa.array(place).dictionary_encode()
    places = np.unravel_index(rows.dictionary.to_numpy(), sizes)
    distinct = [each.dictionary.take(pa.array(p)).to_pylist() for each, p in zip(encoded, places, strict=True)]
    changed = [change(*values) for values in zip(*distinct, strict=True)]
    return pa.array(changed, pa.string()).take(rows.indices)
