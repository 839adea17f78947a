"""What the commands `score`, `proms` and `prom-due` print and write."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.csv as pacsv

from pipelines.errors import TerminalError
from pipelines.proms.answer_file import ScoredFile, score_file
from pipelines.proms.instruments import Instrument, find_instrument, load_instruments
from pipelines.settings import settings

_SHOWN = 20


def score_command(name: str, answers: Path, out: Path, version: str | None, response_pattern: bool) -> ScoredFile:
    """Score a file and write the result; then fail when an answer could not be used.

    Raises:
        TerminalError: PROM-ANSWERS when some answers are not allowed; the other scores are in `out` all the same.
    """
    instrument = find_instrument(_instruments(), name, version)
    scored = score_file(instrument, answers, response_pattern=response_pattern)
    aside = out.with_name(out.name + ".aside")
    pacsv.write_csv(scored.table, aside, pacsv.WriteOptions(quoting_style="needed"))
    aside.replace(out)
    for problem in scored.problems[:_SHOWN]:
        print(problem, file=sys.stderr)
    if len(scored.problems) > _SHOWN:
        print(f"and {len(scored.problems) - _SHOWN} more", file=sys.stderr)
    if scored.problems:
        rows = len({problem.row for problem in scored.problems})
        raise TerminalError(
            "PROM-ANSWERS",
            f"{len(scored.problems)} answers in {rows} of {scored.rows} rows are not allowed; they are not scored",
            where=str(answers),
            remedy=f"Correct them and score again. Everything else is in {out}.",
        )
    return scored


def list_lines() -> Iterator[str]:
    """One line per instrument file: id, version, scores and title."""
    instruments = _instruments()
    width = max(len(instrument.id) for instrument in instruments)
    for i in instruments:
        yield f"{i.id:{width}}  {i.version:8}  {i.title_nl}  [{', '.join(rule.score for rule in i.scores)}]"


def show(name: str, version: str | None) -> str:
    """An instrument as its file says it, with the range of answers of every item."""
    instrument = find_instrument(_instruments(), name, version)
    return "\n".join(_described(instrument))


def _described(instrument: Instrument) -> Iterator[str]:
    yield f"{instrument.id} {instrument.version}: {instrument.title_nl}"
    yield f"questionnaires: {', '.join(instrument.questionnaires)} (version {', '.join(instrument.accepted_versions)})"
    yield "\nitems"
    for item in instrument.items:
        also = f" (also {', '.join(item.aliases)})" if item.aliases else ""
        yield f"  {item.link_id}{also}: {item.label}; {item.allowed}{', reversed' if item.reverse else ''}"
    yield "\nscores"
    for rule in instrument.scores:
        low, high = (("" if end is None else f"{end:g}") for end in rule.range)
        missing = rule.missing.rule + (f" {rule.missing.answered}" if rule.missing.answered else "")
        yield f"  {rule.score}: {rule.title}; {rule.kind}; {low} to {high}; {rule.direction}; missing: {missing}"
        for threshold in rule.thresholds:
            figures = {name: getattr(threshold, name) for name in ("value", "low", "high")}
            said = ", ".join(f"{name} {figure:g}" for name, figure in figures.items() if figure is not None)
            yield f"    {threshold.kind}: {threshold.label}, {said} ({threshold.source})"
    yield f"\n{instrument.direction_note}"
    yield f"licence: {instrument.licence}"
    yield "sources:"
    yield from (f"  - {source}" for source in instrument.sources)
    if instrument.remark:
        yield f"remark: {instrument.remark}"


def _instruments() -> Sequence[Instrument]:
    return load_instruments(settings().mappings / "proms")
