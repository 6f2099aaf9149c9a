"""A simulated IB gateway on loopback: an asyncio server that unmodified clients of the TWS protocol connect to."""

from core.sim.gateway.log import Entry
from core.sim.gateway.options import Bounds, GatewayOptions, Traffic
from core.sim.gateway.server import Gateway

__all__ = ["Bounds", "Entry", "Gateway", "GatewayOptions", "Traffic"]
