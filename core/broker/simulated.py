"""SimulatedIB: the real client over a real socket to a gateway of its own in this process, on an autojump clock.

A rehearsal sends what a real gateway would receive; waiting takes no time, as with the in-memory broker.
"""

from __future__ import annotations

from dataclasses import replace

from core.broker.errors import REFUSED, lost
from core.broker.ib import LiveIB, LiveOptions
from core.clock import AutojumpClock
from core.errors import ConnectionClosed
from core.model import BrokerKind
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.gateway.server import LOOPBACK
from core.sim.venue.world import World


class SimulatedIB(LiveIB):
    """A LiveIB whose `gateway` listens while it is connected; the gateway keeps orders, fills and ids in between."""

    kind = BrokerKind.SIMULATED

    def __init__(self, gateway: SimulatedGateway, clock: AutojumpClock, options: LiveOptions) -> None:
        super().__init__(options, clock)
        self.gateway = gateway
        clock.is_quiet = self._is_quiet

    @classmethod
    def of(cls, world: World, options: LiveOptions, gateway_options: GatewayOptions) -> SimulatedIB:
        """A broker of this world; host and port of the options are not used."""
        clock = AutojumpClock(world.as_of)
        return cls(SimulatedGateway.of(world, clock, gateway_options), clock, options)

    @property
    def port(self) -> int | None:
        """None: the gateway listens on any free port, another one each time."""
        return None

    def reach(self, point: str) -> None:
        """Apply at the gateway what the script has for this point."""
        self.gateway.reach(point)

    @property
    def is_connected(self) -> bool:
        """False as soon as the gateway has closed the connection, whether or not the client has noticed."""
        traffic = self.socket_traffic()
        return super().is_connected and traffic is not None and traffic.port in self.gateway.traffic()

    async def connect(self) -> None:
        await self._clock.sleep(0)  # what was sent arrives first, which may be the end of the last connection
        if not self.gateway.is_listening:
            self._options = replace(self._options, host=LOOPBACK, port=await self.gateway.start())
        try:
            await super().connect()
        except ConnectionClosed:
            # the script refused it: a person has no address and no setting to check
            raise lost(REFUSED) from None

    async def disconnect(self) -> None:
        await super().disconnect()
        await self._clock.sleep(0)  # what was sent last still arrives, as at a gateway that goes on running
        await self.gateway.stop()

    def _is_quiet(self) -> bool:
        """Whether both sides have read all that the other wrote, and agree on which connections are open."""
        ours, links = self.socket_traffic(), self.gateway.traffic()
        if ours is None:
            return not links
        return {ours.port: (ours.sent, ours.received)} == {
            port: (theirs.read, theirs.written) for port, theirs in links.items()
        }
