"""The command `uitkomst`. Each command imports what it needs when it runs, so that it starts fast."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_explain import explain
from pipelines.cli_indicators import app as indicators_app
from pipelines.cli_quarantine import app as quarantine_app
from pipelines.cli_terminology import terminology
from pipelines.errors import TerminalError, TransientError, UitkomstError, disk_is_full
from pipelines.process import begin, leave
from pipelines.safe_text import as_text_cell, printable
from pipelines.terminal import print_columns, progress


class FitGapFormat(StrEnum):
    """What `uitkomst fit-gap` writes."""

    ALL = "all"
    HTML = "html"
    JSON = "json"


app = typer.Typer(
    help="From ZIB-coded hospital exports to outcome indicators, feedback and registry deliveries.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
proms = typer.Typer(help="The questionnaires that can be scored.", no_args_is_help=True)
app.add_typer(proms, name="proms")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(indicators_app, name="indicators")
app.command()(terminology)
app.command()(explain)


def command() -> None:
    """`main` as a process of its own."""
    begin()
    try:
        main()
    except SystemExit as end:
        if end.code or sys.stderr.closed:
            raise
    leave()


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
        if disk_is_full(error):
            _fail(TransientError("DISK-FULL", why, where=where, remedy="Free disk space and run again."))
        _fail(TerminalError("FILE-FAILED", why, where=where, remedy="Check the path and its permissions."))


def _fail(error: UitkomstError) -> None:
    print(printable(str(error)), file=sys.stderr)
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
    from pipelines.settings import settings
    from pipelines.sqlonfhir.run import load_view, run_view
    from pipelines.zib.laboratory_units import load_units

    compiled = load_view(definition, lambda: load_units(settings().mappings))
    left_out = run_view(compiled, resources, out, settings().maximum_line_bytes)
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
    with progress("Mapping") as on_progress:
        report = map_exports(export, out, key=pseudonym_key(None), on_progress=on_progress)
    for each in report["institutions"]:
        columns = each["csv_columns_not_mapped"], each["csv_columns_missing"]
        print_columns(each["institution"], *columns, each["csv_files_not_mapped"])
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
    with progress("Running") as on_progress:
        result = chain.run(exports, as_of=reference, now=datetime.now(UTC), on_progress=on_progress)
    print_summary(result)
    for batch in result.batches:
        print_columns(batch.institution, batch.columns_not_mapped, batch.columns_missing, batch.files_not_mapped)


@app.command(name="fit-gap")
def fit_gap(
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="An outcome set (repeat for more; default: all).")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Folder that holds everything made (default: var/).")] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Reference date (default: today).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pages (default: reports/fit-gap in home).")] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="RUN", help="Earlier run to compare with (default: the last one kept).")
    ] = None,
    format_: Annotated[FitGapFormat, typer.Option("--format", help="Which files to write.")] = FitGapFormat.ALL,
) -> None:
    """Tell per indicator and institution what the data can feed, and what to mend first."""
    from pipelines.chain import Chain
    from pipelines.fitgap.report import write_fit_gap
    from pipelines.fitgap.run import write_run
    from pipelines.settings import settings
    from pipelines.summary import print_fit_gap

    chain = Chain.at(home or settings().home)
    reference = as_of.date() if as_of else date.today()
    with progress("Measuring") as on_progress:
        run = chain.fit_gap(reference, sets=sets or (), earlier=compare, on_progress=on_progress)
    folder = out or chain.home / "reports" / "fit-gap"
    if format_ != FitGapFormat.JSON:
        write_fit_gap(run, folder)
    if format_ != FitGapFormat.HTML:
        write_run(run, folder / "fit-gap.json")
    print_fit_gap(run, folder)


@app.command()
def validation(
    home: Annotated[Path | None, typer.Option(help="Folder that holds everything made (default: var/).")] = None,
    institution: Annotated[str | None, typer.Option(help="Only this institution.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only the batch whose id starts so.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the reports (default: beside the batches).")] = None,
) -> None:
    """Judge the checks of loaded batches by the thresholds of today, and write their reports.

    Exit code 0 when every check is within its threshold, 1 when any is over it.
    """
    from pipelines.settings import settings
    from pipelines.validate.command import EXCEEDED_EXIT_CODE, judge_batches

    judged = judge_batches(
        home or settings().home, settings().expectations, out, institution=institution, batch_id=batch
    )
    for each in judged:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(each.verdicts.items()))
        print(f"{each.institution} {each.batch_id[:12]}: {counts}. {each.page}")
    if any(each.verdicts["exceeded"] for each in judged):
        raise typer.Exit(EXCEEDED_EXIT_CODE)


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
    texts = rates.select_dtypes(exclude="number").columns
    rates[texts] = rates[texts].map(lambda value: as_text_cell(value) if isinstance(value, str) else value)
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

    with progress("Writing") as on_progress:
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


if __name__ == "__main__":
    command()
