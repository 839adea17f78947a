"""Exports made once per run: sound and flawed with the same seed, and one of the default size."""

from __future__ import annotations

import pytest
from synthetic_exports import Export, make

from pipelines.synthetic.export import synthesise


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return make(tmp_path_factory.mktemp("sound") / "exports")


@pytest.fixture(scope="session")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return make(tmp_path_factory.mktemp("flawed") / "exports", defect_share=0.05)


@pytest.fixture(scope="session")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder = tmp_path_factory.mktemp("full") / "exports"
    return Export(folder, synthesise(folder))
