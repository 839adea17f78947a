"""The case-mix model: the risk of each patient from declared characteristics, by logistic regression.

What a characteristic is, and where a missing value goes, is declared (`Category`, `Measurement`); no patient is left
out in silence. The result does not depend on the order of the rows, to the last bit: rows are sorted and counted
before fitting.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import linalg
from scipy.optimize import linprog
from scipy.special import expit

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[Any]]

_INTERCEPT = "intercept"
_SUSPECT = 10.0  # a standard error of the log odds over the range of a column that finite estimates do not have


class CaseMixError(ValueError):
    """The model cannot be fitted or applied; the message names the column, never a value of a patient."""


@dataclass(frozen=True, slots=True)
class Category:
    """A characteristic with declared levels; the first is the reference.

    Attributes:
        missing: the level that a missing value counts as, one of `levels`; None refuses missing values.
    """

    name: str
    levels: tuple[str, ...]
    missing: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.levels)) != len(self.levels) or len(self.levels) < 2:
            raise CaseMixError(f"column {self.name} needs two different levels or more")
        if self.missing is not None and self.missing not in self.levels:
            raise CaseMixError(f"column {self.name}: the level for missing values is not one of its levels")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number, entered as (value - centre) / scale.

    Attributes:
        missing_indicator: a missing value counts as the centre, with a coefficient of its own; else it is refused.
    """

    name: str
    centre: float = 0.0
    scale: float = 1.0
    missing_indicator: bool = False


Term = Category | Measurement


@dataclass(frozen=True, slots=True)
class CaseMixModel:
    """A fitted model; equal data give an equal model.

    Attributes:
        columns: the intercept, then `name=level`, `name` or `name:missing`.
        coefficients: log odds per column. 0 for a level or indicator of missing values that nobody had at the fit.
        standard_errors: of the coefficients; NaN where the coefficient is that 0.
        data_version: SHA-256 of the declared terms and the data that it was fitted on.
    """

    terms: tuple[Term, ...]
    columns: tuple[str, ...]
    coefficients: tuple[float, ...]
    standard_errors: tuple[float, ...]
    patients: int
    events: int
    data_version: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `from_dict` gives the model back."""
        record = asdict(self)
        errors = [None if np.isnan(error) else error for error in self.standard_errors]
        return {**record, "terms": [_term_record(term) for term in self.terms], "standard_errors": errors}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> CaseMixModel:
        """The model from what `to_dict` gave, also after a round trip through JSON."""
        return cls(
            terms=tuple(_term_of(term) for term in record["terms"]),
            columns=tuple(record["columns"]),
            coefficients=tuple(record["coefficients"]),
            standard_errors=tuple(np.nan if error is None else error for error in record["standard_errors"]),
            patients=record["patients"],
            events=record["events"],
            data_version=record["data_version"],
        )


def fit_case_mix(outcome: Floats, values: Values, terms: Sequence[Term]) -> CaseMixModel:
    """Fit the logistic model of the outcome on the terms (binomial GLM of statsmodels).

    Args:
        outcome: 1 for the event, else 0; shape (patients,), in any order.
        values: per term its array of shape (patients,): text for a category, numbers for a measurement; None or NaN is
            missing.
        terms: the characteristics, at least one.

    Raises:
        CaseMixError: an undeclared category, a missing value that is refused, a column that is the same for everyone or
            follows from the others, events (or their absence) that a column separates, or no events (or only events).
    """
    if np.unique(outcome).tolist() != [0.0, 1.0]:
        raise CaseMixError("the outcome has to be 0 or 1, and both have to occur")
    columns, design = _design(values, terms)
    if len(design) != outcome.size:
        raise CaseMixError("the outcome is not as long as the columns")
    used = _informative(terms, columns, design)
    rows, inverse = np.unique(design[:, used], axis=0, return_inverse=True)
    patients = np.bincount(inverse.ravel()).astype(np.float64)
    events = np.bincount(inverse.ravel(), outcome).astype(np.float64)
    names = [column for column, is_used in zip(columns, used, strict=True) if is_used]
    _refuse_dependent(names, rows)
    fit = _fit(names, rows, events, patients)
    coefficients, errors = np.zeros(len(columns)), np.full(len(columns), np.nan)
    coefficients[used], errors[used] = fit.params, fit.bse
    return CaseMixModel(
        terms=tuple(terms),
        columns=tuple(columns),
        coefficients=tuple(coefficients.tolist()),
        standard_errors=tuple(errors.tolist()),
        patients=outcome.size,
        events=int(events.sum()),
        data_version=_version(terms, names, rows, events, patients),
    )


def expected_risk(model: CaseMixModel, values: Values) -> Floats:
    """The risk of each patient, 0..1, shape (patients,); columns as in `fit_case_mix`.

    Raises:
        CaseMixError: an undeclared category, or a missing value that is refused.
    """
    _, design = _design(values, model.terms)
    log_odds = np.zeros(len(design))
    for column, coefficient in zip(design.T, model.coefficients, strict=True):
        log_odds += column * coefficient
    return np.asarray(expit(log_odds), dtype=np.float64)


def _design(values: Values, terms: Sequence[Term]) -> tuple[list[str], Floats]:
    unknown = [term.name for term in terms if term.name not in values]
    if unknown or not terms:
        raise CaseMixError(f"not given: {', '.join(unknown) or 'a term'}")
    patients = len(values[terms[0].name])
    columns = [(_INTERCEPT, np.ones(patients))]
    for term in terms:
        column = values[term.name]
        if len(column) != patients:
            raise CaseMixError(f"column {term.name} is not as long as the first")
        columns += _category(term, column) if isinstance(term, Category) else _measurement(term, column)
    return [name for name, _ in columns], np.column_stack([column for _, column in columns])


def _category(term: Category, column: NDArray[Any]) -> Iterator[tuple[str, Floats]]:
    absent = np.asarray(pd.isna(column))
    if term.missing is None and absent.any():
        raise CaseMixError(f"column {term.name} lacks {absent.sum()} values, and no level is declared for them")
    codes = np.array(pd.Categorical(column, categories=list(term.levels)).codes)
    if ((codes < 0) & ~absent).any():
        raise CaseMixError(f"column {term.name} has {((codes < 0) & ~absent).sum()} values outside its declared levels")
    if term.missing is not None:
        codes[absent] = term.levels.index(term.missing)
    for i, level in enumerate(term.levels[1:], start=1):
        yield f"{term.name}={level}", (codes == i).astype(np.float64)


def _measurement(term: Measurement, column: NDArray[Any]) -> Iterator[tuple[str, Floats]]:
    numbers = np.asarray(column, dtype=np.float64)
    absent = ~np.isfinite(numbers)
    if absent.any() and not term.missing_indicator:
        raise CaseMixError(f"column {term.name} lacks {absent.sum()} values, and no indicator is declared for them")
    yield term.name, np.where(absent, 0.0, (numbers - term.centre) / term.scale) + 0.0
    if term.missing_indicator:
        yield _missing_column(term), absent.astype(np.float64)


def _informative(terms: Sequence[Term], columns: Sequence[str], design: Floats) -> NDArray[np.bool_]:
    """The columns to fit: all, but for missing values that nobody has."""
    for_missing = {_missing_column(term) for term in terms}
    constant = (design == design[0]).all(axis=0)
    constant[0] = False
    idle = np.array([name in for_missing for name in columns]) & ~design.any(axis=0)
    wrong = [name for name, same, unused in zip(columns, constant, idle, strict=True) if same and not unused]
    if wrong:
        raise CaseMixError(f"the same for every patient: {', '.join(wrong)}; merge the level or leave the column out")
    return ~idle


def _missing_column(term: Term) -> str:
    return f"{term.name}={term.missing}" if isinstance(term, Category) else f"{term.name}:missing"


def _refuse_dependent(names: Sequence[str], rows: Floats) -> None:
    _, triangle, order = linalg.qr(rows / np.abs(rows).max(axis=0), mode="economic", pivoting=True)
    pivots = np.zeros(len(names))
    pivots[: len(triangle)] = np.abs(np.diag(triangle))
    wrong = [names[i] for i in order[pivots < pivots[0] * 1e-10]]
    if wrong:
        raise CaseMixError(f"follows from the other columns: {', '.join(wrong)}")


def _fit(names: Sequence[str], rows: Floats, events: Floats, patients: Floats) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separation is looked for below, and named
        model = sm.GLM(np.column_stack([events, patients - events]), rows, family=sm.families.Binomial())
        fit = model.fit(maxiter=100)
    reach = np.maximum(np.abs(rows - rows.mean(axis=0)).max(axis=0), 1e-12)
    if not fit.converged or not np.isfinite(fit.bse).all() or (fit.bse * reach > _SUSPECT).any():
        wrong = _separating(names, rows, events, patients)
        if wrong:
            raise CaseMixError(f"events and no events are separated by: {', '.join(wrong)}; merge levels")
        if not fit.converged:
            raise CaseMixError("the fit did not converge")
    return fit


def _separating(names: Sequence[str], rows: Floats, events: Floats, patients: Floats) -> list[str]:
    """The columns along which the likelihood has no maximum, by the linear programme of Konis 2007.

    Konis, "Linear programming algorithms for detecting separated data in binary logistic regression models" (DPhil
    thesis, Oxford), as in the R package detectseparation: is there a direction that no patient lies on the wrong side
    of?
    """
    signed = np.vstack([rows[events > 0], -rows[events < patients]]) / np.abs(rows).max(axis=0)
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs")
    if found.x is None or found.fun is None or found.fun > -1e-6:
        return []
    return [name for name, part in zip(names, found.x, strict=True) if abs(part) > 1e-6]


def _version(terms: Sequence[Term], names: Sequence[str], rows: Floats, events: Floats, patients: Floats) -> str:
    digest = hashlib.sha256(repr((tuple(terms), tuple(names))).encode())
    for table in (rows, events, patients):
        digest.update(np.ascontiguousarray(table, dtype="<f8").tobytes())
    return digest.hexdigest()


def _term_record(term: Term) -> dict[str, Any]:
    return {"kind": type(term).__name__.lower(), **asdict(term)}


def _term_of(record: Mapping[str, Any]) -> Term:
    fields = {name: value for name, value in record.items() if name != "kind"}
    if record["kind"] == "measurement":
        return Measurement(**fields)
    return Category(**{**fields, "levels": tuple(fields["levels"])})
