"""Alembic migrations of the serving tables, run by `pipelines.database.session.open_database`."""
