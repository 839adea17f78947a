"""An outcome set on the tables of a connection: patients first, then results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb

from pipelines.indicators.case_mix import Adjustment
from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.measures import measure
from pipelines.indicators.results import summarise
from pipelines.indicators.table_roles import TableRoles


def evaluate(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, roles: Mapping[str, TableRoles], as_of: date
) -> list[Adjustment]:
    """Create `outcome_patient`, `outcome_variable` and `indicator_result` (docs/tables.md) as they are on `as_of`.

    Reads the ZIB tables and `prom_score` in the connection (see `measure`). Nothing dated after `as_of` is looked at.

    Returns:
        the case-mix adjustment of every indicator that asks for one.
    """
    measure(connection, outcome_set, roles, as_of)
    return summarise(connection, outcome_set, as_of)
