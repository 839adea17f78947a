"""Golden tables: a small export and, beside it, exactly the rows it must give; a table without a file gets no rows.

After a deliberate change of a mapping `python tests/zib/test_golden_tables.py` writes the expected rows anew: read the
diff before you commit it.
"""

import json
import tempfile
from pathlib import Path

import duckdb
import pytest

from pipelines.extract.exports import find_exports
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.zib.catalogue import load_catalogue
from pipelines.zib.mapping import map_export

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
CATALOGUE = load_catalogue(ROOT / "mappings")


def tables_of(case: Path) -> dict[str, list[str]]:
    """The rows of every table that gets any, as JSON lines in a fixed order."""
    (export,) = find_exports(case / "input")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        (out / "work").mkdir()
        report = map_export(
            export,
            out,
            catalogue=CATALOGUE,
            pseudonyms=Pseudonyms(b"golden" * 8, "golden"),
            work=out / "work",
            maximum_line_bytes=1 << 20,
        )
        connection = duckdb.connect()
        return {table: _rows(connection, out / f"{table}.parquet") for table, count in report.tables.items() if count}


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    rows = connection.execute(f"SELECT * FROM '{path}'").fetchall()
    names = [column[0] for column in connection.description]
    return sorted(json.dumps(dict(zip(names, row, strict=True)), default=str, ensure_ascii=False) for row in rows)


@pytest.mark.parametrize("case", sorted(GOLDEN.iterdir()), ids=lambda case: case.name)
def test_rows_are_as_expected(case: Path) -> None:
    expected = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in case.glob("expected/*.ndjson")}
    assert expected, "a golden case without rows proves nothing"
    found = tables_of(case)
    assert found.keys() == expected.keys()
    for table, rows in expected.items():
        assert found[table] == rows, table


if __name__ == "__main__":
    for folder in sorted(GOLDEN.iterdir()):
        (folder / "expected").mkdir(exist_ok=True)
        for stale in (folder / "expected").iterdir():
            stale.unlink()
        for name, lines in tables_of(folder).items():
            (folder / "expected" / f"{name}.ndjson").write_text(
                "".join(line + "\n" for line in lines), encoding="utf-8"
            )
