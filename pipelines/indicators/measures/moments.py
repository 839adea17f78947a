"""What a moment as written says: the days it can be, and the instant if it is one (docs/indicators.md, Moments).

DuckDB puts instants on the clock of Amsterdam with the time zones of ICU, whatever the time zone of the session.
"""

from __future__ import annotations

import duckdb

ZONE = "Europe/Amsterdam"

# An instant has an offset: with a time but without one, a text says a day and no more.
_MACROS = f"""
CREATE OR REPLACE TEMP MACRO has_offset(written) AS
    length(written) > 10 AND (written[-1] = 'Z' OR written[-6] IN ('+', '-'));
CREATE OR REPLACE TEMP MACRO instant(written) AS
    CASE WHEN has_offset(written) THEN try_cast(written AS TIMESTAMPTZ) END;
CREATE OR REPLACE TEMP MACRO first_day(written) AS CASE
    WHEN has_offset(written) THEN timezone('{ZONE}', try_cast(written AS TIMESTAMPTZ))::DATE
    WHEN length(written) = 4 THEN try_cast(written || '-01-01' AS DATE)
    WHEN length(written) = 7 THEN try_cast(written || '-01' AS DATE)
    WHEN length(written) >= 10 THEN try_cast(written[:10] AS DATE) END;
CREATE OR REPLACE TEMP MACRO final_day(written) AS CASE
    WHEN has_offset(written) THEN timezone('{ZONE}', try_cast(written AS TIMESTAMPTZ))::DATE
    WHEN length(written) = 4 THEN try_cast(written || '-12-31' AS DATE)
    WHEN length(written) = 7 THEN last_day(try_cast(written || '-01' AS DATE))
    WHEN length(written) >= 10 THEN try_cast(written[:10] AS DATE) END;
CREATE OR REPLACE TEMP MACRO age_on(born, on_day) AS
    year(on_day) - year(born) - (month(on_day) * 100 + day(on_day) < month(born) * 100 + day(born))::INTEGER;
"""


def define_moments(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the macros `instant`, `first_day`, `final_day` (of a text) and `age_on`: whole years, on the birthday."""
    connection.execute(_MACROS)
