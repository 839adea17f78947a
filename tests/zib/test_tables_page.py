"""`docs/tables.md` lists the columns of the views. After a change: `python tests/zib/test_tables_page.py`."""

from pathlib import Path

from pipelines.zib.catalogue import ZibTable, load_catalogue

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tables.md"
START = "| table | columns after the common ones |\n|---|---|\n"
COMMON = {"resource_key", "patient_key"}


def page_with_columns(page: str) -> str:
    """The page with the columns of every table as the views have them."""
    before, rest = page.split(START, 1)
    after = rest.partition("\n\n")[2]
    lines = (f"| `{table.name}` | {_columns(table)} |\n" for table in load_catalogue(ROOT / "mappings").tables)
    return f"{before}{START}{''.join(lines)}\n{after}"


def _columns(table: ZibTable) -> str:
    columns = [column for column in table.view.outputs if column.name not in COMMON]
    return ", ".join(f"`{c.name}`" + ("" if _is_told_by_its_name(c.name, c.type) else f" ({c.type})") for c in columns)


def _is_told_by_its_name(name: str, type_: str) -> bool:
    return type_ == "VARCHAR" or (name.endswith("_date") and type_ == "DATE") or name.endswith("_at")


def test_the_page_lists_the_columns_of_every_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_columns(page)


if __name__ == "__main__":
    PAGE.write_text(page_with_columns(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
