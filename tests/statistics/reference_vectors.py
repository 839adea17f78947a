"""The vectors made in R beside the project; a test that asks for one skips where they are absent."""

from __future__ import annotations

import csv

import numpy as np
from numpy.typing import NDArray
from shared_material import shared


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of `stats/<name>.csv`."""
    with (shared("reference") / "stats" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: list[dict[str, str]], column: str) -> NDArray[np.float64]:
    """A column of numbers; R's NA is NaN."""
    return np.array([np.nan if row[column] == "NA" else float(row[column]) for row in rows])
