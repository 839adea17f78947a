"""`uitkomst quarantine`: what is set aside, why, and a new look after something was mended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.row_output import OutputFormat, print_rows
from pipelines.terminal import progress

app = typer.Typer(help="What is in quarantine, why, and how to bring it back.", no_args_is_help=True)

Institution = Annotated[str | None, typer.Option(help="Only of this institution.")]
Batch = Annotated[str | None, typer.Option(help="Only of this batch.")]
Rule = Annotated[str | None, typer.Option(help="Only what this rule set aside.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many lines.")]
Format = Annotated[OutputFormat, typer.Option("--format", help="How it is written.")]
Home = Annotated[Path | None, typer.Option(help="Folder that holds everything made (default: var/).")]

_COUNTS = ["rule_id", "open", "still_failing", "back", "institutions", "batches", "example"]
_TABLE_ROWS = ["rule_id", "institution", "batch_id", "place", "state", "first_seen", "reason"]
_ROWS = [*_TABLE_ROWS, "step", "resource_type", "resource_key", "sentence_nl", "remedy"]


@app.command(name="list")
def list_(
    institution: Institution = None,
    batch: Batch = None,
    rule: Rule = None,
    limit: Limit = 50,
    output: Format = OutputFormat.TABLE,
    home: Home = None,
) -> None:
    """Count what is in quarantine per rule, with the first place to look."""
    from dataclasses import asdict

    from pipelines.chain import Chain
    from pipelines.database.quarantine import QuarantineFilter, count_rules
    from pipelines.database.session import transaction
    from pipelines.settings import settings

    with transaction(Chain.at(home or settings().home).engine) as connection:
        counts = count_rules(connection, QuarantineFilter(institution, batch, rule), limit)
    print_rows([asdict(count) for count in counts], _COUNTS, output)
    if output is OutputFormat.TABLE and counts:
        print("Every row with what to do: uitkomst quarantine show --rule RULE")


@app.command()
def show(
    institution: Institution = None,
    batch: Batch = None,
    rule: Rule = None,
    limit: Limit = 50,
    output: Format = OutputFormat.TABLE,
    home: Home = None,
) -> None:
    """Show what is in quarantine: file and line, reason, the sentence for the hospital, and what to do."""
    from pipelines.chain import Chain
    from pipelines.database.quarantine import QuarantineFilter, place_text, read_rows
    from pipelines.database.session import transaction
    from pipelines.quarantine_advice import Advice, load_advice
    from pipelines.settings import settings

    with transaction(Chain.at(home or settings().home).engine) as connection:
        found = read_rows(connection, QuarantineFilter(institution, batch, rule), limit + 1)
    advice = load_advice(settings().expectations)
    rows = []
    for row in found[:limit]:
        told = advice.get(row["rule_id"], Advice("", "See docs/errors.md."))
        place = place_text(row["source_file"], row["source_line"])
        rows.append({**row, "place": place, "sentence_nl": told.sentence_nl, "remedy": told.remedy})
    if output is OutputFormat.TABLE:
        for rule_id in sorted({row["rule_id"] for row in rows}):
            told = advice.get(rule_id, Advice("", "See docs/errors.md."))
            print(" ".join(filter(None, [f"{rule_id}:", told.sentence_nl, told.remedy])))
        print_rows([{**row, "first_seen": row["first_seen"].date()} for row in rows], _TABLE_ROWS, output)
        if any(row["source_file"].startswith("file-") for row in rows):
            print("The manifest of the batch tells what file-… was called: landing/INSTITUTION/batches/BATCH.json")
    else:
        print_rows(rows, _ROWS, output)
    if len(found) > limit:
        print(f"There are more than {limit}: raise --limit, or name a rule, batch or institution.", file=sys.stderr)


@app.command()
def retry(institution: Institution = None, batch: Batch = None, rule: Rule = None, home: Home = None) -> None:
    """Bring back what a mended mapping, concept map, value set or expectation lets through."""
    from pipelines.chain import Chain
    from pipelines.database.quarantine import QuarantineFilter
    from pipelines.retry import purged_error
    from pipelines.retry import retry as try_again
    from pipelines.settings import settings

    chain = Chain.at(home or settings().home)
    with progress("Retrying") as on_progress:
        result = try_again(chain, QuarantineFilter(institution, batch, rule), on_progress)
    total = result.total
    print(
        f"{len(result.batches)} batches tried again: {total.back:,} rows came back, {total.remaining:,} remain,"
        f" {total.skipped:,} turned out to need no row, {total.new:,} were newly set aside."
    )
    for (name, batch_id), change in result.batches.items():
        print(f"  {name}/{batch_id}: {change.back:,} back, {change.remaining:,} remain, {change.new:,} new")
    if result.purged:
        raise purged_error(result.purged)
