"""What a code that says nothing may cost: the rows with it, once for every indicator that reads the element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipelines.indicators.elements import Requirement
from pipelines.indicators.value_sets import ValueSet

_ENDINGS = ("_snomed_code", "_loinc_code", "_icd10_code", "_codings_id", "_ucum_code", "_code", "_system", "_display")


@dataclass(frozen=True, slots=True)
class Readers:
    """Which indicators read which element.

    Attributes:
        by_element: ids of indicators by (table, element).
        codes: rows `element` (``table.element``), `system` and `code` that indicators look for: a row with one of
            them counts already, so it costs nothing.
    """

    by_element: Mapping[tuple[str, str], frozenset[str]]
    codes: pa.Table

    def indicators(self, table: str, element: str) -> int:
        """How many indicators read an element."""
        return len(self.by_element.get((table, element), ()))


def readers_of(needs: Iterable[Requirement], value_sets: Mapping[str, ValueSet]) -> Readers:
    """The readers of coded elements, from what indicators need."""
    by_element: dict[tuple[str, str], set[str]] = {}
    codes: set[tuple[str, str, str]] = set()
    for need in needs:
        for column in need.columns:
            element = _element(column)
            by_element.setdefault((need.table, element), set()).add(f"{need.outcome_set}/{need.indicator}")
            for value_set in need.value_sets:
                if value_set in value_sets:
                    name = f"{need.table}.{element}"
                    codes |= {(name, code.system, code.code) for code in value_sets[value_set].codes}
    rows = [dict(zip(("element", "system", "code"), each, strict=True)) for each in sorted(codes)]
    schema = pa.schema([(name, pa.string()) for name in ("element", "system", "code")])
    frozen = {key: frozenset(ids) for key, ids in by_element.items()}
    return Readers(frozen, pa.Table.from_pylist(rows, schema))


def _element(column: str) -> str:
    for ending in _ENDINGS:
        if column.endswith(ending):
            return column.removesuffix(ending)
    return column
