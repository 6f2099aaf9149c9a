"""A gateway to talk to, and clients of it: one of bare frames, and the real library."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from builders import NOW
from ib_async import IB, LimitOrder, MarketOrder, Stock
from tws_client import TwsClient
from worlds import ACCOUNT, weekdays, world

from core.clock import AutojumpClock, RunningClock
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.gateway.error_texts import FARM_NOTICES
from core.sim.wire.fields import Fields
from core.sim.wire.frames import Unframer, frame
from core.sim.wire.names import answer_name

DEADLINE = 30
HANDSHAKE = b"API\0" + (9).to_bytes(4, "big") + b"v157..178"
TRADER = 42
FARMS = [["error", str(code)] for code, _ in FARM_NOTICES]
VTI_STOCK = Stock("VTI", "SMART", "USD")

_WIRES: list[Wire] = []  # every connection of the test, closed with its gateway


class Wire:
    """A client that sends what a test asks for and checks nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.received_bytes = bytearray()
        self._unframer = Unframer()
        self._messages: list[Fields] = []

    @property
    def port(self) -> int:
        return self.writer.get_extra_info("sockname")[1]

    def send(self, *fields: object) -> None:
        self.writer.write(frame(str(field) for field in fields))

    def request(self, method: str, *args: object) -> None:
        """The request of that method of the real client library."""
        self.send(*TwsClient().request(method, *args))

    async def receive(self) -> Fields | None:
        """The next message; None at the end of the connection."""
        async with asyncio.timeout(DEADLINE):
            while not self._messages:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self.received_bytes += data
                self._messages += self._unframer.feed(data)
        return self._messages.pop(0)

    async def until(self, name: str) -> list[Fields]:
        """Every message up to the first of that name."""
        received = []
        while (fields := await self.receive()) is not None:
            received.append(fields)
            if answer_name(fields[0]) == name:
                return received
        raise AssertionError(f"the connection ended before {name}; heard {[brief(fields) for fields in received]}")

    async def only(self, name: str) -> list[Fields]:
        """The messages of that name until the gateway has answered what time it is."""
        return [fields for fields in await self.all() if answer_name(fields[0]) == name]

    async def all(self) -> list[Fields]:
        """Everything sent so far: until the gateway has answered what time it is."""
        self.send(49, 1)
        return (await self.until("currentTime"))[:-1]

    async def rest(self) -> list[Fields]:
        """Everything until the end of the connection."""
        received = []
        while (fields := await self.receive()) is not None:
            received.append(fields)
        return received

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def brief(fields: Fields) -> list[str]:
    """A message's name, with what distinguishes it from others of that name: a code, a status, an id."""
    name = answer_name(fields[0])
    place = {"error": 3, "orderStatus": 2, "openOrder": 1, "execDetails": 2, "nextValidId": 2}.get(name)
    return [name] if place is None else [name, fields[place]]


def briefly(received: list[Fields]) -> list[list[str]]:
    return [brief(fields) for fields in received]


@asynccontextmanager
async def serving(
    options: GatewayOptions | None = None, clock: Any = None, **changes: Any
) -> AsyncIterator[SimulatedGateway]:
    """A gateway to the usual world with these changes, which made no error of its own in the end."""
    chosen = options or GatewayOptions(hours_around=lambda _: weekdays)
    gateway = SimulatedGateway.of(world(**changes), clock or AutojumpClock(NOW), chosen)
    await gateway.start()
    try:
        async with asyncio.timeout(DEADLINE):
            yield gateway
        gateway.check()
        gateway.exchange.audit()
    finally:
        while _WIRES:
            await _WIRES.pop().close()
        await gateway.stop()


def options(**changes: Any) -> GatewayOptions:
    return GatewayOptions(**({"hours_around": lambda _: weekdays} | changes))


async def dial(gateway: SimulatedGateway, handshake: bytes = HANDSHAKE) -> Wire:
    """A connection after the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(handshake)
    _WIRES.append(Wire(reader, writer))
    return _WIRES[-1]


async def log_in(gateway: SimulatedGateway, client: int = TRADER) -> Wire:
    """A connection that has received everything that follows startApi."""
    wire = await dial(gateway)
    await wire.receive()
    wire.send(71, 2, client, "")
    await wire.all()
    return wire


@asynccontextmanager
async def logged_in(gateway: SimulatedGateway, client: int = TRADER) -> AsyncIterator[Wire]:
    wire = await log_in(gateway, client)
    try:
        yield wire
    finally:
        await wire.close()


@asynccontextmanager
async def session(client: int = TRADER, **changes: Any) -> AsyncIterator[tuple[SimulatedGateway, Wire]]:
    """A gateway with one client."""
    async with serving(**changes) as gateway, logged_in(gateway, client) as wire:
        yield gateway, wire


@asynccontextmanager
async def library(gateway: SimulatedGateway, client: int = TRADER) -> AsyncIterator[IB]:
    """The real client library, connected."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=client, timeout=10, raiseSyncErrors=True)
    try:
        yield ib
    finally:
        ib.disconnect()
        await asyncio.sleep(0)


def walls() -> RunningClock:
    """A clock that starts when the world does and runs like the wall's."""
    return RunningClock(NOW)


def limit_order(side: str = "BUY", quantity: float = 10, limit: float = 99.5, **changes: Any) -> LimitOrder:
    """10 VTI that rest at 99.50."""
    values = {"orderRef": "RB-AAAAAAAAAAAA-B1-1", "account": ACCOUNT, "tif": "DAY"} | changes
    return LimitOrder(side, quantity, limit, **values)


def market_order(side: str = "BUY", quantity: float = 10, **changes: Any) -> MarketOrder:
    values = {"orderRef": "RB-AAAAAAAAAAAA-B1-1", "account": ACCOUNT, "tif": "DAY"} | changes
    return MarketOrder(side, quantity, **values)


def other_address() -> str | None:
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = probe.getsockname()[0]
    return None if found.startswith("127.") else found
