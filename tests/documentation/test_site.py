"""The documentation site: a page and a valid FHIR Measure per indicator, and MkDocs builds it without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fhir.resources.R4B.measure import Measure

from pipelines.documentation.in_words import REASONS
from pipelines.documentation.site import write_site
from pipelines.indicators.definitions import OutcomeSet, load_outcome_sets
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "mappings"


@pytest.fixture(scope="module")
def sets() -> tuple[OutcomeSet, ...]:
    roles = load_table_roles(MAPPINGS / "table_roles.yaml")
    return load_outcome_sets(MAPPINGS, load_instruments(MAPPINGS / "proms"), roles)


@pytest.fixture(scope="module")
def pages(sets: tuple[OutcomeSet, ...], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_site(sets, MAPPINGS, ROOT / "docs", tmp_path_factory.mktemp("site") / "pages")


def test_every_indicator_has_a_page_with_its_source_and_made_up_patients(
    sets: tuple[OutcomeSet, ...], pages: list[Path]
) -> None:
    indicators = {each.id: each for outcome_set in sets for each in outcome_set.indicators}
    assert {page.stem for page in pages} == set(indicators)
    for page in pages:
        text, indicator = page.read_text(encoding="utf-8"), indicators[page.stem]
        assert text.startswith(f"# {indicator.title_nl}\n")
        assert f"Bron: {indicator.source}" in text
        cases = yaml.safe_load(
            (MAPPINGS / "outcome_sets" / page.parent.name / "cases" / f"{page.stem}.yaml").read_text()
        )
        assert all(case["promise_nl"] in text for case in cases["cases"])
        outcomes = " ".join(line for line in text.splitlines() if line.startswith("Uitkomst"))
        assert not [word for word in ("yes", "no:", "True", "False", "****", *REASONS) if word in outcomes], page.name


def test_every_measure_is_valid_fhir(pages: list[Path]) -> None:
    for page in pages:
        measure = Measure.model_validate_json(page.with_name(f"{page.stem}.measure.json").read_bytes())
        assert measure.group[0].population[0].code.coding[0].code == "initial-population"


def test_mkdocs_builds_the_site_and_nothing_is_fetched_from_elsewhere(pages: list[Path], tmp_path: Path) -> None:
    source = pages[0].parents[1]
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (tmp_path / "mkdocs.yml").write_text(
        yaml.safe_dump(config | {"docs_dir": str(source), "site_dir": str(tmp_path / "html")}), encoding="utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--config-file",
        str(tmp_path / "mkdocs.yml"),
    ]
    subprocess.run(command, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, timeout=300)
    built = (tmp_path / "html" / "knie-heupartrose" / "hip-revision-1y.html").read_text(encoding="utf-8")
    assert "Revisie binnen 1 jaar" in built
    assert 'src="http' not in built
