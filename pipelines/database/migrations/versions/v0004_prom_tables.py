"""The PROM tables: prom_score, prom_due, prom_response_rate."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_prom_score()
    _create_prom_due()
    _create_prom_response_rate()


def downgrade() -> None:
    for table in ("prom_response_rate", "prom_due", "prom_score"):
        op.drop_table(table)


def _row_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=nullable) for name in names]


def _counts(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def _numbers(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double(), nullable=True) for name in names]


def _days(*names: str, nullable: bool = False) -> list[sa.Column[date]]:
    return [sa.Column(name, sa.Date(), nullable=nullable) for name in names]


def _create_prom_score() -> None:
    op.create_table(
        "prom_score",
        _row_id(),
        *_texts("outcome_set", "institution"),
        *_texts("patient_key", "instrument", "instrument_version", "score", "cohort", "index_key", nullable=True),
        *_texts("moment", "place", nullable=True),
        *_counts("days_from_index", nullable=True),
        *_numbers("raw", "value", "se"),
        *_counts("complete_items", "items", nullable=True),
        *_texts("missing_rule", "missing_reason", "direction", nullable=True),
        *_days("scored_date", nullable=True),
        *_texts("status", "answered_by", nullable=True),
        *_texts("scored_by"),
        *_texts("questionnaire", nullable=True),
        *_texts("resource_key"),
        sa.PrimaryKeyConstraint("id", name="pk_prom_score"),
    )
    op.create_index(
        "ix_prom_score_outcome_set_institution_instrument_moment",
        "prom_score",
        ["outcome_set", "institution", "instrument", "moment"],
    )


def _create_prom_due() -> None:
    op.create_table(
        "prom_due",
        _row_id(),
        *_texts("outcome_set", "institution", "patient_key", "cohort", "index_key"),
        *_days("index_date"),
        sa.Column("planned", sa.Boolean(), nullable=False),
        *_texts("instrument", "instrument_version", "questionnaire", "moment"),
        *_days("due_from", "due_until", "target_date"),
        *_texts("state"),
        *_days("as_of"),
        sa.PrimaryKeyConstraint("id", name="pk_prom_due"),
    )
    op.create_index("ix_prom_due_outcome_set_institution_due_from", "prom_due", ["outcome_set", "institution", "due_from"])


def _create_prom_response_rate() -> None:
    key = ("outcome_set", "institution", "cohort", "instrument", "moment")
    op.create_table(
        "prom_response_rate",
        *_texts(*key),
        *_counts("index_events", "window_open", "denominator", "scored", "not_scorable", "proxy_refused"),
        *_counts("unfinished", "late", "no_response", "deceased"),
        *_numbers("response_rate", "scored_rate"),
        *_days("as_of"),
        sa.PrimaryKeyConstraint(*key, name="pk_prom_response_rate"),
    )
