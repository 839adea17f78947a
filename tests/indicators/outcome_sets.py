"""The outcome sets of mappings/, read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipelines.indicators.definitions import OutcomeSet, load_outcome_set
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import Instrument, load_instruments

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
SETS = MAPPINGS / "outcome_sets"
ROLES = load_table_roles(MAPPINGS / "table_roles.yaml")


@cache
def instruments() -> Sequence[Instrument]:
    return load_instruments(MAPPINGS / "proms")


@cache
def outcome_set(name: str = "knie-heupartrose") -> OutcomeSet:
    return load_outcome_set(SETS / name, MAPPINGS / "codes", instruments(), ROLES)
