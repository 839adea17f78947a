"""Speed and memory of `uitkomst view` and `uitkomst map` against hand-written DuckDB SQL, in the same run.

Whole processes take turns: baseline, view, map, baseline, ... Ratios are of the medians.
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
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def commands(source: Path, out: Path) -> dict[str, list[str]]:
    return {
        "hand-written SQL": [sys.executable, str(ROOT / "benchmarks/handwritten.py"), str(source), str(out / "hand.parquet")],
        "uitkomst view": [str(BIN / "uitkomst"), "view", str(VIEW), str(source), "--out", str(out / "view.parquet")],
        "uitkomst map": [str(BIN / "uitkomst"), "map", str(source), "--out", str(out / "mapped")],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="uitkomst-bench-"))
    try:
        source = work / "Observation.ndjson"
        write_observations(source, 300_000)
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands(source, work)}
        for number in range(options.rounds + 1):
            for name, command in commands(source, work).items():
                figure = measure(command)
                if number:  # the first round warms the disk cache
                    figures[name].append(figure)
        report("300,000 Observations", figures)
        if options.memory:
            write_observations(source, 1_500_000)
            report("1,500,000 Observations", {name: [measure(command)] for name, command in commands(source, work).items()})
    finally:
        shutil.rmtree(work)


def report(title: str, figures: dict[str, list[tuple[float, float]]]) -> None:
    baseline = statistics.median(seconds for seconds, _ in figures["hand-written SQL"])
    print(f"{title:<24}{'seconds':>9}{'ratio':>8}{'peak MB':>9}")
    for name, runs in figures.items():
        seconds = statistics.median(s for s, _ in runs)
        print(f"{name:<24}{seconds:>9.2f}{seconds / baseline:>7.2f}x{max(mb for _, mb in runs):>9.0f}")


if __name__ == "__main__":
    main()
