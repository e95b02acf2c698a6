"""Runs the steps on the connection that `migrating.py` hands over. Read by Alembic."""

from __future__ import annotations

from alembic import context

from jobstream.views.db_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
