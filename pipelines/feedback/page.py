"""Turning a template into one HTML file that needs nothing beside it, and writing it as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.errors import TransientError

_ENVIRONMENT = Environment(
    loader=PackageLoader("pipelines.feedback"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **context: object) -> str:
    """Fill in a template of `templates/`; every value is escaped, and an unknown name is an error."""
    return _ENVIRONMENT.get_template(template).render(**context)


def write_page(path: Path, html: str) -> Path:
    """Write aside, flush to disk and rename, so that a reader never opens half a page.

    Raises:
        TransientError: the file could not be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise TransientError(
            "REPORT-WRITE",
            f"the report could not be written: {error.strerror}",
            where=str(path),
            remedy="Check the disk and its rights, then run again.",
        ) from error
    return path
