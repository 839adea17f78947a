"""Scoring a file of answers: one row per response, one column per item; other columns pass through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from pipelines.errors import TerminalError
from pipelines.proms.engine import CONFLICTING, MISSING, REASONS, UNREADABLE, Scores, not_allowed, score_answers
from pipelines.proms.instruments import Instrument
from pipelines.proms.items import Item

EMPTY = ("", "NA", "NaN", "nan", "NULL", "null", ".")
"""What a cell without an answer holds."""
_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that cannot be used: the line of the file, the item, and what would be allowed. Never the answer."""

    row: int
    item: str
    what: str

    def __str__(self) -> str:
        return f"row {self.row}, item {self.item}: {self.what}"


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """The table with scores, the problems in order of row, and how many rows and scores there are."""

    table: pa.Table
    problems: list[Problem]
    rows: int
    scored: dict[str, int]


def score_file(instrument: Instrument, path: Path, *, response_pattern: bool = False) -> ScoredFile:
    """Score a CSV file (comma, semicolon or tab; UTF-8).

    The result has the columns that are no items, then per score its value and, where the instrument has one, its
    standard error `<score>_se`, and `reasons`: which score is not given, and why. Where a column of the file bears the
    name of a score, as in a file that was scored before, the column of the file is renamed `<name>_given`.

    Raises:
        TerminalError: PROM-FILE when the file cannot be read or has no item of the instrument.
    """
    table = _read(path)
    places = _item_columns(instrument, table.column_names)
    if not places:
        known = ", ".join(item.link_id for item in instrument.items[:6])
        raise TerminalError(
            "PROM-FILE",
            f"no column is an item of {instrument.id}",
            where=str(path),
            remedy=f"Name the columns after its items: {known} ... (`uitkomst proms show {instrument.id}`).",
        )
    answers, problems = {}, []
    for item in instrument.items:
        if item.link_id in places:
            columns = [_numbers(item, table.column(place)) for place in places[item.link_id]]
            values = _agreed(columns)
            answers[item.link_id] = values
            problems += list(_problems(item, values))
    scores = score_answers(instrument, answers, table.num_rows, response_pattern=response_pattern)
    problems.sort(key=lambda problem: problem.row)
    used = {place for found in places.values() for place in found}
    rest = [number for number in range(table.num_columns) if number not in used]
    scored = {s.rule.score: int((s.reason == 0).sum()) for s in scores}
    return ScoredFile(_result(table, rest, scores), problems, table.num_rows, scored)


def _read(path: Path) -> pa.Table:
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES).decode("utf-8-sig", "replace").split("\n", 1)[0]
        delimiter = max(",;\t", key=header.count)
        names = pacsv.open_csv(path, parse_options=pacsv.ParseOptions(delimiter=delimiter)).schema.names
        # By place and not by name, so that a column that occurs twice can be compared with itself.
        unique = [str(number) for number in range(len(names))]
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=unique, skip_rows=1),
            parse_options=pacsv.ParseOptions(delimiter=delimiter),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(unique, pa.string())),
        )
    except FileNotFoundError:
        raise TerminalError("FILE-MISSING", "no such file", where=str(path), remedy="Name a CSV file.") from None
    except pa.ArrowInvalid as error:
        first = str(error).split("\n")[0].split(": Row")[0]
        raise TerminalError(
            "PROM-FILE", f"is no regular CSV: {first}", where=str(path), remedy="Give every row the same columns."
        ) from None
    return table.rename_columns(names)


def _item_columns(instrument: Instrument, names: Sequence[str]) -> dict[str, list[int]]:
    """Which columns hold which item."""
    known = {name.casefold(): item.link_id for item in instrument.items for name in item.names}
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        link_id = known.get(name.strip().casefold())
        if link_id is not None:
            places.setdefault(link_id, []).append(place)
    return places


def _numbers(item: Item, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Cells as numbers; each different text is read once, however many rows there are."""
    texts = pa.concat_arrays([*column.chunks, pa.array([], pa.string())])
    encoded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    meanings = np.array([_number(item, text) for text in encoded.dictionary.to_pylist()] + [MISSING])
    places = np.asarray(encoded.indices.fill_null(len(meanings) - 1))
    values: NDArray[np.float64] = meanings[places]
    return values


def _number(item: Item, text: str) -> float:
    if text in EMPTY:
        return MISSING
    if item.answers is not None:
        by_code = {code.casefold(): value for code, value in item.answers.items()}
        return by_code.get(text.casefold(), UNREADABLE)
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return UNREADABLE
    return number if np.isfinite(number) else UNREADABLE


def _agreed(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One column out of several for one item: what one of them says, or conflicting where two say different things."""
    agreed = columns[0].copy()
    for other in columns[1:]:
        both = ~np.isnan(agreed) & ~np.isnan(other)
        agreed[both & (agreed != other)] = CONFLICTING
        agreed = np.where(np.isnan(agreed), other, agreed)
    return agreed


def _problems(item: Item, values: NDArray[np.float64]) -> Iterator[Problem]:
    for place in np.flatnonzero(not_allowed(item, values)):
        if values[place] == CONFLICTING:
            what = f"is there twice, with different answers; allowed: {item.allowed}, once"
        elif values[place] == UNREADABLE and item.answers is None:
            what = f"is not a number; allowed: {item.allowed}"
        else:
            what = f"is not an allowed answer; allowed: {item.allowed}"
        yield Problem(int(place) + 2, item.link_id, what)  # the header is line 1


def _result(table: pa.Table, rest: Sequence[int], scores: Sequence[Scores]) -> pa.Table:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    produced = {name for s in scores for name in (s.rule.score, f"{s.rule.score}_se")} | {"reasons"}
    for place in rest:
        name = table.column_names[place]
        columns[f"{name}_given" if name in produced else name] = table.column(place)
    for result in scores:
        columns[result.rule.score] = pa.array(result.value, from_pandas=True)
        if result.se is not None:
            columns[f"{result.rule.score}_se"] = pa.array(result.se, from_pandas=True)
    columns["reasons"] = _reasons(scores, table.num_rows)
    return pa.table(columns)


def _reasons(scores: Sequence[Scores], rows: int) -> pa.Array:
    """Per row the scores that are not given, with the reason: `EF: item missing; FI: item out of range`."""
    text = pa.array([""] * rows, pa.string())
    for result in scores:
        said = pa.array(["", *(f"; {result.rule.score}: {reason}" for reason in REASONS[1:])])
        text = pc.binary_join_element_wise(text, said.take(pa.array(result.reason)), "")
    return pc.replace_substring_regex(text, "^; ", "")
