"""What Alembic runs: the steps that the database lacks, in the transaction of the connection that it was given."""

from __future__ import annotations

from alembic import context

from core.journal.sql.schema import METADATA

# SQLite can roll a change of the schema back too, as its transactions are begun explicitly (see database.py)
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
