"""Checks FHIR resources against the R4B models of `fhir.resources`: all of a small batch, a sample of a large one.

The models check types, cardinalities and unknown elements, not codes or profiles. They are 60 times slower
than reading the resources, hence the sample. Their messages quote the input, so only the path and the kind of
a problem are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import duckdb
import pyarrow as pa

from pipelines.errors import TerminalError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

Place = tuple[str, int]
"""(source_file, source_line): where a resource is in the export."""


@dataclass(frozen=True, slots=True)
class ResourceProblem:
    """What is wrong in a resource, without its value.

    Attributes:
        path: FHIR path, for example ``Observation.component[0].code``. An unknown element is reported at its
            parent, because its name is input too.
        kind: the kind of problem, for example ``missing``, ``extra_forbidden`` or ``type_unknown``.
    """

    path: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}"


@dataclass(frozen=True, slots=True)
class ResourceFailure:
    """A resource that does not fit the FHIR model.

    Attributes:
        source_file, source_line: where it is in the export.
        resource_type: its type according to the index.
        problems: at least one.
    """

    source_file: str
    source_line: int
    resource_type: str
    problems: tuple[ResourceProblem, ...]

    @property
    def reason(self) -> str:
        """The problems as one line for the quarantine."""
        return "; ".join(str(problem) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class StratumReport:
    """How many resources of one type and profile there were, were checked, and failed."""

    resource_type: str
    profile: str | None
    total: int
    checked: int
    failed: int


@dataclass(frozen=True, slots=True)
class ResourceCheckReport:
    """What was checked, and by which policy.

    Attributes:
        policy: ``all``, or ``sample`` when the batch holds more than `limit` resources.
        limit: the largest batch that is checked as a whole.
        per_stratum: sample size per resource type and profile.
        strata: one per resource type and profile, ordered.
    """

    policy: Literal["all", "sample"]
    limit: int
    per_stratum: int
    strata: tuple[StratumReport, ...]

    @property
    def total(self) -> int:
        """How many resources the batch holds."""
        return sum(stratum.total for stratum in self.strata)

    @property
    def checked(self) -> int:
        """How many of them were checked."""
        return sum(stratum.checked for stratum in self.strata)

    @property
    def failed(self) -> int:
        """How many of those failed."""
        return sum(stratum.failed for stratum in self.strata)


def check_resource(text: str) -> list[ResourceProblem]:
    """The problems of one resource, none when it fits the FHIR R4B model of its type.

    Args:
        text: the resource as JSON.
    """
    from pydantic import ValidationError

    try:
        resource = json.loads(text)
    except (ValueError, RecursionError):
        return [ResourceProblem("$", "json_invalid")]
    if not isinstance(resource, dict):
        return [ResourceProblem("$", "not_an_object")]
    resource_type = resource.get("resourceType")
    if not isinstance(resource_type, str):
        return [ResourceProblem("resourceType", "missing")]
    model = _model(resource_type)
    if model is None:
        return [ResourceProblem("resourceType", "type_unknown")]
    try:
        model.model_validate_json(text)
    except ValidationError as error:
        errors = error.errors(include_context=False, include_url=False)
        return [_problem(resource_type, each) for each in errors if not _is_empty_companion(each)]
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Not an error of the model but of its code, for example on a contained resource of an unknown type.
        return [ResourceProblem(resource_type, type(error).__name__)]
    return []


def _model(resource_type: str) -> type[BaseModel] | None:
    """The model of a FHIR resource type; None for a type that is unknown or no resource."""
    from fhir.resources.R4B import get_fhir_model_class
    from fhir.resources.R4B.resource import Resource

    try:
        model = get_fhir_model_class(resource_type)
    except (KeyError, ValueError):
        return None
    return model if issubclass(model, Resource) else None


def _is_empty_companion(error: ErrorDetails) -> bool:
    """Whether it is about `{}` beside a primitive (``_prefix: [{}]``): not allowed, but nothing is lost by it.

    Nictiz' own example nl-core-NameInformation-complete has one.
    """
    names = [step for step in error["loc"] if isinstance(step, str)]
    return error["input"] == {} and bool(names) and names[-1].startswith("_")


def _problem(resource_type: str, error: ErrorDetails) -> ResourceProblem:
    location = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return ResourceProblem(resource_type + steps, error["type"])


def check_resources(
    index: pa.Table,
    fetch: Callable[[Sequence[Place]], Iterable[tuple[str, int, str]]],
    *,
    batch_id: str,
    also: Collection[Place] = (),
    limit: int = 2000,
    per_stratum: int = 200,
) -> tuple[list[ResourceFailure], ResourceCheckReport]:
    """Checks all resources of a small batch, or a stratified sample of a large one.

    The sample takes `per_stratum` resources of every resource type and profile by a hash of batch id, file
    and line, so the same batch always has the same sample.

    Args:
        index: the readable resources: `source_file`, `source_line`, `resource_type`, `profile` (may be null).
        fetch: gives the text of the resources at these places, as (source_file, source_line, text).
        batch_id: seed of the sample.
        also: places to check whatever the sample is, such as those that failed elsewhere.
        limit: a batch of at most this many resources is checked as a whole.
        per_stratum: sample size per resource type and profile.

    Raises:
        TerminalError: ``RESOURCE-NOT-FETCHED`` when `fetch` leaves out a place.
    """
    policy: Literal["all", "sample"] = "all" if index.num_rows <= limit else "sample"
    chosen = _choose(index, batch_id, also, index.num_rows if policy == "all" else per_stratum)
    types = {(file, line): resource_type for file, line, resource_type, _ in chosen}
    failures, fetched = [], set()
    for file, line, text in fetch(list(types)):
        fetched.add((file, line))
        problems = check_resource(text)
        if problems:
            failures.append(ResourceFailure(file, line, types[file, line], tuple(problems)))
    if fetched != set(types):
        raise TerminalError(
            "RESOURCE-NOT-FETCHED",
            f"{len(set(types) - fetched)} resources could not be read back for their FHIR check",
            where=f"batch {batch_id}",
            remedy="Check that the landed export is complete and unchanged.",
        )
    return failures, ResourceCheckReport(policy, limit, per_stratum, _strata(index, chosen, failures))


_CHOOSE = """
    SELECT source_file, source_line, resource_type, profile FROM resources
    QUALIFY row_number() OVER (
                PARTITION BY resource_type, profile
                ORDER BY md5(concat_ws('|', $batch_id, source_file, source_line)), source_file, source_line
            ) <= $size
         OR (source_file, source_line) IN (SELECT (source_file, source_line) FROM also)
    ORDER BY source_file, source_line
"""

_COUNT = """
    SELECT resource_type, profile, count(*),
           count(*) FILTER ((source_file, source_line) IN (SELECT (source_file, source_line) FROM chosen)),
           count(*) FILTER ((source_file, source_line) IN (SELECT (source_file, source_line) FROM failures))
    FROM resources
    GROUP BY ALL
    ORDER BY resource_type, profile NULLS FIRST
"""

_PLACES = pa.schema([("source_file", pa.string()), ("source_line", pa.int64())])


def _choose(
    index: pa.Table, batch_id: str, also: Collection[Place], size: int
) -> list[tuple[str, int, str, str | None]]:
    with duckdb.connect() as connection:
        connection.register("resources", index)
        connection.register("also", _places(also))
        return connection.execute(_CHOOSE, {"batch_id": batch_id, "size": size}).fetchall()


def _strata(
    index: pa.Table, chosen: Iterable[tuple[str, int, str, str | None]], failures: Iterable[ResourceFailure]
) -> tuple[StratumReport, ...]:
    with duckdb.connect() as connection:
        connection.register("resources", index)
        connection.register("chosen", _places((file, line) for file, line, *_ in chosen))
        connection.register("failures", _places((each.source_file, each.source_line) for each in failures))
        return tuple(StratumReport(*row) for row in connection.execute(_COUNT).fetchall())


def _places(places: Iterable[Place]) -> pa.Table:
    columns = list(zip(*places, strict=True)) or [(), ()]
    return pa.table([pa.array(column, type_) for column, type_ in zip(columns, _PLACES.types, strict=True)], _PLACES)
