"""Speed of `uitkomst map` on a CSV extract against DuckDB SQL as one would write it by hand, in the same run.

By hand: read_csv with dates and decimal commas, the columns of the laboratory table, pseudonyms for the two keys,
Parquet; no check of a line, no quarantine, no file and line, no codings. Whole processes take turns; medians.
Usage: python benchmarks/csv_extracts.py [--rounds 5] [--rows 300000]
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import duckdb
from handwritten import PSEUDONYM
from mapping import BIN, measure

HEADER = (
    "Monsternummer;Patientnummer;Bepaling;Bepaling omschrijving;Status;Uitslag;Eenheid;Afnamemoment;"
    "Referentie laag;Referentie hoog;Opmerking"
)
BY_HAND = """
SELECT {resource} AS resource_key, {patient} AS patient_key,
    CASE Status WHEN 'D' THEN 'final' WHEN 'V' THEN 'preliminary' END AS status, Bepaling AS test_code,
    'urn:uitkomststroom:example:hix:bepaling' AS test_system, "Bepaling omschrijving" AS test_display,
    CAST(replace(regexp_replace(Uitslag, '^[<>]=?', ''), ',', '.') AS DOUBLE) AS value,
    regexp_extract(Uitslag, '^[<>]=?') AS value_comparator, Eenheid AS value_unit, Eenheid AS value_ucum_code,
    strptime(Afnamemoment, '%d-%m-%Y %H:%M') AS effective_at,
    strftime(strptime(Afnamemoment, '%d-%m-%Y %H:%M'), '%Y-%m-%dT%H:%M:%S') AS effective_text,
    CAST(replace("Referentie laag", ',', '.') AS DOUBLE) AS reference_low,
    CAST(replace("Referentie hoog", ',', '.') AS DOUBLE) AS reference_high
FROM read_csv('{source}', delim = ';', header = true, all_varchar = true)"""


def write_extract(path: Path, rows: int) -> None:
    """A laboratory extract as `mappings/csv/hix.yaml` reads it."""
    chance = random.Random(1)
    tests = [(f"B{n:03}", f"Bepaling nummer {n}") for n in range(200)]
    with path.open("w", encoding="utf-8-sig") as file:
        file.write(HEADER + "\n")
        for number in range(rows):
            code, name = chance.choice(tests)
            day, month, hour = chance.randint(1, 28), chance.randint(1, 12), chance.randint(0, 23)
            value = f"{chance.choice(['', '', '', '<'])}{chance.uniform(0, 200):.2f}".replace(".", ",")
            remark = '"nuchter; herhaald"' if number % 50 == 0 else ""
            file.write(
                f"M{number};P{chance.randint(0, rows // 20)};{code};{name};D;{value};umol/L;"
                f"{day:02}-{month:02}-2024 {hour:02}:30;1,5;99,5;{remark}\n"
            )


def by_hand(source: str, target: str) -> None:
    """The baseline."""
    with duckdb.connect() as connection:
        resource = PSEUDONYM.format(text="'Observation/' || Monsternummer || '-' || Bepaling")
        patient = PSEUDONYM.format(text="'Patient/' || Patientnummer")
        query = BY_HAND.format(source=source, resource=resource, patient=patient)
        connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--hand", nargs=2, metavar=("SOURCE", "TARGET"))
    options = parser.parse_args()
    if options.hand:
        by_hand(*options.hand)
        return
    work = Path(tempfile.mkdtemp(prefix="uitkomst-bench-"))
    try:
        source = work / "lab.csv"
        write_extract(source, options.rows)
        hand = [sys.executable, __file__, "--hand", str(source), str(work / "hand.parquet")]
        ours = [str(BIN / "uitkomst"), "map", str(source), "--out", str(work / "mapped")]
        times = [(measure(hand), measure(ours)) for _ in range(options.rounds)]
        slow, fast = (statistics.median(t[side][0] for t in times) for side in (1, 0))
        peak = max(t[1][1] for t in times)
        print(
            f"{options.rows:,} lines of CSV: by hand {fast:.2f} s, uitkomst map {slow:.2f} s, ratio {slow / fast:.2f},"
        )
        print(f"peak memory {peak:.0f} MB")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
