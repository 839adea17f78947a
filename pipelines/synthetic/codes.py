"""The codes the generator writes, read from the project's value sets (`mappings/codes/*.csv`)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import TerminalError

CODES_FOLDER = Path(__file__).resolve().parents[2] / "mappings" / "codes"

SNOMED = "http://snomed.info/sct"
ICD10_NL = "http://hl7.org/fhir/sid/icd-10-nl"
UCUM = "http://unitsofmeasure.org"

CLINICAL = "synthetic-clinical"


@dataclass(frozen=True, slots=True)
class Code:
    """One row of a value set. The code is text, always."""

    system: str
    code: str
    display: str

    def coding(self) -> dict[str, str]:
        """The code as a FHIR Coding."""
        return {"system": self.system, "code": self.code, "display": self.display}

    def concept(self) -> dict[str, list[dict[str, str]]]:
        """The code as a FHIR CodeableConcept."""
        return {"coding": [self.coding()]}


@dataclass(frozen=True, slots=True)
class CodeBook:
    """Value sets by name, each in the order of its file."""

    value_sets: dict[str, tuple[Code, ...]]

    def first(self, value_set: str, system: str | None = None) -> Code:
        """The first row of a value set, or its first row of one code system.

        The first row is the code to write (`mappings/codes/README.md`).

        Raises:
            TerminalError: `SYNTHETIC-CODE-MISSING` when there is no such row.
        """
        for code in self.value_sets.get(value_set, ()):
            if system is None or code.system == system:
                return code
        raise _missing(value_set, system or "any code system")

    def named(self, value_set: str, display: str) -> Code:
        """The row of a value set with exactly this display.

        Raises:
            TerminalError: `SYNTHETIC-CODE-MISSING` when there is no such row.
        """
        for code in self.value_sets.get(value_set, ()):
            if code.display == display:
                return code
        raise _missing(value_set, f"display '{display}'")

    def clinical(self, display: str) -> Code:
        """A code of `synthetic-clinical.csv`, by its display."""
        return self.named(CLINICAL, display)


def load_codes(folder: Path = CODES_FOLDER) -> CodeBook:
    """Read every value set of a folder: CSV files with the columns value_set, version, system, code, display, source.

    Raises:
        TerminalError: `SYNTHETIC-CODE-MISSING` when the folder holds no value set.
    """
    rows: dict[str, list[Code]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                if "value_set" not in row:
                    break  # a table of another kind, such as the units of laboratory tests
                code = Code(row["system"], row["code"], row["display"])
                rows.setdefault(row["value_set"], []).append(code)
    if not rows:
        raise TerminalError(
            "SYNTHETIC-CODE-MISSING",
            "no value set found",
            where=str(folder),
            remedy="Run the command from a complete checkout of the project",
        )
    return CodeBook({name: tuple(codes) for name, codes in rows.items()})


def _missing(value_set: str, wanted: str) -> TerminalError:
    return TerminalError(
        "SYNTHETIC-CODE-MISSING",
        f"value set {value_set} has no row with {wanted}",
        where="mappings/codes",
        remedy="Add the row, with its source, to the value set's CSV file",
    )
