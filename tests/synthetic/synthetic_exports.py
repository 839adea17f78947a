"""A small export of every kind of hospital, for the tests of the generator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.synthetic.export import synthesise
from pipelines.synthetic.truth import Truth

AS_OF = date(2025, 6, 30)


@dataclass(frozen=True)
class Export:
    """Where an export was written, and the truth about it."""

    folder: Path
    truth: Truth


def make(folder: Path, *, defect_share: float = 0.0) -> Export:
    """Eight hospitals, so that every dialect occurs, of about twenty patients."""
    truth = synthesise(folder, hospitals=8, patients=20, seed=7, as_of=AS_OF, defect_share=defect_share)
    return Export(folder, truth)
