"""The chain: the same steps for the command line and for the Airflow DAG, each handing over through `home`.

home/landing      exports, verbatim; the only place with direct identifiers
home/batches      per batch: ZIB tables on their way to the lake, quarantine, report, checks
home/lake         Delta tables
home/uitkomst.db  results, quarantine and the ledger of deliveries
home/reports      one HTML page per institution
home/deliveries   registry files
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from pipelines.database.session import open_database, transaction
from pipelines.database.store import (
    BatchCounts,
    read_due,
    read_quality,
    read_response_rates,
    read_results,
    record_batch,
    record_delivery,
    replace_proms,
    replace_results,
)
from pipelines.deliver.definition import load_registry
from pipelines.deliver.registry import deliver
from pipelines.errors import TerminalError, TransientError
from pipelines.extract.exports import Export, find_exports
from pipelines.extract.landing import Batch, Landing
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.feedback.report import write_index, write_report
from pipelines.feedback.signals import Signal, find_signals
from pipelines.indicators.definitions import OutcomeSet, load_outcome_set
from pipelines.indicators.evaluation import evaluate
from pipelines.indicators.trajectories import trajectories
from pipelines.lake.tables import Lake
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.proms.scoring import score
from pipelines.proms.tables import prom_tables
from pipelines.proms.tasks import write_due
from pipelines.quarantine import QuarantineRow
from pipelines.settings import Settings, pseudonym_key, settings
from pipelines.sqlonfhir.reading import open_duckdb
from pipelines.validate.batch import validate_batch
from pipelines.zib.catalogue import Catalogue, load_catalogue
from pipelines.zib.mapping import OnProgress, map_export

OUTCOME_SET = "knie-heupartrose"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch: lines by outcome, and reasons by rule. `reused` when an earlier run loaded it."""

    batch_id: str
    institution: str
    lines: int
    accepted: int
    quarantined: int
    skipped: int
    reasons: dict[str, int]
    reused: bool = False


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
        return load_catalogue(self._options.mappings / "zib" / "2020")

    @cached_property
    def _engine(self) -> sa.Engine:
        return open_database(self._options.database_url or f"sqlite:///{self.home / 'uitkomst.db'}")

    @cached_property
    def _instruments(self) -> list[Instrument]:
        return load_instruments(self._options.mappings / "proms")

    @property
    def _asked_instruments(self) -> list[Instrument]:
        asked = {(a.instrument, a.version) for a in self._outcome_set.proms.asked}
        return [i for i in self._instruments if (i.id, None) in asked or (i.id, i.version) in asked]

    @cached_property
    def _outcome_set(self) -> OutcomeSet:
        folder = self._options.mappings / "outcome_sets" / OUTCOME_SET
        return load_outcome_set(folder, self._options.mappings / "codes", self._instruments)

    def land(self, export: Export, *, now: datetime) -> Batch:
        """Copy an export into the landing zone."""
        return self._landing.land(export, now=now)

    def find_batch(self, institution: str, batch_id: str) -> Batch:
        """A landed batch, by what identifies it."""
        return self._landing.batch(institution, batch_id)

    def map(self, batch: Batch) -> None:
        """Map a batch to ZIB tables in its folder below `home/batches`."""
        out = self._folder(batch) / "mapped"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        with self._landing.workspace(batch.institution) as work:
            report = map_export(
                self._landing.export(batch),
                out,
                catalogue=self._catalogue,
                pseudonyms=Pseudonyms(pseudonym_key(self.home), batch.institution),
                work=work,
                maximum_line_bytes=self._options.maximum_line_bytes,
            )
        _write_json(out / "report.json", report.as_dict())

    def validate(self, batch: Batch) -> None:
        """Validate a mapped batch; what is accepted stands in `accepted`, the rest joins the quarantine."""
        folder = self._folder(batch)
        mapped, accepted = folder / "mapped", folder / "accepted"
        names = {table.name: table.view.resource for table in self._catalogue.tables}
        validation = validate_batch(
            self._landing.export(batch),
            {name: pq.read_table(mapped / f"{name}.parquet") for name in names},
            names,
            batch_id=batch.batch_id,
            expectations=self._options.expectations,
            last_day=datetime.fromisoformat(batch.landed_at).date(),
            known_patients=self._known_patients(batch.institution),
            maximum_line_bytes=self._options.maximum_line_bytes,
        )
        shutil.rmtree(accepted, ignore_errors=True)
        accepted.mkdir()
        for name, table in validation.accepted.items():
            pq.write_table(table, accepted / f"{name}.parquet")
        rows = [*_read_quarantine(mapped / "quarantine.ndjson"), *validation.quarantined]
        with (folder / "quarantine.ndjson").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row.as_dict(), ensure_ascii=False) + "\n" for row in rows)
        _write_json(folder / "checks.json", validation.as_dict())

    def load(self, batch: Batch) -> BatchResult:
        """Append the accepted rows of a batch to the lake and enter the batch in the database."""
        folder, landed_at = self._folder(batch), datetime.fromisoformat(batch.landed_at)
        for table in self._catalogue.tables:
            rows = pq.read_table(folder / "accepted" / f"{table.name}.parquet")
            self._lake.append(
                table.name, rows, institution=batch.institution, batch_id=batch.batch_id, landed_at=landed_at
            )
        quarantine = _read_quarantine(folder / "quarantine.ndjson")
        result = _result(batch, json.loads((folder / "mapped" / "report.json").read_bytes()), quarantine)
        with transaction(self._engine) as connection:
            record_batch(
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
            )
        _write_json(folder / "loaded.json", {"rules": self._rules_version(), "result": asdict(result)})
        for finished in ("mapped", "accepted"):
            shutil.rmtree(folder / finished)
        return result

    def loaded(self, batch: Batch) -> BatchResult | None:
        """The result of an earlier load of this batch under the same mappings and expectations, if any."""
        try:
            content = json.loads((self._folder(batch) / "loaded.json").read_bytes())
        except FileNotFoundError:
            return None
        if content["rules"] != self._rules_version():
            return None
        return BatchResult(**{**content["result"], "reused": True})

    def process(self, export: Export, *, now: datetime) -> BatchResult:
        """Land, map, validate and load one export; an export that was loaded before is left as it is."""
        batch = self.land(export, now=now)
        earlier = self.loaded(batch)
        if earlier is not None:
            return earlier
        self.map(batch)
        self.validate(batch)
        return self.load(batch)

    def evaluate(self, as_of: date) -> None:
        """Score the PROMs and compute the indicators over the current lake, and replace the stored results."""
        with tempfile.TemporaryDirectory(prefix="spill-", dir=self.home) as spill:
            connection = open_duckdb(Path(spill), memory="1GB")
            self._lake.attach(connection, [table.name for table in self._catalogue.tables])
            score(connection, self._instruments, response_pattern=self._options.prom_response_pattern)
            evaluate(connection, self._outcome_set, as_of)
            proms = prom_tables(connection, self._outcome_set, self._instruments, as_of)
            with transaction(self._engine) as stored:
                replace_results(
                    stored,
                    self._outcome_set.id,
                    connection.sql("FROM outcome_patient").to_arrow_table(),
                    connection.sql("FROM indicator_result").to_arrow_table(),
                )
                replace_proms(stored, self._outcome_set.id, proms.prom_score, proms.prom_due, proms.prom_response_rate)
            means = trajectories(connection)
            connection.close()
        pq.write_table(means, self._trajectories.with_suffix(".aside"))
        self._trajectories.with_suffix(".aside").replace(self._trajectories)

    def report(self, as_of: date) -> list[Path]:
        """Write the report of every institution, and the page that links them."""
        means, reports = pq.read_table(self._trajectories).to_pandas(), []
        out = self.home / "reports"
        out.mkdir(exist_ok=True)
        with transaction(self._engine) as connection:
            results = read_results(connection, self._outcome_set.id)
            institutions = sorted(set(results["institution"]))
            for institution in institutions:
                reports.append(
                    write_report(
                        institution,
                        results=results,
                        trajectories=means,
                        outcome_set=self._outcome_set,
                        instruments=self._asked_instruments,
                        quality=read_quality(connection, institution),
                        versions=self.versions,
                        as_of=as_of,
                        out=out,
                    )
                )
        write_index(institutions, outcome_set=self._outcome_set, as_of=as_of, out=out)
        return reports

    def write_due_lists(self, out: Path, until: date) -> list[Path]:
        """Write who is due for which questionnaire up to `until`: per institution a CSV and FHIR Tasks, in `out`."""
        with transaction(self._engine) as connection:
            rows = read_due(connection, self._outcome_set.id, until)
        return [
            path
            for institution, own in groupby(rows, key=lambda row: str(row["institution"]))
            for path in write_due(own, out, institution)
        ]

    def response_rates(self) -> pd.DataFrame:
        """The response to every questionnaire, per institution, cohort and moment (docs/tables.md)."""
        with transaction(self._engine) as connection:
            return read_response_rates(connection, self._outcome_set.id)

    def deliver(self, as_of: date, *, now: datetime) -> list[Path]:
        """Write the delivery of every registry that receives this outcome set, and enter it in the ledger.

        Without any index event there is nothing to deliver, and no file is made.
        """
        paths = []
        for file in sorted((self._options.mappings / "registries").glob("*.yaml")):
            registry = load_registry(file)
            if registry.outcome_set != self._outcome_set.id:
                continue
            with transaction(self._engine) as connection:
                results = read_results(connection, self._outcome_set.id)
                if results.empty:
                    continue
                delivery = deliver(results, registry, as_of=as_of, versions=self.versions, out=self.home / "deliveries")
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
        with self._alone():
            found = find_exports(exports)
            batches = []
            for number, export in enumerate(found):
                on_progress(number, len(found) + 1)
                batches.append(self.process(export, now=now))
            self.evaluate(as_of)
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
        with self._alone():
            self._tidy(now)

    def _tidy(self, now: datetime) -> None:
        self._landing.purge(now=now, retention_days=self._options.retention_days)
        for pattern in ("spill-*", "*.aside", "reports/.*.aside", "deliveries/*/*/.aside-*"):
            for leftover in self.home.glob(pattern):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)

    def signals(self) -> list[Signal]:
        """Which indicators of which institutions stand out from the group."""
        with transaction(self._engine) as connection:
            return find_signals(read_results(connection, self._outcome_set.id), self._outcome_set)

    @cached_property
    def versions(self) -> dict[str, str]:
        """What the results rest on: versions of mappings, codes, scoring and definitions."""
        mappings = self._options.mappings
        return {
            "uitkomststroom": version("uitkomststroom"),
            "mapping": _digest(mappings / "zib" / "2020"),
            "codes": _digest(mappings / "codes"),
            "scoring": _digest(mappings / "proms"),
            "definitions": f"{self._outcome_set.version}+{_digest(mappings / 'outcome_sets' / OUTCOME_SET)}",
            "expectations": _digest(self._options.expectations),
        }

    @property
    def _trajectories(self) -> Path:
        return self.home / "prom_trajectory.parquet"

    def _rules_version(self) -> str:
        return f"{self.versions['mapping']}/{self.versions['expectations']}"

    def _folder(self, batch: Batch) -> Path:
        return self.home / "batches" / batch.institution / batch.batch_id

    def _known_patients(self, institution: str) -> pa.Table:
        connection = duckdb.connect()
        self._lake.attach(connection, ["zib_patient"])
        try:
            known = connection.sql("SELECT DISTINCT institution, patient_key FROM zib_patient").to_arrow_table()
        except duckdb.CatalogException:
            return pa.table({"institution": pa.array([], pa.string()), "patient_key": pa.array([], pa.string())})
        return known.filter(pc.equal(known["institution"], institution))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.home / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TransientError(
                    "HOME-BUSY",
                    "another run works there",
                    where=str(self.home),
                    remedy="Wait for it, or use another --home.",
                ) from None
            yield


def _read_quarantine(path: Path) -> list[QuarantineRow]:
    with path.open(encoding="utf-8") as file:
        return [QuarantineRow(**json.loads(line)) for line in file]


def _result(batch: Batch, report: Mapping[str, Any], quarantine: Sequence[QuarantineRow]) -> BatchResult:
    """Lines as the mapping counted them, less the lines that validation set aside."""
    totals = report["totals"]
    late = {(row.source_file, row.source_line) for row in quarantine if row.step == "validate"}
    return BatchResult(
        batch.batch_id,
        batch.institution,
        lines=totals["lines"],
        accepted=totals["accepted"] - len(late),
        quarantined=totals["quarantined"] + len(late),
        skipped=totals["skipped"],
        reasons=dict(Counter(row.rule_id for row in quarantine).most_common()),
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def _digest(folder: Path) -> str:
    """A short hash of the files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
