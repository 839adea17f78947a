"""A new look at what is in quarantine, after a mapping, concept map, value set or expectation was mended.

Batches that hold matching rows are mapped and validated again from the landing zone, whole: duplicates and
references are judged over a whole batch, so anything less could give other rows than a fresh run would. When that
changes which patients are known, the other batches of the institution that it can concern follow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipelines.chain import Chain
from pipelines.database.quarantine import QuarantineChange, QuarantineFilter, batches_of, batches_with
from pipelines.database.session import transaction
from pipelines.errors import TerminalError
from pipelines.extract.landing import Batch

Key = tuple[str, str]
"""Institution and batch id."""

_PATIENT_MISSING = "REFERENCE-PATIENT-MISSING"


@dataclass(slots=True)
class RetryResult:
    """What a retry did.

    Attributes:
        batches: what changed per batch, in the order in which they were done.
        purged: batches whose landed export is gone, so that nothing could be tried again.
    """

    batches: dict[Key, QuarantineChange]
    purged: list[Key]

    @property
    def total(self) -> QuarantineChange:
        """The sum over the batches."""
        return sum(self.batches.values(), QuarantineChange())


@dataclass(slots=True)
class _Journal:
    """Which batches a retry has done and which are to come, on disk: when interrupted it goes on where it was."""

    path: Path
    asked: dict[str, str | None]
    done: dict[Key, QuarantineChange] = field(default_factory=dict)
    queue: list[Key] = field(default_factory=list)

    @classmethod
    def at(cls, path: Path, asked: dict[str, str | None]) -> _Journal:
        """The journal of an interrupted retry that was asked the same, or a new one."""
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls(path, asked)
        if content["asked"] != asked:
            return cls(path, asked)
        done = {(institution, batch): QuarantineChange(**change) for institution, batch, change in content["done"]}
        return cls(path, asked, done, [(institution, batch) for institution, batch in content["queue"]])

    def add(self, keys: Sequence[Key]) -> None:
        """Put batches in the queue that are not in it."""
        self.queue += [key for key in keys if key not in self.queue]
        self._write()

    def finish(self, change: QuarantineChange | None) -> None:
        """Take the first batch off the queue; None when nothing could be done about it."""
        key = self.queue.pop(0)
        if change is not None:
            before = self.done.get(key, QuarantineChange())
            self.done[key] = replace(change, back=before.back + change.back, skipped=before.skipped + change.skipped)
        self._write()

    def _write(self) -> None:
        done = [[*key, asdict(change)] for key, change in self.done.items()]
        aside = self.path.with_suffix(".aside")
        aside.write_text(json.dumps({"asked": self.asked, "done": done, "queue": self.queue}), encoding="utf-8")
        aside.replace(self.path)


def retry(chain: Chain, selected: QuarantineFilter, on_progress: Callable[[int, int], None]) -> RetryResult:
    """Try again what is in quarantine, and bring results and reports up to date with what came back.

    Nothing is delivered: the next run does that.

    Raises:
        TransientError: `HOME-BUSY` when a run or another retry works in the same home.
        TerminalError: `QUARANTINE-NO-MATCH` when nothing in quarantine matches.
    """
    with chain.alone():
        journal = _Journal.at(chain.home / "retry.json", {**asdict(selected), "rules": chain.rules_version})
        with transaction(chain.engine) as connection:
            wanted = batches_with(connection, selected)
        if not wanted and not journal.done:
            raise TerminalError(
                "QUARANTINE-NO-MATCH",
                "nothing in quarantine matches",
                where="quarantine retry",
                remedy="See what is there with: uitkomst quarantine list",
            )
        journal.add([key for key in wanted if key not in journal.done])
        purged = _retry_batches(chain, journal, on_progress)
        if journal.done:
            _refresh(chain)
        journal.path.unlink()
        return RetryResult(journal.done, purged)


def _retry_batches(chain: Chain, journal: _Journal, on_progress: Callable[[int, int], None]) -> list[Key]:
    """Work the queue off; gives the batches whose export is gone."""
    purged: list[Key] = []
    while journal.queue:
        key = journal.queue[0]
        on_progress(len(journal.done), len(journal.done) + len(journal.queue) + 1)
        try:
            batch = chain.find_landed(*key)
        except TerminalError:
            purged.append(key)
            journal.finish(None)
            continue
        chain.map(batch)
        chain.validate(batch)
        # Queued before the lake changes: after an interruption it could no longer be seen that it did.
        journal.add(_concerned(chain, batch))
        _, change = chain.load_again(batch)
        journal.finish(change)
    return purged


def _concerned(chain: Chain, batch: Batch) -> list[Key]:
    """The other batches of the institution that the patients of this batch make a difference to.

    More patients bring back resources that missed theirs; fewer concern every batch.
    """
    before, after = (set(keys.to_pylist()) for keys in (chain.patients_in_lake(batch), chain.patients_accepted(batch)))
    if before == after:
        return []
    with transaction(chain.engine) as connection:
        if before - after:
            found = batches_of(connection, batch.institution)
        else:
            found = batches_with(connection, QuarantineFilter(institution=batch.institution, rule=_PATIENT_MISSING))
    return [key for key in found if key != (batch.institution, batch.batch_id)]


def _refresh(chain: Chain) -> None:
    """Compute the results again as of the same day, if they were computed before."""
    as_of = chain.evaluated_as_of
    if as_of is not None:
        chain.evaluate(as_of)
        chain.report(as_of)


def purged_error(purged: Sequence[Key]) -> TerminalError:
    """The error that names the batches whose export is no longer in the landing zone."""
    names = ", ".join(f"{institution}/{batch_id}" for institution, batch_id in purged)
    return TerminalError(
        "LANDING-PURGED",
        "the landed export is past its retention and was removed, so its rows cannot be tried again",
        where=f"batch {names}",
        remedy="Ask the hospital for the export again and run it.",
    )
