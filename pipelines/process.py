"""The process that runs one command: how it begins and how it ends."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn


def begin() -> None:
    """Look for garbage less often: libraries make a million objects that stay, and each look goes over them in vain."""
    gc.set_threshold(50_000, 20, 20)


def leave() -> NoReturn:
    """End the process, with exit code 0, after what asked to be done at its end.

    Python would first take a million objects of libraries apart, one by one: a second of work for nothing.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(0)
