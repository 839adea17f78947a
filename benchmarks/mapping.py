"""Speed and memory of `uitkomst view` and `uitkomst map` against hand-written DuckDB SQL, in the same run.

Whole processes take turns, baseline and ours. Ratios are of the medians.
Usage: python benchmarks/mapping.py [--rounds 5] [--memory]   (--memory adds 1.5 million resources)
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

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
        "map": (
            [python, hand, "map", str(source), str(out / "hand")],
            [uitkomst, "map", str(source), "--out", str(out / "mapped")],
        ),
        "map (plain keys by hand)": (
            [python, hand, "map-plain", str(source), str(out / "hand")],
            [uitkomst, "map", str(source), "--out", str(out / "mapped")],
        ),
    }


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
    print(f"{count:,} Observations".ljust(34) + "by hand   uitkomst   ratio   peak memory")
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
            f"uitkomst {name:<17}{baseline:>14.2f} s{ours:>9.2f} s{ours / baseline:>7.2f}x{peak:>10.0f} MB", flush=True
        )


if __name__ == "__main__":
    main()
