"""Every registry definition in the project loads, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.deliver.definition import load_registry
from pipelines.errors import TerminalError

REGISTRIES = Path(__file__).resolve().parents[2] / "mappings/registries"
LROI = (REGISTRIES / "lroi.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(REGISTRIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_definition_is_named_after_its_file_and_gives_sources(path: Path) -> None:
    registry = load_registry(path)
    assert registry.id == path.stem
    assert registry.sources


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("holds: denominator", "holds: missing", "columns.6.holds"),
        ("header: Teller", "header: Noemer", "header used twice: Noemer"),
        ("id: lroi", "id: ../lroi", "field 'id'"),
        ("decimals: 4", "decimal: 4", "file.decimals"),
        ("id: lroi", "id: [lroi", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "lroi.yaml"
    path.write_text(LROI.replace(old, new), encoding="utf-8")
    with pytest.raises(TerminalError) as caught:
        load_registry(path)
    assert message in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        load_registry(tmp_path / "lroi.yaml")
