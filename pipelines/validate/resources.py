"""Checks FHIR resources against the R4B and STU3 models of `fhir.resources`: a small batch whole, a large one sampled.

The models check types, cardinalities and unknown elements, not codes or profiles. They are 60 times slower
than reading the resources, hence the sample. Their messages quote the input, so only the path and the kind of
a problem are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.fhir_types import Release
from pipelines.sqlonfhir.values import quote
from pipelines.zib.releases import FOLDERS, release_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_PACKAGES: Mapping[Release, str] = {"r4": "R4B", "stu3": "STU3"}

Place = tuple[str, int]
"""(source_file, source_line): where a resource is in the export."""

Fetch = Callable[[Sequence[Place]], Iterable[tuple[str, int, str]]]
"""Gives the text of the resources at these places, as (source_file, source_line, text)."""


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
        resource_type: its type, or what the index says when it has none that is known.
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


@dataclass(frozen=True, slots=True)
class ExplainedReport:
    """How many resources were rejected by table rules, and how many of those were also checked and failed here."""

    rejected: int
    checked: int
    failed: int
    limit: int


def check_resource(text: str) -> list[ResourceProblem]:
    """The problems of one resource, none when it fits the FHIR model of its type and release.

    A resource that does not tell its release is judged by the release it fits best.

    Args:
        text: the resource as JSON.
    """
    try:
        resource = json.loads(text)
    except (ValueError, RecursionError):
        return [ResourceProblem("$", "json_invalid")]
    if not isinstance(resource, dict):
        return [ResourceProblem("$", "not_an_object")]
    resource_type = resource.get("resourceType")
    if not isinstance(resource_type, str):
        return [ResourceProblem("resourceType", "missing")]
    told = release_of(resource)
    model = _model(told, resource_type) if told else None
    chosen = [model] if model else [model for each in FOLDERS if (model := _model(each, resource_type)) is not None]
    if not chosen:
        return [ResourceProblem("resourceType", "type_unknown")]
    return min((_problems(model, resource_type, text) for model in chosen), key=len)


def _problems(model: type[BaseModel], resource_type: str, text: str) -> list[ResourceProblem]:
    from pydantic import ValidationError

    try:
        model.model_validate_json(text)
    except ValidationError as error:
        errors = error.errors(include_context=False, include_url=False)
        return [_problem(resource_type, each) for each in errors if not _is_empty_companion(each)]
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Not an error of the model but of its code, for example on a contained resource of an unknown type.
        return [ResourceProblem(resource_type, type(error).__name__)]
    return []


@cache
def _model(release: Release, resource_type: str) -> type[BaseModel] | None:
    """The model of a FHIR resource type in a release; None for a type that it does not know or that is no resource."""
    package = import_module(f"fhir.resources.{_PACKAGES[release]}")
    try:
        model: type[BaseModel] = package.get_fhir_model_class(resource_type)
    except (KeyError, ValueError):
        return None
    base = import_module(f"fhir.resources.{_PACKAGES[release]}.resource").Resource
    return model if issubclass(model, base) else None


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
    index: duckdb.DuckDBPyRelation,
    fetch: Fetch,
    *,
    batch_id: str,
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
        limit: a batch of at most this many resources is checked as a whole.
        per_stratum: sample size per resource type and profile.

    Raises:
        TerminalError: ``RESOURCE-NOT-FETCHED`` when `fetch` leaves out a place.
    """
    total = len(index)
    policy: Literal["all", "sample"] = "all" if total <= limit else "sample"
    size = total if policy == "all" else per_stratum
    chosen = _rows(index, _CHOOSE.format(batch_id=quote(batch_id), size=size))
    failures = _check({(file, line): resource_type for file, line, resource_type, _ in chosen}, fetch, batch_id)
    failed = {(failure.source_file, failure.source_line) for failure in failures}
    checked = Counter((kind, profile) for _, _, kind, profile in chosen)
    invalid = Counter((kind, profile) for file, line, kind, profile in chosen if (file, line) in failed)
    strata = tuple(
        StratumReport(kind, profile, count, checked[kind, profile], invalid[kind, profile])
        for kind, profile, count in _rows(index, _COUNT)
    )
    return failures, ResourceCheckReport(policy, limit, per_stratum, strata)


def explain(
    index: duckdb.DuckDBPyRelation,
    fetch: Fetch,
    rejected: Collection[Place],
    *,
    batch_id: str,
    limit: int = 1000,
) -> tuple[list[ResourceFailure], ExplainedReport]:
    """Checks resources that were rejected for another reason, at most `limit` of them, chosen by a hash.

    Raises:
        TerminalError: ``RESOURCE-NOT-FETCHED`` when `fetch` leaves out a place.
    """
    chosen = sorted(rejected, key=lambda place: hashlib.md5(f"{batch_id}|{place[0]}|{place[1]}".encode()).digest())
    types = dict.fromkeys(sorted(chosen[:limit]), "")
    for file, line, resource_type, _ in _at(index, types):
        types[file, line] = resource_type
    failures = _check(types, fetch, batch_id)
    return failures, ExplainedReport(rejected=len(rejected), checked=len(types), failed=len(failures), limit=limit)


def keys_of(index: duckdb.DuckDBPyRelation, places: Collection[Place]) -> dict[Place, str | None]:
    """The resource_key of the resources at these places."""
    return {(file, line): key for file, line, _, key in _at(index, places)}


def _check(types: Mapping[Place, str], fetch: Fetch, batch_id: str) -> list[ResourceFailure]:
    failures, fetched = [], set()
    for file, line, text in fetch(list(types)):
        fetched.add((file, line))
        problems = check_resource(text)
        if problems:
            failures.append(ResourceFailure(file, line, _type_of(text) or types[file, line], tuple(problems)))
    if fetched != set(types):
        raise TerminalError(
            "RESOURCE-NOT-FETCHED",
            f"{len(set(types) - fetched)} resources could not be read back for their FHIR check",
            where=f"batch {batch_id}",
            remedy="Check that the landed export is complete and unchanged.",
        )
    return failures


def _type_of(text: str) -> str | None:
    """The type of the resource itself: the index also names the tables that its contained resources feed."""
    try:
        resource = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = resource.get("resourceType") if isinstance(resource, dict) else None
    return found if isinstance(found, str) and any(_model(release, found) for release in FOLDERS) else None


_CHOOSE = """
    SELECT source_file, source_line, resource_type, profile FROM resources
    QUALIFY row_number() OVER (
        PARTITION BY resource_type, profile
        ORDER BY md5(concat_ws('|', {batch_id}, source_file, source_line)), source_file, source_line
    ) <= {size}
    ORDER BY source_file, source_line
"""

_COUNT = (
    "SELECT resource_type, profile, count(*) FROM resources GROUP BY ALL ORDER BY resource_type, profile NULLS FIRST"
)

_AT = """
    SELECT source_file, source_line, min(resource_type), min(resource_key) FROM resources
    WHERE (source_file, source_line) IN ({places})
    GROUP BY ALL
"""


def _at(index: duckdb.DuckDBPyRelation, places: Collection[Place]) -> list[tuple[Any, ...]]:
    if not places:
        return []
    listed = ", ".join(f"({quote(file)}, {line})" for file, line in places)
    return _rows(index, _AT.format(places=listed))


def _rows(index: duckdb.DuckDBPyRelation, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query that knows the index as `resources`."""
    found = index.query("resources", sql)
    return [] if found is None else found.fetchall()
