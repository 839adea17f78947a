"""The command `uitkomst`. Each command imports what it needs when it runs, so that it starts fast."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import TerminalError, TransientError, UitkomstError

app = typer.Typer(
    help="From ZIB-coded hospital exports to outcome indicators, feedback and registry deliveries.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
proms = typer.Typer(help="The questionnaires that can be scored.", no_args_is_help=True)
app.add_typer(proms, name="proms")
OnProgress = Callable[[int, int], None]


def main() -> None:
    """Run the command line; every failure a person can mend is one line and an exit code."""
    try:
        app()
    except UitkomstError as error:
        _fail(error)
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where, why = str(error.filename or "disk"), error.strerror or "failed"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(TransientError("DISK-FULL", why, where=where, remedy="Free disk space and run again."))
        _fail(TerminalError("FILE-FAILED", why, where=where, remedy="Check the path and its permissions."))


def _fail(error: UitkomstError) -> None:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)


@app.command()
def view(
    definition: Annotated[Path, typer.Argument(metavar="VIEW.json", help="A SQL-on-FHIR ViewDefinition.")],
    resources: Annotated[Path, typer.Argument(metavar="RESOURCES.ndjson", help="FHIR resources, NDJSON or JSON.")],
    out: Annotated[
        Path | None, typer.Option(help="Write .parquet, .csv or .ndjson instead of standard output.")
    ] = None,
) -> None:
    """Run any ViewDefinition on any resources."""
    from pipelines.sqlonfhir.run import load_view, run_view

    left_out = run_view(load_view(definition), resources, out, 16 * 1024 * 1024)
    for code, count in sorted(left_out.items()):
        print(f"{code}: {count} left out", file=sys.stderr)


@app.command(name="map")
def map_(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="A hospital's export, or a folder of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the ZIB tables, quarantine.ndjson and report.json.")],
) -> None:
    """Map an export to ZIB tables, with every input line accounted for."""
    from pipelines.settings import pseudonym_key, settings
    from pipelines.zib.command import map_exports

    if settings().pseudonym_key is None:
        print("UITKOMST_PSEUDONYM_KEY is not set: these pseudonyms hold for this run only.", file=sys.stderr)
    with _progress("Mapping") as on_progress:
        report = map_exports(export, out, key=pseudonym_key(None), on_progress=on_progress)
    totals = report["totals"]
    print(
        f"{totals['lines']} lines: {totals['accepted']} accepted, {totals['quarantined']} quarantined,"
        f" {totals['skipped']} skipped. Tables and report.json are in {out}."
    )


@app.command()
def run(
    exports: Annotated[Path, typer.Argument(metavar="EXPORTS", help="The drop folder: one sub-folder per hospital.")],
    home: Annotated[Path | None, typer.Option(help="Folder that holds everything made (default: var/).")] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Reference date (default: today).")
    ] = None,
) -> None:
    """Run the whole chain once, without Airflow."""
    from pipelines.chain import Chain
    from pipelines.settings import settings
    from pipelines.summary import print_summary

    chain = Chain.at(home or settings().home)
    reference = as_of.date() if as_of else date.today()
    with _progress("Running") as on_progress:
        result = chain.run(exports, as_of=reference, now=datetime.now(UTC), on_progress=on_progress)
    print_summary(result)


@app.command()
def score(
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT", help="Its id or another name, see `proms list`.")],
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS.csv", help="One row per response, one column per item.")],
    out: Annotated[Path, typer.Option(help="CSV file for the scores.")],
    version: Annotated[str | None, typer.Option(help="Needed where the instrument has more than one.")] = None,
    response_pattern: Annotated[
        bool, typer.Option("--response-pattern", help="Also PROMIS response-pattern (EAP) scores, where declared.")
    ] = False,
) -> None:
    """Score a file of answers to one questionnaire."""
    from pipelines.proms.command import score_command

    scored = score_command(instrument, answers, out, version, response_pattern)
    counts = ", ".join(f"{name} {count}" for name, count in scored.scored.items())
    print(f"{scored.rows} responses, scored: {counts}. The scores are in {out}.")


@proms.command(name="list")
def list_() -> None:
    """The instruments there are, with their versions and scores."""
    from pipelines.proms.command import list_lines

    for line in list_lines():
        print(line)


@proms.command()
def show(
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT")],
    version: Annotated[str | None, typer.Option(help="Needed where the instrument has more than one.")] = None,
) -> None:
    """One instrument: its items, scores, rules for missing items, figures to read it by, and sources."""
    from pipelines.proms import command

    print(command.show(instrument, version))


@app.command(name="prom-due")
def prom_due(
    out: Annotated[Path, typer.Option(help="Folder for the lists: per institution a CSV and FHIR Tasks (NDJSON).")],
    home: Annotated[Path | None, typer.Option(help="Folder that a run filled (default: var/).")] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Windows that open up to this day (default: today).")
    ] = None,
) -> None:
    """Who is due for which questionnaire, from when until when, as of the last run."""
    from pipelines.chain import Chain
    from pipelines.settings import settings

    written = Chain.at(home or settings().home).write_due_lists(out, until.date() if until else date.today())
    print(f"{len(written)} files are in {out}.")


@app.command(name="prom-response")
def prom_response(
    out: Annotated[Path, typer.Option(help="CSV file for the response rates.")],
    home: Annotated[Path | None, typer.Option(help="Folder that a run filled (default: var/).")] = None,
) -> None:
    """Response per institution, questionnaire and moment, with what the denominator is made of."""
    from pipelines.chain import Chain
    from pipelines.settings import settings

    rates = Chain.at(home or settings().home).response_rates()
    rates.to_csv(out, index=False)
    print(f"{len(rates)} rows are in {out}.")


@app.command()
def synthesise(
    out: Annotated[Path, typer.Argument(help="Folder for the exports and truth.json.")],
    hospitals: Annotated[int, typer.Option(min=1, help="Number of hospitals.")] = 12,
    patients: Annotated[int, typer.Option(min=1, help="Mean number of patients per hospital.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day of data.")] = datetime(2025, 12, 31),
    defects: Annotated[float, typer.Option(min=0, max=1, help="Share of defective records to add.")] = 0.0,
) -> None:
    """Write synthetic exports, with the truth beside them."""
    from pipelines.synthetic.export import synthesise as write

    with _progress("Writing") as on_progress:
        write(
            out,
            hospitals=hospitals,
            patients=patients,
            seed=seed,
            as_of=as_of.date(),
            defect_share=defects,
            on_progress=on_progress,
        )
    print(f"{hospitals} hospitals are in {out}; truth.json holds what the pipeline must find.")


@contextmanager
def _progress(what: str) -> Iterator[OnProgress]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


if __name__ == "__main__":
    main()
