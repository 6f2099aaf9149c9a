"""What a gateway may be told to do differently, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from core.sim.gateway.log import LogEntry
from core.sim.venue.exchange import TRADING_CLIENT
from core.sim.venue.sessions import HoursOf, weekday_hours


@dataclass(slots=True)
class ByteCounts:
    """Bytes of one connection: read from the client, and written to it."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may take of the gateway; all but `lines` protects the process, so its seconds are real ones.

    A client that has not said who it is within `handshake_seconds` is let go; so is one for which more than
    `queued_bytes` wait to be read.
    """

    frame_bytes: int = 65_536
    queued_bytes: int = 4_194_304
    handshake_seconds: float = 15.0
    connections: int = 64
    lines: int = 100
    summaries: int = 2
    subscriptions: int = 200


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """`trading_client` sent the world's own earlier orders. An answer takes `latency_seconds` of the venue's clock.

    With `is_read_only` Read-Only API is ticked: lists of orders, order ids and orders are refused with 321.

    `on_kill_switch` is called where the script throws the kill switch, `hours_around` gives the venue's days and
    `on_log` gets every entry of the log.
    """

    trading_client: int = TRADING_CLIENT
    latency_seconds: float = 0.0
    is_read_only: bool = False
    on_kill_switch: Callable[[], None] = field(default=lambda: None)
    hours_around: Callable[[datetime], HoursOf] = weekday_hours
    on_log: Callable[[LogEntry], None] | None = None
    bounds: ClientLimits = ClientLimits()
