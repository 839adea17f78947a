"""What the codes of a batch are held against, gathered from `mappings/` and `expectations/`."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.fitgap.run import load_fit_gap
from pipelines.terminology.cost import readers_of
from pipelines.terminology.unmapped import Terminology
from pipelines.validate.rules import load_suites
from pipelines.validate.value_sets import load_value_sets
from pipelines.zib.concept_maps import load_concept_maps

_IN_VALUE_SET = "_in_value_set"


def load_terminology(mappings: Path, expectations: Path) -> Terminology:
    """Bindings of the suites, value sets of zibs and indicators, concept maps, and what indicators read.

    Raises:
        TerminalError: with the code of the file that cannot be used.
    """
    fit_gap = load_fit_gap(mappings, ())
    value_sets = {name: each for outcome_set in fit_gap.sets for name, each in outcome_set.value_sets.items()}
    targets = load_concept_maps(mappings / "codes" / "concept_maps").values()
    return Terminology(
        bindings={
            table: {name.removesuffix(_IN_VALUE_SET): url for name, url in suite.bindings.items()}
            for table, suite in load_suites(expectations).items()
        },
        members=load_value_sets(mappings / "zib" / "value_sets").members,
        systems=_systems(mappings / "codes") | {system for each in targets for system, _, _ in each},
        readers=readers_of(fit_gap.needs, value_sets),
    )


def _systems(folder: Path) -> set[str]:
    """The code systems in the value sets of indicators."""
    systems: set[str] = set()
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            systems |= {row["system"] for row in csv.DictReader(file) if row.get("system")}
    return systems
