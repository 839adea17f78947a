"""PROM instruments as declared in `mappings/proms/`: items, ranges and how a score follows from the answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.proms.definition_file import Definition, definition_error, read_definition

ERROR_CODE = "PROM-DEFINITION"
Direction = Literal["higher_is_better", "higher_is_worse"]


class Item(Definition):
    """One question. `label` is a short name, never the copyrighted text; answers are whole numbers min..max."""

    link_id: str
    label: str
    min: int
    max: int

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"item {self.link_id}: min has to be below max")
        return self


class SingleItem(Definition):
    """The answer to one item is the score."""

    kind: Literal["single_item"]
    score: str
    direction: Direction
    items: Annotated[list[str], Field(min_length=1, max_length=1)]


class SumThenTable(Definition):
    """The sum of all items, looked up in a table that has a row for every possible sum."""

    kind: Literal["sum_then_table"]
    score: str
    direction: Direction
    items: Annotated[list[str], Field(min_length=1)]
    table: dict[int, float]


class ValueSetDecrements(Definition):
    """`start` plus a decrement per item level, plus `any_problem` once when any item is above its first level."""

    kind: Literal["value_set_decrements"]
    score: str
    direction: Direction
    items: Annotated[list[str], Field(min_length=1)]
    start: float
    any_problem: float
    decrements: dict[str, list[float]]
    decimals: int


ScoreRule = Annotated[SingleItem | SumThenTable | ValueSetDecrements, Field(discriminator="kind")]


class Instrument(Definition):
    """One instrument: its canonical URLs (without version), items and scores, with the source of each rule."""

    id: str
    version: str
    title_nl: str
    questionnaires: Annotated[list[str], Field(min_length=1)]
    items: Annotated[list[Item], Field(min_length=1)]
    scores: Annotated[list[ScoreRule], Field(min_length=1)]
    missing_rule: str
    missing_rule_source: str
    direction_note: str
    sources: Annotated[list[str], Field(min_length=1)]
    remark: str | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _forbid_repeats("link_id", [item.link_id for item in self.items])
        _forbid_repeats("score", [rule.score for rule in self.scores])
        return self

    @model_validator(mode="after")
    def _scores_fit_the_items(self) -> Self:
        for rule in self.scores:
            unknown = sorted(set(rule.items) - {item.link_id for item in self.items})
            if unknown:
                raise ValueError(f"score {rule.score}: unknown item {unknown[0]}")
            _forbid_repeats(f"item of score {rule.score}", rule.items)
            if isinstance(rule, SumThenTable):
                self._table_is_complete(rule)
            elif isinstance(rule, ValueSetDecrements):
                self._decrements_are_complete(rule)
        return self

    def item(self, link_id: str) -> Item:
        """The item with this linkId; a score rule only names items that exist."""
        return next(item for item in self.items if item.link_id == link_id)

    def _table_is_complete(self, rule: SumThenTable) -> None:
        items = [self.item(link_id) for link_id in rule.items]
        lowest, highest = sum(item.min for item in items), sum(item.max for item in items)
        if sorted(rule.table) != list(range(lowest, highest + 1)):
            raise ValueError(f"score {rule.score}: the table needs exactly the sums {lowest} to {highest}")

    def _decrements_are_complete(self, rule: ValueSetDecrements) -> None:
        if set(rule.decrements) != set(rule.items):
            raise ValueError(f"score {rule.score}: every item needs its decrements, and no other")
        for link_id, levels in rule.decrements.items():
            item = self.item(link_id)
            if len(levels) != item.max - item.min + 1:
                raise ValueError(f"score {rule.score}: item {link_id} needs one decrement per level")


def load_instruments(folder: Path) -> list[Instrument]:
    """All instruments of a folder, by file name.

    Raises:
        TerminalError: PROM-DEFINITION, naming the file and field, also when two files claim one questionnaire.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise definition_error(folder, "the folder holds no instrument (*.yaml)", ERROR_CODE)
    instruments = [read_definition(path, Instrument, ERROR_CODE) for path in paths]
    for path, instrument in zip(paths, instruments, strict=True):
        if path.stem != instrument.id:
            raise definition_error(path, f"field 'id': has to be the file name, {path.stem}", ERROR_CODE)
    claims = Counter(url for instrument in instruments for url in instrument.questionnaires)
    twice = [url for url, count in claims.items() if count > 1]
    if twice:
        raise definition_error(folder, f"field 'questionnaires': {twice[0]} is claimed twice", ERROR_CODE)
    return instruments


def _forbid_repeats(name: str, values: list[str]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ValueError(f"{name} {repeated[0]} occurs twice")
