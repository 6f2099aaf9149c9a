"""A simulated IB gateway on loopback: an asyncio server that unmodified clients of the TWS protocol connect to."""

from core.sim.gateway.log import LogEntry
from core.sim.gateway.server import SimulatedGateway
from core.sim.gateway.state import ClientLimits, GatewayOptions

__all__ = ["ClientLimits", "GatewayOptions", "LogEntry", "SimulatedGateway"]
