"""PROM instruments as declared in `mappings/proms/<instrument>/<version>.yaml`, and the rules a file has to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.errors import TerminalError
from pipelines.proms.definition_file import Definition, definition_error, read_definition
from pipelines.proms.items import Item, Items
from pipelines.proms.scales import (
    AlreadyScored,
    Code,
    CountPresent,
    MeanOfScores,
    ResponsePattern,
    ScoreRule,
    SumThenTable,
    ValueSetDecrements,
    WeightedSum,
)

ERROR_CODE = "PROM-DEFINITION"
_WHOLE = (CountPresent, SumThenTable, ValueSetDecrements, WeightedSum, MeanOfScores, AlreadyScored)
"""Kinds that have no meaning on part of their items."""


class Instrument(Definition):
    """One version of one instrument: items and scores, with the source of each rule.

    `questionnaires` are canonical URLs without version; a response to one of them is of this file when its version is
    `version` or one of `questionnaire_versions` (the version of the Questionnaire resource, where that differs).
    """

    id: str
    version: str
    title_nl: str
    questionnaires: Annotated[list[str], Field(min_length=1)]
    questionnaire_versions: Annotated[list[str], Field(default_factory=list)]
    aliases: Annotated[list[str], Field(default_factory=list)]
    codes: Annotated[list[Code], Field(default_factory=list)]
    items: Items
    scores: Annotated[list[ScoreRule], Field(min_length=1)]
    direction_note: str
    licence: str
    sources: Annotated[list[str], Field(min_length=1)]
    remark: str | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _forbid_repeats("item", [name.casefold() for item in self.items for name in item.names])
        _forbid_repeats("score", [rule.score for rule in self.scores])
        return self

    @model_validator(mode="after")
    def _scores_fit_the_items(self) -> Self:
        for rule in self.scores:
            wanted = [*rule.items, *_extra_items(rule)]
            unknown = sorted(set(wanted) - {item.link_id for item in self.items})
            if unknown:
                raise ValueError(f"score {rule.score}: unknown item {unknown[0]}")
            _forbid_repeats(f"item of score {rule.score}", wanted)
            if rule.missing.needed(len(rule.items)) > max(len(rule.items), 1):
                raise ValueError(f"score {rule.score}: 'missing' asks for more items than there are")
            if isinstance(rule, _WHOLE) and rule.missing.rule != "all_required":
                raise ValueError(f"score {rule.score}: kind {rule.kind} needs missing rule all_required")
            self._kind_is_complete(rule)
        return self

    def item(self, link_id: str) -> Item:
        """The item with this linkId; a score rule only names items that exist."""
        return self._by_link_id[link_id]

    @cached_property
    def _by_link_id(self) -> dict[str, Item]:
        return {item.link_id: item for item in self.items}

    @property
    def accepted_versions(self) -> list[str]:
        """Versions of the Questionnaire resource that this file scores."""
        return list(dict.fromkeys([self.version, *self.questionnaire_versions]))

    def _kind_is_complete(self, rule: ScoreRule) -> None:
        match rule:
            case SumThenTable():
                self._table_is_complete(rule)
            case ValueSetDecrements():
                self._decrements_are_complete(rule)
            case WeightedSum() | ResponsePattern():
                given = rule.weights if isinstance(rule, WeightedSum) else rule.parameters
                if set(given) != set(rule.items):
                    raise ValueError(f"score {rule.score}: every item needs its figures, and no other")
            case MeanOfScores():
                others = {other.score for other in self.scores if not isinstance(other, MeanOfScores)}
                unknown = sorted((set(rule.scores) | set(rule.mirrored)) - others)
                if unknown or not set(rule.mirrored) <= set(rule.scores):
                    raise ValueError(f"score {rule.score}: unknown score {[*unknown, *rule.mirrored][0]}")

    def _table_is_complete(self, rule: SumThenTable) -> None:
        lowest, highest = self.possible_sums(rule)
        for name, table in (("table", rule.table), ("se", rule.se)):
            if table is not None and sorted(table) != list(range(lowest, highest + 1)):
                raise ValueError(f"score {rule.score}: '{name}' needs exactly the sums {lowest} to {highest}")

    def possible_sums(self, rule: SumThenTable) -> tuple[int, int]:
        """The lowest and the highest sum of the items of a table."""
        worth = [self.item(link_id).worth for link_id in rule.items]
        if any(high is None for _, high in worth):
            raise ValueError(f"score {rule.score}: a table needs items with an upper end")
        return int(sum(low for low, _ in worth)), int(sum(high or 0 for _, high in worth))

    def _decrements_are_complete(self, rule: ValueSetDecrements) -> None:
        if set(rule.decrements) != set(rule.items):
            raise ValueError(f"score {rule.score}: every item needs its decrements, and no other")
        for link_id, levels in rule.decrements.items():
            item = self.item(link_id)
            if item.top is None or len(levels) != item.top - item.bottom + 1:
                raise ValueError(f"score {rule.score}: item {link_id} needs one decrement per level")


def load_instruments(folder: Path) -> list[Instrument]:
    """All instruments below a folder, by file name.

    Raises:
        TerminalError: PROM-DEFINITION, naming the file and field, also when two files claim one questionnaire version.
    """
    paths = sorted(folder.glob("*/*.yaml"))
    if not paths:
        raise definition_error(folder, "the folder holds no instrument (<instrument>/<version>.yaml)", ERROR_CODE)
    instruments = [read_definition(path, Instrument, ERROR_CODE) for path in paths]
    for path, instrument in zip(paths, instruments, strict=True):
        if path.parent.name != instrument.id:
            raise definition_error(path, f"field 'id': has to be the folder name, {path.parent.name}", ERROR_CODE)
        if path.stem != instrument.version:
            raise definition_error(path, f"field 'version': has to be the file name, {path.stem}", ERROR_CODE)
    for what in _double_claims(instruments):
        raise definition_error(folder, what, ERROR_CODE)
    return instruments


def find_instrument(instruments: Sequence[Instrument], name: str, version: str | None = None) -> Instrument:
    """The instrument with this id or alias (capitals, `_` and `-` do not matter), of this version.

    Raises:
        TerminalError: PROM-INSTRUMENT for an unknown name, PROM-VERSION for a version that is unknown or not stated
            where there are several; both name what there is.
    """
    wanted = _plain(name)
    found = [i for i in instruments if wanted in {_plain(known) for known in (i.id, *i.aliases)}]
    if not found:
        known = ", ".join(sorted({instrument.id for instrument in instruments}))
        raise TerminalError("PROM-INSTRUMENT", "no such instrument", where=name, remedy=f"Name one of: {known}.")
    if version is not None:
        found = [instrument for instrument in found if version in instrument.accepted_versions]
    if len(found) != 1:
        there = [i.version for i in instruments if wanted in {_plain(known) for known in (i.id, *i.aliases)}]
        what = "no such version" if version is not None else "has more than one version and none was named"
        raise TerminalError("PROM-VERSION", what, where=name, remedy=f"Name a version: {', '.join(there)}.")
    return found[0]


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")


def _extra_items(rule: ScoreRule) -> list[str]:
    return [rule.se_item] if isinstance(rule, AlreadyScored) and rule.se_item else []


def _double_claims(instruments: Sequence[Instrument]) -> Iterator[str]:
    claims = Counter(
        (url, version)
        for instrument in instruments
        for url in instrument.questionnaires
        for version in instrument.accepted_versions
    )
    for (url, version), count in claims.items():
        if count > 1:
            yield f"field 'questionnaires': {url}|{version} is claimed twice"
    owners = {(url, instrument.id) for instrument in instruments for url in instrument.questionnaires}
    for url, count in Counter(url for url, _ in owners).items():
        if count > 1:
            yield f"field 'questionnaires': {url} is claimed by two instruments"
    codes = {
        (c.system, c.code, instrument.id) for instrument in instruments for r in instrument.scores for c in r.codes
    }
    for (_, code), count in Counter((system, code) for system, code, _ in codes).items():
        if count > 1:
            yield f"field 'codes': {code} is claimed by the scores of two instruments"


def _forbid_repeats(name: str, values: list[str]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ValueError(f"{name} {repeated[0]} occurs twice")
