"""Extract, map, validate and lake write of an export against hand-written DuckDB SQL that only maps it.

The SQL by hand fills five zib tables, narrowly (the columns an indicator needs) and with all columns and values of
ours. Whole processes take turns; the ratio is that of the medians, and of the parts the last round is shown. The export
holds 300,000 Observations and their patients; nothing in it is wrong, so every row is judged and stored.
Usage: python benchmarks/road.py [--rounds 5] [--count 300000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapping import ROOT, check_equal_output, measure
from observations import write_observations

PATIENTS = 6000
STEPS = ("land", "map", "validate", "load")


def write_export(folder: Path, count: int) -> None:
    """One hospital's export: Observations and the patients they are about."""
    folder.mkdir(parents=True)
    write_observations(folder / "Observation.ndjson", count, PATIENTS)
    with (folder / "Patient.ndjson").open("w", encoding="utf-8") as file:
        for number in range(PATIENTS):
            born = f"{1930 + number % 60}-{number % 12 + 1:02}-15"
            patient = {
                "resourceType": "Patient",
                "id": f"patient-{number}",
                "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Patient"]},
                "gender": ("female", "male")[number % 2],
                "birthDate": born,
            }
            file.write(json.dumps(patient) + "\n")


def process(exports: Path, home: Path) -> None:
    """The road itself, as `uitkomst run` takes it from its start to its end; prints the seconds of each step."""
    started = time.perf_counter()
    from pipelines.process import begin, leave

    begin()
    from pipelines.chain import Chain
    from pipelines.extract.exports import find_exports

    chain, seconds = Chain.at(home), {}
    (export,) = find_exports(exports)
    seconds["start"] = time.perf_counter() - started

    def timed(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            before = time.perf_counter()
            result = step(*arguments, **options)
            seconds[name] = time.perf_counter() - before
            return result

        return run

    for name in STEPS:
        setattr(chain, name, timed(name, getattr(chain, name)))
    result = chain.process(export, now=datetime(2026, 1, 5, tzinfo=UTC))
    assert result.quarantined == 0, "the export has no defect"
    print(json.dumps({"lines": result.lines, "accepted": result.accepted, **seconds}))
    leave()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=300_000)
    parser.add_argument("--process", nargs=2, type=Path, metavar=("EXPORTS", "HOME"))
    options = parser.parse_args()
    if options.process:
        process(*options.process)
        return
    work = Path(tempfile.mkdtemp(prefix="uitkomst-bench-"))
    try:
        compare(work, options.count, options.rounds)
    finally:
        shutil.rmtree(work)


def compare(work: Path, count: int, rounds: int) -> None:
    """Print medians of baseline and road, their ratio, peak memory, and where the time of the road goes."""
    write_export(work / "exports" / "noord", count)
    source, home = work / "exports" / "noord" / "Observation.ndjson", work / "home"
    check_equal_output(source, work)
    script = str(ROOT / "benchmarks/handwritten.py")
    narrow, equal = ([sys.executable, script, mode, str(source), str(work / mode)] for mode in ("map", "map-full"))
    road = [sys.executable, __file__, "--process", str(work / "exports"), str(home)]
    figures: tuple[list[float], list[float], list[float]] = ([], [], [])
    peak = 0.0
    for number in range(rounds + 1):
        for side, command in enumerate((narrow, equal, road)):
            shutil.rmtree(home, ignore_errors=True)
            seconds, megabytes = measure(command)
            if number:  # the first round warms the disk cache
                figures[side].append(seconds)
                peak = max(peak, megabytes * (command is road))
    *baselines, ours = (statistics.median(side) for side in figures)
    print(f"{count:,} Observations, {PATIENTS:,} patients; the road: extract, map, validate, lake")
    for baseline, what in zip(baselines, ("mapped narrowly", "mapped with equal output"), strict=True):
        print(f"by hand, {what:<28}{baseline:>7.2f} s   road{ours:>7.2f} s   ratio{ours / baseline:>6.2f}x")
    print(f"peak memory of the road {peak:.0f} MB")
    shutil.rmtree(home)
    parts = json.loads(subprocess.run(road, capture_output=True, text=True, check=True).stdout)
    shown = ", ".join(f"{name} {parts[name]:.1f} s" for name in ("start", *STEPS))
    print(f"of which: {shown}")


if __name__ == "__main__":
    main()
