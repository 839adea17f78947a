"""What the lines of a batch come to: accepted, nothing mapped, or a flaw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.sqlonfhir.views import EARLIEST, LATEST
from pipelines.zib.accounts import FileAccount, QuarantineFile

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LineFlaw:
    """Why a line is set aside. `typed_id` is ``Type/id`` of the resource, as far as it is known."""

    rule_id: str
    reason: str
    resource_type: str | None
    typed_id: str | None = None


@dataclass(slots=True)
class Outcome:
    """The lines of a batch: `files[i]` and `lines[i]` say where its i-th row came from."""

    files: Integers
    lines: Integers
    accepted: npt.NDArray[np.bool_]
    flaws: dict[int, LineFlaw] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Integers, lines: Integers) -> Outcome:
        """Nothing accepted yet."""
        return cls(files, lines, np.zeros(lines.size, dtype=np.bool_))

    def add(self, rows: pa.Table, resource_type: str) -> None:
        """Take in the rows that a view gave; column `_row` says for which line, `_date_flaw` which date is no date."""
        numbers = rows["_row"].to_numpy()
        self.accepted[numbers] = True
        if rows["_date_flaw"].null_count < rows.num_rows:
            flawed = rows.filter(pc.is_valid(rows["_date_flaw"]))
            for row in flawed.select(["_row", "_date_flaw", "resource_key"]).to_pylist():
                reason = f"{row['_date_flaw']} holds no possible date, or one outside {EARLIEST} to {LATEST}"
                self.flaws[row["_row"]] = LineFlaw("DATE-IMPOSSIBLE", reason, resource_type, row["resource_key"])
        self.accepted[list(self.flaws)] = False

    def reject(self, row: int, flaw: LineFlaw) -> None:
        """Set a line aside, unless it already is."""
        self.flaws.setdefault(row, flaw)
        self.accepted[row] = False

    def settle(self, accounts: Sequence[FileAccount], quarantine: QuarantineFile, pseudonyms: Pseudonyms) -> None:
        """Count the lines in the accounts of their files, and write the flaws to quarantine."""
        matched = np.bincount(self.files[self.accepted], minlength=len(accounts))
        unmatched = ~self.accepted
        unmatched[list(self.flaws)] = False
        nothing = np.bincount(self.files[unmatched], minlength=len(accounts))
        for account, yes, no in zip(accounts, matched.tolist(), nothing.tolist(), strict=True):
            account.accepted += yes
            if no:
                account.skipped["NOTHING-MAPPED"] += no
        for row, flaw in sorted(self.flaws.items()):
            quarantine.add(
                accounts[self.files[row]],
                int(self.lines[row]),
                flaw.rule_id,
                flaw.reason,
                resource_type=flaw.resource_type,
                resource_key=pseudonyms.of_resource(flaw.typed_id) if flaw.typed_id else None,
            )
