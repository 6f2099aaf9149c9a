"""A desk at work on a simulated venue, and a line to it that can be made to misbehave."""

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
    """An attempt to buy 10 shares, at the ask of VTI unless said otherwise."""
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


class Line(FakeIB):
    """A real fake behind a bad line.

    Orders in a symbol of `swallowed` never arrive. `bend` turns each event into those that are heard
    instead. At its call number `drop_at` the line breaks, before or after the call got through, and stays
    down for `refusals` tries to connect. `deaf_to_cancels` is a broker that ignores them.
    """

    swallowed: frozenset[Symbol] = frozenset()
    bend: Callable[[BrokerEvent], Sequence[BrokerEvent]] = staticmethod(lambda event: (event,))
    drop_at: int | None = None
    drops_after_the_call = False
    refusals = 0
    deaf_to_cancels = False
    on_call: Callable[[int], None] = staticmethod(lambda number: None)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = 0
        self.heard: deque[BrokerEvent] = deque()

    async def connect(self):
        if self.refusals:
            self.refusals -= 1
            raise ConnectionLost("the gateway refused the connection")
        await super().connect()

    async def place(self, order):
        arrives = order.contract.symbol not in self.swallowed
        await self._carry(super().place(order) if arrives else asyncio.sleep(0))

    async def cancel(self, ref):
        await self._carry(asyncio.sleep(0) if self.deaf_to_cancels else super().cancel(ref))

    async def open_orders(self):
        return await self._carry(super().open_orders())

    async def completed_orders(self):
        return await self._carry(super().completed_orders())

    async def executions(self):
        return await self._carry(super().executions())

    async def next_event(self, timeout_seconds):
        return await self._carry(self._bent(timeout_seconds))

    async def _bent(self, timeout_seconds):
        deadline = self.now() + timedelta(seconds=timeout_seconds)
        while not self.heard:
            event = await super().next_event((deadline - self.now()).total_seconds())
            if event is None:
                return None
            self.heard.extend(self.bend(event))
        return self.heard.popleft()

    async def _carry(self, call):
        """What `call` answers, unless this is the call at which the line breaks."""
        self.calls += 1
        breaks = self.calls == self.drop_at
        if breaks and not self.drops_after_the_call:
            call.close()
            self.hang_up()
        self.on_call(self.calls)
        answer = await call
        if breaks:
            self.hang_up()
        return answer

    def hang_up(self):
        self.heard.clear()
        self._drop()
        raise ConnectionLost("the line broke")


@dataclass
class Trading:
    """A desk, what it works with, and what it has told. `stop_at` throws the kill switch at that call of the guard."""

    broker: Line
    journal: Journal
    executor: OrderExecutor
    events: list[RunEvent]
    guard: Guard

    async def run(self, *orders: Order, reprice=None) -> StageResult:
        return await self.executor.run_stage(orders, reprice)

    def sent(self) -> list[Order]:
        """The orders that left, in order."""
        return [entry.what for entry in self.broker.log if entry.is_sent and isinstance(entry.what, Order)]

    def said(self, kind: str) -> list[str]:
        return [event.detail for event in self.events if event.kind == kind]

    def record(self, ref: OrderRef) -> OrderRecord:
        found = self.journal.order(ref)
        assert found is not None
        return found

    def at_broker(self) -> list[VenueOrder]:
        return list(self.broker.exchange.orders.values())


@dataclass
class Guard:
    """A kill switch that comes on when it is asked for the `stop_at`-th time, or by hand."""

    stop_at: int | None = None
    is_on: bool = False
    asked: int = field(default=0)

    def __call__(self, order: Order | None) -> None:
        self.asked += 1
        if self.is_on or self.asked == self.stop_at:
            self.is_on = True
            raise KillSwitchOn("the kill switch is on", next_step="rebalance go")


async def trading(*orders: Order, settings: Settings | None = None, journal=None, **changes) -> Trading:
    """A desk connected to a world (with these changes), whose approved plan is just these orders."""
    broker = Line.of(four_funds(**changes))
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
