"""How much of each table was set aside before it reached the lake: what is in quarantine and not in the lake since."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from pipelines.indicators.table_roles import TableRoles
from pipelines.proms.definition_rows import insert_rows
from pipelines.sqlonfhir.reading import literal_path

_COLUMNS = (
    "{institution: 'VARCHAR', source_file: 'VARCHAR', source_line: 'BIGINT', resource_type: 'VARCHAR',"
    " resource_key: 'VARCHAR', rule_id: 'VARCHAR'}"
)


_QUARANTINE = """
CREATE OR REPLACE TEMP TABLE fit_quarantine (
    institution VARCHAR, source_file VARCHAR, source_line BIGINT, resource_type VARCHAR, resource_key VARCHAR,
    rule_id VARCHAR);
CREATE OR REPLACE TEMP TABLE fit_rule (rule_id VARCHAR, tables VARCHAR[]);
"""

_ACCEPTED = """
WITH accepted AS (
    SELECT DISTINCT institution, resource_key FROM fit_{table}
), aside AS (
    SELECT DISTINCT institution, coalesce(resource_key, source_file || ':' || source_line) AS resource
    FROM fit_quarantine
    LEFT JOIN fit_rule USING (rule_id)
    WHERE resource_type = $resource AND coalesce(list_contains(fit_rule.tables, $table), $alone)
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
        files: the `quarantine.ndjson` of every batch. A line counts for the table whose rule it failed (the
            `checks.json` beside it says), else for the table of its resource type, and nowhere when several tables
            are made from that type or it has none.
    """
    filled = [path for path in files if path.stat().st_size]
    checks = [path for each in filled if (path := each.with_name("checks.json")).exists()]
    connection.execute(_QUARANTINE)
    if filled:
        source = f"read_json([{_paths(filled)}], format = 'newline_delimited', columns = {_COLUMNS})"
        connection.execute(f"INSERT INTO fit_quarantine BY NAME FROM {source}")
    by_rule: dict[str, set[str]] = {}
    for path in checks:  # read here: DuckDB sets a buffer of the largest object apart for every file
        for check in json.loads(path.read_bytes())["checks"]:
            by_rule.setdefault(check["rule_id"], set()).add(check["table"])
    insert_rows(connection, "fit_rule", [(rule, sorted(named)) for rule, named in sorted(by_rule.items())])
    made_from = Counter(each.resource for each in roles.values())
    for table in tables:
        resource = roles[table].resource
        parameters = {"resource": resource, "table": table, "alone": made_from[resource] == 1}
        rows = connection.execute(_ACCEPTED.format(table=table), parameters).fetchall()
        for institution, part, whole in rows:
            yield str(institution), table, int(part), int(whole)


def _paths(files: Sequence[Path]) -> str:
    return ", ".join(literal_path(path) for path in files)
