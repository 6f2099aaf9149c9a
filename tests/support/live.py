"""LiveIB in front of a simulated gateway on a clock that both share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from worlds import ACCOUNT

from core.broker.ib import LiveIB, LiveOptions
from core.clock import AutojumpClock, Clock
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.gateway.log import Direction


@dataclass
class Venue:
    """A gateway, its clock, and the clients that were made for it."""

    gateway: SimulatedGateway
    clock: Clock
    clients: list[LiveIB] = field(default_factory=list)

    def client(self, **changes):
        """A client, not yet connected: number 42 of the gateway's account."""
        options = LiveOptions("127.0.0.1", self.gateway.port or 0, client_id=42, account_id=ACCOUNT)
        self.clients.append(LiveIB(replace(options, **changes), self.clock))
        return self.clients[-1]

    async def connected(self, **changes):
        """A connected client."""
        client = self.client(**changes)
        await client.connect()
        return client

    def is_quiet(self):
        """Whether no bytes are between a client and the gateway."""
        ours = [traffic for client in self.clients if (traffic := client.socket_traffic())]
        theirs = self.gateway.traffic()
        return all(
            (other := theirs.get(traffic.port)) is not None
            and (other.read, other.written) == (traffic.sent, traffic.received)
            for traffic in ours
        )


async def opened(world, options=None, clock=None, others=()):
    """A venue whose gateway listens; `others` are the worlds of further accounts."""
    shared = clock or AutojumpClock(world.as_of)
    venue = Venue(SimulatedGateway.of(world, shared, options or GatewayOptions(), others=others), shared)
    if isinstance(shared, AutojumpClock):
        shared.is_quiet = venue.is_quiet
    await venue.gateway.start()
    return venue


async def closed(venue):
    """Close the venue. Raises the errors that happened inside the gateway."""
    for client in venue.clients:
        await client.disconnect()
    await venue.gateway.stop()
    venue.gateway.check()


@asynccontextmanager
async def venue_of(world, options=None, clock=None, others=()):
    """A venue for the length of a block."""
    venue = await opened(world, options, clock, others)
    try:
        yield venue
    finally:
        await closed(venue)


def sent(venue, *names):
    """The messages with these names that the gateway received, in order."""
    return [entry.message for entry in venue.gateway.log if entry.direction is Direction.IN and entry.message in names]
