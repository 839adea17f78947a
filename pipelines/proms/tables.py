"""The PROM tables of an outcome set, ready to be stored and read by others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from pipelines.indicators.definitions import OutcomeSet
from pipelines.proms.due import due_list
from pipelines.proms.instruments import Instrument
from pipelines.proms.response import response_rates

_SCORES = """
SELECT $outcome_set AS outcome_set, scored.institution, scored.patient_key, scored.instrument,
       scored.instrument_version, scored.score, linked.cohort, linked.index_key, linked.moment, linked.place,
       linked.days AS days_from_index, scored.raw, scored.value, scored.se, scored.complete_items, scored.items,
       scored.missing_rule, scored.missing_reason, scored.direction, scored.scored_date, scored.status,
       scored.answered_by, scored.scored_by, scored.questionnaire, scored.resource_key
FROM prom_score AS scored
LEFT JOIN prom_moment AS linked ON linked.institution = scored.institution
    AND linked.resource_key = scored.resource_key AND linked.instrument = scored.instrument
    AND linked.score = scored.score
WHERE coalesce(scored.scored_date <= $as_of, true) AND scored.instrument IN (SELECT instrument FROM prom_asked)
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class PromTables:
    """Rows of the database tables of the same names."""

    prom_score: pa.Table
    prom_due: pa.Table
    prom_response_rate: pa.Table


def prom_tables(
    connection: duckdb.DuckDBPyConnection, outcome_set: OutcomeSet, instruments: Sequence[Instrument], as_of: date
) -> PromTables:
    """The scores with their moment, the due list and the response rates, right after `measure` on the same connection.

    Only of the instruments that the set asks. A score of a response that belongs to two index events is two rows; one
    that belongs to none has no moment.
    """
    due_list(connection, outcome_set, instruments, as_of)
    response_rates(connection, outcome_set.id, as_of)
    parameters = {"outcome_set": outcome_set.id, "as_of": as_of}
    return PromTables(
        connection.sql(_SCORES, params=parameters).to_arrow_table(),
        connection.sql("FROM prom_due").to_arrow_table(),
        connection.sql("FROM prom_response_rate").to_arrow_table(),
    )
