"""Whatever an export holds, the road from file to validated tables neither crashes nor loses a line."""

import gzip
import itertools
import json
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir_mutations import as_json, mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.chain import Chain
from pipelines.extract.exports import find_exports

NOW = datetime(2025, 1, 6, tzinfo=UTC)
LONGEST_SECONDS = 5
MEGABYTE = 1 << 20
DOCUMENTS = ("bundle", "bundles", "list")


def as_bundle(lines: list[str]) -> str:
    """A Bundle of resources that are JSON text."""
    entries = ",".join('{"resource":' + line + "}" for line in lines)
    return '{"resourceType":"Bundle","type":"collection","entry":[' + entries + "]}"


def written(folder: Path, resources: list[Any], form: str) -> int:
    """Write an export of one file; the number of lines or entries that it holds."""
    lines = [as_json(resource) for resource in resources]
    if form == "bundle":
        text = as_bundle(lines)
    elif form == "bundles":
        middle = (len(lines) + 1) // 2
        text = "[" + ",".join(as_bundle(part) for part in (lines[:middle], lines[middle:]) if part) + "]"
    elif form == "list":
        text = "[" + ",".join(lines) + "]"
    else:
        text = "\n".join(lines) + "\n"
    content = text.encode("utf-8", "surrogatepass")
    drop = folder / "noord"
    drop.mkdir(parents=True)
    if form == "gzip":
        (drop / "export.ndjson.gz").write_bytes(gzip.compress(content))
    else:
        (drop / ("export.json" if form in DOCUMENTS else "export.ndjson")).write_bytes(content)
    return len(lines)


@pytest.fixture(scope="module")
def chain(home: Path) -> Chain:
    """Made once, as in a run over many exports."""
    return Chain.at(home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all examples: what a batch leaves behind must not trouble the next."""
    return tmp_path_factory.mktemp("fuzz") / "home"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(
    resources=st.lists(mutated(), min_size=1, max_size=25),
    form=st.sampled_from(["lines", "gzip", *DOCUMENTS]),
)
def test_no_mutation_crashes_the_road_or_escapes_the_account(chain: Chain, resources: list[Any], form: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        count = written(Path(folder), resources, form)
        (export,) = find_exports(Path(folder))
        result = chain.process(export, now=NOW)
    assert result.accepted + result.quarantined + result.skipped == result.lines
    whole_file_refused = form in DOCUMENTS and result.lines == 1
    assert result.lines == count or whole_file_refused


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * MEGABYTE, id="brackets"),
        pytest.param(b'{"a":' * (MEGABYTE // 5), id="objects"),
        pytest.param(b'"' + b"\\" * MEGABYTE, id="escapes"),
        pytest.param(b"\n" * MEGABYTE, id="line-ends"),
        pytest.param(b"{}\n" * (MEGABYTE // 3), id="empty-objects"),
        pytest.param(b'{"resourceType":"Patient"}\n' * (MEGABYTE // 28), id="patients-without-id"),
        pytest.param(b"9" * MEGABYTE, id="digits"),
        pytest.param(b"\x1f\x8b" + b"\x00" * MEGABYTE, id="gzip-magic"),
        pytest.param(b"\xff\xfe" * (MEGABYTE // 2), id="utf-16"),
        pytest.param(gzip.compress(b"0" * (64 * MEGABYTE)), id="gzip-of-64-megabytes"),
        pytest.param(json.dumps({"resourceType": "Patient", "id": "a" * MEGABYTE}).encode(), id="long-id"),
        pytest.param(
            json.dumps({"resourceType": "Patient", "id": "a", "identifier": [{"system": "x"}] * 60_000}).encode(),
            id="many-identifiers",
        ),
    ],
)
def test_a_megabyte_of_anything_is_refused_or_read_in_time(tmp_path: Path, content: bytes) -> None:
    """The promise is about reading, mapping and checking; processor time, with room for a slow machine."""
    for number, name in enumerate(("export.ndjson", "export.json")):
        drop = tmp_path / str(number) / "noord"
        drop.mkdir(parents=True)
        (drop / name).write_bytes(content)
    chain = Chain.at(tmp_path / "home")
    for number in range(2):
        (export,) = find_exports(tmp_path / str(number))
        started = time.process_time()
        batch = chain.land(export, now=NOW)
        chain.map(batch)
        chain.validate(batch)
        assert time.process_time() - started < 2 * LONGEST_SECONDS, "it takes longer than an operator may expect"
        result = chain.load(batch)
        assert result.accepted + result.quarantined + result.skipped == result.lines
        assert result.accepted == 0 or b'"Patient"' in content


def test_a_fuzzed_home_still_gives_results(home: Path) -> None:
    """After all those batches the indicators can be computed."""
    if home.exists():
        Chain.at(home).evaluate(date(2025, 1, 6))


def test_the_seeds_themselves_are_read(tmp_path: Path) -> None:
    """Without mutations most seeds are accepted; otherwise the fuzzing would only ever see refusals."""
    from fhir_mutations import SEEDS

    written(tmp_path, list(itertools.chain(SEEDS)), "lines")
    (export,) = find_exports(tmp_path)
    assert Chain.at(tmp_path / "home").process(export, now=NOW).accepted >= len(SEEDS) - 3
