"""An executor trading on a simulated venue, over a connection that can be made to misbehave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from builders import NOW, plan, trade_line
from planning_builders import plan_settings
from worlds import order, quoted, world

from core.broker.fake import FakeIB
from core.errors import ConnectionLost, KillSwitchOn
from core.execution import OrderExecutor, StageResult
from core.journal import Journal, MemoryStore
from core.model import (
    USD_CAD,
    AccountId,
    Approval,
    BrokerEvent,
    Fill,
    FxLeg,
    Mode,
    Order,
    OrderRecord,
    OrderRef,
    OrderType,
    RunEvent,
    RunId,
    RunRecord,
    Side,
    Stage,
    Symbol,
)
from core.model.refs import order_ref
from core.money import D
from core.settings import Settings
from core.sim.venue.orders import VenueOrder

RUN = RunId("ABCDEFGHIJ23")


def buy(symbol="VTI", line=1, attempt=1, **changes) -> Order:
    """An attempt to buy 10 shares, at the ask of VTI by default."""
    ref = order_ref(RUN, Stage.BUY, line, attempt)
    return order(symbol, ref=ref, line=line, attempt=attempt, **changes)


def sell(symbol="VTI", line=1, **changes) -> Order:
    """A sell of 10 shares at 100.00, the bid of VTI."""
    return order(
        symbol, Side.SELL, ref=order_ref(RUN, Stage.SELL, line, 1), line=line, **({"limit": "100.00"} | changes)
    )


def convert(quantity="3000", **changes) -> Order:
    """A conversion of CAD into so many USD, at the market."""
    return order(USD_CAD, quantity=quantity, limit=None, ref=order_ref(RUN, Stage.FX, 1, 1), **changes)


def resting(symbol="VTI", line=1, **changes) -> Order:
    """A buy far below the market, which does not fill by itself."""
    return buy(symbol, line, limit="50.00", **changes)


def execution_settings(**changes) -> Settings:
    """One attempt of two minutes for each order, three tries of each read; see `plan_settings`."""
    return plan_settings(**{"order_timeout_seconds": 120.0, "read_attempts": 3} | changes)


class FlakyBroker(FakeIB):
    """The fake broker behind a bad connection.

    Orders in a symbol of `lost` never arrive. `altered` turns each event into those that are received instead. At call
    number `breaks_at` the connection breaks, before or after the call got through, and stays down for `refusals` tries
    to connect. With `ignores_cancels` the broker does.
    """

    lost: frozenset[Symbol] = frozenset()
    altered: Callable[[BrokerEvent], Sequence[BrokerEvent]] = staticmethod(lambda event: (event,))
    breaks_at: int | None = None
    breaks_after_the_call = False
    refusals = 0
    ignores_cancels = False
    on_call: Callable[[int], None] = staticmethod(lambda number: None)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = 0
        self.received: deque[BrokerEvent] = deque()

    async def connect(self):
        if self.refusals:
            self.refusals -= 1
            raise ConnectionLost("the gateway refused the connection")
        await super().connect()

    async def place(self, order):
        arrives = order.contract.symbol not in self.lost
        await self._flaky(super().place(order) if arrives else asyncio.sleep(0))

    async def cancel(self, ref):
        await self._flaky(asyncio.sleep(0) if self.ignores_cancels else super().cancel(ref))

    async def open_orders(self):
        return await self._flaky(super().open_orders())

    async def completed_orders(self):
        return await self._flaky(super().completed_orders())

    async def executions(self):
        return await self._flaky(super().executions())

    async def next_event(self, timeout_seconds):
        return await self._flaky(self._altered_event(timeout_seconds))

    async def _altered_event(self, timeout_seconds):
        deadline = self.now() + timedelta(seconds=timeout_seconds)
        while not self.received:
            event = await super().next_event((deadline - self.now()).total_seconds())
            if event is None:
                return None
            self.received.extend(self.altered(event))
        return self.received.popleft()

    async def _flaky(self, call):
        """What `call` returns, unless this is the call at which the connection breaks."""
        self.calls += 1
        breaks = self.calls == self.breaks_at
        if breaks and not self.breaks_after_the_call:
            call.close()
            self.disconnect_now()
        self.on_call(self.calls)
        answer = await call
        if breaks:
            self.disconnect_now()
        return answer

    def disconnect_now(self):
        self.received.clear()
        self._drop()
        raise ConnectionLost("the connection broke")


@dataclass
class Trading:
    """An executor with its broker, its journal and the events it reported."""

    broker: FlakyBroker
    journal: Journal
    executor: OrderExecutor
    events: list[RunEvent]
    guard: Guard

    async def run(self, *orders: Order, reprice=None) -> StageResult:
        return await self.executor.run_stage(orders, reprice)

    def sent(self) -> list[Order]:
        """The orders that left, in order."""
        return [entry.what for entry in self.broker.log if entry.is_sent and isinstance(entry.what, Order)]

    def details_of(self, kind: str) -> list[str]:
        return [event.detail for event in self.events if event.kind == kind]

    def record(self, ref: OrderRef) -> OrderRecord:
        found = self.journal.order(ref)
        assert found is not None
        return found

    def at_broker(self) -> list[VenueOrder]:
        return list(self.broker.exchange.orders.values())


@dataclass
class Guard:
    """A kill switch that comes on at the `stop_at`-th check, or by hand."""

    stop_at: int | None = None
    is_on: bool = False
    asked: int = field(default=0)

    def __call__(self, order: Order | None) -> None:
        self.asked += 1
        if self.is_on or self.asked == self.stop_at:
            self.is_on = True
            raise KillSwitchOn("the kill switch is on", next_step="rebalance go")


async def trading(*orders: Order, settings: Settings | None = None, journal=None, **changes) -> Trading:
    """An executor connected to a world (with these changes), whose approved plan is just these orders."""
    broker = FlakyBroker.of(four_funds(**changes))
    await broker.connect()
    book = journal or Journal(MemoryStore())
    approve(book, orders)
    events: list[RunEvent] = []
    guard = Guard()
    executor = OrderExecutor(broker, book, settings or execution_settings(), guard, events.append)
    return Trading(broker, book, executor, events, guard)


def four_funds(**changes):
    """The usual world, with BIL and AGG beside VTI and BND, all four near 100."""
    same = quoted("100.00", "100.02", "100.01")
    base = world(**changes)
    more = {Symbol(name): same for name in ("BND", "BIL", "AGG")}
    return replace(base, quotes=more | {s: q for s, q in base.quotes.items() if s not in more})


def approve(journal: Journal, orders: Sequence[Order]) -> None:
    """Start the run and approve a plan of just these orders."""
    lines = [
        trade_line(one.contract.symbol, side=one.side, number=one.line, quantity=one.quantity)
        for one in orders
        if one.stage is not Stage.FX
    ]
    amount = sum((one.quantity for one in orders if one.stage is Stage.FX), D(0))
    fx = FxLeg(amount, OrderType.MKT, None, D("1.37"), D("1.36"), amount * D("1.36"), amount, "needed")
    approved = plan(*lines, fx=fx) if lines else replace(plan(), lines=(), fx=fx)
    journal.start_run(RunRecord(RUN, "flow", AccountId("DU1234567"), Mode.PAPER, NOW))
    journal.ask(RUN, approved.hash, at=NOW)
    journal.answer(RUN, Approval(approved.hash, approved=True, approver="Ann", at=NOW))
    journal.approve_lines(approved)


def disagreements(at_work: Trading) -> list[str]:
    """Where journal and venue differ on our orders; an order that is UNKNOWN on record is allowed to."""
    venue: dict[OrderRef, list[VenueOrder]] = {}
    for placed in at_work.at_broker():
        venue.setdefault(placed.terms.order_ref, []).append(placed)
    found = [f"{ref} stands there {len(orders)} times" for ref, orders in venue.items() if len(orders) > 1]
    for record in at_work.journal.orders(RUN):
        orders = venue.pop(record.order.ref, [])
        there: list[Fill] = [one for placed in orders for one in placed.fills]
        if record.state.name != "UNKNOWN" and {one.exec_id for one in there} != {one.exec_id for one in record.fills}:
            found.append(f"{record.order.ref}: {len(record.fills)} fills on record, {len(there)} at the venue")
        if any(placed.is_working for placed in orders) and record.state.name != "UNKNOWN":
            found.append(f"{record.order.ref} still works")
    return found + [f"{ref} is not on record" for ref in venue]
