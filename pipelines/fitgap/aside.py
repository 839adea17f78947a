"""How much of each table was set aside before it reached the lake: what is in quarantine and not in the lake since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from pipelines.indicators.table_roles import TableRoles
from pipelines.sqlonfhir.reading import literal_path

_COLUMNS = (
    "{institution: 'VARCHAR', source_file: 'VARCHAR', source_line: 'BIGINT', resource_type: 'VARCHAR',"
    " resource_key: 'VARCHAR'}"
)

_ACCEPTED = """
WITH accepted AS (
    SELECT DISTINCT institution, resource_key FROM fit_{table}
), aside AS (
    SELECT DISTINCT institution, coalesce(resource_key, source_file || ':' || source_line) AS resource
    FROM fit_quarantine
    WHERE resource_type = ?
        AND NOT EXISTS (FROM accepted WHERE accepted.institution = fit_quarantine.institution
                        AND accepted.resource_key = fit_quarantine.resource_key)
)
SELECT institution, count(*) FILTER (is_accepted), count(*)
FROM (SELECT institution, true AS is_accepted FROM accepted UNION ALL SELECT institution, false FROM aside)
GROUP BY institution
"""


def measure_accepted(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], roles: Mapping[str, TableRoles], files: Sequence[Path]
) -> Iterator[tuple[str, str, int, int]]:
    """Institution, table, resources in the lake, and those with the ones in quarantine.

    Args:
        files: the `quarantine.ndjson` of every batch. A line without a known resource type counts nowhere.
    """
    filled = [literal_path(path) for path in files if path.stat().st_size]
    source = f"read_json([{', '.join(filled)}], format = 'newline_delimited', columns = {_COLUMNS})" if filled else None
    empty = "(SELECT NULL::VARCHAR AS institution, NULL::VARCHAR AS source_file, NULL::BIGINT AS source_line,"
    empty += " NULL::VARCHAR AS resource_type, NULL::VARCHAR AS resource_key WHERE false)"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE fit_quarantine AS FROM {source or empty}")
    for table in tables:
        rows = connection.execute(_ACCEPTED.format(table=table), [roles[table].resource]).fetchall()
        for institution, part, whole in rows:
            yield str(institution), table, int(part), int(whole)
