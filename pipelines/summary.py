"""What `uitkomst run` says at its end: what came in, what became of it, what stands out, where everything lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipelines.chain import RunResult

_REASONS = 6


def print_summary(result: RunResult) -> None:
    """Print a run as tables on standard output."""
    console = Console()
    console.print(_batches(result))
    reasons: Counter[str] = Counter()
    for batch in result.batches:
        reasons.update(batch.reasons)
    if reasons:
        console.print(_table("Why it is in quarantine", ["rule", "rows"], reasons.most_common(_REASONS)))
    console.print(_signals(result) if result.signals else "Nothing stands out from the group.\n")
    console.print("Where it lies", style="italic")
    for what, path in (
        ("reports", result.home / "reports" / "index.html"),
        ("fit-gap", result.home / "reports" / "fit-gap" / "index.html"),
        *(("delivery", path) for path in result.deliveries),
        ("quarantine", result.home / "batches" / "*" / "*" / "quarantine.ndjson"),
        ("database", result.home / "uitkomst.db"),
        ("lake", result.home / "lake"),
    ):
        console.print(f"  {what:<11} {path}", soft_wrap=True, highlight=False)


def print_fit_gap(run: Mapping[str, Any], folder: Path) -> None:
    """Print a fit-gap run: indicators per verdict and institution."""
    console = Console()
    rows = []
    for each in run["institutions"]:
        statuses = Counter(verdict["status"] for verdict in each["indicators"])
        rows.append((each["institution"], statuses["ready"], statuses["partly"], statuses["not"]))
    title = "What the data can feed (number of indicators)"
    console.print(_table(title, ["institution", "ready", "partly", "not"], rows))
    console.print(f"Run {run['run']}. Written to {folder}.", soft_wrap=True, highlight=False)


def _batches(result: RunResult) -> Table:
    rows = [
        (b.institution, b.lines, b.accepted, b.quarantined, b.skipped, "loaded before" if b.reused else "new")
        for b in result.batches
    ]
    sums = [
        sum(getattr(batch, name) for batch in result.batches)
        for name in ("lines", "accepted", "quarantined", "skipped")
    ]
    return _table(
        "What came in",
        ["institution", "lines", "accepted", "quarantined", "skipped", "batch"],
        [*rows, ("all", *sums, "")],
    )


def _signals(result: RunResult) -> Table:
    rows = [
        (s.institution, s.indicator, _figure(s.value, s.kind), _figure(s.group, s.kind), s.tone) for s in result.signals
    ]
    title = "What stands out (outside the 99.8% limits of the group)"
    return _table(title, ["institution", "indicator", "value", "group", "than the group"], rows)


def _figure(value: float, kind: str) -> str:
    return f"{value:.1%}" if kind in ("proportion", "cumulative_incidence") else f"{value:.2f}"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    content = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    for number, name in enumerate(columns):
        numeric = bool(content) and content[0][number][:1].isdigit()
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for cells in content:
        table.add_row(*cells)
    return table
