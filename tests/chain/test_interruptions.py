"""A run that is killed, runs twice at once, or meets a full disk: nothing half stays, and a rerun gives the same."""

import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.synthetic.export import synthesise

UITKOMST = Path(sys.executable).parent / "uitkomst"
KEY = "k" * 32


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupted") / "exports"
    synthesise(folder, hospitals=2, patients=30, seed=5, defect_share=0.02)
    return folder


@pytest.fixture(scope="module")
def undisturbed(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    home = tmp_path_factory.mktemp("undisturbed")
    finished = run(exports, home)
    assert finished.returncode == 0, finished.stderr
    for title in ("What came in", "Why it is in quarantine", "tands out", "Where it lies"):
        assert title in finished.stdout
    return outcome(home)


def command(exports: Path, home: Path) -> list[str]:
    return [str(UITKOMST), "run", str(exports), "--home", str(home), "--as-of", "2025-12-31"]


def environment() -> dict[str, str]:
    return {**os.environ, "UITKOMST_PSEUDONYM_KEY": KEY}


def run(exports: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(exports, home), env=environment(), capture_output=True, text=True, check=False)


def outcome(home: Path) -> dict[str, object]:
    """Everything a run leaves behind that others read."""
    with contextlib.closing(sqlite3.connect(home / "uitkomst.db")) as connection:

        def rows(sql: str) -> list[object]:
            return sorted(connection.execute(sql).fetchall(), key=repr)

        return {
            "results": rows(
                "SELECT institution, indicator, period, denominator, numerator, value FROM indicator_result"
            ),
            "patients": rows("SELECT institution, indicator, patient_key, index_key, status FROM outcome_patient"),
            "batches": rows("SELECT batch_id, lines, accepted, quarantined, skipped FROM batch"),
            "quarantine": rows("SELECT batch_id, source_file, source_line, rule_id FROM quarantine"),
            "deliveries": sorted(path.name for path in home.glob("deliveries/*/*/*")),
            "reports": sorted(path.name for path in home.glob("reports/*")),
        }


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param("landing/*/objects/*.ndjson", marks=pytest.mark.slow),
        "batches/*/*/mapped/*",
        "lake/zib_procedure/*/*",
        pytest.param("reports/*", marks=pytest.mark.slow),
    ],
)
def test_a_rerun_after_kill_9_gives_what_an_undisturbed_run_gives(
    sign: str, exports: Path, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command(exports, tmp_path), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(tmp_path.glob(sign)):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = run(exports, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert outcome(tmp_path) == undisturbed
    leftovers = [p.name for p in tmp_path.rglob("*") if p.name.startswith(("work-", "aside-", "spill-"))]
    assert leftovers == []


def test_a_second_run_in_the_same_home_waits_its_turn(exports: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = run(exports, tmp_path)
    assert finished.returncode == 75
    assert finished.stderr.startswith("HOME-BUSY: ")
    assert "Traceback" not in finished.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing_half(exports: Path, small_disk: Path) -> None:
    finished = run(exports, small_disk / "home")
    assert finished.returncode == 75, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith(("LANDING-FULL: ", "DISK-FULL: "))
    assert not list((small_disk / "home").rglob("aside-*"))
