"""Bring a database to the newest schema, by the steps of `migrations/versions`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, select

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA_LOCK = 0x52424A4F  # any number that no other program takes an advisory lock by


def upgrade(engine: Engine) -> str | None:
    """Make the steps that are missing, in one transaction that of several processes only one is in at a time.

    None when that is done; the revision of a schema that is not among ours, which is left alone.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in _known_revisions(config):
            return current
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return None


def _known_revisions(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
