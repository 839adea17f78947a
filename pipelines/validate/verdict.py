"""A ZIB table under judgement: which of its rows are set aside so far, and for which rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.quarantine import QuarantineRow
from pipelines.validate.rules import Rule, Suite

_SAME_RESOURCE = "another row of the same resource failed"


@dataclass(frozen=True, slots=True)
class _SetAside:
    rule: Rule
    by_association: bool = False


@dataclass(slots=True)
class Verdict:
    """The rows of one table, with those set aside by position. The first rule to set a row aside counts."""

    suite: Suite
    table: pa.Table
    _set_aside: dict[int, _SetAside] = field(default_factory=dict)

    def positions(self) -> pa.Array:
        """Positions of the rows that are still accepted, ascending."""
        accepted = np.ones(self.table.num_rows, dtype=bool)
        accepted[list(self._set_aside)] = False
        return pa.array(np.flatnonzero(accepted))

    def accepted(self) -> pa.Table:
        """The rows that are still accepted, in their original order."""
        return self.table.take(self.positions()) if self._set_aside else self.table

    def set_aside(self, rule: Rule, positions: Iterable[int]) -> None:
        """Sets rows aside for a rule, unless an earlier rule already did."""
        for position in positions:
            self._set_aside.setdefault(position, _SetAside(rule))

    def set_aside_whole_resources(self) -> None:
        """Sets aside the other rows of each resource of which a row is set aside, for the same rule."""
        if not self._set_aside:
            return
        rule_of = {
            key: self._set_aside[position].rule
            for position, key in reversed(self._resources(pa.array(sorted(self._set_aside))))
        }
        resource_keys = pa.array([key for _, key in rule_of], self.table["resource_key"].type)
        candidates = pc.indices_nonzero(pc.is_in(self.table["resource_key"], value_set=resource_keys))
        for position, key in self._resources(candidates):
            if key in rule_of:
                self._set_aside.setdefault(position, _SetAside(rule_of[key], by_association=True))

    def quarantine(self) -> list[QuarantineRow]:
        """One row per row that is set aside, in the order of the table."""
        positions = sorted(self._set_aside)
        columns = ["institution", "source_file", "source_line", "resource_key"]
        places = self.table.select(columns).take(pa.array(positions, pa.int64())).to_pylist()
        return [
            self._quarantine_row(self._set_aside[position], place)
            for position, place in zip(positions, places, strict=True)
        ]

    def _resources(self, positions: pa.Array) -> list[tuple[int, tuple[str, str]]]:
        """The positions of rows that have a resource key, each with its (institution, resource_key)."""
        rows = self.table.select(["institution", "resource_key"]).take(positions).to_pylist()
        return [
            (position, (row["institution"], row["resource_key"]))
            for position, row in zip(positions.to_pylist(), rows, strict=True)
            if row["resource_key"] is not None
        ]

    def _quarantine_row(self, cause: _SetAside, place: dict[str, str | int | None]) -> QuarantineRow:
        suffix = f" ({_SAME_RESOURCE})" if cause.by_association else ""
        return QuarantineRow(
            institution=str(place["institution"]),
            source_file=str(place["source_file"]),
            source_line=None if place["source_line"] is None else int(place["source_line"]),
            resource_type=self.suite.resource_type,
            resource_key=None if place["resource_key"] is None else str(place["resource_key"]),
            rule_id=cause.rule.rule_id,
            reason=f"{self.suite.table}: {cause.rule.reason}{suffix}",
            step="validate",
        )
