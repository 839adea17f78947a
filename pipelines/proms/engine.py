"""Answers of many responses to scores: numpy over whole columns, in parts that fit the cache.

An answer is a number. Three markers stand for what is no number: `MISSING` (NaN), `UNREADABLE` (an answer that is not
allowed, such as a text) and `CONFLICTING` (one item answered in two ways). A score is never guessed: when an item it
needs is out of range or answered in two ways it is not given, and when items are missing the instrument's own rule
decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    SumThenTable,
    ValueSetDecrements,
    WeightedSum,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Answers = Mapping[str, NDArray[np.floating]]
"""Per item id one column of answers; an item that is absent is missing in every response."""

MISSING, UNREADABLE, CONFLICTING = np.nan, np.inf, -np.inf
REASONS = (None, "item missing", "item out of range", "conflicting answers")
"""Why there is no score, by `Scores.reason`."""
_ROWS_AT_ONCE = 16_384  # a column of 128 kB: the columns of one scale stay in the cache


@dataclass(frozen=True, slots=True)
class Scores:
    """One score of all responses, in their order.

    Attributes:
        items: how many items the score rests on.
        raw: the sum, mean or answer that the score follows from; NaN without a score.
        value: the score; NaN when it cannot be given.
        se: standard error in the unit of the score, where the instrument has one.
        complete: number of items of the score with an allowed answer.
        reason: index into `REASONS`; 0 when there is a score.
    """

    rule: ScoreRule
    items: int
    raw: Floats
    value: Floats
    se: Floats | None
    complete: NDArray[np.int16]
    reason: NDArray[np.uint8]

    @property
    def imputed(self) -> Flags:
        """Whether the score was given while items are missing, by the missing rule."""
        flags: Flags = (self.reason == 0) & (self.complete < self.items)
        return flags


@dataclass(frozen=True, slots=True)
class _Column:
    """Answers to one item: points (0 where not allowed), and which are allowed, out of range and conflicting."""

    points: Floats
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
    scores = [_empty(instrument, rule, responses) for rule in rules]
    items = [item for item in instrument.items if item.link_id in _used_items(rules)]
    nothing = np.full(min(responses, _ROWS_AT_ONCE), MISSING)
    for start in range(0, responses, _ROWS_AT_ONCE):
        part = slice(start, min(start + _ROWS_AT_ONCE, responses))
        columns = {
            item.link_id: _judge(
                item, np.asarray(answers.get(item.link_id, nothing)[_of(part, answers, item)], np.float64)
            )
            for item in items
        }
        for result in scores:
            _score_part(instrument, result, columns, part, scores)
    return scores


def not_allowed(item: Item, values: NDArray[np.floating]) -> Flags:
    """Which answers to an item are given but not allowed (also: unreadable or conflicting)."""
    flags: Flags = ~(_allowed(item, np.asarray(values, np.float64)) | np.isnan(values))
    return flags


def _of(part: slice, answers: Answers, item: Item) -> slice:
    return part if item.link_id in answers else slice(0, part.stop - part.start)


def _used_items(rules: Sequence[ScoreRule]) -> set[str]:
    extra = {rule.se_item for rule in rules if isinstance(rule, AlreadyScored) and rule.se_item}
    return {link_id for rule in rules for link_id in rule.items} | extra


def _empty(instrument: Instrument, rule: ScoreRule, responses: int) -> Scores:
    items = len(rule.items)
    if isinstance(rule, MeanOfScores):
        items = sum(len(other.items) for other in instrument.scores if other.score in rule.scores)
    has_se = isinstance(rule, ResponsePattern | AlreadyScored) or (isinstance(rule, SumThenTable) and bool(rule.se))
    return Scores(
        rule,
        items,
        np.empty(responses),
        np.empty(responses),
        np.empty(responses) if has_se else None,
        np.empty(responses, np.int16),
        np.empty(responses, np.uint8),
    )


def _allowed(item: Item, x: Floats) -> Flags:
    if item.answers is not None:
        return np.isin(x, list(item.answers.values()))
    allowed: Flags = (x >= item.min) & (x <= (np.finfo(np.float64).max if item.max is None else item.max))
    if item.whole:
        allowed &= np.floor(x) == x
    return allowed


def _judge(item: Item, x: Floats) -> _Column:
    allowed = _allowed(item, x)
    wrong: Flags | None = ~(allowed | np.isnan(x))
    conflicting: Flags | None = None
    if wrong is not None and not wrong.any():
        wrong = None
    elif wrong is not None:
        conflicting = x == CONFLICTING
    points = np.where(allowed, x, 0.0)
    if item.reverse and item.top is not None:
        points = np.where(allowed, item.bottom + item.top - points, 0.0)
    if item.steps:
        ends = np.array([np.inf if end is None else end for end, _ in item.steps])
        points = np.array([worth for _, worth in item.steps])[np.searchsorted(ends, points)]
        points[~allowed] = 0.0
    return _Column(points, allowed, wrong, conflicting)


def _score_part(
    instrument: Instrument, result: Scores, columns: Mapping[str, _Column], part: slice, scores: Sequence[Scores]
) -> None:
    """Fill `part` of one score."""
    rule = result.rule
    if isinstance(rule, MeanOfScores):
        _mean_of_scores(rule, result, part, scores)
        return
    used = [columns[link_id] for link_id in rule.items]
    complete = result.complete[part]
    complete[:] = used[0].allowed
    for column in used[1:]:
        complete += column.allowed
    reason = result.reason[part]
    np.less(complete, rule.missing.needed(len(used)), out=reason, casting="unsafe")
    for code, flags in ((2, [c.wrong for c in used]), (3, [c.conflicting for c in used])):
        for flag in flags:
            if flag is not None:
                reason[flag] = code
    raw, value, se = _values(instrument, rule, columns, complete)
    if rule.decimals is not None:
        value = np.round(value, rule.decimals)
    unscored = reason != 0
    result.raw[part], result.value[part] = raw, value
    result.raw[part][unscored] = result.value[part][unscored] = np.nan
    if result.se is not None:
        result.se[part] = np.nan if se is None else se
        result.se[part][unscored] = np.nan


def _values(
    instrument: Instrument, rule: ScoreRule, columns: Mapping[str, _Column], complete: NDArray[np.int16]
) -> tuple[Floats, Floats, Floats | None]:
    """Raw value, score and standard error; meaningless where the score is not given."""
    match rule:
        case SumThenTable():
            return _looked_up(instrument, rule, _total(rule, columns))
        case ValueSetDecrements():
            return _decremented(instrument, rule, columns)
        case WeightedSum():
            weighted = sum((columns[name].points * weight for name, weight in rule.weights.items()), start=np.zeros(1))
            return weighted, weighted + rule.constant, None
        case CountPresent():
            count = np.zeros(len(complete))
            for name in rule.items:
                count += columns[name].points > 0
            return count, _filled(count, complete, len(rule.items)), None
        case ResponsePattern():
            return _pattern(instrument, rule, columns)
        case AlreadyScored():
            points = columns[rule.items[0]].points
            return points, points, _error_of(rule, columns)
    total = _total(rule, columns)
    if isinstance(rule, MeanOfItems) or (isinstance(rule, LinearTransform) and rule.of == "mean"):
        raw = total / np.maximum(complete, 1)
    else:
        raw = _filled(total, complete, len(rule.items))
    if isinstance(rule, LinearTransform):
        slope = (rule.becomes[1] - rule.becomes[0]) / (rule.raw[1] - rule.raw[0])
        return raw, rule.becomes[0] + (raw - rule.raw[0]) * slope, None
    return raw, raw, None


def _total(rule: ScoreRule, columns: Mapping[str, _Column]) -> Floats:
    total = columns[rule.items[0]].points.copy()
    for link_id in rule.items[1:]:
        total += columns[link_id].points
    return total


def _filled(total: Floats, complete: NDArray[np.int16], items: int) -> Floats:
    """A sum in which missing items count as the mean of the answered ones; untouched when none is missing."""
    filled: Floats = np.where(complete < items, total / np.maximum(complete, 1) * items, total)
    return filled


def _looked_up(instrument: Instrument, rule: SumThenTable, total: Floats) -> tuple[Floats, Floats, Floats | None]:
    lowest, highest = instrument.possible_sums(rule)
    row = np.clip(total, lowest, highest).astype(np.intp) - lowest
    sums = range(lowest, highest + 1)
    errors = np.array([rule.se[s] for s in sums])[row] if rule.se else None
    return total, np.array([rule.table[s] for s in sums])[row], errors


def _decremented(
    instrument: Instrument, rule: ValueSetDecrements, columns: Mapping[str, _Column]
) -> tuple[Floats, Floats, Floats | None]:
    total: Floats | None = None
    any_problem: Flags | None = None
    for link_id, levels in rule.decrements.items():
        bottom, points = instrument.item(link_id).bottom, columns[link_id].points
        loss = np.array(levels)[np.maximum(points - bottom, 0).astype(np.intp)]
        problem = points > bottom
        total = loss if total is None else total + loss
        any_problem = problem if any_problem is None else any_problem | problem
    assert total is not None and any_problem is not None
    value = rule.start + total + np.where(any_problem, rule.any_problem, 0.0)
    return value, value, None


def _pattern(
    instrument: Instrument, rule: ResponsePattern, columns: Mapping[str, _Column]
) -> tuple[Floats, Floats, Floats]:
    categories = [
        np.where(columns[name].allowed, columns[name].points - instrument.item(name).bottom, -1).astype(np.int64)
        for name in rule.items
    ]
    value, se = expected_t_scores(categories, [rule.parameters[name] for name in rule.items])
    return _total(rule, columns), value, se if rule.decimals is None else np.round(se, rule.decimals)


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
    complete = np.zeros(len(total), np.int16)
    for name in rule.scores:
        other = by_name[name]
        total += 100 - other.value[part] if name in rule.mirrored else other.value[part]
        np.maximum(reason, other.reason[part], out=reason)
        complete += other.complete[part]
    mean = total / len(rule.scores)
    result.raw[part] = mean
    result.value[part] = mean if rule.decimals is None else np.round(mean, rule.decimals)
    result.reason[part], result.complete[part] = reason, complete
