"""The tables of the journal, as the newest migration leaves them.

One row of `entries` is one entry of a run: `kind` is its class, `body` its fields as JSON, `order_ref` the order it is
about, if any. The primary key makes appending at a taken position fail, whoever tries; the partial index makes a
second intent under one order reference fail, whatever the rules decided. `holders` only names who holds an
account, for messages: the lock itself is the kernel's or the server's. `codes` are the one-time codes of approvers that
were used: its primary key makes a second use fail, whoever tries.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, String, Table, Text, text

METADATA = MetaData()

_IS_INTENT = text("kind = 'OrderIntended'")

ENTRIES = Table(
    "entries",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("order_ref", String(32)),
    Column("body", Text, nullable=False),
    CheckConstraint("position >= 0", name="position_counts_from_0"),
    Index("entries_order_ref", "order_ref", unique=True, sqlite_where=_IS_INTENT, postgresql_where=_IS_INTENT),
)

HOLDERS = Table(
    "holders",
    METADATA,
    Column("account_id", String(32), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("process", Integer, nullable=False),
    Column("since", String(32), nullable=False),
)

CODES = Table(
    "codes",
    METADATA,
    Column("approver", String(32), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("run_id", String(32), nullable=False),
    Column("plan_hash", String(80), nullable=False),
    Column("at", String(32), nullable=False),
)
