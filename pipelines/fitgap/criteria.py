"""When data are good enough for an indicator, as declared in `mappings/fitgap.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.indicators.elements import CHECKS, Check, Role
from pipelines.proms.definition_file import Definition, read_definition

ERROR_CODE = "FITGAP-CRITERIA"
_Share = Annotated[float, Field(ge=0, le=1)]


class Criterion(Definition):
    """One check: one case is enough (`presence`), or the shares from which it is ready or partly ready.

    `at_worst` is the verdict when it fails: some gaps leave an indicator usable with care.
    """

    label_nl: str
    presence: bool = False
    at_worst: Literal["partly", "not"] = "not"
    ready: _Share | None = None
    partly: _Share | None = None
    reason: str
    gap_nl: str
    who_nl: str
    fix_nl: str

    @model_validator(mode="after")
    def _has_shares_or_presence(self) -> Self:
        if self.presence != (self.ready is None) or self.presence != (self.partly is None):
            raise ValueError("needs either presence: true, or ready and partly")
        if self.ready is not None and self.partly is not None and self.partly > self.ready:
            raise ValueError("partly has to be at most ready")
        return self


class Tests(Definition):
    """Which checks make up the test of registrability and that of exchangeability."""

    registrable: list[Check]
    exchangeable: list[Check]


class Criteria(Definition):
    """The file as a whole."""

    sources: list[str]
    tests: Tests
    operationalisation: list[str]
    minimum_for_display: Annotated[int, Field(ge=1)]
    minimum_reason: str
    checks: dict[Check, Criterion]
    timely_days: dict[Role, Annotated[int, Field(ge=0)]]
    timely_reason: str

    @model_validator(mode="after")
    def _every_check_is_declared(self) -> Self:
        missing = sorted(set(Check) - set(self.checks))
        if missing:
            raise ValueError(f"checks.{missing[0]} is missing")
        dated = {role for role, checks in CHECKS.items() if Check.TIMELY in checks}
        if dated - set(self.timely_days):
            raise ValueError(f"timely_days.{min(dated - set(self.timely_days))} is missing")
        return self


def load_criteria(path: Path) -> Criteria:
    """Read `mappings/fitgap.yaml`.

    Raises:
        TerminalError: FITGAP-CRITERIA, naming the file and the field.
    """
    return read_definition(path, Criteria, ERROR_CODE)
