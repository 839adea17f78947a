"""`uitkomst map`: one or more exports mapped into one folder, all or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import TerminalError
from pipelines.extract.exports import find_exports
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.settings import settings
from pipelines.zib.catalogue import load_catalogue
from pipelines.zib.codings import CODING_TABLE
from pipelines.zib.csv_extract import CsvExtracts
from pipelines.zib.csv_mapping import load_csv_mappings
from pipelines.zib.mapping import map_export

_ASIDE = ".uitkomst-map-"


def map_exports(source: Path, out: Path, *, key: bytes, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Map every export below `source` into `out`: `<table>.parquet`, `quarantine.ndjson` and `report.json`.

    Returns:
        the content of `report.json`.

    Raises:
        TerminalError: for an export that cannot be read, or an `out` that is no folder (`OUTPUT-NOT-FOLDER`).
    """
    exports = find_exports(source)
    catalogue = load_catalogue(settings().mappings)
    csv_mappings = load_csv_mappings(settings().mappings / "csv", catalogue)
    if out.exists() and not out.is_dir():
        raise TerminalError("OUTPUT-NOT-FOLDER", "it is a file", where=str(out), remedy="Name a folder.")
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(f"{_ASIDE}*"):
        shutil.rmtree(leftover)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=out))
    try:
        reports, folders = [], []
        for number, export in enumerate(exports):
            folder, work = aside / str(number), aside / f"{number}-work"
            folder.mkdir()
            work.mkdir()
            folders.append(folder)
            limit, pseudonyms = settings().maximum_line_bytes, Pseudonyms(key, export.institution)
            extracts = CsvExtracts(csv_mappings, catalogue, pseudonyms, work=work, maximum_line_bytes=limit)
            report = map_export(
                export,
                folder,
                catalogue=catalogue,
                pseudonyms=pseudonyms,
                work=work,
                maximum_line_bytes=limit,
                on_progress=on_progress,
                read_extract=extracts.read,
            )
            reports.append(report.as_dict() | extracts.as_dict())
        result = _report(reports)
        (folders[0] / "report.json").write_text(
            json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        _join(folders, [*(table.name for table in catalogue.tables), CODING_TABLE])
        for path in folders[0].iterdir():
            path.replace(out / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return result


def _report(institutions: list[dict[str, Any]]) -> dict[str, Any]:
    totals = {
        name: sum(institution["totals"][name] for institution in institutions)
        for name in ("lines", "accepted", "quarantined", "skipped")
    }
    tables = {table: sum(each["tables"][table] for each in institutions) for table in institutions[0]["tables"]}
    return {"totals": totals, "tables": tables, "institutions": institutions}


def _join(folders: list[Path], tables: list[str]) -> None:
    """Put the tables and quarantine of all folders into the first."""
    first, *others = folders
    if not others:
        return
    for table in tables:
        paths = [folder / f"{table}.parquet" for folder in folders]
        joined = first / f"{table}.joined"
        with pq.ParquetWriter(joined, pq.read_schema(paths[0])) as writer:
            for path in paths:
                for batch in pq.ParquetFile(path).iter_batches():
                    writer.write_table(pa.Table.from_batches([batch]))
        joined.replace(paths[0])
    with (first / "quarantine.ndjson").open("ab") as target:
        for folder in others:
            with (folder / "quarantine.ndjson").open("rb") as source:
                shutil.copyfileobj(source, target)
