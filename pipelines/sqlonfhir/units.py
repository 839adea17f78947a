"""Quantities converted from one UCUM unit to another, as the DuckDB function ``to_ucum(value, code, target)``.

Units are parsed by `ucumvert` and converted by `pint`; both load when the first value is converted, for that takes
most of a second.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import DOUBLE, VARCHAR

UCUM = "http://unitsofmeasure.org"
"""The code system of UCUM (hl7.org/fhir/R4/datatypes.html#Quantity)."""

_ABSURD_POWER = re.compile(r"[0-9]{4}")
"""No unit in use has a number of four digits; 10*99999999 would take for ever."""

_LOADING = threading.Lock()
"""Calls come from several threads; quantities of two registries do not mix."""

Numbers = npt.NDArray[np.float64]


def register_units(connection: duckdb.DuckDBPyConnection) -> None:
    """Define ``to_ucum(value, code, target)`` on `connection`.

    It gives the DOUBLE `value` in the unit `target`; null when `code` is null, no UCUM unit, or of another dimension.
    """
    connection.create_function(
        "to_ucum",
        _to_ucum,
        [DOUBLE, VARCHAR, VARCHAR],
        DOUBLE,
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def is_unit(code: str) -> bool:
    """Whether `code` is a UCUM unit."""
    with _LOADING:
        return _unit(code) is not None


def _to_ucum(value: pa.ChunkedArray, code: pa.ChunkedArray, target: pa.ChunkedArray) -> pa.Array:
    values, known = pc.fill_null(value, 0.0).to_numpy(), np.zeros(len(value), np.bool_)
    converted = np.zeros(len(value))
    pairs = pa.table({"code": code, "target": target}).group_by(["code", "target"]).aggregate([])
    for pair in pairs.to_pylist():
        with _LOADING:
            convert = _conversion(pair["code"], pair["target"])
        if convert is None:
            continue
        same = pc.and_(pc.equal(code, pair["code"]), pc.equal(target, pair["target"]))
        chosen = pc.fill_null(same, False).to_numpy()
        with np.errstate(all="ignore"):
            converted[chosen] = convert(values[chosen])
        known |= chosen
    known &= pc.is_valid(value).to_numpy() & np.isfinite(converted)
    return pa.array(converted, mask=~known)


@cache
def _conversion(code: str | None, target: str | None) -> Callable[[Numbers], Numbers] | None:
    if code is None or target is None:
        return None
    if code == target:
        return lambda values: values
    source, wanted = _unit(code), _unit(target)
    if source is None or wanted is None or not source.is_compatible_with(wanted.units):
        return None
    if not (source._is_multiplicative and wanted._is_multiplicative):
        # Degrees have another zero and decibels are logarithms: pint converts every value.
        quantity, unit = type(source), source.units
        return lambda values: np.asarray(quantity(values * source.magnitude, unit).to(wanted.units).magnitude)
    try:
        factor, inverse = _ratio(source, wanted), _ratio(wanted, source)
    except ArithmeticError:  # 10*999 is a unit that no number can hold
        return None
    # 70300 g is 70.3 kg when divided by 1000, but 70.30000000000001 kg when multiplied by 0.001.
    return (lambda values: values / inverse) if abs(factor) < abs(inverse) else (lambda values: values * factor)


def _ratio(source: Any, wanted: Any) -> float:
    return float(source.to(wanted.units).magnitude / wanted.magnitude)


def _unit(code: str) -> Any:
    """The `pint` quantity that a UCUM code stands for; None when it is no code."""
    from lark.exceptions import LarkError
    from pint.errors import PintError

    if _ABSURD_POWER.search(code):
        return None
    try:
        unit = _registry().from_ucum(code)
    except (LarkError, PintError, ArithmeticError):
        return None
    # Nothing but an annotation, such as {score}, is the unit 1 (ucum.org/ucum#section-Character-Set-and-Lexical-Rules).
    return unit if hasattr(unit, "units") else _registry().from_ucum("1")


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()
