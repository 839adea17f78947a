"""The landing zone: verbatim, content-addressed, private, and never half."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.errors import TransientError
from pipelines.extract.exports import Export, find_exports
from pipelines.extract.landing import Batch, Landing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENTS = {
    "Patient.ndjson": b'{"resourceType":"Patient","id":"1"}\r\n\xff\n{"resourceType":"Patient","id":"2"}',
    "sub/999990019.json": b"{}",
    "zipped.NDJSON.GZ": b"\x1f\x8bno gzip",
    "leeg.txt": b"",
}


def export_of(folder: Path, contents: dict[str, bytes]) -> Export:
    for name, content in contents.items():
        path = folder / "noord" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (export,) = find_exports(folder)
    return export


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return export_of(tmp_path / "drop", CONTENTS)


def test_the_bytes_are_kept_verbatim_and_read_back_as_the_same_export(landing: Landing, export: Export) -> None:
    landed = landing.export(landing.land(export, now=NOW))
    assert landed.institution == "noord"
    assert [file.name for file in landed.files] == [file.name for file in export.files]
    assert [file.path.read_bytes() for file in landed.files] == [file.path.read_bytes() for file in export.files]
    assert [file.is_fhir for file in landed.files] == [file.is_fhir for file in export.files]


def test_the_manifest_names_files_hashes_sizes_and_lines(landing: Landing, export: Export, tmp_path: Path) -> None:
    batch = landing.land(export, now=NOW)
    path = tmp_path / "landing" / "noord" / "batches" / f"{batch.batch_id}.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert manifest["landed_at"] == "2026-03-01T12:00:00+00:00"
    assert manifest["institution"] == "noord"
    by_name = {file["original"]: file for file in manifest["files"]}
    assert by_name.keys() == CONTENTS.keys()
    for name, content in CONTENTS.items():
        file = by_name[name]
        assert (file["sha256"], file["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert {name: file["lines"] for name, file in by_name.items()} == {
        "Patient.ndjson": 3,
        "sub/999990019.json": 1,
        "zipped.NDJSON.GZ": 1,
        "leeg.txt": 0,
    }
    assert not any("999990019" in file["name"] for file in manifest["files"])
    assert "999990019" not in repr(batch)
    assert landing.batch("noord", batch.batch_id) == batch


def test_objects_are_named_by_their_content(landing: Landing, export: Export, tmp_path: Path) -> None:
    landing.land(export, now=NOW)
    objects = list((tmp_path / "landing" / "noord" / "objects").iterdir())
    assert len(objects) == len(CONTENTS)
    assert all(path.name.split(".")[0] == hashlib.sha256(path.read_bytes()).hexdigest() for path in objects)


def test_only_the_owner_can_read_it(landing: Landing, export: Export, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        landing.land(export, now=NOW)
        with landing.workspace("noord") as work:
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "landing").rglob("*")}
            assert modes[work] == 0o700
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "landing").stat().st_mode) == 0o700
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_landing_zone_that_was_open_is_closed(tmp_path: Path, landing: Landing, export: Export) -> None:
    (tmp_path / "landing").mkdir(mode=0o755)
    landing.land(export, now=NOW)
    assert stat.S_IMODE((tmp_path / "landing").stat().st_mode) == 0o700


def test_landing_twice_is_the_same_batch(landing: Landing, export: Export, tmp_path: Path) -> None:
    first = landing.land(export, now=NOW)
    files = sorted((tmp_path / "landing").rglob("*"))
    assert landing.land(export, now=NOW + timedelta(days=1)) == first
    assert sorted((tmp_path / "landing").rglob("*")) == files


@pytest.mark.parametrize("changed", ["content", "name", "institution"])
def test_another_export_is_another_batch(landing: Landing, export: Export, tmp_path: Path, changed: str) -> None:
    first = landing.land(export, now=NOW)
    path = export.files[0].path
    if changed == "content":
        path.write_bytes(path.read_bytes() + b"\n")
    elif changed == "name":
        path.rename(path.with_name("Patient_2.ndjson"))
    else:
        path.parent.rename(path.parent.with_name("zuid"))
    (other,) = find_exports(tmp_path / "drop")
    assert landing.land(other, now=NOW).batch_id != first.batch_id


def test_two_files_that_look_alike_are_both_landed(landing: Landing, tmp_path: Path) -> None:
    export = export_of(tmp_path / "drop", {"999990019.ndjson": b"a\n", "999990020.ndjson": b"b\n"})
    landed = landing.export(landing.land(export, now=NOW))
    assert [(file.name, file.path.read_bytes(), file.is_fhir) for file in landed.files] == [
        (export.files[0].name, b"a\n", True),
        (export.files[1].name, b"b\n", True),
    ]
    assert export.files[0].name != export.files[1].name


def test_progress_ends_at_the_total(landing: Landing, export: Export) -> None:
    seen: list[tuple[int, int]] = []
    landing.land(export, now=NOW, on_progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, CONTENTS.values()))
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def landed_at(landing: Landing, folder: Path, contents: dict[str, bytes], days: int) -> Batch:
    return landing.land(export_of(folder, contents), now=NOW + timedelta(days=days))


def test_retention_removes_old_batches_but_not_what_newer_ones_share(landing: Landing, tmp_path: Path) -> None:
    landed_at(landing, tmp_path / "1", {"a.ndjson": b"old\n", "b.ndjson": b"shared\n"}, days=0)
    newer = landed_at(landing, tmp_path / "2", {"b.ndjson": b"shared\n", "c.ndjson": b"new\n"}, days=60)
    assert landing.purge(now=NOW + timedelta(days=89), retention_days=90) == 0
    assert landing.purge(now=NOW + timedelta(days=91), retention_days=90) == 1
    noord = tmp_path / "landing" / "noord"
    assert [path.stem for path in (noord / "batches").iterdir()] == [newer.batch_id]
    assert sorted(path.read_bytes() for path in (noord / "objects").iterdir()) == [b"new\n", b"shared\n"]
    assert [file.path.read_bytes() for file in landing.export(newer).files] == [b"shared\n", b"new\n"]
    assert landing.purge(now=NOW + timedelta(days=151), retention_days=90) == 1
    assert [path for path in (tmp_path / "landing").rglob("*") if path.is_file()] == []


def test_retention_of_nothing(tmp_path: Path) -> None:
    assert Landing(tmp_path / "absent").purge(now=NOW, retention_days=1) == 0


def test_what_cannot_be_written_leaves_nothing_half(
    landing: Landing, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TransientError) as failure:
            landing.land(export, now=NOW)
    assert failure.value.code == "LANDING-FULL"
    assert [path for path in (tmp_path / "landing").rglob("*") if path.is_file()] == []
    assert len(landing.land(export, now=NOW).files) == len(CONTENTS)


_LAND = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipelines.extract.exports import find_exports
from pipelines.extract.landing import Landing
(export,) = find_exports(Path(sys.argv[1]))
Landing(Path(sys.argv[2])).land(export, now=datetime(2026, 3, 1, tzinfo=UTC))
"""


def test_a_killed_run_leaves_no_batch_and_no_half_object(landing: Landing, tmp_path: Path) -> None:
    export = export_of(tmp_path / "drop", {f"{i}.ndjson": bytes([65 + i]) * 8_000_000 for i in range(8)})
    process = subprocess.Popen([sys.executable, "-c", _LAND, str(tmp_path / "drop"), str(tmp_path / "landing")])
    objects, batches = (tmp_path / "landing" / "noord" / name for name in ("objects", "batches"))
    deadline = time.monotonic() + 30
    while not list(objects.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
    assert list(batches.iterdir()) == []
    whole = [path for path in objects.iterdir() if not path.name.startswith("aside-")]
    assert all(path.stem == hashlib.sha256(path.read_bytes()).hexdigest() for path in whole)
    batch = landing.land(export, now=NOW)
    landing.purge(now=NOW, retention_days=90)
    assert {path.stem for path in objects.iterdir()} == {file.sha256 for file in batch.files}


def test_what_a_killed_mapping_left_goes_with_the_next_purge(landing: Landing, export: Export, tmp_path: Path) -> None:
    landing.land(export, now=NOW)
    leftover = tmp_path / "landing" / "noord" / "work-killed"
    leftover.mkdir()
    (leftover / "Patient.ndjson").write_text("999990019")
    landing.purge(now=NOW, retention_days=90)
    assert not leftover.exists()


def test_a_workspace_is_gone_afterwards_whatever_happens(landing: Landing) -> None:
    with pytest.raises(ZeroDivisionError), landing.workspace("noord") as work:
        (work / "x").write_text("x")
        raise ZeroDivisionError
    assert not work.exists()
