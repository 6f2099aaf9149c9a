"""The order journal. `Journal` records runs, approvals, orders and fills in a `Store`; `MemoryStore` is one."""

from core.journal.journal import Journal
from core.journal.memory import MemoryStore
from core.journal.store import Store

__all__ = ["Journal", "MemoryStore", "Store"]
