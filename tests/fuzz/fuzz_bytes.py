"""Coverage-guided fuzzing of the road from bytes to validated tables; run by `test_fuzz_bytes.py` or by hand.

    python tests/fuzz/fuzz_bytes.py -runs=100000 -timeout=5 -max_len=1048576 CORPUS

The first byte of an input chooses the file name, the rest is the file. A crash, or an input that takes longer
than the time-out, ends the run with a non-zero exit code and leaves the input in `-artifact_prefix`.
"""

import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import atheris
from fhir_mutations import SEEDS

with atheris.instrument_imports(include=["pipelines.extract", "pipelines.zib"]):
    from pipelines.chain import Chain
    from pipelines.extract.exports import find_exports

NAMES = ("export.ndjson", "export.json", "export.ndjson.gz", "export.csv")
NOW = datetime(2025, 1, 6, tzinfo=UTC)
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
CHAIN = Chain.at(FOLDER / "home")


def test_one_input(data: bytes) -> None:
    """Land, map and validate one file; every line of it must be accounted for."""
    drop = FOLDER / "drop" / "noord"
    shutil.rmtree(drop, ignore_errors=True)
    drop.mkdir(parents=True)
    (drop / NAMES[data[0] % len(NAMES) if data else 0]).write_bytes(data[1:])
    (export,) = find_exports(drop.parent)
    batch = CHAIN.land(export, now=NOW)
    CHAIN.map(batch)
    folder = FOLDER / "home" / "batches" / "noord" / batch.batch_id
    totals = json.loads((folder / "mapped" / "report.json").read_bytes())["totals"]
    assert totals["accepted"] + totals["quarantined"] + totals["skipped"] == totals["lines"]
    CHAIN.validate(batch)
    rows = [json.loads(line) for line in (folder / "quarantine.ndjson").read_text(encoding="utf-8").splitlines()]
    late = {(row["source_file"], row["source_line"]) for row in rows if row["step"] == "validate"}
    assert len(late) <= totals["accepted"]
    for kind in ("batches", "landing"):
        shutil.rmtree(FOLDER / "home" / kind)


def main() -> None:
    # What is imported once per worker is no part of the time that a file takes.
    test_one_input(b"\x00" + "".join(json.dumps(seed) + "\n" for seed in SEEDS).encode())
    atheris.Setup(sys.argv, test_one_input)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
