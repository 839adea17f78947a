"""The landing zone: exports kept verbatim, content-addressed, in folders only their owner can read.

    landing/<institution>/objects/<sha256><suffix>
    landing/<institution>/batches/<batch_id>.json     the manifest

The batch id is the hash of institution, file names and contents: landing the same export twice is a no-op.
This is the only place where direct identifiers exist.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.errors import TransientError
from pipelines.extract.exports import Export, ExportFile, unnumbered, unreadable

OnProgress = Callable[[int, int], None]
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class LandedFile:
    """One file of a batch: name as shown, SHA-256, size, and lines as delivered (line ends; of gzip, its bytes).

    `original` is the name it came by, which may name a patient; null in batches landed before it was kept.
    """

    name: str
    sha256: str
    bytes: int
    lines: int
    original: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one institution delivered at once. `landed_at` is when it was first seen, in UTC."""

    batch_id: str
    institution: str
    landed_at: str
    files: tuple[LandedFile, ...]


class Landing:
    """The landing zone below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def land(self, export: Export, *, now: datetime, on_progress: OnProgress = lambda done, total: None) -> Batch:
        """Copy an export into the landing zone, or find that it is there already.

        Raises:
            TerminalError: `EXPORT-UNREADABLE`.
            TransientError: `LANDING-FULL` when the disk is full; nothing half-copied stays.
        """
        folder = self._root / export.institution
        objects, batches = folder / "objects", folder / "batches"
        try:
            for private in (self._root, folder, objects, batches):
                private.mkdir(mode=0o700, parents=True, exist_ok=True)
                private.chmod(0o700)
            total, done, landed = sum(f.path.stat().st_size for f in export.files), 0, []
            for file in export.files:
                landed.append(_copy(file, objects))
                done += landed[-1].bytes
                on_progress(done, total)
        except PermissionError as error:
            raise unreadable(Path(str(error.filename))) from None
        except OSError as error:
            raise TransientError(
                "LANDING-FULL",
                error.strerror or "write failed",
                where=str(folder),
                remedy="Free disk space and run again.",
            ) from None
        content = json.dumps([export.institution, [(file.name, file.sha256) for file in landed]])
        digest = hashlib.sha256(content.encode()).hexdigest()
        manifest = batches / f"{digest[:16]}.json"
        if not manifest.exists():
            batch = Batch(digest[:16], export.institution, now.astimezone(UTC).isoformat(), tuple(landed))
            _write_atomically(manifest, json.dumps(asdict(batch), indent=2).encode())
        return self.batch(export.institution, digest[:16])

    def batch(self, institution: str, batch_id: str) -> Batch:
        """The manifest of a landed batch."""
        content = json.loads((self._root / institution / "batches" / f"{batch_id}.json").read_bytes())
        return Batch(**{**content, "files": tuple(LandedFile(**file) for file in content["files"])})

    def export(self, batch: Batch) -> Export:
        """The landed copy of a batch, to be read as the export it was."""
        objects = self._root / batch.institution / "objects"
        files = (
            ExportFile(file.name, objects / _object_name(file.name, file.sha256), file.original) for file in batch.files
        )
        return Export(batch.institution, tuple(files))

    @contextmanager
    def workspace(self, institution: str) -> Iterator[Path]:
        """A private folder for files that still hold identifiers; gone afterwards."""
        folder = self._root / institution
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def purge(self, *, now: datetime, retention_days: int) -> int:
        """Remove the batches landed more than `retention_days` ago, and what no other batch needs; how many.

        What a killed run left behind goes too. Nobody may be landing or mapping meanwhile.
        """
        purged = 0
        for folder in sorted(p for p in self._root.glob("*") if p.is_dir()):
            for leftover in folder.glob("work-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            kept: set[str] = set()
            for manifest in sorted((folder / "batches").glob("*.json")):
                batch = self.batch(folder.name, manifest.stem)
                if datetime.fromisoformat(batch.landed_at) < now - timedelta(days=retention_days):
                    manifest.unlink()
                    purged += 1
                else:
                    kept |= {_object_name(file.name, file.sha256) for file in batch.files}
            for path in (folder / "objects").glob("*"):
                if path.name not in kept:
                    path.unlink()
        return purged


def _object_name(name: str, sha256: str) -> str:
    bare = unnumbered(name).lower()
    zipped = ".gz" if bare.endswith(".gz") else ""
    return sha256 + Path(bare.removesuffix(".gz")).suffix + zipped


def _copy(file: ExportFile, objects: Path) -> LandedFile:
    """Copy a file under the hash of its content, hashing while copying."""
    descriptor, aside = tempfile.mkstemp(prefix="aside-", dir=objects)
    digest, size, lines, last = hashlib.sha256(), 0, 0, b"\n"
    try:
        with os.fdopen(descriptor, "wb") as target, file.path.open("rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                target.write(block)
                size, lines, last = size + len(block), lines + block.count(b"\n"), block[-1:]
            target.flush()
            os.fsync(target.fileno())
        target_path = objects / _object_name(file.name, digest.hexdigest())
        Path(aside).replace(target_path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return LandedFile(file.name, digest.hexdigest(), size, lines + (last != b"\n"), file.original)


def _write_atomically(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".aside")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.chmod(0o600)
    aside.replace(path)
