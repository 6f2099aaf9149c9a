"""A process that dies while it trades, and the recovery of its run by another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from trading import RUN, FlakyBroker, Trading, execution_settings, trading

from core.broker.fake import FakeOptions
from core.execution import recover
from core.execution.tracker import OrderTracker
from core.journal import Journal, MemoryStore
from core.journal.entries import Entry, RunState
from core.model import Order, RunEvent, RunId, Stage
from core.settings import Settings
from core.sim.venue.script import FaultScript


class Killed(BaseException):
    """The process is gone: nothing of it runs on, as with SIGKILL."""


class DyingStore(MemoryStore):
    """A store whose process dies at an append: at number `dies_at`, or at the first entry that `dies_with` chooses.

    The entry is on record only if it dies `afterwards`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.dies_at: int | None = None
        self.dies_with = lambda entry: False
        self.afterwards = False
        self.is_dead = False

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        if self.is_dead:
            raise Killed
        self.appends += 1
        is_last = self.appends == self.dies_at or self.dies_with(entry)
        if not is_last or self.afterwards:
            super().append(run_id, position, entry)
        if is_last:
            self.is_dead = True
            raise Killed

    def live_on(self) -> None:
        """From now on appends are those of a process that lives."""
        self.dies_at, self.dies_with, self.afterwards, self.appends = None, lambda entry: False, False, 0
        self.is_dead = False


@dataclass
class Second:
    """Another process at the same venue, with the same store."""

    broker: FlakyBroker
    journal: Journal
    tracker: OrderTracker
    settings: Settings
    events: list[RunEvent] = field(default_factory=list)

    async def recover(self) -> RunState:
        return await recover(self.tracker, RUN, self.settings)

    def sent(self) -> list[Order]:
        return [entry.what for entry in self.broker.log if entry.is_sent and isinstance(entry.what, Order)]


def second_process(first: Trading, store: MemoryStore, settings: Settings | None = None) -> Second:
    """A process that knows nothing but what is on record, with a connection of its own."""
    exchange = first.broker.exchange
    broker, journal, events = FlakyBroker(exchange, FaultScript(exchange.world), FakeOptions()), Journal(store), []
    return Second(
        broker, journal, OrderTracker(broker, journal, 3, events.append), settings or execution_settings(), events
    )


async def trade_until_killed(store: DyingStore, *orders: Order, settings: Settings | None = None, **changes) -> Trading:
    """A first process that trades the orders, stage by stage, until the store says that it dies, or it is done."""
    own = {name: changes.pop(name) for name in ("dies_at", "dies_with", "afterwards") if name in changes}
    at_work = await trading(*orders, settings=settings, journal=Journal(store), **changes)
    store.live_on()
    for name, value in own.items():
        setattr(store, name, value)
    with suppress(Killed):
        await trade(at_work, orders)
    store.live_on()
    return at_work


async def trade(at_work: Trading, orders: Sequence[Order]) -> None:
    """The stages of the orders, one after the other, as long as none is stopped."""
    for stage in Stage:
        result = await at_work.run(*(order for order in orders if order.stage is stage))
        if result.stops:
            return
