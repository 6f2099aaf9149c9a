"""The adapter to a real gateway over ib_async, which nothing outside this package knows."""

from core.broker.ib.adapter import LiveIB
from core.broker.ib.client import SocketTraffic
from core.broker.ib.session import LiveOptions

__all__ = ["LiveIB", "LiveOptions", "SocketTraffic"]
