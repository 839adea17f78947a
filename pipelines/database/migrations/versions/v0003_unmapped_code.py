"""The table unmapped_code: codes and units of a batch that say nothing to the pipeline."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unmapped_code",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("batch_id", "institution", "kind")),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("system", "code", "display")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("zib_table", "element")),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("example_file", sa.String(), nullable=False),
        sa.Column("example_line", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_unmapped_code"),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name="fk_unmapped_code_batch_id_batch", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_unmapped_code_batch_id", "unmapped_code", ["batch_id"])


def downgrade() -> None:
    op.drop_table("unmapped_code")
