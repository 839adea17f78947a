"""outcome_patient and indicator_result in the language of outcome sets: every statistic, evidence with its role.

What they held is computed again by the next run, so the tables are made anew.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _drop()
    _create("index_end", sa.Date(), by="index_date", adds_up="statistic")


def downgrade() -> None:
    _drop()
    _create("period", sa.String(), by="period", adds_up="kind")


def _drop() -> None:
    for table in ("indicator_result", "outcome_patient"):
        op.drop_table(table)


def _create(after_date: str, kind: sa.types.TypeEngine[Any], *, by: str, adds_up: str) -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "outcome_patient",
        sa.Column("id", row_id, nullable=False),
        *_columns(sa.String(), "institution", "outcome_set", "indicator", "indicator_version"),
        *_columns(sa.String(), "patient_key", "index_key", nullable=True),
        *_columns(sa.Date(), "index_date", nullable=True),
        *_columns(kind, after_date, nullable=True),
        *_columns(sa.String(), "status"),
        *_columns(sa.String(), "reason", nullable=True),
        *_columns(sa.Boolean(), "numerator", nullable=True),
        *_columns(sa.Double(), "value", nullable=True),
        *_columns(sa.JSON(), "evidence", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outcome_patient"),
    )
    key = ["outcome_set", "institution", "indicator"]
    op.create_index(f"ix_outcome_patient_{'_'.join([*key, by])}", "outcome_patient", [*key, by])
    op.create_table(
        "indicator_result",
        *_columns(sa.String(), *key, "period", "indicator_version", adds_up),
        *_columns(sa.BigInteger(), "denominator"),
        *_columns(sa.BigInteger(), "numerator", "group_denominator", nullable=True),
        *_columns(sa.Double(), "value", "ci_low", "ci_high", "group_value", nullable=True),
        *_columns(sa.BigInteger(), "pending", "missing", "excluded"),
        *_columns(sa.Date(), "as_of"),
        sa.PrimaryKeyConstraint(*key, "period", name="pk_indicator_result"),
    )


def _columns(kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]
