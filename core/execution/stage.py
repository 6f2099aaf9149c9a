"""One stage under way: which orders wait, which are at the broker, and what each of those is waiting for.

An order is first to be acknowledged, then to fill in its time, then, when it is cancelled or said to have
ended, to have the broker's last word and all its fills here. Each wait has a deadline on the venue's
clock. Silence past the first or the last one sends us to the witnesses, and never sends anything again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from core.errors import (
    ConnectionLost,
    OrderIncomplete,
    OrderStateUnknown,
    PacingExceeded,
    RebalanceError,
    SafetyRefused,
)
from core.execution.cancel import ask_cancel, close_unknown
from core.execution.stage_result import STOPS_SENDING, StageResult, incomplete, rejection, unsettled
from core.execution.tracker import LOOK_AT_ACCOUNT, OrderTracker
from core.model import ExecutionRules, Order, OrderRecord, OrderRef, OrderState, Stage
from core.money import ZERO
from core.text import price_text

Guard = Callable[[Order | None], None]
"""Raises what forbids to send this order now, or, with None, what forbids to let orders work on."""

Reprice = Callable[[OrderRecord], Awaitable[Order | None]]
"""A new order for the unfilled rest of one whose cancel is confirmed, or None to leave it."""


class _Wait(Enum):
    """What an order at the broker is waiting for."""

    ACKNOWLEDGEMENT = auto()
    FILLS = auto()
    TERMINAL = auto()


@dataclass(slots=True)
class _SentOrder:
    """An order at the broker; `has_timed_out` says that it was we who cancelled it, for taking too long."""

    ref: OrderRef
    wait: _Wait
    deadline: datetime
    has_timed_out: bool = False


@dataclass(frozen=True, slots=True)
class StageContext:
    """What all stages of a run share; `refs` are the orders that may have reached the broker."""

    tracker: OrderTracker
    rules: ExecutionRules
    guard: Guard
    refs: list[OrderRef]


class StageExecution:
    """The orders of one stage from the first send to the last word."""

    def __init__(self, context: StageContext, orders: Sequence[Order], reprice: Reprice | None) -> None:
        self._tracker = context.tracker
        self._rules = context.rules
        self._guard = context.guard
        self._refs = context.refs
        self._reprice = reprice
        self._orders = tuple(orders)
        self._queue = deque(orders)
        self._intended: list[OrderRef] = []
        self._live: dict[OrderRef, _SentOrder] = {}
        self._rests: dict[OrderRef, OrderRecord] = {}
        self._errors: list[RebalanceError] = []
        self._warnings: list[str] = []
        self._alarms_seen = len(context.tracker.alarms)
        self._is_frozen = False
        self._is_broken = False
        self._stopped_by: RebalanceError | None = None

    async def run(self) -> None:
        """Send and watch until every order has ended, or what happened forbids to go on. Raises OutputFailed."""
        while not self._must_break():
            await self._look_after_all()
            if self._may_send():
                await self._send_unless_told_otherwise()
            elif self._live:
                await self._tracker.take(self._patience())
            elif not self._tracker.disconnected:
                break
        at_work = tuple(self._live)
        if self._is_broken:
            await close_unknown(self._tracker, at_work, seconds=self._rules.shutdown_seconds)
        await self._hear_the_rest()
        self._heed_alarms()
        self._conclude()
        self._forgive_the_connection(at_work)

    def fail(self, error: RebalanceError) -> None:
        """Keep a failure that ends the stage: nothing more is sent, and what works is cancelled."""
        self._errors.append(error)
        self._is_broken = True
        self._stopped_by = self._stopped_by or error

    def result(self) -> StageResult:
        """How the stage went, from what is on record."""
        records = tuple(self._tracker.record(ref) for ref in self._intended)
        unsent = [record.order for record in records if record.sent_at is None]
        return StageResult(
            records=records,
            errors=tuple(self._errors),
            unsent=(*unsent, *self._queue),
            stopped_by=self._stopped_by,
            warnings=tuple(self._warnings),
        )

    def _must_break(self) -> bool:
        """Whether an alarm, a lost connection or the guard ends the stage now."""
        self._heed_alarms()
        if self._tracker.disconnected and not self._is_broken:
            self.fail(self._tracker.disconnected)
        if self._live and not self._is_broken:
            self._ask_guard(None)
        return self._is_broken

    def _heed_alarms(self) -> None:
        for alarm in self._tracker.alarms[self._alarms_seen :]:
            self.fail(alarm)
        self._alarms_seen = len(self._tracker.alarms)

    def _ask_guard(self, order: Order | None) -> RebalanceError | None:
        try:
            self._guard(order)
        except RebalanceError as error:
            self._tracker.tell("stopped", error.message)
            self.fail(error)
            return error
        return None

    def _may_send(self) -> bool:
        is_awaited = any(ticket.wait is _Wait.ACKNOWLEDGEMENT for ticket in self._live.values())
        has_room = len(self._live) < self._rules.max_open_orders
        is_clear = not (self._is_frozen or self._is_broken or self._tracker.disconnected or is_awaited)
        return bool(self._queue) and has_room and is_clear

    async def _send_unless_told_otherwise(self) -> None:
        """Send the next order, unless the broker has said something that was not heard yet: that comes first."""
        if await self._tracker.take(0) is None and not self._tracker.disconnected:
            await self._send(self._queue.popleft())

    async def _send(self, order: Order) -> None:
        """INTENT, the guard, SENDING, and only then the order."""
        tracker, now = self._tracker, self._tracker.broker.now()
        try:
            tracker.journal.intend(order, at=now)
        except SafetyRefused as error:
            self._queue.appendleft(order)
            self.fail(error)
            return
        self._intended.append(order.ref)
        refusal = self._ask_guard(order)
        if refusal:
            tracker.journal.not_sent(order.ref, reason=refusal.message)
            return
        tracker.journal.sending(order.ref, at=now)
        self._refs.append(order.ref)
        self._live[order.ref] = _SentOrder(order.ref, _Wait.ACKNOWLEDGEMENT, self._in(self._rules.acknowledge_seconds))
        price = "at the market" if order.limit_price is None else f"at {price_text(order.limit_price)}"
        tracker.tell("sending", f"{order.ref} {order.side} {order.quantity:,f} {order.contract.symbol} {price}")
        try:
            await tracker.broker.place(order)
        except ConnectionLost as error:
            tracker.lose(error)
        except PacingExceeded as error:
            self.fail(error)

    async def _look_after_all(self) -> None:
        for ticket in list(self._live.values()):
            await self._look_after(ticket)

    async def _look_after(self, ticket: _SentOrder) -> None:
        """Move a ticket on by what is on record, and see to it when it is overdue."""
        record = self._tracker.record(ticket.ref)
        if record.state is OrderState.UNKNOWN:
            return  # its alarm ends the stage, and it is cancelled with the others
        if record.is_settled:
            del self._live[ticket.ref]
            await self._close(ticket, record)
            return
        if record.is_kept_back and record.state is not OrderState.CANCELLING:
            await self._cancel(ticket, "is kept back by the gateway and is cancelled")
            return
        if ticket.wait is _Wait.ACKNOWLEDGEMENT and record.state.value >= OrderState.WORKING.value:
            ticket.wait, ticket.deadline = _Wait.FILLS, self._time_out(record)
        if ticket.wait is _Wait.FILLS and (record.state.is_final or record.reported_filled >= record.order.quantity):
            ticket.wait, ticket.deadline = _Wait.TERMINAL, self._in(self._rules.acknowledge_seconds)
        if self._tracker.broker.now() < ticket.deadline or self._tracker.disconnected:
            return
        if ticket.wait is _Wait.FILLS:
            await self._cancel_late(ticket)
        else:
            await self._break_silence(ticket)

    async def _cancel_late(self, ticket: _SentOrder) -> None:
        ticket.has_timed_out = True
        await self._cancel(ticket, "has not filled in time and is cancelled")

    async def _cancel(self, ticket: _SentOrder, why: str) -> None:
        self._tracker.tell("timeout" if ticket.has_timed_out else "stopped", f"{ticket.ref} {why}")
        ticket.wait, ticket.deadline = _Wait.TERMINAL, self._in(self._rules.acknowledge_seconds)
        await ask_cancel(self._tracker, ticket.ref)

    async def _break_silence(self, ticket: _SentOrder) -> None:
        """Ask the witnesses about an order the broker is silent on; the stage ends unless they settle it."""
        if await self._tracker.reconcile(self._live) is None:
            return
        record = self._tracker.record(ticket.ref)
        is_acknowledged = ticket.wait is _Wait.ACKNOWLEDGEMENT and record.state.value >= OrderState.WORKING.value
        if not (record.is_settled or is_acknowledged):
            self.fail(OrderIncomplete(unsettled(record, self._rules.acknowledge_seconds), next_step=LOOK_AT_ACCOUNT))

    async def _close(self, ticket: _SentOrder, record: OrderRecord) -> None:
        """Take the end of an order in: all filled, a rest to price anew, or a failure."""
        anew = await self._priced_anew(record) if ticket.has_timed_out else None
        if anew is None:
            self._judge(record)
            return
        self._tracker.tell("repriced", f"{anew.ref} for the rest of {record.order.ref}")
        self._rests[anew.ref] = record
        self._queue.appendleft(anew)

    async def _priced_anew(self, record: OrderRecord) -> Order | None:
        is_allowed = record.state is OrderState.CANCELLED and record.order.attempt <= self._rules.reprice_attempts
        if self._reprice is None or self._is_frozen or self._tracker.disconnected or not is_allowed:
            return None
        try:
            anew = await self._reprice(record)
        except ConnectionLost as error:
            self._tracker.lose(error)
            return None
        except RebalanceError as error:
            self._errors.append(error)
            return None
        if anew is not None and not _continues(anew, record):
            self.fail(
                SafetyRefused(
                    f"{anew.ref} is no new attempt at the rest of {record.order.ref}",
                    next_step="nothing of it was sent; report this",
                )
            )
            return None
        return anew

    def _judge(self, record: OrderRecord) -> None:
        """Keep the failure that an ended order is; an unknown one has raised its alarm already."""
        if record.state is OrderState.REJECTED:
            refused = rejection(record)
            self._errors.append(refused)
            if record.reject_reason in STOPS_SENDING:
                self._is_frozen = True
                self._stopped_by = self._stopped_by or refused
        elif record.state is not OrderState.UNKNOWN and record.filled < record.order.quantity:
            self._errors.append(incomplete(record))

    def _conclude(self) -> None:
        """Judge what the winding down ended, the rests that nobody took up again, and each line as a whole."""
        for ref in self._live:
            self._judge(self._tracker.record(ref))
        self._live.clear()
        sent = set(self._refs)
        for ref, record in self._rests.items():
            if ref not in sent:
                self._errors.append(incomplete(record))
        self._check_lines()

    def _forgive_the_connection(self, at_work: Sequence[OrderRef]) -> None:
        """A connection that was lost is a warning alone where no order was left, or the lists show that all filled."""
        lost = self._stopped_by
        is_all_filled = all(self._tracker.record(ref).state is OrderState.FILLED for ref in at_work)
        if not isinstance(lost, ConnectionLost) or self._queue or not is_all_filled:
            return
        self._errors.remove(lost)
        self._stopped_by, self._is_broken = None, False
        self._warnings.append(f"the connection was lost, and what worked then has filled: {lost.message}")

    def _check_lines(self) -> None:
        """Fail over a line that filled more than was wanted, as a late fill beside a new attempt can make it."""
        filled: dict[int, Decimal] = defaultdict(Decimal)
        for ref in self._intended:
            record = self._tracker.record(ref)
            filled[record.order.line] += record.filled if record.state is not OrderState.UNKNOWN else ZERO
        for order in self._orders:
            if filled[order.line] > order.quantity:
                self.fail(
                    OrderStateUnknown(
                        f"{order.contract.symbol}: {filled[order.line]:f} filled over all attempts, "
                        f"{order.quantity:f} were wanted",
                        next_step=LOOK_AT_ACCOUNT,
                    )
                )

    async def _hear_the_rest(self) -> None:
        """Take in what was said already, and give fees still missing a moment; they may come later, or never."""
        until = self._in(self._rules.commission_seconds)
        while not self._tracker.disconnected:
            wait = (until - self._tracker.broker.now()).total_seconds() if self._lacks_fees() else 0.0
            if await self._tracker.take(wait) is None:
                break

    def _lacks_fees(self) -> bool:
        return any(fill.commission is None for ref in self._intended for fill in self._tracker.record(ref).fills)

    def _patience(self) -> float:
        """Seconds until the next deadline, or until the guard is to be asked again."""
        nearest = min(ticket.deadline for ticket in self._live.values())
        return min((nearest - self._tracker.broker.now()).total_seconds(), self._rules.watch_seconds)

    def _time_out(self, record: OrderRecord) -> datetime:
        is_fx = record.order.stage is Stage.FX
        seconds = self._rules.fx_timeout_seconds if is_fx else self._rules.order_timeout_seconds
        return (record.sent_at or record.created_at) + timedelta(seconds=seconds)

    def _in(self, seconds: float) -> datetime:
        return self._tracker.broker.now() + timedelta(seconds=seconds)


def _continues(anew: Order, record: OrderRecord) -> bool:
    """Whether `anew` is the next attempt at the same line, for no more than its rest."""
    order = record.order
    is_next = (anew.stage, anew.line, anew.attempt) == (order.stage, order.line, order.attempt + 1)
    is_same = (anew.contract.con_id, anew.side) == (order.contract.con_id, order.side)
    return is_next and is_same and ZERO < anew.quantity <= order.quantity - record.filled
