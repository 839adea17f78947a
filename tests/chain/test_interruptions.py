"""A run that is killed, runs twice at once, or meets a full disk: nothing half stays, and a rerun gives the same."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from serving_databases import Databases, only_postgres

from pipelines.database.models import Base
from pipelines.database.session import open_database, transaction
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
    """What a run on SQLite leaves behind; a run on PostgreSQL must leave the same."""
    home = tmp_path_factory.mktemp("undisturbed")
    url = f"sqlite:///{home / 'uitkomst.db'}"
    finished = run(exports, home, url)
    assert finished.returncode == 0, finished.stderr
    for title in ("What came in", "Why it is in quarantine", "tands out", "Where it lies"):
        assert title in finished.stdout
    return outcome(home, url)


def command(exports: Path, home: Path) -> list[str]:
    return [str(UITKOMST), "run", str(exports), "--home", str(home), "--as-of", "2025-12-31"]


def start(exports: Path, home: Path, url: str) -> subprocess.Popen[str]:
    settings = {"UITKOMST_PSEUDONYM_KEY": KEY, "UITKOMST_DATABASE_URL": url}
    return subprocess.Popen(
        command(exports, home),
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(exports: Path, home: Path, url: str) -> subprocess.CompletedProcess[str]:
    return finish(start(exports, home, url))


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    stdout, stderr = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def outcome(home: Path, url: str) -> dict[str, object]:
    """Everything a run leaves behind that others read."""
    return {
        **serving_tables(url),
        "deliveries": sorted(path.name for path in home.glob("deliveries/*/*/*")),
        "reports": sorted(path.relative_to(home).as_posix() for path in home.glob("reports/**/*")),
    }


def serving_tables(url: str) -> dict[str, object]:
    """All rows of the serving tables, without their numbers, and without when and how often they were tried."""
    engine = open_database(url)
    found: dict[str, object] = {}
    tried = {"id", "landed_at", "first_seen", "created_at", "quarantine.state"}
    with transaction(engine) as connection:
        for table in Base.metadata.sorted_tables:
            columns = [c for c in table.columns if not {c.name, f"{table.name}.{c.name}"} & tried]
            found[table.name] = sorted(repr(tuple(row)) for row in connection.execute(sa.select(*columns)))
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("sign", "databases"),
    [
        pytest.param("landing/*/objects/*.ndjson", "sqlite", marks=pytest.mark.slow),
        ("batches/*/*/mapped/*", "sqlite"),
        ("lake/zib_procedure/*/*", "sqlite"),
        pytest.param("reports/*", "sqlite", marks=pytest.mark.slow),
        pytest.param("batches/*/*/mapped/*", "postgresql", marks=pytest.mark.slow),
        pytest.param("lake/zib_procedure/*/*", "postgresql", marks=pytest.mark.slow),
        pytest.param("reports/*", "postgresql", marks=pytest.mark.slow),
    ],
    indirect=["databases"],
)
def test_a_rerun_after_kill_9_gives_what_an_undisturbed_run_gives(
    sign: str, databases: Databases, exports: Path, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    url = databases.of(tmp_path)
    process = start(exports, tmp_path, url)
    while process.poll() is None and not list(tmp_path.glob(sign)):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    finish(process)
    finished = run(exports, tmp_path, url)
    assert finished.returncode == 0, finished.stderr
    assert outcome(tmp_path, url) == undisturbed
    leftovers = [p.name for p in tmp_path.rglob("*") if p.name.startswith(("work-", "aside-", "spill-"))]
    assert leftovers == []


@only_postgres
def test_a_run_that_loses_its_database_is_one_line_and_a_rerun_finishes(
    databases: Databases, exports: Path, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    url = databases.of(tmp_path)
    keeper = sa.create_engine(url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'outcome_patient'::regclass"
    with keeper.connect() as connection:  # the run waits for the lock, and is cut off while it waits
        connection.exec_driver_sql("LOCK TABLE outcome_patient IN ACCESS EXCLUSIVE MODE")
        process = start(exports, tmp_path, url)
        while process.poll() is None and not connection.exec_driver_sql(cut).fetchall():
            time.sleep(0.05)
    keeper.dispose()
    cut_off = finish(process)
    assert cut_off.returncode == 75, cut_off.stderr
    assert [line[:22] for line in cut_off.stderr.splitlines()] == ["DATABASE-UNREACHABLE: "]
    tables = serving_tables(url)
    assert (tables["outcome_patient"], tables["delivery"]) == ([], [])
    finished = run(exports, tmp_path, url)
    assert finished.returncode == 0, finished.stderr
    assert outcome(tmp_path, url) == undisturbed


@pytest.mark.slow
@only_postgres
def test_two_machines_that_run_the_same_exports_at_once_leave_what_one_leaves(
    databases: Databases, exports: Path, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    url = databases.of(tmp_path)
    both = [finish(process) for process in [start(exports, tmp_path / name, url) for name in ("one", "other")]]
    assert [process.returncode for process in both] == [0, 0], [process.stderr for process in both]
    assert serving_tables(url) == {name: undisturbed[name] for name in serving_tables(url)}


def test_a_second_run_in_the_same_home_waits_its_turn(exports: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = run(exports, tmp_path, f"sqlite:///{tmp_path / 'uitkomst.db'}")
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
    finished = run(exports, small_disk / "home", f"sqlite:///{small_disk / 'home' / 'uitkomst.db'}")
    assert finished.returncode == 75, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith(("LANDING-FULL: ", "DISK-FULL: "))
    assert not list((small_disk / "home").rglob("aside-*"))
