"""An outcome set on the tables of a connection: patients first, then results."""

from __future__ import annotations

from datetime import date

import duckdb

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.measures import measure
from pipelines.indicators.results import summarise


def evaluate(connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, as_of: date) -> None:
    """Create `outcome_patient` and `indicator_result` (docs/tables.md) as they are on `as_of`.

    Reads `zib_patient`, `zib_procedure`, `zib_coding` and `prom_score` in the connection. Nothing dated after `as_of`
    is looked at.
    """
    measure(connection, outcome_set, as_of)
    summarise(connection, outcome_set, as_of)
