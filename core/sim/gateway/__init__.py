"""A simulated IB gateway on loopback: an asyncio server that unmodified clients of the TWS protocol connect to."""

from core.sim.gateway.log import LogEntry
from core.sim.gateway.options import ClientLimits, GatewayOptions
from core.sim.gateway.server import SimulatedGateway

__all__ = ["ClientLimits", "GatewayOptions", "LogEntry", "SimulatedGateway"]
