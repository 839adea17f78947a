"""The lake: current rows, reruns that replace, empty batches, and columns that came later."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipelines.errors import TransientError
from pipelines.lake import tables
from pipelines.lake.tables import Lake
from pipelines.zib.codings import CODING_SCHEMA

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
ROWS = pa.schema({"institution": pa.string(), "resource_key": pa.string(), "value": pa.int64()})


def rows(*pairs: tuple[str, int], institution: str = "noord") -> pa.Table:
    return pa.Table.from_pylist([{"institution": institution, "resource_key": k, "value": v} for k, v in pairs], ROWS)


def current(lake: Lake, table: str, columns: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect()
    lake.attach(connection, [table])
    return connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_the_newest_batch_of_a_resource_counts(lake: Lake) -> None:
    lake.append("t", rows(("a", 1), ("b", 1)), institution="noord", batch_id="x", landed_at=OLD)
    lake.append("t", rows(("a", 2)), institution="noord", batch_id="y", landed_at=NEW)
    assert current(lake, "t", "resource_key, value") == [("a", 2), ("b", 1)]


def test_a_table_without_rows_exists_with_its_columns(lake: Lake) -> None:
    lake.append("t", rows(), institution="noord", batch_id="x", landed_at=OLD)
    assert current(lake, "t", "institution, resource_key, value") == []


def test_a_rerun_with_fewer_rows_or_none_removes_the_earlier_ones(lake: Lake, tmp_path: Path) -> None:
    lake.append("t", rows(("a", 1), ("b", 1)), institution="noord", batch_id="x", landed_at=OLD)
    lake.append("t", rows(("c", 1), institution="zuid"), institution="zuid", batch_id="x", landed_at=OLD)
    lake.append("t", rows(("a", 1)), institution="noord", batch_id="x", landed_at=OLD)
    assert current(lake, "t", "resource_key") == [("a",), ("c",)]
    lake.append("t", rows(), institution="noord", batch_id="x", landed_at=OLD)
    assert current(lake, "t", "resource_key") == [("c",)]


def test_an_empty_batch_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    lake.append("t", rows(("a", 1)), institution="noord", batch_id="x", landed_at=OLD)
    before = DeltaTable(str(tmp_path / "t")).version()
    lake.append("t", rows(), institution="noord", batch_id="y", landed_at=NEW)
    lake.append("t", rows(), institution="zuid", batch_id="x", landed_at=NEW)
    assert DeltaTable(str(tmp_path / "t")).version() == before


def test_a_column_that_came_later_is_null_in_earlier_rows(lake: Lake) -> None:
    lake.append("t", rows(("a", 1)), institution="noord", batch_id="x", landed_at=OLD)
    wider = rows(("b", 2)).append_column("unit", pa.array(["kg"]))
    lake.append("t", wider, institution="noord", batch_id="y", landed_at=NEW)
    assert current(lake, "t", "resource_key, value, unit") == [("a", 1, None), ("b", 2, "kg")]


def test_codings_are_once_per_institution_and_list_as_the_newest_batch_has_them(lake: Lake) -> None:
    def codings(institution: str, *positions: int) -> pa.Table:
        each = [{"institution": institution, "codings_id": "i", "position": p, "code": str(p)} for p in positions]
        return pa.Table.from_pylist(each, CODING_SCHEMA)

    lake.append("zib_coding", codings("noord", 0, 1, 2), institution="noord", batch_id="x", landed_at=OLD)
    lake.append("zib_coding", codings("zuid", 0), institution="zuid", batch_id="x", landed_at=OLD)
    lake.append("zib_coding", codings("noord", 0, 1), institution="noord", batch_id="y", landed_at=NEW)
    assert current(lake, "zib_coding", "institution, position") == [("noord", 0), ("noord", 1), ("zuid", 0)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device"), "DISK-FULL"),
        (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), "DISK-FULL"),
        (DeltaError("Generic error: No space left on device (os error 28)"), "DISK-FULL"),
        (OSError(13, "Permission denied"), "LAKE-WRITE"),
    ],
)
def test_a_full_disk_is_told_from_other_failures(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tables, "write_deltalake", refuse)
    with pytest.raises(TransientError) as failure:
        lake.append("t", rows(("a", 1)), institution="noord", batch_id="x", landed_at=OLD)
    assert failure.value.code == code


def test_a_disk_that_fills_up_while_writing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        many = rows(*((f"{number * 7919:x}", number * 104729) for number in range(50_000)))
        with pytest.raises(TransientError) as failure:
            Lake(disk).append("t", many, institution="noord", batch_id="x", landed_at=OLD)
        assert failure.value.code == "DISK-FULL"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
