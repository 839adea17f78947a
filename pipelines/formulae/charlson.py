"""The Charlson comorbidity index as declared in `mappings/codes/charlson`: reading it, and scoring on numpy arrays.

The same in SQL is `pipelines.formulae.charlson_macros`. The points for age that some authors add are not part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipelines.indicators.value_sets import load_value_set
from pipelines.proms.definition_file import Definition, definition_error, read_definition

ERROR_CODE = "CHARLSON-DEFINITION"

# An ICD-10 code as records have it: with or without the dot, cut off ("E11.-"), or marked as dagger or asterisk code.
ICD10_CODE = r" *([A-Za-z][0-9]{2})(?:[.]?([0-9A-Za-z]{1,4}))?(?:[.]?-)?[†*+!]? *"

_PREFIX = re.compile(r"[A-Z][0-9]{2}([.][0-9A-Z]{1,4})?")


class _Variant(Definition):
    title: str
    source: str


class _Weighting(Definition):
    source: str
    weights: dict[str, int]


class _Hierarchy(Definition):
    source: str
    hidden_by: dict[str, str]


class _CharlsonFile(Definition):
    version: str
    matching: Literal["prefix"]
    variants: dict[str, _Variant]
    weightings: Annotated[dict[str, _Weighting], Field(min_length=1)]
    hierarchy: _Hierarchy

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        categories = {name for weighting in self.weightings.values() for name in weighting.weights}
        for name, weighting in self.weightings.items():
            if missing := categories - set(weighting.weights):
                raise ValueError(f"weighting {name} has no weight for {', '.join(sorted(missing))}")
            for mild, severe in self.hierarchy.hidden_by.items():
                if {mild, severe} - categories:
                    raise ValueError(f"hierarchy: {mild} or {severe} is no category")
                if weighting.weights[severe] < weighting.weights[mild]:
                    raise ValueError(f"weighting {name}: {severe} weighs less than {mild}, which it hides")
        return self


@dataclass(frozen=True, slots=True)
class Charlson:
    """One variant of the index.

    Attributes:
        prefixes: per category the beginnings of its codes, without dot.
        weights: per weighting the points of each category.
        hidden_by: the category that is not counted, and the one that hides it.
    """

    variant: str
    version: str
    prefixes: dict[str, tuple[str, ...]]
    weights: dict[str, dict[str, int]]
    hidden_by: dict[str, str]


@dataclass(frozen=True, slots=True)
class CharlsonScores:
    """Scores per patient.

    Attributes:
        patients: (n,) each patient once, sorted.
        scores: (n,) points.
        categories: (k,) names of the categories.
        counted: (n, k) which categories were counted.
    """

    patients: npt.NDArray[Any]
    scores: npt.NDArray[np.int64]
    categories: tuple[str, ...]
    counted: npt.NDArray[np.bool_]


def load_charlson(codes: Path, variant: str = "quan-2005") -> Charlson:
    """Read one variant.

    Args:
        codes: the folder with value sets, `mappings/codes`.
        variant: a name of `variants` in `charlson.yaml`.

    Raises:
        TerminalError: CHARLSON-DEFINITION or VALUE-SET-DEFINITION, naming the file and what is wrong.
    """
    folder = codes / "charlson"
    path = folder / "charlson.yaml"
    file = read_definition(path, _CharlsonFile, ERROR_CODE)
    if variant not in file.variants:
        raise definition_error(path, f"has no variant {variant}; it has {', '.join(file.variants)}", ERROR_CODE)
    categories = next(iter(file.weightings.values())).weights
    return Charlson(
        variant=variant,
        version=file.version,
        prefixes={name: _prefixes(folder, f"charlson-{variant}-{name}") for name in categories},
        weights={name: dict(weighting.weights) for name, weighting in file.weightings.items()},
        hidden_by=dict(file.hierarchy.hidden_by),
    )


def charlson_scores(
    charlson: Charlson,
    patients: npt.ArrayLike,
    codes: npt.ArrayLike,
    *,
    weighting: str = "charlson-1987",
    hierarchy: bool = True,
) -> CharlsonScores:
    """The score of every patient that occurs; 0 says that no listed code was recorded, not that the patient has none.

    Args:
        charlson: from `load_charlson`.
        patients: (rows,) identifiers that can be sorted.
        codes: (rows,) ICD-10 codes as text; None and what is no ICD-10 code count for nothing.
        weighting: a name of `charlson.weights`.
        hierarchy: whether the severe form of a disease hides the mild one.

    Raises:
        KeyError: for another weighting.
        TypeError: when a code is a number: numbers lose the zeros of a code.
    """
    weights = charlson.weights[weighting]
    categories = tuple(charlson.prefixes)
    known, which_code = np.unique([_plain(code) for code in np.asarray(codes, object)], return_inverse=True)
    names, which_patient = np.unique(np.asarray(patients), return_inverse=True)
    of_code = np.array([[code.startswith(charlson.prefixes[c]) for c in categories] for code in known], np.bool_)
    counted = np.zeros((len(names), len(categories)), np.bool_)
    if len(names):
        np.logical_or.at(counted, which_patient, of_code[which_code])
    if hierarchy:
        for mild, severe in charlson.hidden_by.items():
            counted[:, categories.index(mild)] &= ~counted[:, categories.index(severe)]
    points = np.array([weights[c] for c in categories], np.int64)
    return CharlsonScores(names, counted.astype(np.int64) @ points, categories, counted)


def _prefixes(folder: Path, name: str) -> tuple[str, ...]:
    codes = [code.code for code in load_value_set(folder, name).codes]
    for code in codes:
        if not _PREFIX.fullmatch(code):
            raise definition_error(folder / f"{name}.csv", f"'{code}' is no beginning of an ICD-10 code", ERROR_CODE)
    return tuple(code.replace(".", "") for code in codes)


def _plain(code: object) -> str:
    """The code in capitals without dot and marks; empty when it is missing or no ICD-10 code."""
    if code is None:
        return ""
    if not isinstance(code, str):
        raise TypeError("codes are text")
    match = re.fullmatch(ICD10_CODE, code, re.ASCII)
    return "".join(part for part in match.groups() if part).upper() if match else ""
