"""The gateway: a listener on loopback, in front of a state that outlives its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.clock import Clock
from core.sim.gateway.connection import Connection
from core.sim.gateway.faults import NO_SUBJECT, Faults
from core.sim.gateway.log import MessageLog
from core.sim.gateway.state import ByteCounts, GatewayOptions, GatewayState
from core.sim.venue.exchange import FIRST_PERM_ID, Exchange
from core.sim.venue.script import FaultScript
from core.sim.venue.world import Change, World, sharing_market

LOOPBACK = "127.0.0.1"  # never another interface: the protocol has no password
PERM_IDS_PER_ACCOUNT = 1_000_000
CONNECTION_LOST = 1100
CONNECTION_RESTORED = (1101, 1102)


class SimulatedGateway:
    """Serves the protocol of an IB gateway at server version 178 to any number of clients, an exchange per account.

    Orders, fills, ids and the script live here: stopping and starting again is a restart that keeps them.
    """

    def __init__(
        self, exchanges: Sequence[Exchange], script: FaultScript, clock: Clock, options: GatewayOptions | None = None
    ) -> None:
        self.exchanges = {exchange.world.account.id: exchange for exchange in exchanges}
        self.port: int | None = None
        self._options = options or GatewayOptions()
        self._state = GatewayState(exchanges, script, clock, self._options)
        self._server: asyncio.Server | None = None
        self._connections: dict[int, Connection] = {}
        self._made = 0

    @classmethod
    def of(
        cls, world: World, clock: Clock, options: GatewayOptions | None = None, *, others: Sequence[World] = ()
    ) -> SimulatedGateway:
        """A gateway to this world, and to the accounts of `others`, whose market must be the same; its script counts.

        Raises ValueError where two worlds have the same account, differ in time, or in the quote of a symbol.
        """
        chosen = options or GatewayOptions()
        exchanges = [
            Exchange(
                each,
                chosen.hours_around(each.as_of),
                trading_client=chosen.trading_client,
                first_perm_id=FIRST_PERM_ID + number * PERM_IDS_PER_ACCOUNT,
            )
            for number, each in enumerate(sharing_market((world, *others)))
        ]
        return cls(exchanges, FaultScript(world), clock, chosen)

    @property
    def exchange(self) -> Exchange:
        """The exchange of the first account."""
        return next(iter(self.exchanges.values()))

    @property
    def faults(self) -> Faults:
        return self._state.faults

    @property
    def log(self) -> MessageLog:
        return self._state.log

    @property
    def is_listening(self) -> bool:
        return self._server is not None

    async def start(self, port: int = 0) -> int:
        """Listen on this port of 127.0.0.1, or on a free one (0); which it is."""
        if self._server is not None:
            raise RuntimeError(f"the gateway listens on port {self.port} already")
        self._server = await asyncio.get_running_loop().create_server(self._connect, LOOPBACK, port)
        listening: int = self._server.sockets[0].getsockname()[1]
        self.port = listening
        self._state.catch_up()
        return listening

    async def stop(self) -> None:
        """Close every connection and listen no more; the port stays its own for a restart."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections.values()):
            connection.abort("the gateway stops")
        await asyncio.sleep(0)  # lets connection_lost run, for which wait_closed would wait
        await self._server.wait_closed()
        self._server = None
        self._state.stop_waking()

    async def restart(self, *, ids_roll_back: bool = False) -> None:
        """Stop, and start on the same port; with `ids_roll_back` order ids that were used are given out again."""
        await self.stop()
        if ids_roll_back:
            self._state.order_ids.roll_back()
        self._state.note("restarted", "ids roll back" if ids_roll_back else "")
        await self.start(self.port or 0)

    def reach(self, point: str) -> None:
        """Apply what is scripted for this point of a run."""
        changes, breaks = self._state.scripted_faults.at_point(point)
        for change in changes:
            self.move(change)
        if breaks:
            for connection in list(self._connections.values()):
                connection.close(f"as scripted: {point}")

    def move(self, change: Change) -> None:
        """Apply the change now."""
        self._state.move(change)

    def traffic(self) -> Mapping[int, ByteCounts]:
        """The open connections by the port on the client's side."""
        return {
            connection.peer_port: connection.traffic
            for connection in self._connections.values()
            if connection.peer_port and not connection.is_over
        }

    def broadcast(self, code: int, text: str = "") -> None:
        """Send a system message to every client. From 1100 until 1101 or 1102 nothing of the venue's reaches one."""
        if code in (CONNECTION_LOST, *CONNECTION_RESTORED):
            self._state.is_disconnected = code == CONNECTION_LOST
        for session in list(self._state.sessions.values()):
            session.send_error(NO_SUBJECT, code, text)

    def cancel(self, order_ref: str) -> None:
        """Cancel the working orders with this reference, as the broker itself does."""
        self._state.catch_up()
        for account in self._state.all_accounts:
            for order in list(account.exchange.orders.values()):
                if order.terms.order_ref == order_ref and order.is_open:
                    self._state.dispatch(account, account.exchange.cancel(order.perm_id))

    def correct(self, exec_id: str, shares: Decimal, price: Decimal) -> None:
        """Correct an execution of the first account as the broker does; its client is sent the next revision."""
        self._state.catch_up()
        self._state.dispatch(self._state.all_accounts[0], self.exchange.correct(exec_id, shares, price))

    def has_capacity(self) -> bool:
        return len(self._connections) <= self._options.limits.connections

    def remove(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)

    def check(self) -> None:
        """Raise the first error that was the gateway's own."""
        if self._state.errors:
            raise self._state.errors[0]

    def _connect(self) -> Connection:
        self._made += 1
        connection = Connection(self._state, self._made, self)
        self._connections[connection.number] = connection
        return connection
