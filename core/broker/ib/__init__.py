"""The adapter to a real gateway over ib_async, which nothing outside this package knows."""

from core.broker.ib.line import Link
from core.broker.ib.live import LiveIB
from core.broker.ib.session import LiveOptions

__all__ = ["Link", "LiveIB", "LiveOptions"]
