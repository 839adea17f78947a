"""The source of the documentation site: a page per outcome set and indicator, and the pages of `docs/`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from pipelines.documentation.indicator_page import indicator_page
from pipelines.indicators.cases import case_path
from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.fhir_measure import fhir_measure


def write_site(outcome_sets: Sequence[OutcomeSet], mappings: Path, docs: Path, out: Path) -> list[Path]:
    """Write the Markdown that MkDocs makes the site of (`mkdocs.yml`), in place of what `out` held.

    Args:
        mappings: holds `outcome_sets/<set>/cases`, the made-up patients that the pages show.
        docs: the pages for engineers, copied to `techniek/`.

    Returns:
        the pages of the indicators; beside each its `Measure` as JSON.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pages = []
    for outcome_set in outcome_sets:
        folder = out / outcome_set.id
        folder.mkdir()
        (folder / "index.md").write_text(_set_page(outcome_set), encoding="utf-8")
        for indicator in outcome_set.indicators:
            cases = case_path(mappings / "outcome_sets" / outcome_set.id, indicator.id)
            told = yaml.safe_load(cases.read_text(encoding="utf-8"))["cases"] if cases.exists() else []
            page = folder / f"{indicator.id}.md"
            page.write_text(indicator_page(outcome_set, indicator, told), encoding="utf-8")
            content = json.dumps(fhir_measure(outcome_set, indicator), indent=2, ensure_ascii=False)
            (folder / f"{indicator.id}.measure.json").write_text(content + "\n", encoding="utf-8")
            pages.append(page)
    (out / "index.md").write_text(_front_page(outcome_sets), encoding="utf-8")
    shutil.copytree(docs, out / "techniek")
    return pages


def _front_page(outcome_sets: Sequence[OutcomeSet]) -> str:
    lines = [
        "# Uitkomstindicatoren",
        "",
        "Per uitkomstenset: wat elke indicator meet, hoe die wordt berekend en met welke codes.",
        "De voorbeelden zijn nagerekend.",
        "",
    ]
    lines += [f"- [{each.title_nl}]({each.id}/index.md): {len(each.indicators)} indicatoren" for each in outcome_sets]
    return "\n".join(lines) + "\n"


def _set_page(outcome_set: OutcomeSet) -> str:
    lines = [
        f"# {outcome_set.title_nl}",
        "",
        " ".join(outcome_set.description_nl.split()),
        "",
        *(f"- [{each.title_nl}]({each.id}.md)" for each in outcome_set.indicators),
        "",
        "## Bronnen",
        "",
        *(f"- {source}" for source in outcome_set.sources),
    ]
    return "\n".join(lines) + "\n"
