"""A file of another format than FHIR is offered to a reader, and its rows are stored as those of resources are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from small_mappings import small_catalogue
from zib_exports import PSEUDONYMS, map_folder

from pipelines.extract.exports import ExportFile
from pipelines.extract.records import Flaw
from pipelines.zib.mapping import ExtractBatch


def read_lines(file: ExportFile) -> Iterator[ExtractBatch] | None:
    """Each line of a .txt file is the gender of a practitioner; `?` is none."""
    return _batches(file.path) if file.path.suffix == ".txt" else None


def _batches(path: Path) -> Iterator[ExtractBatch]:
    genders = path.read_text(encoding="utf-8").splitlines()
    lines = [n for n, gender in enumerate(genders, start=1) if gender != "?"]
    numbers = np.arange(len(lines), dtype=np.int64)
    ids = [f"Practitioner/{line}" for line in lines]
    rows = {
        "_row": pa.array(numbers),
        "_date_flaw": pa.nulls(len(lines), pa.string()),
        "resource_key": ids,
        "gender": [genders[line - 1] for line in lines],
    }
    index = {
        "_row": pa.array(numbers),
        "resource_type": ["Practitioner"] * len(lines),
        "id_hash": pa.array(numbers.astype(np.uint64)),
        "content_hash": pa.array(numbers.astype(np.uint64)),
        "identity_hash": pa.array(numbers.astype(np.uint64)),
        "updated": pa.nulls(len(lines), pa.timestamp("us", "UTC")),
    }
    flaws = tuple(Flaw(n, "ROW-NO-GENDER", "it has no gender") for n, g in enumerate(genders, start=1) if g == "?")
    yield ExtractBatch(np.asarray(lines, np.int64), {"zib_person": pa.table(rows)}, pa.table(index), flaws)


def test_its_rows_flaws_and_files_are_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "noord").mkdir()
    (tmp_path / "noord" / "patients.txt").write_text("male\n?\nfemale\n", encoding="utf-8")
    (tmp_path / "noord" / "x.pdf").write_bytes(b"x")
    tables = small_catalogue(tmp_path / ".mappings")
    found = map_folder(tmp_path, tables=tables, read_extract=read_lines)
    rows = {(row["source_line"], row["resource_key"], row["gender"]) for row in found.tables["zib_person"]}
    of = PSEUDONYMS.of_resource
    assert rows == {(1, of("Practitioner/1"), "male"), (3, of("Practitioner/3"), "female")}
    assert found.lines == {("patients.txt", 2): "ROW-NO-GENDER"}
    assert found.files["x.pdf"]["skipped"] == {"FILE-NOT-FHIR": 1}
