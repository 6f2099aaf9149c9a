"""The entries of all runs, and who holds which account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "entries",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("order_ref", sa.String(32)),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "position"),
        sa.CheckConstraint("position >= 0", name="position_counts_from_0"),
    )
    is_intent = sa.text("kind = 'OrderIntended'")
    op.create_index(
        "entries_order_ref",
        "entries",
        ["order_ref"],
        unique=True,
        sqlite_where=is_intent,
        postgresql_where=is_intent,
    )
    op.create_table(
        "holders",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
