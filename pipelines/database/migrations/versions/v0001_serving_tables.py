"""The serving tables: batch, quarantine, outcome_patient, indicator_result, delivery."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_batch()
    _create_quarantine()
    _create_outcome_patient()
    _create_indicator_result()
    _create_delivery()


def downgrade() -> None:
    for table in ("delivery", "indicator_result", "outcome_patient", "quarantine", "batch"):
        op.drop_table(table)


def _row_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=nullable) for name in names]


def _counts(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def _numbers(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double(), nullable=True) for name in names]


def _create_batch() -> None:
    op.create_table(
        "batch",
        *_texts("batch_id", "institution"),
        sa.Column("landed_at", sa.DateTime(timezone=True), nullable=False),
        *_counts("files", "lines", "accepted", "quarantined", "skipped"),
        *_texts("state"),
        sa.PrimaryKeyConstraint("batch_id", name="pk_batch"),
    )
    op.create_index("ix_batch_institution", "batch", ["institution"])


def _create_quarantine() -> None:
    op.create_table(
        "quarantine",
        _row_id(),
        *_texts("batch_id", "institution", "source_file"),
        *_counts("source_line", nullable=True),
        *_texts("resource_type", "resource_key", nullable=True),
        *_texts("rule_id", "reason", "step"),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name="fk_quarantine_batch_id_batch", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_quarantine_batch_id", "quarantine", ["batch_id"])


def _create_outcome_patient() -> None:
    op.create_table(
        "outcome_patient",
        _row_id(),
        *_texts("institution", "outcome_set", "indicator", "indicator_version"),
        *_texts("patient_key", "index_key", nullable=True),
        sa.Column("index_date", sa.Date(), nullable=True),
        *_texts("period", nullable=True),
        *_texts("status"),
        *_texts("reason", nullable=True),
        sa.Column("numerator", sa.Boolean(), nullable=True),
        *_numbers("value"),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outcome_patient"),
    )
    op.create_index(
        "ix_outcome_patient_outcome_set_institution_indicator_period",
        "outcome_patient",
        ["outcome_set", "institution", "indicator", "period"],
    )


def _create_indicator_result() -> None:
    op.create_table(
        "indicator_result",
        *_texts("outcome_set", "institution", "indicator", "period", "indicator_version", "kind"),
        *_counts("denominator"),
        *_counts("numerator", nullable=True),
        *_numbers("value", "ci_low", "ci_high"),
        *_counts("group_denominator", nullable=True),
        *_numbers("group_value"),
        *_counts("pending", "missing", "excluded"),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint(
            "outcome_set", "institution", "indicator", "period", name="pk_indicator_result"
        ),
    )


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        _row_id(),
        *_texts("registry", "outcome_set"),
        sa.Column("as_of", sa.Date(), nullable=False),
        *_texts("content_sha256", "state", "path"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("registry", "content_sha256", name="uq_delivery_registry_content_sha256"),
    )
