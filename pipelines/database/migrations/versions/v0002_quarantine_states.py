"""The quarantine remembers: the state of every row, and when it was first seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("quarantine") as table:
        table.add_column(sa.Column("state", sa.String(), nullable=True))
        table.add_column(sa.Column("first_seen", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE quarantine SET state = 'open', first_seen ="
        " (SELECT landed_at FROM batch WHERE batch.batch_id = quarantine.batch_id)"
    )
    with op.batch_alter_table("quarantine") as table:
        table.alter_column("state", existing_type=sa.String(), nullable=False)
        table.alter_column("first_seen", existing_type=sa.DateTime(timezone=True), nullable=False)
    op.create_index("ix_quarantine_institution_rule_id", "quarantine", ["institution", "rule_id"])


def downgrade() -> None:
    # The old schema has one row for what is set aside now; what came back was not in it.
    op.execute("DELETE FROM quarantine WHERE state IN ('back', 'skipped')")
    op.drop_index("ix_quarantine_institution_rule_id", "quarantine")
    with op.batch_alter_table("quarantine") as table:
        table.drop_column("first_seen")
        table.drop_column("state")
