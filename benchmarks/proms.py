"""Scoring 1,000,000 responses of three questionnaires, against a straightforward pandas version of the same rules.

    python benchmarks/proms.py [RESPONSES]

Both get the same answers (3% missing, 0.1% not allowed) as columns of numbers, and give per score the value,
the number of answered items and the reason why there is no score. Each runs in a process of its own, so that the
peak of its memory is its own; what they found is compared. Times are processor seconds, both use one thread.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from proms_in_pandas import score_eq_5d_5l, score_promis_10, score_qlq_c30

from pipelines.proms.engine import REASONS, Scores, score_answers
from pipelines.proms.instruments import find_instrument, load_instruments

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings" / "proms"
COMPARED = 50_000
NAMES = ("promis-global-health", "eq-5d-5l", "eortc-qlq-c30")
IN_PANDAS = {"promis-global-health": score_promis_10, "eq-5d-5l": score_eq_5d_5l, "eortc-qlq-c30": score_qlq_c30}


def make_answers(responses: int) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The same answers every time: per questionnaire its items as columns of numbers."""
    random = np.random.default_rng(20)
    instruments = load_instruments(MAPPINGS)
    for name in NAMES:
        columns = {}
        for item in find_instrument(instruments, name).items:
            column = random.integers(int(item.bottom), int(item.top or 0) + 1, responses).astype(np.float64)
            column[random.random(responses) < 0.03] = np.nan
            column[random.random(responses) < 0.001] = 99
            columns[item.link_id] = column
        yield name, columns


def run(how: str, folder: Path, responses: int) -> None:
    """Score the three questionnaires one way; print processor seconds and peak memory."""
    instruments = load_instruments(MAPPINGS)
    for name, columns in make_answers(responses):
        if how == "pandas":
            frame = pd.DataFrame(columns)
            del columns
            start = time.process_time()
            found = IN_PANDAS[name](frame)
        else:
            start = time.process_time()
            scores = score_answers(find_instrument(instruments, name), columns, responses)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name} {seconds:.3f} {peak:.0f}", flush=True)
        first = found.head(COMPARED) if how == "pandas" else _frame(scores)
        first.to_pickle(folder / f"{how}-{name}.pkl")


def _frame(scores: list[Scores]) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for s in scores:
        columns[s.rule.score] = s.value[:COMPARED]
        columns[f"{s.rule.score}_complete"] = s.complete[:COMPARED]
        columns[f"{s.rule.score}_reason"] = [REASONS[code] for code in s.reason[:COMPARED]]
    return pd.DataFrame(columns)


def compare(folder: Path) -> None:
    """Both ways gave the same scores, counts and reasons."""
    for name in NAMES:
        ours, theirs = (pd.read_pickle(folder / f"{how}-{name}.pkl") for how in ("uitkomst", "pandas"))
        for column in theirs.columns:
            one, other = ours[column], theirs[column]
            if column.endswith("_reason"):
                assert (one.astype(object).fillna("") == other.astype(object).fillna("")).all(), (name, column)
            else:
                np.testing.assert_allclose(
                    one.astype(float), other.astype(float), atol=1e-9, err_msg=f"{name} {column}"
                )


def main() -> None:
    """Run both and print processor seconds, ratio and peak memory."""
    responses = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder, seconds, peaks = Path(name), {}, {}
        for how in ("uitkomst", "pandas"):
            command = [sys.executable, __file__, "--run", how, name, str(responses)]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
            for line in filter(None, lines):
                instrument, took, peak = line.split()
                seconds[how, instrument], peaks[how] = float(took), int(peak)
        compare(folder)
    print(f"{responses:,} responses each {'pandas':>16} {'uitkomst':>10} {'faster':>8}")
    for instrument in NAMES:
        one, other = seconds["pandas", instrument], seconds["uitkomst", instrument]
        print(f"{instrument:24} {one:>12.2f} s {other:>8.2f} s {one / other:>7.1f}x")
    one, other = (sum(seconds[how, i] for i in NAMES) for how in ("pandas", "uitkomst"))
    print(f"{'all three':24} {one:>12.2f} s {other:>8.2f} s {one / other:>7.1f}x")
    print(f"{'peak memory':24} {peaks['pandas']:>11} MB {peaks['uitkomst']:>7} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
