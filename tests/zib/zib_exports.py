"""Exports made in a test and mapped with `map_export`."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.extract.exports import find_exports
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.zib.catalogue import Catalogue, load_catalogue
from pipelines.zib.mapping import ReadExtract, map_export

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "mappings" / "zib" / "2020"
PSEUDONYMS = Pseudonyms(b"a key for tests, 32 bytes long!!", "noord")
LIMIT = 1 << 20
Content = str | bytes


@cache
def catalogue() -> Catalogue:
    """The ZIB tables, compiled once per process."""
    return load_catalogue(ROOT / "mappings")


@dataclass(frozen=True)
class Mapped:
    """What became of an export, with every file under the name it was delivered by.

    Attributes:
        tables: rows by ZIB table.
        codings: rows of zib_coding.
        quarantine: rows of quarantine.ndjson.
        files: accounts by file name.
        written: everything that left the mapping as text.
    """

    tables: dict[str, list[dict[str, Any]]]
    codings: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    files: dict[str, dict[str, Any]]
    written: str

    @property
    def lines(self) -> dict[tuple[str, int | None], str]:
        """The code of every quarantined line, by file and line."""
        return {(row["source_file"], row["source_line"]): row["rule_id"] for row in self.quarantine}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table without their place in the export, in a fixed order."""
        places = ("source_file", "source_line")
        rows = [{k: v for k, v in row.items() if k not in places} for row in self.tables[table]]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))

    def codes(self) -> dict[str, int]:
        """How often each code of quarantine and skips occurs."""
        found: dict[str, int] = {}
        for account in self.files.values():
            for code, count in [*account["quarantined"].items(), *account["skipped"].items()]:
                found[code] = found.get(code, 0) + count
        return found


def map_files(
    folder: Path, contents: Mapping[str, Content], *, maximum_line_bytes: int = LIMIT, tables: Catalogue | None = None
) -> Mapped:
    """Map an export of institution `noord` with these files."""
    drop = folder / "noord"
    for name, content in contents.items():
        path = drop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return map_folder(folder, maximum_line_bytes=maximum_line_bytes, tables=tables or catalogue())


def map_folder(
    folder: Path,
    *,
    maximum_line_bytes: int = LIMIT,
    tables: Catalogue | None = None,
    read_extract: ReadExtract = lambda file: None,
) -> Mapped:
    """Map the export of institution `noord` below `folder`, and check that every line is accounted for."""
    used = tables or catalogue()
    out, work = folder / ".out", folder / ".work"
    out.mkdir()
    work.mkdir(mode=0o700)
    (export,) = find_exports(folder)
    report = map_export(
        export,
        out,
        catalogue=used,
        pseudonyms=PSEUDONYMS,
        work=work,
        maximum_line_bytes=maximum_line_bytes,
        read_extract=read_extract,
    ).as_dict()
    assert not [path for path in work.rglob("*") if path.is_file()], "identifiers stayed behind"
    rows = {t.name: pq.read_table(out / f"{t.name}.parquet").to_pylist() for t in used.tables}
    text = (out / "quarantine.ndjson").read_text(encoding="utf-8")
    quarantine = [json.loads(line) for line in text.splitlines()]
    codings = pq.read_table(out / "zib_coding.parquet").to_pylist()
    written = text + json.dumps(report)
    delivered = {file.name: file.original or file.name for file in export.files}
    for row in [*quarantine, *(row for table in rows.values() for row in table)]:
        row["source_file"] = delivered[row["source_file"]]
    mapped = Mapped(rows, codings, quarantine, {delivered[f["file"]]: f for f in report["files"]}, written)
    _reconcile(mapped, report)
    return mapped


def _reconcile(mapped: Mapped, report: dict[str, Any]) -> None:
    totals = report["totals"]
    assert totals["lines"] == totals["accepted"] + totals["quarantined"] + totals["skipped"]
    assert totals["quarantined"] == len(mapped.quarantine)
    counts = {table: len(rows) for table, rows in mapped.tables.items()}
    assert report["tables"] == counts | {"zib_coding": len(mapped.codings)}
    origins = {(row["source_file"], row["source_line"]) for rows in mapped.tables.values() for row in rows}
    assert len(origins) == totals["accepted"]
    assert not origins & set(mapped.lines)
    for name, account in mapped.files.items():
        assert account["accepted"] == sum(file == name for file, _ in origins)


def ndjson(*values: Any) -> str:
    """Each value as one line; a string is taken as it is."""
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def bundle(*resources: Any) -> dict[str, Any]:
    """A collection Bundle."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}


def zipped(text: str) -> bytes:
    """`text` as a gzip file, the same bytes every time."""
    return gzip.compress(text.encode("utf-8"), mtime=0)
