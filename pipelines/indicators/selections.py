"""Selections: which rows of which tables an event stands for, apart from its name.

Two events that select the same rows are equal here, in whichever outcome set they are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pipelines.indicators.events import AnyEvent, AnyKindOfEvent, Comparison, ComputedEvent, RowEvent, ScoreEvent
from pipelines.indicators.table_roles import TableRoles, column

_SIGNS = {"at_least": ">=", "more_than": ">", "at_most": "<=", "less_than": "<"}


@dataclass(frozen=True, slots=True)
class Range:
    """A column whose number has to be in a range: bounds with their sign (`>=`, `>`, `<=` or `<`)."""

    column: str
    bounds: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, as `RowEvent` selects them.

    `status` is empty where all but those entered in error count; `lasts` is the column of the end and the days to it.
    """

    table: str
    codes: str | None = None
    status: tuple[str, ...] = ()
    where: tuple[tuple[tuple[str, str], ...], ...] = ()
    linked: tuple[tuple[str, Selection], ...] = ()
    value: Range | None = None
    lasts: tuple[str, int] | None = None

    @property
    def any_value(self) -> Rows:
        """The same rows, whatever their value."""
        return replace(self, value=None)

    @property
    def coded(self) -> Rows:
        """The rows with these codes and statuses, before any other condition."""
        return Rows(self.table, self.codes, self.status)

    @property
    def label(self) -> str:
        """What selects the rows, in short; equal rows of a table have equal labels and others have not."""
        text = self.codes or "*"
        if self.status:
            text += f":{'+'.join(self.status)}"
        if self.where:
            text += f"[{'|'.join(','.join(f'{name}={codes}' for name, codes in each) for each in self.where)}]"
        for name, selection in self.linked:
            text += f"[{name}>{label(selection)}]"
        if self.value:
            text += f"[{self.value.column}{','.join(f'{sign}{bound:g}' for sign, bound in self.value.bounds)}]"
        if self.lasts:
            text += f"[{self.lasts[0]}>={self.lasts[1]} days]"
        return text


Selection = tuple[Rows, ...]
"""Rows of any of these; empty for an event that is no row of a table."""


def label(selection: Selection) -> str:
    """What selects the rows, with their tables."""
    return "|".join(f"{rows.table}/{rows.label}" for rows in selection)


def value_column(event: RowEvent, roles: Mapping[str, TableRoles]) -> str:
    """The column that holds the value of an event.

    Raises:
        TerminalError: TABLE-ROLES when neither the event nor the table names one.
    """
    return event.value_column or column(dict(roles), event.table, "value")


def rows_of(event: RowEvent, events: Mapping[str, AnyKindOfEvent], roles: Mapping[str, TableRoles]) -> Rows:
    """The rows that an event selects."""
    return Rows(
        table=event.table,
        codes=event.codes,
        status=tuple(sorted(event.status or ())),
        where=tuple(sorted(tuple(sorted(each.items())) for each in event.where or ())),
        linked=tuple(sorted((name, selection(events[other], events, roles)) for name, other in event.linked.items())),
        value=_range(value_column(event, roles), event.value) if event.value else None,
        lasts=(column(dict(roles), event.table, "end_text"), event.lasts_at_least) if event.lasts_at_least else None,
    )


def selection(
    event: AnyKindOfEvent, events: Mapping[str, AnyKindOfEvent], roles: Mapping[str, TableRoles]
) -> Selection:
    """The rows an event can be, by table and label. A computed event stands at the rows of its first input."""
    found = {(rows.table, rows.label): rows for rows in _rows(event, events, roles)}
    return tuple(found[key] for key in sorted(found))


def _rows(
    event: AnyKindOfEvent, events: Mapping[str, AnyKindOfEvent], roles: Mapping[str, TableRoles]
) -> Iterator[Rows]:
    match event:
        case RowEvent():
            yield rows_of(event, events, roles)
        case ScoreEvent():
            return
        case AnyEvent():
            for name in event.any_of:
                yield from _rows(events[name], events, roles)
        case ComputedEvent():
            yield from _rows(events[event.inputs[0]], events, roles)


def _range(name: str, comparison: Comparison) -> Range:
    bounds = ((sign, getattr(comparison, field)) for field, sign in _SIGNS.items())
    return Range(name, tuple((sign, float(bound)) for sign, bound in bounds if bound is not None))
