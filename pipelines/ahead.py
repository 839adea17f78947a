"""What takes seconds to load, loaded in the background while DuckDB reads an export."""

from __future__ import annotations

from functools import cache
from threading import Thread

from pipelines.sqlonfhir.units import is_unit
from pipelines.validate.gx_session import load_great_expectations


@cache
def load_ahead() -> Thread:
    """Begin to load what mapping and validation need; whoever needs it sooner waits at the lock of its loader.

    Where loading fails here, it fails again with its error where it is needed.
    """
    thread = Thread(target=_load, name="load-ahead", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    is_unit("1")
    load_great_expectations()
