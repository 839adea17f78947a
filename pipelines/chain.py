"""The chain: the same steps for the command line and for the Airflow DAG, each handing over through `home`.

home/landing      exports, verbatim; the only place with direct identifiers
home/batches      per batch: ZIB tables on their way to the lake, quarantine, report, checks
home/lake         Delta tables
home/uitkomst.db  results, quarantine and the ledger of deliveries
home/reports      per outcome set one HTML page per institution; reports/fit-gap what its data can feed
home/fitgap       fit-gap runs, to compare with
home/deliveries   registry files
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import sqlalchemy as sa

from pipelines.ahead import load_ahead
from pipelines.batch_results import BatchResult, accepted_places, checks_of, read_quarantine, result_of
from pipelines.database.quarantine import QuarantineChange, places_set_aside
from pipelines.database.session import open_database, transaction
from pipelines.database.store import (
    BatchCounts,
    read_due,
    read_outcomes,
    read_quality,
    read_response_rates,
    read_results,
    record_batch,
    record_delivery,
    replace_case_mix,
    replace_proms,
    replace_results,
)
from pipelines.database.terminology import replace_unmapped
from pipelines.errors import TerminalError, TransientError
from pipelines.extract.exports import Export, find_exports
from pipelines.extract.landing import Batch, LandedFile, Landing
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.indicators.definitions import OutcomeSet, load_outcome_sets, unknown_outcome_set
from pipelines.indicators.table_roles import TableRoles, load_table_roles
from pipelines.lake.tables import Lake
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.settings import Settings, pseudonym_key, settings
from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.terminology.sources import load_terminology
from pipelines.terminology.unmapped import Terminology, find_unmapped
from pipelines.validate.batch import validate_batch
from pipelines.validate.report import write_validation_report
from pipelines.zib.catalogue import MAPPING_SOURCES, Catalogue, load_catalogue
from pipelines.zib.codings import CODING_TABLE
from pipelines.zib.csv_extract import CsvExtracts
from pipelines.zib.csv_mapping import CsvMappings, load_csv_mappings
from pipelines.zib.mapping import OnProgress, map_export

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from pipelines.feedback.signals import Signal

_LOADING = "loading.json"
_EVALUATED = "evaluated.json"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What `uitkomst run` did: the batches, what stands out, and what was written below `home`."""

    batches: list[BatchResult]
    signals: list[Signal]
    reports: list[Path]
    deliveries: list[Path]
    home: Path


class Chain:
    """The steps over one `home`. A step may be repeated: it replaces what it made before."""

    def __init__(self, home: Path, options: Settings) -> None:
        self.home = home
        self._options = options
        self._landing = Landing(home / "landing")
        self._lake = Lake(home / "lake")

    @classmethod
    def at(cls, home: Path) -> Chain:
        """The chain over `home`, made if needed.

        Raises:
            TerminalError: for a wrong setting, or a `home` that cannot be made.
        """
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or "it cannot be made"
            raise TerminalError("HOME-UNUSABLE", why, where=str(home), remedy="Name another --home.") from None
        return cls(home.resolve(), settings())

    @cached_property
    def _catalogue(self) -> Catalogue:
        return load_catalogue(self._options.mappings)

    @cached_property
    def _csv_mappings(self) -> CsvMappings:
        return load_csv_mappings(self._options.mappings / "csv", self._catalogue)

    @cached_property
    def _terminology(self) -> Terminology:
        return load_terminology(self._options.mappings, self._options.expectations)

    @cached_property
    def engine(self) -> sa.Engine:
        """The serving database, at its newest schema."""
        return open_database(self._options.database_url or f"sqlite:///{self.home / 'uitkomst.db'}")

    @cached_property
    def _instruments(self) -> list[Instrument]:
        return load_instruments(self._options.mappings / "proms")

    @cached_property
    def outcome_sets(self) -> tuple[OutcomeSet, ...]:
        """All outcome sets, by name."""
        return load_outcome_sets(self._options.mappings, self._instruments, self._table_roles)

    @cached_property
    def _table_roles(self) -> dict[str, TableRoles]:
        return load_table_roles(self._options.mappings / "table_roles.yaml")

    def land(self, export: Export, *, now: datetime) -> Batch:
        """Copy an export into the landing zone."""
        return self._landing.land(export, now=now)

    def find_batch(self, institution: str, batch_id: str) -> Batch:
        """A landed batch, by what identifies it."""
        return self._landing.batch(institution, batch_id)

    def find_landed(self, institution: str, batch_id: str) -> Batch:
        """As `find_batch`, of a batch whose files must still be there.

        Raises:
            TerminalError: `LANDING-PURGED`.
        """
        try:
            batch = self._landing.batch(institution, batch_id)
            if all(file.path.exists() for file in self._landing.export(batch).files):
                return batch
        except FileNotFoundError:
            pass
        raise TerminalError(
            "LANDING-PURGED",
            "the landed export is past its retention and was removed",
            where=f"batch {institution}/{batch_id}",
            remedy="Ask the hospital for the export again and run it.",
        )

    def map(self, batch: Batch) -> None:
        """Map a batch to ZIB tables in its folder below `home/batches`."""
        self._finish_load(self._folder(batch))
        out = self._folder(batch) / "mapped"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        limit, pseudonyms = self._options.maximum_line_bytes, Pseudonyms(pseudonym_key(self.home), batch.institution)
        with self._landing.workspace(batch.institution) as work:
            extracts = CsvExtracts(self._csv_mappings, self._catalogue, pseudonyms, work=work, maximum_line_bytes=limit)
            report = map_export(
                self._landing.export(batch),
                out,
                catalogue=self._catalogue,
                pseudonyms=pseudonyms,
                work=work,
                maximum_line_bytes=limit,
                read_extract=extracts.read,
            )
        _write_json(out / "report.json", report.as_dict() | extracts.as_dict())

    def validate(self, batch: Batch) -> None:
        """Validate a mapped batch; what is accepted stands in `accepted`, the rest joins the quarantine."""
        folder = self._folder(batch)
        mapped, accepted = folder / "mapped", folder / "accepted"
        shutil.rmtree(accepted, ignore_errors=True)
        accepted.mkdir()
        with tempfile.TemporaryDirectory(prefix="spill-", dir=self.home) as spill:
            validation = validate_batch(
                self._landing.export(batch),
                {path.stem: path for path in sorted(mapped.glob("*.parquet"))},
                {table.name: table.view.resource for table in self._catalogue.tables},
                accepted,
                work=Path(spill),
                batch_id=batch.batch_id,
                expectations=self._options.expectations,
                value_sets=self._options.mappings / "zib" / "value_sets",
                last_day=datetime.fromisoformat(batch.landed_at).date(),
                known_patients=self._lake.known_patients(batch.institution, without_batch=batch.batch_id),
                maximum_line_bytes=self._options.maximum_line_bytes,
            )
        shutil.copyfile(mapped / "quarantine.ndjson", folder / "quarantine.ndjson")
        with (folder / "quarantine.ndjson").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row.as_dict(), ensure_ascii=False) + "\n" for row in validation.quarantined)
        rows = read_quarantine(folder / "quarantine.ndjson")
        counts = result_of(batch, json.loads((mapped / "report.json").read_bytes()), rows)
        content = checks_of(batch, counts, json.loads((mapped / "report.json").read_bytes()), rows, validation)
        _write_json(folder / "checks.json", content)
        write_validation_report(content, self._options.expectations, folder)

    def load(self, batch: Batch) -> BatchResult:
        """Put the accepted rows of a batch in the lake in place of its earlier ones, and enter it in the database.

        The tables of the lake are written one by one; a load that was interrupted is finished before anybody reads
        them again.
        """
        return self.load_again(batch)[0]

    def load_again(self, batch: Batch) -> tuple[BatchResult, QuarantineChange]:
        """As `load`, and what it changed in the quarantine of the batch."""
        folder, landed_at = self._folder(batch), datetime.fromisoformat(batch.landed_at)
        (folder / "loaded.json").unlink(missing_ok=True)
        _write_json(folder / _LOADING, asdict(batch))
        with ThreadPoolExecutor(1, thread_name_prefix="unmapped") as beside:
            finding = beside.submit(self._unmapped, batch)
            for name in self._table_names:
                rows = ds.dataset(folder / "accepted" / f"{name}.parquet")
                self._lake.append(
                    name, rows, institution=batch.institution, batch_id=batch.batch_id, landed_at=landed_at
                )
            unmapped = finding.result()
        quarantine = read_quarantine(folder / "quarantine.ndjson")
        result = result_of(batch, json.loads((folder / "mapped" / "report.json").read_bytes()), quarantine)
        with transaction(self.engine) as connection:
            places = places_set_aside(connection, batch.batch_id)
            change = record_batch(
                connection,
                batch_id=batch.batch_id,
                institution=batch.institution,
                landed_at=landed_at,
                counts=BatchCounts(
                    files=len(batch.files),
                    lines=result.lines,
                    accepted=result.accepted,
                    quarantined=result.quarantined,
                    skipped=result.skipped,
                ),
                state="loaded",
                quarantine=quarantine,
                accepted=accepted_places(folder / "accepted", places),
            )
            replace_unmapped(connection, batch.batch_id, unmapped)
        _write_json(folder / "loaded.json", {"rules": self.rules_version, "result": asdict(result)})
        (folder / _LOADING).unlink()
        for finished in ("mapped", "accepted"):
            shutil.rmtree(folder / finished, ignore_errors=True)
        return result, change

    def _unmapped(self, batch: Batch) -> pa.Table:
        """The codes and units of a mapped batch that say nothing, written to its folder too."""
        folder = self._folder(batch)
        with tempfile.TemporaryDirectory(prefix="spill-", dir=self.home) as spill:
            found = find_unmapped(folder / "mapped", batch.institution, self._terminology, work=Path(spill))
        pq.write_table(found, folder / "unmapped_code.parquet")
        return found

    def _finish_loads(self) -> None:
        """Finish every load that was interrupted, so that the lake holds whole batches."""
        for marker in sorted(self.home.glob(f"batches/*/*/{_LOADING}")):
            self._finish_load(marker.parent)

    def _finish_load(self, folder: Path) -> None:
        try:
            content = json.loads((folder / _LOADING).read_bytes())
        except FileNotFoundError:
            return
        self.load(Batch(**{**content, "files": tuple(LandedFile(**file) for file in content["files"])}))

    def loaded(self, batch: Batch) -> BatchResult | None:
        """The result of an earlier load of this batch under the same mappings and expectations, if any."""
        try:
            content = json.loads((self._folder(batch) / "loaded.json").read_bytes())
        except FileNotFoundError:
            return None
        if content["rules"] != self.rules_version:
            return None
        return BatchResult(**{**content["result"], "reused": True})

    def process(self, export: Export, *, now: datetime) -> BatchResult:
        """Land, map, validate and load one export; an export that was loaded before is left as it is."""
        batch = self.land(export, now=now)
        earlier = self.loaded(batch)
        if earlier is not None:
            return earlier
        load_ahead()
        self.map(batch)
        self.validate(batch)
        return self.load(batch)

    def evaluate(self, as_of: date) -> None:
        """Score the PROMs and compute the indicators over the current lake, and replace the stored results."""
        from pipelines.proms.scoring import score

        self._finish_loads()
        with tempfile.TemporaryDirectory(prefix="spill-", dir=self.home) as spill:
            connection = open_duckdb(Path(spill), memory="1GB")
            self._lake.attach(connection, self._table_names)
            score(connection, self._instruments, response_pattern=self._options.prom_response_pattern)
            for outcome_set in self.outcome_sets:
                self._evaluate_set(connection, outcome_set, as_of)
            connection.close()
        _write_json(self.home / _EVALUATED, {"as_of": as_of.isoformat()})

    def _evaluate_set(self, connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, as_of: date) -> None:
        from pipelines.indicators.evaluation import evaluate
        from pipelines.indicators.trajectories import trajectories
        from pipelines.proms.tables import prom_tables

        adjustments = evaluate(connection, outcome_set, self._table_roles, as_of)
        proms = prom_tables(connection, outcome_set, self._instruments, as_of)
        with transaction(self.engine) as stored:
            replace_results(
                stored,
                outcome_set.id,
                connection.sql("FROM outcome_patient").to_arrow_table(),
                connection.sql("FROM indicator_result").to_arrow_table(),
            )
            replace_case_mix(stored, outcome_set.id, [each.as_row(outcome_set.id, as_of) for each in adjustments])
            replace_proms(stored, outcome_set.id, proms.prom_score, proms.prom_due, proms.prom_response_rate)
        means, aside = self._trajectories(outcome_set), self._trajectories(outcome_set).with_suffix(".aside")
        means.parent.mkdir(exist_ok=True)
        pq.write_table(trajectories(connection), aside)
        aside.replace(means)

    @property
    def evaluated_as_of(self) -> date | None:
        """The reference date of the stored results; None when nothing was evaluated yet."""
        try:
            return date.fromisoformat(json.loads((self.home / _EVALUATED).read_bytes())["as_of"])
        except FileNotFoundError:
            return None

    def fit_gap(
        self,
        as_of: date,
        *,
        sets: Sequence[str] = (),
        earlier: str | None = None,
        on_progress: OnProgress = lambda done, total: None,
    ) -> dict[str, Any]:
        """Measure what the current lake can feed, and keep the run below `home/fitgap`; without `sets` all of them.

        Args:
            earlier: the run to compare with; without it the one that was kept last, if any.
        """
        from pipelines.fitgap.run import load_fit_gap, run_fit_gap, store, with_comparison

        loaded = load_fit_gap(self._options.mappings, sets)
        run = run_fit_gap(self.home, loaded, as_of=as_of, versions=self._fit_gap_versions, on_progress=on_progress)
        compared = with_comparison(self.home, run, earlier)
        store(self.home, compared)
        return compared

    def fit_gap_report(self, as_of: date) -> list[Path]:
        """Measure all outcome sets and write the fit-gap pages to `home/reports/fit-gap`."""
        from pipelines.fitgap.report import write_fit_gap

        return write_fit_gap(self.fit_gap(as_of), self.home / "reports" / "fit-gap")

    def report(self, as_of: date) -> list[Path]:
        """Write the report of every institution on every outcome set it has cases of, and the page that links them."""
        from pipelines.feedback.report import write_index, write_report

        out, reports = self.home / "reports", []
        with transaction(self.engine) as connection:
            for outcome_set in self.outcome_sets:
                results = read_results(connection, outcome_set.id)
                if results.empty:
                    continue
                means, asked = pq.read_table(self._trajectories(outcome_set)).to_pandas(), self._asked(outcome_set)
                (out / outcome_set.id).mkdir(parents=True, exist_ok=True)
                for institution in sorted(set(results["institution"])):
                    reports.append(
                        write_report(
                            institution,
                            results=results,
                            trajectories=means,
                            outcome_set=outcome_set,
                            instruments=asked,
                            quality=read_quality(connection, institution),
                            versions=self.versions,
                            as_of=as_of,
                            out=out / outcome_set.id,
                        )
                    )
        write_index(reports, outcome_sets=self.outcome_sets, as_of=as_of, out=out)
        return reports

    def outcome_set(self, name: str) -> OutcomeSet:
        """The outcome set of this name.

        Raises:
            TerminalError: `OUTCOME-SET-UNKNOWN`.
        """
        for outcome_set in self.outcome_sets:
            if outcome_set.id == name:
                return outcome_set
        raise unknown_outcome_set(self._options.mappings, name, [each.id for each in self.outcome_sets])

    def _asked(self, outcome_set: OutcomeSet) -> list[Instrument]:
        asked = {(a.instrument, a.version) for a in outcome_set.proms.asked}
        return [i for i in self._instruments if (i.id, None) in asked or (i.id, i.version) in asked]

    def outcomes_of(self, indicator: str, patient_key: str) -> tuple[OutcomeSet, list[dict[str, Any]]]:
        """The set of an indicator, and the rows of `outcome_patient` of one patient in it, as the last run left them.

        Raises:
            TerminalError: `INDICATOR-UNKNOWN`.
        """
        for outcome_set in self.outcome_sets:
            if any(each.id == indicator for each in outcome_set.indicators):
                with transaction(self.engine) as connection:
                    return outcome_set, read_outcomes(connection, indicator, patient_key)
        raise TerminalError(
            "INDICATOR-UNKNOWN",
            f"no outcome set has an indicator {indicator}",
            where=str(self._options.mappings / "outcome_sets"),
            remedy="Name the file of an indicator, without .yaml.",
        )

    def write_due_lists(self, out: Path, until: date) -> list[Path]:
        """Write who is due for which questionnaire up to `until`: per institution a CSV and FHIR Tasks, in `out`."""
        from pipelines.proms.tasks import write_due

        with transaction(self.engine) as connection:
            rows = [row for each in self.outcome_sets for row in read_due(connection, each.id, until)]
        rows.sort(key=lambda row: str(row["institution"]))
        return [
            path
            for institution, own in groupby(rows, key=lambda row: str(row["institution"]))
            for path in write_due(own, out, institution)
        ]

    def response_rates(self) -> pd.DataFrame:
        """The response to every questionnaire, per institution, cohort and moment (docs/tables.md)."""
        import pandas as pd

        with transaction(self.engine) as connection:
            return pd.concat([read_response_rates(connection, each.id) for each in self.outcome_sets])

    def deliver(self, as_of: date, *, now: datetime) -> list[Path]:
        """Write what every registry receives of an outcome set, and enter it in the ledger.

        Without any index event there is nothing to deliver, and no file is made.
        """
        from pipelines.deliver.definition import load_registry
        from pipelines.deliver.registry import deliver

        paths = []
        for file in sorted((self._options.mappings / "registries").glob("*.yaml")):
            registry = load_registry(file)
            outcome_set = self.outcome_set(registry.outcome_set)
            with transaction(self.engine) as connection:
                results = read_results(connection, registry.outcome_set)
                if results.empty:
                    continue
                delivery = deliver(
                    results,
                    registry,
                    {indicator.id: indicator for indicator in outcome_set.indicators},
                    as_of=as_of,
                    versions=self.versions,
                    out=self.home / "deliveries",
                )
                record_delivery(
                    connection,
                    registry=delivery.registry,
                    outcome_set=delivery.outcome_set,
                    as_of=as_of,
                    content_sha256=delivery.content_sha256,
                    path=delivery.path.relative_to(self.home).as_posix(),
                    created_at=now,
                )
            paths.append(delivery.path)
        return paths

    def run(self, exports: Path, *, as_of: date, now: datetime, on_progress: OnProgress) -> RunResult:
        """All steps once.

        Raises:
            TransientError: `HOME-BUSY` when another run works in the same home.
        """
        with self.alone():
            found = find_exports(exports)
            batches = []
            for number, export in enumerate(found):
                on_progress(number, len(found) + 1)
                batches.append(self.process(export, now=now))
            self.evaluate(as_of)
            self.fit_gap_report(as_of)
            reports = self.report(as_of)
            deliveries = self.deliver(as_of, now=now)
            self._tidy(now)
            on_progress(len(found) + 1, len(found) + 1)
            return RunResult(batches, self.signals(), reports, deliveries, self.home)

    def tidy(self, now: datetime) -> None:
        """Remove landed exports that are past their retention, and what killed runs left behind.

        Raises:
            TransientError: `HOME-BUSY` when a run works in the same home.
        """
        with self.alone():
            self._tidy(now)

    def _tidy(self, now: datetime) -> None:
        self._landing.purge(now=now, retention_days=self._options.retention_days)
        for pattern in (
            "spill-*",
            "*.aside",
            "trajectories/*.aside",
            "reports/*/.*.aside",
            "reports/.*.aside",
            "reports/fit-gap/.*.aside",
            "fitgap/*.aside",
            "deliveries/*/*/.aside-*",
        ):
            for leftover in self.home.glob(pattern):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)

    def signals(self) -> list[Signal]:
        """Which indicators of which institutions stand out from the group."""
        from pipelines.feedback.signals import find_signals

        with transaction(self.engine) as connection:
            return [
                signal for each in self.outcome_sets for signal in find_signals(read_results(connection, each.id), each)
            ]

    @cached_property
    def versions(self) -> dict[str, str]:
        """What the results rest on: versions of mappings, codes, scoring and definitions."""
        mappings = self._options.mappings
        return {
            "uitkomststroom": version("uitkomststroom"),
            "mapping": self._rules_versions["mapping"],
            "codes": _digest(mappings / "codes"),
            "scoring": _digest(mappings / "proms"),
            "definitions": _digest(mappings / "outcome_sets"),
            "expectations": self._rules_versions["expectations"],
        }

    @cached_property
    def _rules_versions(self) -> dict[str, str]:
        mappings = self._options.mappings
        return {
            "mapping": _digest(*(mappings / source for source in (*MAPPING_SOURCES, "csv"))),
            "expectations": _digest(self._options.expectations, mappings / "zib" / "value_sets"),
        }

    @cached_property
    def _fit_gap_versions(self) -> dict[str, str]:
        mappings = self._options.mappings
        folders = {"mapping": mappings / "zib" / "2020", "codes": mappings / "codes", "scoring": mappings / "proms"}
        return {"uitkomststroom": version("uitkomststroom"), **{name: _digest(path) for name, path in folders.items()}}

    @property
    def _table_names(self) -> list[str]:
        return [*(table.name for table in self._catalogue.tables), CODING_TABLE]

    def _trajectories(self, outcome_set: OutcomeSet) -> Path:
        return self.home / "trajectories" / f"{outcome_set.id}.parquet"

    @property
    def rules_version(self) -> str:
        """What the accepted rows of a batch rest on: mappings, expectations, and the code systems that are known.

        Other files of `mappings` (codes, questionnaires) touch the rows only by the systems and codes they name.
        """
        known = self._catalogue.known_codes
        named = "\0".join([*sorted(known.systems), "", *sorted(known.odd_codes)])
        digest = hashlib.sha256(named.encode()).hexdigest()[:12]
        return f"{self._rules_versions['mapping']}/{self._rules_versions['expectations']}/{digest}"

    def _folder(self, batch: Batch) -> Path:
        return self.home / "batches" / batch.institution / batch.batch_id

    def patients_accepted(self, batch: Batch) -> pa.Array:
        """Keys of the patients in a batch that is validated and not yet loaded."""
        return pq.read_table(self._folder(batch) / "accepted" / "zib_patient.parquet")["patient_key"]

    def patients_in_lake(self, batch: Batch) -> pa.Array:
        """Keys of the patients that the lake has from a batch."""
        return self._lake.patients(batch.institution, of_batch=batch.batch_id)

    @contextmanager
    def alone(self, *, shared: bool = False) -> Iterator[None]:
        """Keep other runs and retries out of `home`; with `shared`, only those that want to be alone.

        Raises:
            TransientError: `HOME-BUSY`.
        """
        with (self.home / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TransientError(
                    "HOME-BUSY",
                    "another run works there",
                    where=str(self.home),
                    remedy="Wait for it, or use another --home.",
                ) from None
            yield


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def _digest(*sources: Path) -> str:
    """A short hash of files, and of the files below folders; those that are absent count as empty."""
    digest = hashlib.sha256()
    for source in sources:
        for path in [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file()):
            digest.update(path.relative_to(source.parent).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
