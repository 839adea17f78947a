"""What `uitkomst run` says at its end: what came in, what became of it, what stands out, where everything lies."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from pipelines.chain import RunResult

_TOP = 3


def print_summary(result: RunResult) -> None:
    """Print a run as tables on standard output."""
    console = Console()
    console.print(_batches(result))
    reasons: Counter[str] = Counter()
    for batch in result.batches:
        reasons.update(batch.reasons)
    if reasons:
        top = ", ".join(f"{rule} ({count})" for rule, count in reasons.most_common(5))
        console.print(f"Most frequent reasons: {top}\n", soft_wrap=True)
    console.print(_signals(result))
    console.print("Where it lies:", style="bold")
    for what, path in (
        ("reports", result.home / "reports" / "index.html"),
        *(("delivery", path) for path in result.deliveries),
        ("database", result.home / "uitkomst.db"),
        ("lake", result.home / "lake"),
        ("quarantine", result.home / "batches"),
    ):
        console.print(f"  {what:<11} {path}", soft_wrap=True, highlight=False)


def _batches(result: RunResult) -> Table:
    table = Table(title="What came in", title_justify="left")
    table.add_column("institution")
    for name in ("lines", "accepted", "quarantined", "skipped"):
        table.add_column(name, justify="right")
    table.add_column("top reasons for quarantine")
    for batch in result.batches:
        reasons = ", ".join(f"{rule} {count}" for rule, count in list(batch.reasons.items())[:_TOP])
        table.add_row(
            batch.institution,
            *(f"{count:,}" for count in (batch.lines, batch.accepted, batch.quarantined, batch.skipped)),
            "unchanged, loaded before" if batch.reused else reasons,
        )
    return table


def _signals(result: RunResult) -> Table:
    table = Table(title="What stands out (outside the 99.8% limits of the group)", title_justify="left")
    for name in ("institution", "indicator", "value", "group", ""):
        table.add_column(name)
    for signal in result.signals:
        table.add_row(signal.institution, signal.indicator, f"{signal.value:.1%}", f"{signal.group:.1%}", signal.tone)
    return table
