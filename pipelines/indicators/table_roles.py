"""Which column of a table plays which part for an indicator, as declared in `mappings/table_roles.yaml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelines.errors import TerminalError
from pipelines.proms.definition_file import Definition, read_definition

ERROR_CODE = "TABLE-ROLES"


class TableRoles(Definition):
    """The columns of one table by their part (None where it lacks one), and the FHIR `resource` it is made from.

    `start_text` and `end_text` hold the moments as they were written: a date that may be partial, or an instant with
    its offset. `comparators` names, per column with a number, the one that makes it a bound (`<`, `>=`). `patient` is
    None for what is not about a patient.
    """

    title_nl: str
    resource: str
    zib: str | None
    profile_nl: str
    patient: str | None = None
    code: str | None = None
    system: str | None = None
    codings: str | None = None
    also_code: dict[str, str] = Field(default_factory=dict)
    status: str | None = None
    date: str | None = None
    date_text: str | None = None
    start_text: str | None = None
    end_text: str | None = None
    value: str | None = None
    comparators: dict[str, str] = Field(default_factory=dict)
    laterality: str | None = None
    deceased: str | None = None


class _RolesFile(Definition):
    tables: dict[str, TableRoles]


def load_table_roles(path: Path) -> dict[str, TableRoles]:
    """Read `mappings/table_roles.yaml`: the roles by table name.

    Raises:
        TerminalError: TABLE-ROLES, naming the file and the field.
    """
    return read_definition(path, _RolesFile, ERROR_CODE).tables


def column(roles: dict[str, TableRoles], table: str, part: str) -> str:
    """The column of `table` that plays `part`.

    Raises:
        TerminalError: TABLE-ROLES when the file does not say.
    """
    value: str | None = getattr(roles[table], part) if table in roles else None
    if value is None:
        raise TerminalError(
            ERROR_CODE,
            f"an indicator needs the {part} of {table}, which no column is declared for",
            where="mappings/table_roles.yaml",
            remedy=f"Declare tables.{table}.{part} there",
        )
    return value
