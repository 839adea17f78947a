"""What a command shows on a terminal while it works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipelines.safe_text import printable

OnProgress = Callable[[int, int], None]


@contextmanager
def progress(what: str) -> Iterator[OnProgress]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_columns(
    institution: str,
    not_mapped: Mapping[str, Sequence[str]],
    missing: Mapping[str, Sequence[str]],
    files_not_mapped: Sequence[str],
) -> None:
    """Say which CSV files and columns are not used, and for want of which column a file was set aside."""
    for name in files_not_mapped:
        what = f"CSV-NO-MAPPING: {institution}/{name} is not used: no mapping is about it"
        print(f"{what}. Add one to mappings/csv.", file=sys.stderr)
    for name, columns in missing.items():
        what = f"{institution}/{name} is set aside: it lacks, or has twice, column {', '.join(columns)}"
        print(
            printable(f"CSV-COLUMN-MISSING: {what}. Correct the mapping in mappings/csv, then retry."), file=sys.stderr
        )
    for name, columns in not_mapped.items():
        what = f"{institution}/{name}: no mapping names column {', '.join(columns)}"
        print(printable(f"{what}. Map or ignore it in mappings/csv."), file=sys.stderr)
