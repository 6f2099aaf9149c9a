"""How near quotes of 500 symbols come to the message rate that is allowed, over a real socket on the wall's clock.

Everything is counted from the gateway's log, by arrival there: what the client believes it sent counts for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.figures import Figure
from worlds import account, quoted, world

from core.broker.ib import LiveIB, LiveOptions
from core.clock import RunningClock
from core.model import Symbol
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.gateway.log import Direction, LogEntry

SYMBOLS = tuple(Symbol(f"S{number:03d}") for number in range(500))
LOOPBACK = "127.0.0.1"
CLIENT = 42
FIRST_MESSAGES = ("handshake", "startApi")
QUOTE_MESSAGES = ("reqMktData", "cancelMktData")
MESSAGES_PER_SECOND = 45
LATENCIES_MS = (0, 20, 100)
LEAST_OF_RATE = 0.9
MOST_IN_A_SECOND = 50
MOST_LINES = 100
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """One reading of all quotes: messages and seconds, the most messages in any second, the most lines at once."""

    messages: int
    seconds: float
    most_in_a_second: int
    most_lines: int

    @property
    def of_rate(self) -> float:
        """The messages per second, as a part of the rate that is allowed."""
        return self.messages / self.seconds / MESSAGES_PER_SECOND


def measure() -> tuple[Figure, ...]:
    """The pace at each latency of the gateway's answers."""
    figures: list[Figure] = []
    for latency in LATENCIES_MS:
        pace = asyncio.run(read_quotes(latency / 1000))
        label = f"500 quotes, {latency} ms"
        figures += [
            Figure(f"{label}, seconds", pace.seconds),
            Figure(f"{label}, messages / allowed rate", pace.of_rate, least=LEAST_OF_RATE),
            Figure(f"{label}, messages in any second", pace.most_in_a_second, MOST_IN_A_SECOND),
            Figure(f"{label}, lines at once", pace.most_lines, MOST_LINES),
        ]
    return tuple(figures)


async def read_quotes(latency_seconds: float, symbols: Sequence[Symbol] = SYMBOLS) -> Pace:
    """The pace of one reading of these symbols' quotes; raises unless every one of them came."""
    quotes = {symbol: quoted("100.00", "100.02", "100.01") for symbol in symbols}
    a_world = world(as_of=datetime.now(UTC), account=account(positions=()), quotes=quotes)
    gateway = SimulatedGateway.of(a_world, RunningClock(), GatewayOptions(latency_seconds=latency_seconds))
    port = await gateway.start()
    broker = LiveIB(LiveOptions(LOOPBACK, port, CLIENT, a_world.account.id, messages_per_second=MESSAGES_PER_SECOND))
    try:
        await broker.connect()
        pace = await _read(broker, gateway, symbols)
    finally:
        await broker.disconnect()
        await gateway.stop()
    gateway.check()
    return pace


async def _read(broker: LiveIB, gateway: SimulatedGateway, symbols: Sequence[Symbol]) -> Pace:
    contracts = await broker.resolve(symbols, {})
    read_from, started = len(gateway.log), datetime.now(UTC)
    taken = await broker.quotes(tuple(contracts.values()))
    seconds = (datetime.now(UTC) - started).total_seconds()
    if any(taken[symbol].bid is None for symbol in symbols):
        raise AssertionError("every symbol has a bid")
    await broker.open_orders()  # once this is answered the last cancels have arrived
    entries = list(gateway.log)
    arrived = [entry.at for entry in entries if entry.direction is Direction.IN and entry.message not in FIRST_MESSAGES]
    asked = [
        entry for entry in entries[read_from:] if entry.direction is Direction.IN and entry.message in QUOTE_MESSAGES
    ]
    return Pace(len(asked), seconds, _most_within_a_second(arrived), _most_lines(entries))


def _most_within_a_second(times: Sequence[datetime]) -> int:
    most, first = 0, 0
    for number, at in enumerate(times):
        while times[first] <= at - SECOND:
            first += 1
        most = max(most, number - first + 1)
    return most


def _most_lines(entries: Sequence[LogEntry]) -> int:
    most, lines = 0, set()
    for entry in entries:
        if entry.message == "reqMktData":
            lines.add(entry.fields[2])
        elif entry.message in ("cancelMktData", "tickSnapshotEnd"):
            lines.discard(entry.fields[2])
        most = max(most, len(lines))
    return most
