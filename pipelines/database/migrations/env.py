"""Alembic's entry: migrates over the connection and transaction of its caller."""

from __future__ import annotations

from alembic import context

from pipelines.database.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # the caller holds one transaction, also on SQLite
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
