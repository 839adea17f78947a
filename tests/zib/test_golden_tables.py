"""Golden tables: a small export and, beside it, exactly the rows it must give.

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
TABLES = [table.name for table in CATALOGUE.tables]


def tables_of(case: Path) -> dict[str, list[str]]:
    """The rows of every table as JSON lines, in order of file and line."""
    (export,) = find_exports(case / "input")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        (out / "work").mkdir()
        map_export(
            export,
            out,
            catalogue=CATALOGUE,
            pseudonyms=Pseudonyms(b"golden" * 8, "golden"),
            work=out / "work",
            maximum_line_bytes=1 << 20,
        )
        connection = duckdb.connect()
        return {table: _rows(connection, out / f"{table}.parquet") for table in TABLES}


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    rows = connection.execute(f"SELECT * FROM '{path}'").fetchall()
    names = [column[0] for column in connection.description]
    return sorted(json.dumps(dict(zip(names, row, strict=True)), default=str, ensure_ascii=False) for row in rows)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("case", sorted(GOLDEN.iterdir()), ids=lambda case: case.name)
def test_rows_are_as_expected(case: Path, table: str) -> None:
    expected = (case / "expected" / f"{table}.ndjson").read_text(encoding="utf-8").splitlines()
    assert expected, "a golden case without rows proves nothing"
    assert tables_of(case)[table] == expected


if __name__ == "__main__":
    for folder in sorted(GOLDEN.iterdir()):
        for name, lines in tables_of(folder).items():
            (folder / "expected" / f"{name}.ndjson").write_text(
                "".join(line + "\n" for line in lines), encoding="utf-8"
            )
