"""One ViewDefinition run over one file of resources, as `uitkomst view` does."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from pipelines.errors import TerminalError
from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.sqlonfhir.fhir_types import FhirTypes, r4, stu3
from pipelines.sqlonfhir.reading import open_duckdb, relation_of
from pipelines.sqlonfhir.tags import UnitTable
from pipelines.sqlonfhir.units import register_units
from pipelines.sqlonfhir.values import NOT_SINGLE, quote
from pipelines.sqlonfhir.views import CompiledView, ViewError, compile_view

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".ndjson": "json"}


def load_view(path: Path, units: Callable[[], Mapping[str, UnitTable]] = dict) -> CompiledView:
    """Read and compile a ViewDefinition with plain keys, for the FHIR release that its `fhirVersion` names.

    Args:
        units: gives by name the tables of units that its tags may point to as ``@name``; asked only when one does.

    Raises:
        ViewError: when it is invalid or unsupported, with the offending path.
        TerminalError: `FILE-MISSING`.
    """
    try:
        content = path.read_bytes()
        definition = json.loads(content)
        # Reading the tables loads all of UCUM, which takes longer than most views run.
        return compile_plainly(definition, _types_of(definition), units() if b'"@' in content else None)
    except OSError as error:
        raise _unreadable(path, error) from None
    except RecursionError:
        what = "a view nested this deeply is not supported"
        raise ViewError("VIEW-UNSUPPORTED", what, where=str(path), remedy="Make it flatter.") from None
    except ValueError:
        raise ViewError("VIEW-INVALID", "it is no JSON", where=str(path), remedy="Correct the file.") from None


def _types_of(definition: Any) -> FhirTypes:
    """The newest supported release among the `fhirVersion`s of a view; R4 for a view that names none.

    Raises:
        ViewError: `VIEW-UNSUPPORTED` when it names only others.
    """
    versions = definition.get("fhirVersion") if isinstance(definition, dict) else None
    if not isinstance(versions, list) or not versions:
        return r4()
    releases = {".".join(str(version).split(".")[:2]) for version in versions}
    if releases & {"4.0", "4.3"}:
        return r4()
    if "3.0" in releases:
        return stu3()
    what = "only FHIR R4 (4.0, 4.3) and STU3 (3.0) are supported"
    raise ViewError("VIEW-UNSUPPORTED", what, where="fhirVersion", remedy="Write the view for one of them.")


def compile_plainly(definition: Any, types: FhirTypes, units: Mapping[str, UnitTable] | None = None) -> CompiledView:
    """Compile a ViewDefinition whose keys are ids as they are in the resources.

    The key of a reference by identifier only is null: no id is known, and the identifier may be a person's.

    Raises:
        ViewError: as `compile_view`.
    """
    return compile_view(
        definition,
        types,
        key=lambda sql: f"nullif(regexp_extract({sql}, '^[A-Za-z]+/(.*)$', 1), '')",
        secret=lambda sql: f"pseudonym_of_identifier({sql})",
        codings=lambda sql: f"left(sha256({sql}), 32)",
        units=units,
    )


def run_view(view: CompiledView, resources: Path, out: Path | None, maximum_line_bytes: int) -> Counter[str]:
    """Write the rows of a view to `out` (.parquet, .csv or .ndjson), or as NDJSON to standard output.

    Columns tagged `pseudonym` get pseudonyms with a key of this run only.

    Returns:
        how many records were left out, by code; nothing when all were used.

    Raises:
        TerminalError: `FILE-MISSING`, `OUTPUT-FORMAT`, `OUTPUT-UNWRITABLE`, or `VIEW-NOT-SINGLE` when a path
            yields several values where the view wants one.
    """
    if out is not None and out.suffix not in _FORMATS:
        raise TerminalError(
            "OUTPUT-FORMAT", "no such format", where=str(out), remedy=f"End its name in {', '.join(_FORMATS)}."
        )
    try:
        resources.open("rb").close()
        folder = Path(tempfile.mkdtemp(prefix=".uitkomst-", dir=out.parent if out else None))
    except OSError as error:
        raise _unreadable(resources, error) from None
    try:
        rows = folder / ("rows" + (out.suffix if out else ".ndjson"))
        left_out = _write(view, resources, rows, folder, maximum_line_bytes)
        if out is not None:
            rows.replace(out)
        else:
            with rows.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return left_out


def _write(view: CompiledView, resources: Path, rows: Path, folder: Path, maximum_line_bytes: int) -> Counter[str]:
    with open_duckdb(folder, memory="500MB") as connection:
        Pseudonyms(secrets.token_bytes(32), "").register(connection)
        register_units(connection)
        try:
            # DuckDB does not check the shape of what it keeps as JSON, nor keep the zeros of 1.00.
            if not (view.schema.is_recursive or view.schema.keeps_decimals):
                _copy(connection, view, resources, rows, maximum_line_bytes)
                return Counter()
        except duckdb.Error as error:
            if NOT_SINGLE in str(error):
                raise _not_single() from None
        clean, left_out = _sieved(view, resources, folder, maximum_line_bytes)
        try:
            _copy(connection, view, clean, rows, maximum_line_bytes)
        except duckdb.Error as error:
            if NOT_SINGLE in str(error):
                raise _not_single() from None
            raise
        return left_out


def _copy(connection: duckdb.DuckDBPyConnection, view: CompiledView, resources: Path, rows: Path, maximum: int) -> None:
    relation = f"(FROM {relation_of(resources, view.schema, maximum)} WHERE _type = {quote(view.resource)})"
    format_ = _FORMATS[rows.suffix]
    connection.execute(f"COPY ({view.sql(relation)}) TO {quote(str(rows))} (FORMAT {format_})")


def _sieved(view: CompiledView, resources: Path, folder: Path, maximum: int) -> tuple[Path, Counter[str]]:
    """A copy of the clean resources of the view's type, and what was left out of it."""
    from pipelines.extract.records import read_records
    from pipelines.zib.sieve import Sieve

    left_out: Counter[str] = Counter()
    sieve = Sieve(folder, {view.resource: view.schema}, view.types.resources)
    decimals = str if view.schema.keeps_decimals else float
    for flaw, _ in sieve.sort(0, read_records(resources, maximum_line_bytes=maximum, decimals=decimals)):
        if flaw.rule_id not in ("TYPE-NOT-MAPPED", "LINE-BLANK"):
            left_out[flaw.rule_id] += 1
    sieve.close()
    clean = folder / f"{view.resource}.ndjson"
    clean.touch()
    return clean, left_out


def _not_single() -> TerminalError:
    return TerminalError(
        "VIEW-NOT-SINGLE",
        "a path yields several values for one resource",
        where="column of the ViewDefinition",
        remedy="Add first(), or set collection to true.",
    )


def _unreadable(path: Path, error: OSError) -> TerminalError:
    return TerminalError(
        "FILE-MISSING",
        error.strerror or "it cannot be read",
        where=str(error.filename or path),
        remedy="Name a readable file.",
    )
