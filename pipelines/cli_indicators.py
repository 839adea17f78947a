"""`uitkomst indicators`: whether the definitions of outcome sets are sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import TerminalError

app = typer.Typer(help="The indicators of the outcome sets.", no_args_is_help=True)


@app.callback()
def _indicators() -> None:
    """A group of commands, also while it holds one."""


@app.command()
def check(
    sets: Annotated[list[str] | None, typer.Argument(metavar="[SET]...", help="Outcome sets (default: all).")] = None,
    mappings: Annotated[Path | None, typer.Option(help="Folder with mappings (default: mappings/).")] = None,
) -> None:
    """Name everything that is wrong with outcome sets, value sets and made-up patients, with file, line and field."""
    from pipelines.indicators.check import check_outcome_sets
    from pipelines.settings import settings

    folder = mappings or settings().mappings
    report = check_outcome_sets(folder, sets or ())
    for finding in report.findings:
        print(finding)
    if report.findings:
        raise TerminalError(
            "OUTCOME-DEFINITION",
            f"{len(report.findings)} problems in outcome sets",
            where=str(folder),
            remedy="Correct what is named above and run again.",
        )
    print(f"{report.sets} outcome sets, {report.indicators} indicators and {report.cases} made-up patients are sound.")


@app.command()
def document(
    out: Annotated[Path, typer.Argument(help="Folder for the pages; what it held is replaced.")],
    docs: Annotated[Path, typer.Option(help="Folder with the pages for engineers.")] = Path("docs"),
) -> None:
    """Write the source of the documentation site: a page and a FHIR Measure per indicator."""
    from pipelines.documentation.site import write_site
    from pipelines.indicators.definitions import load_outcome_sets
    from pipelines.indicators.table_roles import load_table_roles
    from pipelines.proms.instruments import load_instruments
    from pipelines.settings import settings

    mappings = settings().mappings
    roles = load_table_roles(mappings / "table_roles.yaml")
    sets = load_outcome_sets(mappings, load_instruments(mappings / "proms"), roles)
    print(f"{len(write_site(sets, mappings, docs, out))} indicators are in {out}.")
