"""indicator_result per kind of period and stratum, with comparison; and the case-mix models behind it.

What indicator_result held is computed again by the next run, so the table is made anew.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = ["outcome_set", "institution", "indicator"]


def upgrade() -> None:
    op.drop_table("indicator_result")
    _create_results(
        [*_KEY, "period_kind", "period", "stratifier", "stratum"],
        *_columns(sa.Double(), "benchmark", "expected", "oe", "oe_low", "oe_high", "reliability", nullable=True),
        *_columns(sa.String(), "comparable"),
        *_columns(sa.BigInteger(), "rank", nullable=True),
        *_columns(sa.BigInteger(), "outside"),
    )
    op.create_table(
        "case_mix_model",
        *_columns(sa.String(), "outcome_set", "indicator", "indicator_version"),
        *_columns(sa.JSON(), "model", nullable=True),
        *_columns(sa.String(), "data_version", nullable=True),
        *_columns(sa.BigInteger(), "patients", "events", nullable=True),
        *_columns(sa.Double(), "c_statistic", "brier", "calibration_intercept", "calibration_slope", nullable=True),
        *_columns(sa.Double(), "hosmer_lemeshow_p", nullable=True),
        *_columns(sa.String(), "problem", nullable=True),
        *_columns(sa.Date(), "as_of"),
        sa.PrimaryKeyConstraint("outcome_set", "indicator", name="pk_case_mix_model"),
    )


def downgrade() -> None:
    for table in ("case_mix_model", "indicator_result"):
        op.drop_table(table)
    _create_results([*_KEY, "period"])


def _create_results(key: list[str], *more: sa.Column[Any]) -> None:
    op.create_table(
        "indicator_result",
        *_columns(sa.String(), *key, "indicator_version", "statistic"),
        *_columns(sa.BigInteger(), "denominator"),
        *_columns(sa.BigInteger(), "numerator", "group_denominator", nullable=True),
        *_columns(sa.Double(), "value", "ci_low", "ci_high", "group_value", nullable=True),
        *_columns(sa.BigInteger(), "pending", "missing", "excluded"),
        *more,
        *_columns(sa.Date(), "as_of"),
        sa.PrimaryKeyConstraint(*key, name="pk_indicator_result"),
    )


def _columns(kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]
