"""Bytes that no hospital would send, found by following the code they reach: no crash and no hang."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fhir_mutations import SEEDS

pytest.importorskip("atheris", reason="atheris has no wheel for this platform")

TARGET = Path(__file__).with_name("fuzz_bytes.py")
RUNS = os.environ.get("UITKOMST_FUZZ_RUNS", "60")
LONGEST_SECONDS = 5


def corpus(folder: Path) -> Path:
    """Sound files of every form, for the fuzzer to start from."""
    lines = "".join(json.dumps(seed) + "\n" for seed in SEEDS).encode()
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": seed} for seed in SEEDS]}
    files = (
        b"\x00" + lines,
        b"\x01" + json.dumps(bundle).encode(),
        b"\x01" + json.dumps(SEEDS, indent=1).encode(),
        b"\x02" + gzip.compress(lines, mtime=0),
        b"\x00" + b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"),
        b"\x03patient;datum\r\n1;01-05-2024\r\n",
        b"\x00" + b"[" * 200_000,
    )
    folder.mkdir()
    for number, content in enumerate(files):
        (folder / f"seed-{number}").write_bytes(content)
    return folder


def test_no_bytes_crash_or_hang_the_road(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(TARGET), f"-runs={RUNS}", f"-timeout={LONGEST_SECONDS}", "-max_len=1048576"),
        *("-seed=7", f"-artifact_prefix={tmp_path}/", str(corpus(tmp_path / "corpus"))),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TARGET.parents[2])
    # Only the last lines: they name the error; the inputs are made up.
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert f"Done {RUNS} runs" in finished.stderr
