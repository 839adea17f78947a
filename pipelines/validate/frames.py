"""What Great Expectations gets to judge: the columns a suite reads, those derived from other tables included.

Of a column that is only asked whether it is null, 1 stands for a value: long texts such as keys stay where they are.

A suite may read, besides the columns of its table:

- ``<x>_earliest`` and ``<x>_latest``: the first and last day that the date in ``<x>_text`` can mean, so that a partial
  date (``2024-05``) is compared without ever giving a false alarm;
- ``patient_alive_from`` and ``patient_alive_until``: the first day the patient can have been born less one day, and the
  last day the patient can have died plus one day. The day of margin is for moments written in another time zone;
- ``<x>_in_value_set``: whether any of the codings behind ``<x>_codings_id`` is in the value set that the rule names;
  null when there is no coding;
- ``rows_of_resource``: how many rows of the table have the same institution and resource_key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.values import quote
from pipelines.validate.rules import Suite
from pipelines.validate.workspace import ROW, Workspace

PATIENT_COLUMNS = ("patient_alive_from", "patient_alive_until")
_PATIENTS = "patients_alive"
_NO_PATIENTS = """(SELECT NULL::VARCHAR AS institution, NULL::VARCHAR AS patient_key,
    NULL::VARCHAR AS birth_date_text, NULL::VARCHAR AS death_date_text LIMIT 0)"""
_IN_VALUE_SET, _ROWS_OF_RESOURCE = "_in_value_set", "rows_of_resource"

# Dates are judged as written, without converting time zones: the calendar day is what the hospital meant.
_BOUND = """CASE length({text})
    WHEN 4 THEN try_cast({text} || '{from_year}' AS DATE)
    WHEN 7 THEN {month}
    ELSE try_cast(left({text}, 10) AS DATE) END"""
_MONTH = {
    "earliest": "try_cast({text} || '-01' AS DATE)",
    "latest": "last_day(try_cast({text} || '-01' AS DATE))",
}
_FROM_YEAR = {"earliest": "-01-01", "latest": "-12-31"}


def bound(text: str, which: str) -> str:
    """SQL of the `earliest` or `latest` day that a FHIR date or dateTime can mean; null when it is no date."""
    return _BOUND.format(text=text, from_year=_FROM_YEAR[which], month=_MONTH[which].format(text=text))


def prepare_patients(workspace: Workspace, known: bool) -> None:
    """Make the relation with the days each patient was alive, from the accepted patients of this batch.

    Args:
        known: whether the workspace also has `known_patients`, with those of earlier batches.
    """
    columns = "institution, patient_key, birth_date_text, death_date_text"
    here = workspace.accepted("zib_patient") if "zib_patient" in workspace.columns else _NO_PATIENTS
    rows = f"SELECT {columns} FROM {here}"
    if known:  # what this batch says of a patient replaces what an earlier one said
        rows += f" UNION ALL SELECT {columns} FROM known_patients ANTI JOIN {here} USING (institution, patient_key)"
    workspace.connection.execute(
        f"""CREATE OR REPLACE TABLE {_PATIENTS} AS
        SELECT institution, patient_key,
               min({bound("birth_date_text", "earliest")}) - 1 AS patient_alive_from,
               max({bound("death_date_text", "latest")}) + 1 AS patient_alive_until
        FROM ({rows}) WHERE patient_key IS NOT NULL GROUP BY ALL"""
    )


def frame_sql(suite: Suite, workspace: Workspace, bindings: Mapping[str, str]) -> str:
    """SQL of the accepted rows of a table with the columns its suite reads, and their position.

    Args:
        bindings: url of the value set by ``<x>_in_value_set``.

    Raises:
        TerminalError: ``EXPECTATION-COLUMN-UNKNOWN`` when a column neither exists nor can be derived.
    """
    own, only_asked_whether_null = workspace.columns[suite.table], suite.only_asked_whether_null
    expressions, joins, unknown = [f"rows.{ROW}"], [], []
    for name in suite.columns:
        if name in own:
            value = f'rows."{name}"'
            if name in only_asked_whether_null:
                value = f'CASE WHEN {value} IS NOT NULL THEN 1.0::DOUBLE END AS "{name}"'
            expressions.append(value)
            continue
        derived = _derived(name, suite.table, own, workspace, bindings)
        if derived is None:
            unknown.append(name)
            continue
        expressions.append(f'{derived[0]} AS "{name}"')
        joins += [] if derived[1] in joins else [derived[1]]
    if unknown:
        raise TerminalError(
            "EXPECTATION-COLUMN-UNKNOWN",
            f"the suite reads column {', '.join(unknown)}, which the table does not have",
            where=suite.table,
            remedy="Correct the column name in the suite, or add the column to the ZIB's view.",
        )
    order = f" ORDER BY rows.{ROW}" if any(joins) else ""  # a join may change the order of rows, a scan does not
    relation = workspace.accepted(suite.table)
    return f"SELECT {', '.join(expressions)} FROM {relation} AS rows {' '.join(joins)}{order}"


def _derived(
    name: str, table: str, own: Collection[str], workspace: Workspace, bindings: Mapping[str, str]
) -> tuple[str, str] | None:
    """SQL of a derived column and of the join it needs."""
    base, _, ending = name.rpartition("_")
    if ending in _FROM_YEAR and f"{base}_text" in own:
        return bound(f'rows."{base}_text"', ending), ""
    if name in PATIENT_COLUMNS:
        return f"{_PATIENTS}.{name}", _left_join(_PATIENTS, _PATIENTS, "patient_key", "patient_key")
    if name == _ROWS_OF_RESOURCE:
        repeated = (
            f'SELECT institution, resource_key, count(*) AS n FROM "{table}" WHERE resource_key IS NOT NULL'
            " GROUP BY ALL HAVING n > 1"
        )
        return (
            "CASE WHEN rows.resource_key IS NOT NULL THEN coalesce(repeated.n, 1) END",
            _left_join(f"({repeated})", "repeated", "resource_key", "resource_key"),
        )
    coded = name.removesuffix(_IN_VALUE_SET)
    if name in bindings and f"{coded}_codings_id" in own:
        return f'"{name}".fits', _value_set_join(name, f"{coded}_codings_id", bindings[name], workspace)
    return None


def _value_set_join(name: str, codings_id: str, url: str, workspace: Workspace) -> str:
    if "zib_coding" not in workspace.columns:
        raise TerminalError(
            "EXPECTATION-COLUMN-UNKNOWN",
            "the batch has no table zib_coding, which the value sets are checked against",
            where=name,
            remedy="Map the export again.",
        )
    fits = f"""
        SELECT institution, codings_id, bool_or(members.url IS NOT NULL) AS fits
        FROM zib_coding
        LEFT JOIN (FROM value_set_members WHERE url = {quote(url)}) AS members
          ON zib_coding.system = members.system AND (members.code IS NULL OR members.code = zib_coding.code)
        WHERE zib_coding.code IS NOT NULL
        GROUP BY ALL"""
    return _left_join(f"({fits})", name, "codings_id", codings_id)


def _left_join(relation: str, alias: str, key: str, own_key: str) -> str:
    """A join that adds no rows: `relation` has one row per institution and key."""
    return (
        f'LEFT JOIN {relation} AS "{alias}"'
        f' ON "{alias}".institution = rows.institution AND "{alias}"."{key}" = rows."{own_key}"'
    )
