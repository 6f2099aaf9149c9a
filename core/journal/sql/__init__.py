"""The durable store: SQLite or PostgreSQL, through SQLAlchemy, and the only place that knows of either."""

from core.journal.sql.store import SqlStore

__all__ = ["SqlStore"]
