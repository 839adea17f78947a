"""`uitkomst explain`: why a patient counts in an indicator as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    indicator: Annotated[str, typer.Argument(metavar="INDICATOR", help="Its id, such as hip-revision-1y.")],
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="The patient's key (a pseudonym) in the results.")],
    home: Annotated[Path | None, typer.Option(help="Folder that a run filled (default: var/).")] = None,
) -> None:
    """Say in Dutch why a patient counts in an indicator, or does not, with every resource that decided it."""
    from pipelines.chain import Chain
    from pipelines.documentation.explain import explain as in_words
    from pipelines.documentation.explain import outcome_of
    from pipelines.errors import TerminalError
    from pipelines.settings import settings

    chain = Chain.at(home or settings().home)
    outcome_set, rows = chain.outcomes_of(indicator, patient)
    if not rows:
        raise TerminalError(
            "PATIENT-UNKNOWN",
            "the results hold no case of this patient",
            where=f"indicator {indicator}",
            remedy="Take a patient_key from table outcome_patient, or run the chain first.",
        )
    print("\n\n".join(in_words(outcome_set, outcome_of(row)) for row in rows))
