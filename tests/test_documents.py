"""The documents say what the code does: every code is explained, every link leads somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTRUMENTS = {"EQ-5D-5L", "HOOS-PS", "KOOS-PS"}
CODE = re.compile(r'"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)"')


def test_every_error_and_quarantine_code_is_explained() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    used = {
        code for path in (ROOT / "pipelines").rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))
    }
    assert len(used) > 50
    assert sorted(code for code in used - INSTRUMENTS if f"`{code}`" not in page) == []


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("mappings/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_zib_table_has_a_suite_and_a_place_in_the_documents() -> None:
    tables = {path.stem for path in (ROOT / "mappings" / "zib" / "2020").glob("*.json")}
    suites = {path.stem for path in (ROOT / "expectations").glob("*.yaml")} - {"cross_table", "thresholds"}
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert tables == suites
    assert sorted(table for table in tables if f"`{table}`" not in page) == []
