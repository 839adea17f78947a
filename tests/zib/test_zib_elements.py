"""`mappings/zib/2020/elements.csv`: every zib concept has columns or a reason, and every column has its place there."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from shared_material import shared
from zib_exports import MAPPINGS

TECHNICAL = {"resource_key", "patient_key"}
PROMS = {"prom_answer", "prom_observation", "prom_question"}
"""Tables of questionnaires, which are no zib."""


def rows() -> list[dict[str, str]]:
    with (MAPPINGS / "elements.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def columns() -> dict[str, set[str]]:
    """The columns of each table of a zib."""
    views = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in MAPPINGS.glob("*.json")}
    return {name: {c["name"] for c in _columns(view["select"])} for name, view in views.items() if name not in PROMS}


def _columns(selects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for select in selects:
        yield from select.get("column", [])
        yield from _columns(select.get("select", []))


def test_every_named_column_exists() -> None:
    known = columns()
    for row in rows():
        if row["table"]:
            assert set(row["columns"].split()) <= known[row["table"]], row["element"]


def test_every_column_is_named() -> None:
    named: dict[str, set[str]] = {}
    for row in rows():
        named.setdefault(row["table"], set()).update(row["columns"].split())
    for table, names in columns().items():
        assert names - named[table] - TECHNICAL == set(), table


def test_a_row_has_columns_or_a_reason_to_have_none() -> None:
    for row in rows():
        assert bool(row["columns"]) == bool(row["table"]) != bool(row["left_out"]), row["element"]


def test_no_element_is_named_twice() -> None:
    found = Counter((row["concept"], row["element"], row["table"]) for row in rows())
    assert [key for key, count in found.items() if count > 1] == []


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Any]:
    content = json.loads((shared("reference") / "zib2020_catalogue.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_every_concept_of_every_element_is_there(catalogue: dict[str, Any]) -> None:
    expected = {
        (concept["concept"], f"{profile['id']}#{element['element']}")
        for profile in catalogue["profiles"]
        for element in profile["elements"]
        for concept in element.get("zib") or []
    }
    assert len(expected) > 1000
    assert {(row["concept"], row["element"]) for row in rows() if row["concept"]} == expected


def test_every_zib_has_the_version_of_the_release(catalogue: dict[str, Any]) -> None:
    versions = {zib["zib"]: zib["version"] for zib in catalogue["zibs"]}
    for row in rows():
        assert row["zib"] == "" or versions[row["zib"]] == row["zib_version"]


def test_every_zib_of_the_bgz_has_a_table(catalogue: dict[str, Any]) -> None:
    mapped = {row["zib"] for row in rows() if row["table"]}
    wanted = {zib["zib"] for zib in catalogue["zibs"] if zib.get("bgz2020")}
    assert len(wanted) == 27
    assert wanted <= mapped
