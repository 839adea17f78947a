"""`uitkomst terminology`: codes and units that say nothing to the pipeline, the dearest first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.row_output import OutputFormat, print_rows

_COLUMNS = ["kind", "system", "code", "display", "zib_table", "element", "count", "cost", "institutions", "example"]


def terminology(
    institution: Annotated[str | None, typer.Option(help="Only of this institution.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many lines.")] = 50,
    output: Annotated[OutputFormat, typer.Option("--format", help="How it is written.")] = OutputFormat.TABLE,
    home: Annotated[Path | None, typer.Option(help="Folder that holds everything made (default: var/).")] = None,
) -> None:
    """List codes and units that are unmapped or unknown, by the indicator results they may cost."""
    from pipelines.chain import Chain
    from pipelines.database.session import transaction
    from pipelines.database.terminology import read_unmapped
    from pipelines.settings import settings

    with transaction(Chain.at(home or settings().home).engine) as connection:
        rows = read_unmapped(connection, institution, limit)
    print_rows(rows, _COLUMNS, output)
    if output is OutputFormat.TABLE and rows:
        print("Add what is missing to mappings/codes/concept_maps, then: uitkomst quarantine retry, or run again.")
