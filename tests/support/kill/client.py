"""The client's process: an approved plan's stages, until it is killed.

Whatever the case stops it for is at the port of production classes: a store and a broker that stop and report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path

from trading import RUN, approve, execution_settings
from worlds import ACCOUNT

from core.broker.ib import LiveIB, LiveOptions
from core.execution import OrderExecutor
from core.journal import Journal, Store
from core.journal.entries import Entry, OrderIntended, OrderReported, OrderUnknown
from core.journal.sql import SqlStore
from core.model import AccountId, CommissionReport, Fill, Order, OrderRecord, OrderRef, OrderState, OrderUpdate, RunId
from core.model.executions import is_same_execution
from core.model.refs import order_ref
from core.money import ZERO
from core.safety import check_kill_switch
from core.sim.venue.world import FillScript
from kill.cases import ALL_ORDERS, IN_FULL, ORDERS, AtEntry, AtPoint, Case, CrashPoint
from kill.clock import ClientClock

CLIENT_ID = 42
ITS_END = "its end"
END_OF_RUN = "the end of the run"
DATABASE = "let the database crash"


class Barrier:
    """Decides where this process stops; `stop` reports it, and waits to be killed or told to go on."""

    def __init__(self, case: Case, channel: Connection) -> None:
        self._case = case
        self._channel = channel
        self._kill = case.kill
        self._entries = 0
        self._fills: list[Fill] = []

    def stop(self, where: str) -> None:
        self._channel.send(where)
        self._channel.recv()

    def before_place(self, order: Order) -> None:
        if self._is_at(CrashPoint.K2, order.ref):
            self.stop("K2")

    def before(self, entry: Entry) -> None:
        """`entry` is about to be put on record."""
        self._entries += 1
        if self._entries == self._case.database_crashes_at:
            self.stop(DATABASE)
        if isinstance(self._kill, AtEntry) and not self._kill.is_written and self._entries == self._kill.number:
            self.stop("entry")
        if not isinstance(self._kill, AtPoint) or _ref_of(entry) != self._kill.ref:
            return
        if self._kill.point is CrashPoint.K0 and isinstance(entry, OrderIntended):
            self.stop("K0")
        if self._kill.point is CrashPoint.K8 and self._is_last_commission(entry):
            self.stop("K8")
        if self._kill.point is CrashPoint.K7 and self._is_last_fill(entry):
            self.stop("K7")
        if self._kill.point in IN_FULL and self._ends(entry):
            self.stop(ITS_END)

    def after(self, entry: Entry) -> None:
        """`entry` is on record."""
        if isinstance(self._kill, AtEntry) and self._kill.is_written and self._entries == self._kill.number:
            self.stop("entry")
        if not isinstance(self._kill, AtPoint) or _ref_of(entry) != self._kill.ref:
            return
        if self._kill.point is CrashPoint.K1 and isinstance(entry, OrderIntended):
            self.stop("K1")
        event = entry.event if isinstance(entry, OrderReported) else None
        if isinstance(event, OrderUpdate) and event.state is OrderState.WORKING:
            if self._kill.point is CrashPoint.K4:
                self.stop("K4")
        elif isinstance(event, Fill) and not any(is_same_execution(event.exec_id, one.exec_id) for one in self._fills):
            self._fills.append(event)
            if self._kill.point is CrashPoint.K5:
                self.stop("K5")

    def after_stage(self, orders: Sequence[Order]) -> None:
        """The stage of these orders has ended."""
        if any(self._is_at(CrashPoint.K9, order.ref) for order in orders):
            self.stop("K9")

    def _is_at(self, point: CrashPoint, ref: OrderRef) -> bool:
        return isinstance(self._kill, AtPoint) and (self._kill.point, self._kill.ref) == (point, ref)

    def _is_last_fill(self, entry: Entry) -> bool:
        """Whether it is the fill that completes the order; of an order that none completes, any fill."""
        if not isinstance(entry, OrderReported) or not isinstance(entry.event, Fill):
            return False
        script = self._case.world.fills.get(entry.event.symbol, FillScript())
        return script.fill_fraction < 1 or self._filled_with(entry.event) == _quantity(entry.ref)

    def _is_last_commission(self, entry: Entry) -> bool:
        is_commission = isinstance(entry, OrderReported) and isinstance(entry.event, CommissionReport)
        return is_commission and sum((one.shares for one in self._fills), ZERO) == _quantity(entry.ref)

    def _ends(self, entry: Entry) -> bool:
        if isinstance(entry, OrderUnknown):
            return True
        if not isinstance(entry, OrderReported):
            return False
        if isinstance(entry.event, Fill):
            return self._filled_with(entry.event) == _quantity(entry.ref)
        return isinstance(entry.event, OrderUpdate) and entry.event.state.is_final

    def _filled_with(self, fill: Fill) -> Decimal:
        others = [one for one in self._fills if not is_same_execution(one.exec_id, fill.exec_id)]
        return sum((one.shares for one in others), fill.shares)


class StoppingStore:
    """A store that stops where the case says, before or after an entry is on record."""

    def __init__(self, store: Store, barrier: Barrier) -> None:
        self._store = store
        self._barrier = barrier

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        self._barrier.before(entry)
        self._store.append(run_id, position, entry)
        self._barrier.after(entry)

    def load(self, run_id: RunId) -> Sequence[Entry]:
        return self._store.load(run_id)

    def open_runs(self, account_id: AccountId) -> Sequence[RunId]:
        return self._store.open_runs(account_id)

    def lock(self, account_id: AccountId, run_id: RunId) -> AbstractContextManager[None]:
        return self._store.lock(account_id, run_id)


class StoppingIB(LiveIB):
    """The real client, which stops where the case says, before an order is written to the socket."""

    barrier: Barrier

    async def place(self, order: Order) -> None:
        self.barrier.before_place(order)
        await super().place(order)


def options(port: int) -> LiveOptions:
    """The connection of every client of a case."""
    return LiveOptions("127.0.0.1", port, CLIENT_ID, ACCOUNT)


def main(case: Case, folder: Path, url: str, port: int, channels: tuple[Connection, Connection]) -> None:
    """The whole life of the process; `channels` are the case's and the clock's. It never returns by itself."""
    barrier = Barrier(case, channels[0])

    async def trade() -> None:
        clock = ClientClock(channels[1])
        broker = StoppingIB(options(port), clock)
        broker.barrier = barrier
        clock.traffic = broker.socket_traffic
        await _trade(case, folder, broker, StoppingStore(SqlStore(url), barrier))

    asyncio.run(trade())
    barrier.stop(END_OF_RUN)


async def _trade(case: Case, folder: Path, broker: StoppingIB, store: Store) -> None:
    journal = Journal(store)
    settings = execution_settings(order_timeout_seconds=60.0, reprice_attempts=case.reprice_attempts)

    def guard(_order: Order | None) -> None:
        check_kill_switch(folder / "KILL_SWITCH")

    async def reprice(ended: OrderRecord) -> Order | None:
        order, attempt = ended.order, ended.order.attempt + 1
        ref = order_ref(RUN, order.stage, order.line, attempt)
        return replace(order, ref=ref, attempt=attempt, quantity=order.quantity - ended.filled)

    with journal.lock(ACCOUNT, RUN):
        approve(journal, ALL_ORDERS)
        executor = OrderExecutor(broker, journal, settings, guard, lambda _event: None)
        for orders in ORDERS.values():
            result = await executor.run_stage(orders, reprice)
            broker.barrier.after_stage(orders)
            if result.stopped_by:
                break
        await executor.cancel_all()


def _ref_of(entry: Entry) -> OrderRef | None:
    """The order that an entry is about, if any."""
    if isinstance(entry, OrderIntended):
        return entry.order.ref
    return getattr(entry, "ref", None)


def _quantity(ref: OrderRef) -> Decimal:
    return next((order.quantity for order in ALL_ORDERS if order.ref == ref), ZERO)
