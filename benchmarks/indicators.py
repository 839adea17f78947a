"""All indicators of all outcome sets, for 50,000 and 500,000 patients, against a CQL engine.

The baseline is a published-by-measurement figure, not run here: fqm-execution takes 14 ms per patient for its simplest
measure (20 to 32 ms for EXM130) on a machine like this. Each size is a process of its own, with its peak memory.
Usage: python benchmarks/indicators.py [--patients 50000 500000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from indicator_rows import make_rows

from pipelines.indicators.definitions import OutcomeSet, load_outcome_sets
from pipelines.indicators.measures import measure
from pipelines.indicators.results import summarise
from pipelines.indicators.table_roles import TableRoles, load_table_roles
from pipelines.proms.instruments import load_instruments

CQL_MILLISECONDS = 14.0
_MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
_AS_OF = date(2025, 12, 31)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.database:
        print(json.dumps(_evaluated(options.database)))
        return
    seconds = [_run(patients) / patients for patients in options.patients]
    if len(seconds) > 1:
        print(f"time per patient, largest against smallest size: {seconds[-1] / seconds[0]:.2f}x (1 is linear)")


def _run(patients: int) -> float:
    sets, roles = _definitions()
    with tempfile.TemporaryDirectory(prefix="uitkomst-bench-") as folder:
        database = Path(folder) / "zib.duckdb"
        with duckdb.connect(database) as connection:
            connection.execute("SET memory_limit = '3GB'")
            rows = make_rows(connection, sets, roles, patients)
        command = [sys.executable, __file__, "--database", str(database)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    total, indicators = found["seconds"], sum(len(each.indicators) for each in sets)
    each = total / (patients * indicators)
    print(f"{patients:,} patients, {rows:,} zib rows, {len(sets)} sets, {indicators} indicators: {total:.1f} s")
    print(f"  per patient and indicator {each * 1e6:.2f} us: {CQL_MILLISECONDS / 1e3 / each:,.0f}x as fast as 14 ms")
    cases = found["cases"]
    print(f"  per case ({cases:,} rows of outcome_patient) {total / cases * 1e6:.1f} us:"
          f" {CQL_MILLISECONDS / 1e3 / (total / cases):,.0f}x")  # fmt: skip
    print(f"  peak memory {found['peak_mb']:,.0f} MB")
    for name, (measuring, results) in found["sets"].items():
        print(f"  {name:<24} cases {measuring:6.1f} s   results {results:6.1f} s")
    return float(total)


def _evaluated(database: Path) -> dict[str, Any]:
    sets, roles = _definitions()
    connection = duckdb.connect(database)
    connection.execute("SET memory_limit = '3GB'")
    profile, cases = {}, 0
    started = time.perf_counter()
    for outcome_set in sets:
        before = time.perf_counter()
        measure(connection, outcome_set, roles, _AS_OF)
        measured = time.perf_counter()
        summarise(connection, outcome_set, _AS_OF)
        profile[outcome_set.id] = (measured - before, time.perf_counter() - measured)
        cases += connection.execute("SELECT count(*) FROM outcome_patient").fetchall()[0][0]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "sets": profile, "cases": cases, "peak_mb": peak}


def _definitions() -> tuple[tuple[OutcomeSet, ...], dict[str, TableRoles]]:
    roles = load_table_roles(_MAPPINGS / "table_roles.yaml")
    return load_outcome_sets(_MAPPINGS, load_instruments(_MAPPINGS / "proms"), roles), roles


if __name__ == "__main__":
    main()
