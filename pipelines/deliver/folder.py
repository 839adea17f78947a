"""Publishing a folder of files as a whole: either all of it is there, or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import TerminalError, TransientError


def publish_folder(final: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` aside, flush them to disk, and rename them into place as `final`.

    A folder that is already there with the same content is left as it is; so a rerun, or another process
    that was first, changes nothing.

    Raises:
        TerminalError: the folder exists with other content.
        TransientError: writing failed (a full disk, a lost share).
    """
    if final.exists():
        _check_same(final, files)
        return
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=final.parent))
        try:
            _write_and_rename(aside, final, files)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise TransientError(
            "DELIVERY-WRITE",
            f"the delivery could not be written: {error.strerror}",
            where=str(final),
            remedy="Check the disk and its rights, then run again; nothing half was left.",
        ) from error


def _write_and_rename(aside: Path, final: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        with (aside / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync_folder(aside)
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _check_same(final, files)  # another process published it meanwhile
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_same(final: Path, files: Mapping[str, bytes]) -> None:
    found = {path.name: path.read_bytes() for path in final.iterdir()}
    if found != dict(files):
        raise TerminalError(
            "DELIVERY-CHANGED",
            "a delivery was changed after it was written",
            where=str(final),
            remedy="Move it away to keep the changes, then run again to write it anew.",
        )
