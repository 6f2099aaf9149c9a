"""Alembic's scripts, from the first schema of the journal on."""
