"""The steps of the chain as the DAG calls them: parameters in, small JSON out, errors as Airflow understands them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from pipelines.chain import Chain
from pipelines.errors import TerminalError
from pipelines.extract.exports import find_exports

Params = Mapping[str, Any]


def institutions(params: Params) -> list[str]:
    """The institutions that have an export in the drop folder."""
    with _failing():
        return [export.institution for export in find_exports(Path(params["exports"]))]


def land_institution(params: Params, institution: str) -> dict[str, str]:
    """Land the export of one institution; gives what identifies the batch."""
    with _failing():
        export = next(e for e in find_exports(Path(params["exports"])) if e.institution == institution)
        batch = _chain(params).land(export, now=datetime.now(UTC))
        return {"institution": institution, "batch_id": batch.batch_id}


def map_batch(params: Params, batch: Mapping[str, str]) -> dict[str, str]:
    """Map a landed batch, unless it was loaded before under the same rules."""
    with _failing(), _beside_others(params) as chain:
        landed = chain.find_batch(**batch)
        if chain.loaded(landed) is None:
            chain.map(landed)
        return dict(batch)


def validate_batch(params: Params, batch: Mapping[str, str]) -> dict[str, str]:
    """Validate a mapped batch, unless it was loaded before."""
    with _failing(), _beside_others(params) as chain:
        landed = chain.find_batch(**batch)
        if chain.loaded(landed) is None:
            chain.validate(landed)
        return dict(batch)


def load_batch(params: Params, batch: Mapping[str, str]) -> dict[str, int]:
    """Load a validated batch into lake and database; gives its counts of lines."""
    with _failing(), _beside_others(params) as chain:
        landed = chain.find_batch(**batch)
        result = chain.loaded(landed) or chain.load(landed)
        return {name: getattr(result, name) for name in ("lines", "accepted", "quarantined", "skipped")}


def evaluate_all(params: Params) -> None:
    """Compute scores and indicators of all institutions."""
    with _failing(), _beside_others(params) as chain:
        chain.evaluate(_as_of(params))


def write_reports(params: Params) -> list[str]:
    """Write the reports; gives their file names."""
    with _failing():
        return [path.name for path in _chain(params).report(_as_of(params))]


def write_fit_gap_report(params: Params) -> list[str]:
    """Measure what the data can feed and write the pages; gives their file names."""
    with _failing():
        return [path.name for path in _chain(params).fit_gap_report(_as_of(params))]


def deliver_all(params: Params) -> list[str]:
    """Write the deliveries; gives their folders."""
    with _failing():
        return [str(path) for path in _chain(params).deliver(_as_of(params), now=datetime.now(UTC))]


def tidy(params: Params) -> None:
    """Remove what is past its retention."""
    with _failing():
        _chain(params).tidy(datetime.now(UTC))


@contextmanager
def _beside_others(params: Params) -> Iterator[Chain]:
    """The chain, with runs by hand and retries of the quarantine kept out of its home as long as the step takes."""
    chain = _chain(params)
    with chain.alone(shared=True):
        yield chain


def _chain(params: Params) -> Chain:
    return Chain.at(Path(params["home"]))


def _as_of(params: Params) -> date:
    return date.fromisoformat(params["as_of"]) if params["as_of"] else datetime.now(UTC).date()


@contextmanager
def _failing() -> Iterator[None]:
    """Terminal errors fail the task at once; transient ones are left to Airflow's retries."""
    try:
        yield
    except TerminalError as error:
        raise AirflowFailException(str(error)) from None
