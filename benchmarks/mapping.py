"""Speed and memory of `uitkomst view` and `uitkomst map` against hand-written DuckDB SQL, in the same run.

`map` is compared with SQL that fills the five zib tables narrowly (the columns an indicator needs), and with SQL that
writes the same columns and values as ours; that those are the same is checked first. Whole processes take turns,
baseline and ours. Ratios are of the medians.
Usage: python benchmarks/mapping.py [--rounds 5] [--memory]   (--memory adds 1.5 million resources)
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import same_output
from handwritten_full import SECRET
from observations import write_observations

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
VIEW = ROOT / "mappings/zib/2020/zib_laboratory_test_result.json"


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command to its end; wall-clock seconds and peak resident memory in MB."""
    started = time.perf_counter()
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def commands(source: Path, out: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Per command: the baseline and ours."""
    python, hand = sys.executable, str(ROOT / "benchmarks/handwritten.py")
    uitkomst = str(BIN / "uitkomst")
    return {
        "view": (
            [python, hand, "view", str(source), str(out / "hand.parquet")],
            [uitkomst, "view", str(VIEW), str(source), "--out", str(out / "view.parquet")],
        ),
        "map, narrow by hand": (
            [python, hand, "map", str(source), str(out / "hand")],
            [uitkomst, "map", str(source), "--out", str(out / "mapped")],
        ),
        "map, equal output": (
            [python, hand, "map-full", str(source), str(out / "hand-full")],
            [uitkomst, "map", str(source), "--out", str(out / "mapped")],
        ),
        "map, narrow, plain keys": (
            [python, hand, "map-plain", str(source), str(out / "hand")],
            [uitkomst, "map", str(source), "--out", str(out / "mapped")],
        ),
    }


def check_equal_output(source: Path, work: Path) -> None:
    """Map `source` by hand and with `uitkomst map` under one key; end the process where any row differs."""
    hand, ours = commands(source, work)["map, equal output"]
    for command in (hand, ours):
        secret = os.environ | {"UITKOMST_PSEUDONYM_KEY": SECRET}
        subprocess.run(command, env=secret, check=True, capture_output=True)
    rows = same_output.check(work / "hand-full", work / "mapped")
    print(f"equal output: {rows:,} rows by hand and of `uitkomst map` are the same in all columns", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="uitkomst-bench-"))
    try:
        compare(work, 300_000, options.rounds)
        if options.memory:
            compare(work, 1_500_000, 1)
    finally:
        shutil.rmtree(work)


def compare(work: Path, count: int, rounds: int) -> None:
    """Print a row per command: median seconds of baseline and ours, their ratio, and our peak memory."""
    source = work / "Observation.ndjson"
    write_observations(source, count)
    check_equal_output(source, work)
    print(f"{count:,} Observations".ljust(35) + "by hand   uitkomst   ratio   peak memory")
    for name, pair in commands(source, work).items():
        figures: tuple[list[float], list[float]] = ([], [])
        peak = 0.0
        for number in range(rounds + 1):
            for side, command in enumerate(pair):
                seconds, megabytes = measure(command)
                if number:  # the first round warms the disk cache
                    figures[side].append(seconds)
                    peak = max(peak, megabytes * side)
        baseline, ours = (statistics.median(side) for side in figures)
        print(
            f"uitkomst {name:<25}{baseline:>7.2f} s{ours:>9.2f} s{ours / baseline:>7.2f}x{peak:>10.0f} MB", flush=True
        )


if __name__ == "__main__":
    main()
