"""Answers of many responses to scores: numpy over whole columns, in parts that fit the cache.

An answer is a number. Three markers stand for what is no number: `MISSING` (NaN), `UNREADABLE` (an answer that is not
allowed, such as a text) and `CONFLICTING` (one item answered in two ways). A score is never guessed: when an item it
needs is out of range or answered in two ways it is not given, and when items are missing the instrument's own rule
decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.proms.instruments import Instrument
from pipelines.proms.items import Item
from pipelines.proms.response_pattern import expected_t_scores
from pipelines.proms.scales import (
    AlreadyScored,
    CountPresent,
    LinearTransform,
    MeanOfItems,
    MeanOfScores,
    ResponsePattern,
    ScoreRule,
    SingleItem,
    SumOfItems,
    SumThenTable,
    ValueSetDecrements,
    WeightedSum,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Points = NDArray[np.int16] | Floats
Answers = Mapping[str, NDArray[np.floating]]
"""Per item id one column of answers; an item that is absent is missing in every response."""

MISSING, UNREADABLE, CONFLICTING = np.nan, np.inf, -np.inf
REASONS = (None, "item missing", "item out of range", "conflicting answers")
"""Why there is no score, by `Scores.reason`."""
_MOST_STATES = 100_000
_ROWS_AT_ONCE = 16_384  # a column of answers is 128 kB: what one scale needs stays in the cache


@dataclass(frozen=True, slots=True)
class Scores:
    """One score of all responses, in their order.

    Attributes:
        items: how many items the score rests on.
        value: the score; NaN when it cannot be given.
        complete: number of items of the score with an allowed answer.
        reason: index into `REASONS`; 0 when there is a score.
        total: sum of the points of the answered items, where the raw value or the standard error follows from it.
        error: standard error that came with the score or its pattern of answers.
    """

    rule: ScoreRule
    items: int
    value: Floats
    complete: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    total: Points | None
    error: Floats | None

    @property
    def raw(self) -> Floats:
        """The sum, mean or answer that the score follows from; NaN without a score."""
        if self.total is None:
            return self.value - self.rule.constant if isinstance(self.rule, WeightedSum) else self.value
        total = self.total.astype(np.float64)
        if isinstance(self.rule, LinearTransform):
            total = _raw(self.rule, total, self.complete)
        raw: Floats = np.where(self.reason == 0, total, np.nan)
        return raw

    @property
    def se(self) -> Floats | None:
        """Standard error in the unit of the score, where the instrument has one; NaN without a score."""
        if not isinstance(self.rule, SumThenTable) or self.rule.se is None or self.total is None:
            return self.error
        sums = sorted(self.rule.se)
        errors = np.array([self.rule.se[s] for s in sums]).take(self.total.astype(np.intp) - sums[0], mode="clip")
        return np.where(self.reason == 0, errors, np.nan)

    @property
    def imputed(self) -> Flags:
        """Whether the score was given while items are missing, by the missing rule."""
        flags: Flags = (self.reason == 0) & (self.complete < self.items)
        return flags


@dataclass(frozen=True, slots=True)
class _Reader:
    """How answers to one item become points, made once per call.

    A `small` item has whole answers that fit in a byte: its answers are handled as bytes and its points as 16-bit
    integers, a quarter of the memory to pass through. `worth` holds the points per byte where they are not the answer.
    """

    item: Item
    small: bool
    worth: NDArray[np.int16] | None

    @classmethod
    def of(cls, item: Item) -> _Reader:
        fits = item.answers is None and item.whole and item.min >= 0 and item.max is not None and item.max <= 255
        if not fits:
            return cls(item, False, None)
        if not item.steps and not item.reverse:
            return cls(item, True, None)
        points = _points(item, np.arange(256, dtype=np.float64))
        return cls(item, True, points.astype(np.int16)) if (points == np.rint(points)).all() else cls(item, False, None)

    def read(self, x: Floats) -> _Column:
        """The answers of a part of the responses."""
        missing = np.isnan(x)
        if self.small:
            with np.errstate(invalid="ignore"):  # what is no byte differs from its own cast, and so is not allowed
                byte = x.astype(np.uint8)
            low, high = int(self.item.min), int(self.item.max or 0)
            allowed: Flags = byte.astype(np.float64) == x
            allowed &= (byte - np.uint8(low)) <= np.uint8(high - low)
            byte *= allowed.view(np.uint8)
            points: Points = byte.astype(np.int16)
            if self.worth is not None:
                points = np.where(allowed, self.worth.take(byte), np.int16(0))
        else:
            allowed = _allowed(self.item, x)
            points = np.where(allowed, _points(self.item, np.where(allowed, x, self.item.bottom)), 0.0)
        if np.count_nonzero(allowed) + np.count_nonzero(missing) == len(x):
            return _Column(points, allowed, None, None)
        conflicting = x == CONFLICTING
        return _Column(points, allowed, ~(allowed | missing), conflicting if conflicting.any() else None)


@dataclass(frozen=True, slots=True)
class _Column:
    """Answers to one item: points (0 where not allowed), and which are allowed, out of range and conflicting."""

    points: Points
    allowed: Flags
    wrong: Flags | None
    conflicting: Flags | None


def score_answers(
    instrument: Instrument, answers: Answers, responses: int, *, response_pattern: bool = False
) -> list[Scores]:
    """All scores of `responses` responses to one instrument.

    Args:
        response_pattern: also give the PROMIS response-pattern scores that the file declares.
    """
    rules = [r for r in instrument.scores if response_pattern or not isinstance(r, ResponsePattern)]
    used = _used_items(rules)
    readers = [_Reader.of(item) for item in instrument.items if item.link_id in used]
    small = {reader.item.link_id for reader in readers if reader.small}
    scores = [_empty(instrument, rule, responses, small) for rule in rules]
    tables = {rule.score: _table(instrument, rule) for rule in rules if set(rule.items) <= small}
    nothing = np.full(min(responses, _ROWS_AT_ONCE), MISSING)
    for start in range(0, responses, _ROWS_AT_ONCE):
        part = slice(start, min(start + _ROWS_AT_ONCE, responses))
        columns = {}
        for reader in readers:
            name = reader.item.link_id
            column = answers[name][part] if name in answers else nothing[: part.stop - part.start]
            columns[name] = reader.read(np.asarray(column, np.float64))
        for result in scores:
            _score_part(instrument, result, columns, part, scores, tables.get(result.rule.score))
    return scores


def not_allowed(item: Item, values: NDArray[np.floating]) -> Flags:
    """Which answers to an item are given but not allowed (also: unreadable or conflicting)."""
    flags: Flags = ~(_allowed(item, np.asarray(values, np.float64)) | np.isnan(values))
    return flags


def _used_items(rules: Sequence[ScoreRule]) -> set[str]:
    extra = {rule.se_item for rule in rules if isinstance(rule, AlreadyScored) and rule.se_item}
    return {link_id for rule in rules for link_id in rule.items} | extra


def _empty(instrument: Instrument, rule: ScoreRule, responses: int, small: set[str]) -> Scores:
    items = len(rule.items)
    if isinstance(rule, MeanOfScores):
        items = sum(len(other.items) for other in instrument.scores if other.score in rule.scores)
    total: Points = np.empty(responses, np.int16) if set(rule.items) <= small else np.empty(responses)
    return Scores(
        rule,
        items,
        np.empty(responses),
        np.empty(responses, np.uint8),
        np.empty(responses, np.uint8),
        total if isinstance(rule, SumThenTable | LinearTransform | ResponsePattern) else None,
        np.empty(responses) if isinstance(rule, AlreadyScored | ResponsePattern) else None,
    )


def _allowed(item: Item, x: Floats) -> Flags:
    if item.answers is not None:
        return np.isin(x, list(item.answers.values()))
    allowed: Flags = (x >= item.min) & (x <= (np.finfo(np.float64).max if item.max is None else item.max))
    if item.whole:
        allowed &= np.floor(x) == x
    return allowed


def _points(item: Item, answers: Floats) -> Floats:
    """What allowed answers are worth; what is not allowed gets some value."""
    points = item.bottom + item.top - answers if item.reverse and item.top is not None else answers
    if item.steps:
        ends = [np.inf if end is None else end for end, _ in item.steps]
        place = np.minimum(np.searchsorted(np.array(ends), points), len(ends) - 1)
        points = np.array([worth for _, worth in item.steps])[place]
    return points


def _score_part(
    instrument: Instrument,
    result: Scores,
    columns: Mapping[str, _Column],
    part: slice,
    scores: Sequence[Scores],
    table: Floats | None,
) -> None:
    """Fill `part` of one score."""
    rule = result.rule
    if isinstance(rule, MeanOfScores):
        _mean_of_scores(rule, result, part, scores)
        return
    used = [columns[link_id] for link_id in rule.items]
    complete, reason, value = result.complete[part], result.reason[part], result.value[part]
    complete[:] = used[0].allowed.view(np.uint8)
    for column in used[1:]:
        complete += column.allowed.view(np.uint8)
    np.less(complete, np.uint8(rule.missing.needed(len(used))), out=reason.view(np.bool_))
    for code, flags in ((2, [c.wrong for c in used]), (3, [c.conflicting for c in used])):
        for flag in flags:
            if flag is not None:
                np.copyto(reason, np.uint8(code), where=flag)
    total = _total(rule, columns)
    if result.total is not None:
        result.total[part] = total
    if table is None:
        found, error = _values(instrument, rule, columns, total, complete)
        value[:] = found if rule.decimals is None else np.round(found, rule.decimals)
    else:
        table.ravel().take(_place(instrument, rule, columns, complete, total, table), out=value, mode="clip")
        error = None
    np.copyto(value, np.nan, where=reason != 0)
    if result.error is not None:
        result.error[part] = np.nan if error is None else error
        np.copyto(result.error[part], np.nan, where=reason != 0)


def _table(instrument: Instrument, rule: ScoreRule) -> Floats | None:
    """The score of everything that can be answered, where that is little: looking up beats computing a million times.

    Only for items whose points are small whole numbers. By number of answered items and their sum, for kinds that
    follow from these two; for a value set by the level of every dimension (EQ-5D-5L has 3,125 states).
    """
    if isinstance(rule, ValueSetDecrements):
        shape = [len(levels) for levels in rule.decrements.values()]
        if np.prod(shape) > _MOST_STATES:
            return None
        states = np.indices(shape).reshape(len(shape), -1)
        found = _decremented(rule, states)
    elif isinstance(rule, SingleItem | SumOfItems | MeanOfItems | LinearTransform | SumThenTable):
        highest = sum(int(max(instrument.item(link_id).worth[1] or 0, 0)) for link_id in rule.items)
        shape = [len(rule.items) + 1, highest + 1]
        complete, total = np.divmod(np.arange(np.prod(shape)), highest + 1)
        found = _of_total(rule, total.astype(np.float64), complete.astype(np.uint8))
    else:
        return None
    return (found if rule.decimals is None else np.round(found, rule.decimals)).reshape(shape)


def _place(
    instrument: Instrument,
    rule: ScoreRule,
    columns: Mapping[str, _Column],
    complete: NDArray[np.uint8],
    total: Points,
    table: Floats,
) -> NDArray[Any]:
    """Where in the table every response is; anywhere for one that is not scored."""
    kind: type[np.integer] = np.int16 if table.size <= np.iinfo(np.int16).max else np.int32
    if not isinstance(rule, ValueSetDecrements):
        place: NDArray[Any] = complete.astype(kind)
        place *= table.shape[1]
        return place + total.astype(kind, copy=False)
    place = np.zeros(len(complete), kind)
    for link_id, levels in zip(rule.decrements, table.shape, strict=True):
        place *= levels
        place += columns[link_id].points.astype(kind, copy=False)
        place -= int(instrument.item(link_id).bottom)
    return place


def _values(
    instrument: Instrument,
    rule: ScoreRule,
    columns: Mapping[str, _Column],
    total: Points,
    complete: NDArray[np.uint8],
) -> tuple[Floats, Floats | None]:
    """Score and standard error; meaningless where the score is not given."""
    match rule:
        case ValueSetDecrements():
            levels = [
                columns[name].points.astype(np.intp) - int(instrument.item(name).bottom) for name in rule.decrements
            ]
            return _decremented(rule, levels), None
        case WeightedSum():
            weighted = np.full(len(complete), rule.constant)
            for name, weight in rule.weights.items():
                weighted += columns[name].points * weight
            return weighted, None
        case CountPresent():
            present = np.zeros(len(complete))
            for name in rule.items:
                present += columns[name].points > 0
            return present, None
        case ResponsePattern():
            return _pattern(instrument, rule, columns)
        case AlreadyScored():
            return columns[rule.items[0]].points.astype(np.float64), _error_of(rule, columns)
    return _of_total(rule, total.astype(np.float64), complete), None


def _of_total(rule: ScoreRule, total: Floats, complete: NDArray[np.uint8]) -> Floats:
    """Scores that follow from the sum of the points and the number of answered items."""
    if isinstance(rule, SumThenTable):
        sums = sorted(rule.table)
        return np.array([rule.table[s] for s in sums]).take(total.astype(np.intp) - sums[0], mode="clip")
    raw = _raw(rule, total, complete)
    if isinstance(rule, LinearTransform):
        slope = (rule.becomes[1] - rule.becomes[0]) / (rule.raw[1] - rule.raw[0])
        raw = rule.becomes[0] + (raw - rule.raw[0]) * slope
    return raw


def _raw(rule: ScoreRule, total: Floats, complete: NDArray[np.uint8]) -> Floats:
    """The mean of the answered items, or their sum with the mean of the answered ones for those that are missing."""
    answered = np.maximum(complete, 1).astype(np.float64)
    if isinstance(rule, MeanOfItems) or (isinstance(rule, LinearTransform) and rule.of == "mean"):
        return total / answered
    filled: Floats = np.where(complete < len(rule.items), total / answered * len(rule.items), total)
    return filled


def _total(rule: ScoreRule, columns: Mapping[str, _Column]) -> Points:
    total, *others = (columns[link_id].points for link_id in rule.items)
    for points in others:
        total = total + points
    return total


def _decremented(rule: ValueSetDecrements, levels: Sequence[NDArray[np.intp]] | NDArray[np.intp]) -> Floats:
    """The value of every state; `levels` holds per dimension the level of every response, 0 for the first."""
    value = np.full(len(levels[0]), rule.start)
    for level, decrements in zip(levels, rule.decrements.values(), strict=True):
        value += np.array(decrements).take(level, mode="clip")
    any_problem = np.any([level > 0 for level in levels], axis=0)
    value[any_problem] += rule.any_problem
    return value


def _pattern(instrument: Instrument, rule: ResponsePattern, columns: Mapping[str, _Column]) -> tuple[Floats, Floats]:
    categories = [
        np.where(columns[name].allowed, columns[name].points - int(instrument.item(name).bottom), -1).astype(np.int64)
        for name in rule.items
    ]
    value, se = expected_t_scores(categories, [rule.parameters[name] for name in rule.items])
    return value, se if rule.decimals is None else np.round(se, rule.decimals)


def _error_of(rule: AlreadyScored, columns: Mapping[str, _Column]) -> Floats | None:
    if rule.se_item is None:
        return None
    column = columns[rule.se_item]
    error: Floats = np.where(column.allowed, column.points, np.nan)
    return error


def _mean_of_scores(rule: MeanOfScores, result: Scores, part: slice, scores: Sequence[Scores]) -> None:
    by_name = {other.rule.score: other for other in scores}
    total = np.zeros(part.stop - part.start)
    reason = np.zeros(len(total), np.uint8)
    complete = np.zeros(len(total), np.uint8)
    for name in rule.scores:
        other = by_name[name]
        total += 100 - other.value[part] if name in rule.mirrored else other.value[part]
        np.maximum(reason, other.reason[part], out=reason)
        complete += other.complete[part]
    mean = total / len(rule.scores)
    result.value[part] = mean if rule.decimals is None else np.round(mean, rule.decimals)
    result.reason[part], result.complete[part] = reason, complete
