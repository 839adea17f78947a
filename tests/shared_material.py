"""Where the reference material lies that is not part of the project: tests that need it skip without it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def shared(name: str) -> Path:
    """The folder `name` of the reference material beside the project; skips the calling module when absent."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the reference material ../shared/{name} is not here", allow_module_level=True)
    return folder
