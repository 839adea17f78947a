"""The files of an export: NDJSON (plain or gzip, one type a file or mixed), Bundles and single resources."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pipelines.synthetic.hospitals import Packaging

PATIENTS_PER_BUNDLE = 200
SINGLES = 5


class Form(Enum):
    """What a file looks like inside."""

    LINES = "lines"
    GZIP_LINES = "gzip lines"
    BUNDLE = "bundle"
    SINGLE = "single resource"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource as JSON text on one line. `patient` counts from 0 within the hospital; `defect` names the
    defect that was planted in it."""

    resource_type: str
    patient: int
    text: str
    defect: str | None = None


@dataclass(slots=True)
class ExportFile:
    """One file, with its resources in order."""

    name: str
    form: Form
    entries: list[Entry] = field(default_factory=list)


def arrange(entries: list[Entry], packaging: Packaging) -> list[ExportFile]:
    """Divide a hospital's resources over files, keeping their order."""
    files: dict[str, ExportFile] = {}
    singles = 0
    for entry in entries:
        single = packaging is Packaging.NDJSON_AND_SINGLES and entry.resource_type == "Patient" and singles < SINGLES
        singles += single
        name, form = (f"patient-{singles}.json", Form.SINGLE) if single else _place(entry, packaging)
        files.setdefault(name, ExportFile(name, form)).entries.append(entry)
    return list(files.values())


def write(folder: Path, file: ExportFile) -> None:
    """Write one file; the bytes depend on the entries only."""
    path = folder / file.name
    texts = [entry.text for entry in file.entries]
    if file.form is Form.SINGLE:
        path.write_text(texts[0], encoding="utf-8")
    elif file.form is Form.BUNDLE:
        path.write_text(_bundle(path.stem, texts), encoding="utf-8")
    else:
        content = "".join(f"{text}\n" for text in texts).encode()
        path.write_bytes(gzip.compress(content, 6, mtime=0) if file.form is Form.GZIP_LINES else content)


def _place(entry: Entry, packaging: Packaging) -> tuple[str, Form]:
    if packaging is Packaging.BUNDLES:
        return f"bundle-{entry.patient // PATIENTS_PER_BUNDLE + 1:03}.json", Form.BUNDLE
    if packaging is Packaging.MIXED_NDJSON:
        return "export.ndjson", Form.LINES
    if packaging is Packaging.NDJSON_GZIP:
        return f"{entry.resource_type}.ndjson.gz", Form.GZIP_LINES
    return f"{entry.resource_type}.ndjson", Form.LINES


def _bundle(name: str, texts: list[str]) -> str:
    """Join resources that are JSON text already; entries go without fullUrl, for a copy may not share one."""
    entries = ",\n".join(f'{{"resource":{text}}}' for text in texts)
    return f'{{"resourceType":"Bundle","id":"{name}","type":"collection","entry":[\n{entries}\n]}}\n'
