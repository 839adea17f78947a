"""Reading a definition that a domain expert wrote: a YAML file checked against a pydantic model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import TerminalError


class Definition(BaseModel):
    """A declared fact: immutable, and an unknown field is an error (a typing mistake never passes silently)."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# The same loader in C where PyYAML was built with it: 50 instruments take a tenth of the time.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DefinitionT = TypeVar("DefinitionT", bound=Definition)


def read_definition(path: Path, model: type[DefinitionT], code: str) -> DefinitionT:
    """Read `path` as `model`.

    Raises:
        TerminalError: `code`, naming the file and the first field that is wrong.
    """
    content = _read_yaml(path, code)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        field, what = _problems(error, model)[0]
        raise definition_error(path, f"field '{field}': {what}", code, field) from error


def definition_problems(path: Path, model: type[Definition], code: str) -> list[tuple[str, str]]:
    """Everything that is wrong with `path` as `model`: fields (paths with dots) and what is wrong with them.

    Raises:
        TerminalError: `code`, when it cannot be read as YAML.
    """
    content = _read_yaml(path, code)
    try:
        model.model_validate(content)
    except ValidationError as error:
        return _problems(error, model)
    return []


def _problems(error: ValidationError, model: type[Definition]) -> list[tuple[str, str]]:
    found = []
    for one in error.errors():
        field = ".".join(str(part) for part in one["loc"]) or "the file as a whole"
        unknown = one["type"] == "extra_forbidden" and len(one["loc"]) == 1
        allowed = f"; the fields are {', '.join(model.model_fields)}" if unknown else ""
        found.append((field, f"{one['msg']}{allowed}"))
    return found


def definition_error(path: Path, what: str, code: str, field: str | None = None) -> TerminalError:
    """The error of a definition file that cannot be used; with `field` (a path with dots) it names the line."""
    where = str(path) if field is None else f"{path}:{line_of(path, field)}"
    return TerminalError(code, what, where=where, remedy="Correct the definition file and run again")


def line_of(path: Path, field: str) -> int:
    """The line of the deepest part of `field` that stands in the file; parts that do not are passed over."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
    line = 1
    for part in field.split("."):
        found = _child(node, part)
        if found is not None:
            mark, node = found
            line = mark.line + 1
    return line


def _child(node: Any, part: str) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        return node.value[int(part)].start_mark, node.value[int(part)]
    return None


def _read_yaml(path: Path, code: str) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except OSError as error:
        raise definition_error(path, f"cannot be read: {error.strerror}", code) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise definition_error(path, f"is not valid YAML{place}", code) from error
