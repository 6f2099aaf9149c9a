"""SimulatedIB: the real client over a real socket to a gateway of its own in this process, on a clock that jumps.

What a rehearsal goes through is what a real gateway would see; waiting takes no time, as on the in-memory broker.
"""

from __future__ import annotations

from dataclasses import replace

from core.broker.errors import REFUSED, lost
from core.broker.ib import LiveIB, LiveOptions
from core.clock import AutojumpClock
from core.errors import ConnectionClosed
from core.model import BrokerKind
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.venue.world import World

LOOPBACK = "127.0.0.1"


class SimulatedIB(LiveIB):
    """A LiveIB whose `gateway` listens while it is connected; orders, fills and ids stay there in between."""

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
        """None: it is no place of its own, but a free one, and another each time."""
        return None

    def reach(self, point: str) -> None:
        """Let what the script holds for this point happen at the gateway."""
        self.gateway.reach(point)

    @property
    def is_connected(self) -> bool:
        """False from the moment the gateway has hung up, whether or not the client has heard of it."""
        link = self.link()
        return super().is_connected and link is not None and link.port in self.gateway.links()

    async def connect(self) -> None:
        await self._clock.sleep(0)  # what is under way arrives first, be it the end of the last connection
        if not self.gateway.is_listening:
            self._options = replace(self._options, host=LOOPBACK, port=await self.gateway.start())
        try:
            await super().connect()
        except ConnectionClosed:
            # the script's doing: there is no address, and there are no settings, for a person to look at
            raise lost(REFUSED) from None

    async def disconnect(self) -> None:
        await super().disconnect()
        await self._clock.sleep(0)  # what was sent last arrives, as it would at a gateway that stays
        await self.gateway.stop()

    def _is_quiet(self) -> bool:
        """Whether both sides have read all that the other wrote, and agree on which connections there are."""
        link, links = self.link(), self.gateway.links()
        if link is None:
            return not links
        return {link.port: (link.sent, link.received)} == {
            port: (traffic.read, traffic.written) for port, traffic in links.items()
        }
