"""The resources in a file, and a flaw with a stable code for everything that is none."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.extract.records import Flaw, Record, read_records

A: dict[str, Any] = {"resourceType": "Patient", "id": "a"}
B: dict[str, Any] = {"resourceType": "Patient", "id": "b"}
LIMIT = 4096


def ndjson(*values: Any) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def bundle(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}


def found(path: Path, content: str | bytes, only: Sequence[int] | None = None) -> list[tuple[int | None, str]]:
    """What is read: the line with the id of a resource, or the code of a flaw (between brackets when skipped)."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    kept = None if only is None else frozenset(only)
    seen = []
    for item in read_records(path, maximum_line_bytes=LIMIT, only=kept):
        if isinstance(item, Record):
            seen.append((item.line, str(item.resource.get("id"))))
        else:
            seen.append((item.line, f"({item.rule_id})" if item.skipped else item.rule_id))
    return seen


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.ndjson"


@pytest.fixture
def json_file(tmp_path: Path) -> Path:
    return tmp_path / "x.json"


def test_lines_keep_their_numbers_past_blank_lines(file: Path) -> None:
    assert found(file, ndjson(A, "", "  ", B)) == [(1, "a"), (2, "(LINE-BLANK)"), (3, "(LINE-BLANK)"), (4, "b")]


def test_the_last_line_needs_no_line_end(file: Path) -> None:
    assert found(file, ndjson(A, B).rstrip()) == [(1, "a"), (2, "b")]


def test_windows_line_ends_and_a_byte_order_mark(file: Path) -> None:
    assert found(file, b"\xef\xbb\xbf" + ndjson(A, B).replace("\n", "\r\n").encode()) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("content", ["", "\n", " \r\n\t\n", "\ufeff", "\ufeff\n"])
def test_an_empty_file_is_skipped_by_name(file: Path, content: str) -> None:
    assert found(file, content) == [(None, "(FILE-EMPTY)")]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"resourceType":"Patient"', "LINE-NOT-JSON"),
        ('{"resourceType":"Patient","id":"c",}', "LINE-NOT-JSON"),
        ('{"resourceType":"Observation","valueQuantity":{"value":5,4}}', "LINE-NOT-JSON"),
        ('{"resourceType":"Observation","valueQuantity":{"value":NaN}}', "LINE-NOT-JSON"),
        ('{"resourceType":"Observation","valueQuantity":{"value":-Infinity}}', "LINE-NOT-JSON"),
        (json.dumps(A) + json.dumps(B), "LINE-NOT-JSON"),
        ("[" * 2000 + "]" * 2000, "LINE-NOT-JSON"),
        ('{"a":' + "1" * 4000 + "0" * 500 + "}", "LINE-TOO-LONG"),
        ("null", "RESOURCE-NOT-OBJECT"),
        ("5", "RESOURCE-NOT-OBJECT"),
        ('"Patient"', "RESOURCE-NOT-OBJECT"),
        ("[]", "RESOURCE-NOT-OBJECT"),
        ("{}", "RESOURCE-NO-TYPE"),
        ('{"resourceType":5}', "RESOURCE-NO-TYPE"),
        ('{"resourceType":["Patient"]}', "RESOURCE-NO-TYPE"),
        ('{"resourceType":null}', "RESOURCE-NO-TYPE"),
        (json.dumps(bundle({"resource": A})), "BUNDLE-IN-NDJSON"),
    ],
)
def test_a_flawed_line_is_named_and_reading_goes_on(file: Path, line: str, code: str) -> None:
    assert found(file, ndjson(A, line, B)) == [(1, "a"), (2, code), (3, "b")]
    assert found(file, ndjson(line, B)) == [(1, code), (2, "b")]


def test_bytes_that_are_no_utf8(file: Path) -> None:
    line = b'{"resourceType":"Patient","id":"\xe9"}\n'
    assert found(file, ndjson(A).encode() + line + ndjson(B).encode()) == [(1, "a"), (2, "LINE-NOT-UTF8"), (3, "b")]


def test_utf16_is_named_line_by_line(file: Path) -> None:
    assert {code for _, code in found(file, ndjson(A, B).encode("utf-16"))} <= {"LINE-NOT-UTF8", "LINE-NOT-JSON"}


def test_the_longest_line_allowed(file: Path) -> None:
    fits = json.dumps(A | {"x": "y" * (LIMIT - len(json.dumps(A | {"x": ""})))})
    assert len(fits) == LIMIT
    assert found(file, ndjson(fits, B)) == [(1, "a"), (2, "b")]
    assert found(file, ndjson(fits + " ", B)) == [(1, "LINE-TOO-LONG"), (2, "b")]
    assert found(file, ndjson(A) + " " * 3 * LIMIT) == [(1, "a"), (2, "LINE-TOO-LONG")]


def test_only_some_lines_can_be_asked_for_past_one_that_is_too_long(file: Path) -> None:
    assert found(file, ndjson(A, "x" * 3 * LIMIT, "broken", B), only=[2, 4]) == [(2, "LINE-TOO-LONG"), (4, "b")]


def test_gzip_is_known_by_its_bytes_not_its_name(file: Path) -> None:
    assert found(file, gzip.compress(ndjson(A, B).encode())) == [(1, "a"), (2, "b")]
    assert found(file.with_suffix(".gz"), ndjson(A, B)) == [(1, "a"), (2, "b")]


def test_a_gzip_cut_short_gives_what_came_before(file: Path) -> None:
    lines = ndjson(*({"resourceType": "Patient", "id": f"p{i:04}", "x": "0" * (i % 97)} for i in range(500)))
    whole = gzip.compress(lines.encode())
    read = found(file, whole[: len(whole) // 2])
    assert read[-1] == (None, "GZIP-DAMAGED")
    assert [code for _, code in read[:-1]] == [f"p{i:04}" for i in range(len(read) - 1)]
    assert found(file, whole[:12]) == [(None, "GZIP-DAMAGED")]


def test_a_gzip_with_damaged_bytes(file: Path) -> None:
    whole = bytearray(gzip.compress(ndjson(A, B).encode()))
    whole[len(whole) // 2] ^= 0xFF
    assert found(file, bytes(whole))[-1] == (None, "GZIP-DAMAGED")


@pytest.mark.parametrize("indent", [None, 2])
def test_a_bundle_gives_its_entries(json_file: Path, indent: int | None) -> None:
    content = json.dumps(bundle({"resource": A}, {"resource": B}), indent=indent)
    assert found(json_file, content) == [(1, "a"), (2, "b")]
    assert found(json_file.with_suffix(".ndjson"), content) == [(1, "a"), (2, "b")]
    assert found(json_file, gzip.compress(content.encode())) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_single_resource_and_a_list_of_resources(json_file: Path, indent: int | None) -> None:
    assert found(json_file, json.dumps(A, indent=indent)) == [(1, "a")]
    assert found(json_file, json.dumps([A, B], indent=indent)) == [(1, "a"), (2, "b")]


def test_entries_are_counted_on_through_a_list_of_bundles(json_file: Path) -> None:
    bundles = [bundle({"resource": A}, {"resource": None}), bundle(), B, bundle({"resource": B}), 5]
    assert found(json_file, json.dumps(bundles)) == [
        (1, "a"),
        (2, "BUNDLE-ENTRY-EMPTY"),
        (None, "(BUNDLE-EMPTY)"),
        (3, "b"),
        (4, "b"),
        (5, "RESOURCE-NOT-OBJECT"),
    ]


def test_a_document_that_breaks_off(json_file: Path) -> None:
    assert found(json_file, json.dumps(bundle({"resource": A}))[:-4]) == [(None, "FILE-NOT-JSON")]
    assert found(json_file, json.dumps(A, indent=2)[:-1]) == [(None, "FILE-NOT-JSON")]
    assert found(json_file, b'{\n"resourceType":"Patient","id":"\xe9"}') == [(None, "FILE-NOT-UTF8")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (None, [(None, "(BUNDLE-EMPTY)")]),
        ([], [(None, "(BUNDLE-EMPTY)")]),
        ({"resource": A}, [(None, "VALUE-WRONG-TYPE")]),
        ({}, [(None, "VALUE-WRONG-TYPE")]),
        ("x", [(None, "VALUE-WRONG-TYPE")]),
        ([None, {"resource": A}], [(1, "BUNDLE-ENTRY-EMPTY"), (2, "a")]),
        ([{"resource": None}, 5, {}, {"resource": A}], [(i, "BUNDLE-ENTRY-EMPTY") for i in (1, 2, 3)] + [(4, "a")]),
        ([{"resource": []}, {"resource": A}], [(1, "RESOURCE-NOT-OBJECT"), (2, "a")]),
    ],
)
def test_a_bundle_without_proper_entries(json_file: Path, entry: Any, expected: list[Any]) -> None:
    assert found(json_file, json.dumps({"resourceType": "Bundle", "entry": entry})) == expected


def test_a_bundle_without_the_element_entry(json_file: Path) -> None:
    assert found(json_file, '{"resourceType":"Bundle"}') == [(None, "(BUNDLE-EMPTY)")]


def test_references_by_urn_are_resolved_within_the_bundle(json_file: Path) -> None:
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "subject": {"reference": urn},
        "hasMember": [{"reference": urn}, {"reference": "urn:uuid:elsewhere"}, {"reference": 5}],
    }
    patient = {"resourceType": "Patient"}
    json_file.write_text(json.dumps(bundle({"resource": observation}, {"fullUrl": urn, "resource": patient})))
    first, second = (r for r in read_records(json_file, maximum_line_bytes=LIMIT) if isinstance(r, Record))
    assert second.resource["id"] == "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    assert first.resource["subject"] == {"reference": f"Patient/{second.resource['id']}"}
    assert [r["reference"] for r in first.resource["hasMember"]] == [
        f"Patient/{second.resource['id']}",
        "urn:uuid:elsewhere",
        5,
    ]


def test_a_reason_never_quotes_the_input(file: Path) -> None:
    file.write_text(ndjson('{"id":"999990019"', '{"id":"999990019"}', '["999990019"]'))
    flaws = [r for r in read_records(file, maximum_line_bytes=LIMIT) if isinstance(r, Flaw)]
    assert len(flaws) == 3
    assert not any("999990019" in flaw.reason for flaw in flaws)


def test_an_empty_list_is_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "export.ndjson"
    path.write_text("[]\n", encoding="utf-8")
    (flaw,) = read_records(path, maximum_line_bytes=1 << 20)
    assert isinstance(flaw, Flaw)
    assert (flaw.line, flaw.rule_id, flaw.skipped) == (None, "FILE-EMPTY", True)
