"""One stage under way: which orders are queued, which are at the broker, and what each of those is waiting for.

An order first waits to be acknowledged, then to fill within its time, then, when it is cancelled or reported to have
ended, for its final state with all its fills. Each wait has a deadline on the venue's clock. When nothing is reported
by the first or the last deadline, the broker's lists are read; an order is never sent again for that.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from core.clock import discard
from core.errors import (
    ConnectionLost,
    KillSwitchOn,
    OrderIncomplete,
    OrderStateUnknown,
    PacingExceeded,
    RebalanceError,
    RunCancelled,
    SafetyRefused,
)
from core.execution.orders import may_continue
from core.execution.reconcile import cancel_or_mark_unknown, reconcile, request_cancel
from core.execution.stage_result import STOPS_SENDING, StageResult, incomplete_error, rejection_error, unsettled_text
from core.execution.tracker import LOOK_AT_ACCOUNT, OrderTracker
from core.model import Order, OrderRecord, OrderRef, OrderState, Stage
from core.money import ZERO
from core.settings import Settings
from core.text import price_text

ACKNOWLEDGE_SECONDS = 10.0
"""How long the broker may take to answer an order or a cancel before the order's state counts as unknown."""

COMMISSION_SECONDS = 2.0
"""How long a stage waits for commission reports that are missing at its end."""

GUARD_SECONDS = 1.0
"""How often the guard is called while orders work, also while one is priced."""

Guard = Callable[[Order | None], None]
"""Raises what forbids sending this order now, or, with None, letting orders go on working."""

Reprice = Callable[[OrderRecord], Awaitable[Order | None]]
"""A new order for the unfilled remainder of one whose cancel is confirmed, or None to leave it."""

Refresh = Callable[[Order, Sequence[Order]], Awaitable[Order]]
"""The next order to be sent, itself while its quote is not stale, else at a fresh price; then the orders behind it."""


class _Wait(Enum):
    """What an order at the broker is waiting for."""

    ACKNOWLEDGEMENT = auto()
    FILLS = auto()
    TERMINAL = auto()


@dataclass(slots=True)
class _SentOrder:
    """An order at the broker; `has_timed_out` is whether we cancelled it because it took too long."""

    ref: OrderRef
    wait: _Wait
    deadline: datetime
    has_timed_out: bool = False


@dataclass(frozen=True, slots=True)
class StageContext:
    """What all stages of a run share; `refs` are the orders that may have reached the broker."""

    tracker: OrderTracker
    settings: Settings
    guard: Guard
    refs: list[OrderRef]


class StageExecution:
    """The orders of one stage, from the first one sent to the last one ended."""

    def __init__(
        self, context: StageContext, orders: Sequence[Order], reprice: Reprice | None, refresh: Refresh | None = None
    ) -> None:
        self._tracker = context.tracker
        self._settings = context.settings
        self._guard = context.guard
        self._refs = context.refs
        self._reprice = reprice
        self._refresh = refresh
        self._orders = tuple(orders)
        self._queue = deque(orders)
        self._dropped: list[Order] = []
        self._intended: list[OrderRef] = []
        self._open: dict[OrderRef, _SentOrder] = {}
        self._remainders: dict[OrderRef, OrderRecord] = {}
        self._errors: list[RebalanceError] = []
        self._warnings: list[str] = []
        self._failures_seen = len(context.tracker.failures)
        self._sends_no_more = False
        self._is_aborted = False
        self._stopped_by: RebalanceError | None = None

    async def run(self) -> None:
        """Send and follow the orders until each has ended, or a failure ends the stage. Raises OutputFailed."""
        # one loop, one event at a time: no callback can send or cancel while another decision is half made
        while not self._must_abort():
            await self._advance_all()
            if self._may_send():
                await self._send_next()
            elif self._open:
                await self._tracker.next_event(self._seconds_to_wait())
            elif not self._tracker.disconnected:
                break
        at_work = tuple(self._open)
        if self._is_aborted:
            await cancel_or_mark_unknown(self._tracker, at_work, seconds=self._settings.execution.shutdown_seconds)
        await self._drain()
        self._collect_failures()
        self._finish()
        self._forgive_disconnect(at_work)

    def fail(self, error: RebalanceError) -> None:
        """Keep a failure that ends the stage: nothing more is sent, and what works is cancelled."""
        self._errors.append(error)
        self._is_aborted = True
        self._stopped_by = self._stopped_by or error

    def result(self) -> StageResult:
        """How the stage went, from what is on record."""
        records = tuple(self._tracker.record(ref) for ref in self._intended)
        unsent = [record.order for record in records if record.sent_at is None]
        return StageResult(
            records=records,
            errors=tuple(self._errors),
            unsent=(*unsent, *self._dropped, *self._queue),
            stopped_by=self._stopped_by,
            warnings=tuple(self._warnings),
        )

    def _must_abort(self) -> bool:
        """Whether a failure, a lost connection or the guard ends the stage now."""
        self._collect_failures()
        if self._tracker.disconnected and not self._is_aborted:
            self.fail(self._tracker.disconnected)
        # without orders at the broker there is nothing to stop; each order is checked again before it is sent
        if self._open and not self._is_aborted:
            self._check_guard(None)
        return self._is_aborted

    def _collect_failures(self) -> None:
        for failure in self._tracker.failures[self._failures_seen :]:
            self.fail(failure)
        self._failures_seen = len(self._tracker.failures)

    def _check_guard(self, order: Order | None) -> RebalanceError | None:
        try:
            self._guard(order)
        except RebalanceError as error:
            self._tracker.log_event("stopped", error.message)
            self.fail(error)
            return error
        return None

    def _may_send(self) -> bool:
        # one unacknowledged order at a time: a gateway that drops orders silently then loses one, not a stage
        is_awaited = any(sent.wait is _Wait.ACKNOWLEDGEMENT for sent in self._open.values())
        has_slot = len(self._open) < self._settings.execution.max_open_orders
        is_clear = not (self._sends_no_more or self._is_aborted or self._tracker.disconnected or is_awaited)
        return bool(self._queue) and has_slot and is_clear

    async def _send_next(self) -> None:
        """Send the next order, unless an event is waiting to be processed: it may be a reason not to send."""
        if await self._tracker.next_event(0) is not None or self._tracker.disconnected:
            return
        order = self._queue[0]
        # prices are of the stage's start, and an order may wait for those before it for minutes
        fresh = await self._refreshed(order)
        if fresh is order:
            await self._send(self._queue.popleft())
        elif fresh is not None:
            self._queue[0] = fresh

    async def _refreshed(self, order: Order) -> Order | None:
        """The order at a price that may be sent now; None when it may not be sent, or not yet."""
        if self._refresh is None:
            return order
        try:
            fresh = await self._watched(self._refresh(order, tuple(self._queue)))
        except ConnectionLost as error:
            self._tracker.mark_disconnected(error)
            # the cause of what is left unfilled comes before it
            self.fail(error)
            return None
        except RebalanceError as error:
            self._errors.append(error)
            self._dropped.append(self._queue.popleft())
            return None
        if fresh is not None and not _differs_in_price_alone(fresh, order):
            self.fail(
                SafetyRefused(
                    f"{fresh.ref} is not {order.ref} at another price", next_step="nothing of it was sent; report this"
                )
            )
            return None
        return fresh

    async def _watched(self, pricing: Awaitable[Order | None]) -> Order | None:
        """What `pricing` gives; None when the guard ends the stage meanwhile, for orders may be working."""
        task = asyncio.ensure_future(pricing)
        try:
            # in real time, for the clock of a rehearsal stands still while it reads
            while not (await asyncio.wait((task,), timeout=GUARD_SECONDS))[0]:
                if self._open and self._check_guard(None):
                    return None
            return task.result()
        finally:
            await discard(task)

    async def _send(self, order: Order) -> None:
        """INTENT, the guard, SENDING, and only then the order."""
        tracker, now = self._tracker, self._tracker.broker.now()
        try:
            # durable before anything else: a crash from here on leaves a row that recovery can look for
            tracker.journal.intend(order, at=now)
        except SafetyRefused as error:
            self._queue.appendleft(order)
            self.fail(error)
            return
        self._intended.append(order.ref)
        refusal = self._check_guard(order)
        if refusal:
            # provably never sent: SENDING is written only after the guard has passed
            tracker.journal.not_sent(order.ref, reason=refusal.message)
            return
        # IBKR has no idempotency by orderRef, so an order past this line is never sent again, only looked for
        tracker.journal.sending(order.ref, at=now)
        self._refs.append(order.ref)
        self._open[order.ref] = _SentOrder(order.ref, _Wait.ACKNOWLEDGEMENT, self._in(ACKNOWLEDGE_SECONDS))
        price = "at the market" if order.limit_price is None else f"at {price_text(order.limit_price)}"
        tracker.log_event("sending", f"{order.ref} {order.side} {order.quantity:,f} {order.contract.symbol} {price}")
        try:
            await tracker.broker.place(order)
        except ConnectionLost as error:
            tracker.mark_disconnected(error)
        # whether the order left is uncertain here as well: the abort cancels it and reads the lists
        except PacingExceeded as error:
            self.fail(error)

    async def _advance_all(self) -> None:
        for sent in list(self._open.values()):
            await self._advance(sent)

    async def _advance(self, sent: _SentOrder) -> None:
        """Move an order on to its next wait by what is on record, and act on a deadline that has passed."""
        record = self._tracker.record(sent.ref)
        if record.state is OrderState.UNKNOWN:
            return  # its failure ends the stage, and it is cancelled with the others
        if record.is_settled:
            del self._open[sent.ref]
            await self._close(sent, record)
            return
        # the gateway keeps such an order and may transmit it later (code 399 until the open), when nobody follows it
        if record.is_held and record.state is not OrderState.CANCELLING:
            await self._cancel(sent, "is held back by the gateway and is cancelled")
            return
        if sent.wait is _Wait.ACKNOWLEDGEMENT and record.state.is_acknowledged:
            sent.wait, sent.deadline = _Wait.FILLS, self._fill_deadline(record)
        # `Filled` may be reported before its executions, and executions before `Filled`: both are waited for
        if sent.wait is _Wait.FILLS and (record.state.is_final or record.reported_filled >= record.order.quantity):
            sent.wait, sent.deadline = _Wait.TERMINAL, self._in(ACKNOWLEDGE_SECONDS)
        # while disconnected no deadline counts: the abort reconciles first
        if self._tracker.broker.now() < sent.deadline or self._tracker.disconnected:
            return
        if sent.wait is _Wait.FILLS:
            await self._cancel_late(sent)
        else:
            await self._reconcile_overdue(sent)

    async def _cancel_late(self, sent: _SentOrder) -> None:
        sent.has_timed_out = True
        await self._cancel(sent, "has not filled in time and is cancelled")

    async def _cancel(self, sent: _SentOrder, why: str) -> None:
        self._tracker.log_event("timeout" if sent.has_timed_out else "stopped", f"{sent.ref} {why}")
        sent.wait, sent.deadline = _Wait.TERMINAL, self._in(ACKNOWLEDGE_SECONDS)
        await request_cancel(self._tracker, sent.ref)

    async def _reconcile_overdue(self, sent: _SentOrder) -> None:
        """Read the broker's lists for an order without any report; the stage ends unless they settle it."""
        if await reconcile(self._tracker, self._open) is None:
            return
        record = self._tracker.record(sent.ref)
        # found working by the lists: it was acknowledged, and only the report was lost
        is_acknowledged = sent.wait is _Wait.ACKNOWLEDGEMENT and record.state.is_acknowledged
        if not (record.is_settled or is_acknowledged):
            self.fail(OrderIncomplete(unsettled_text(record, ACKNOWLEDGE_SECONDS), next_step=LOOK_AT_ACCOUNT))

    async def _close(self, sent: _SentOrder, record: OrderRecord) -> None:
        """Deal with the end of an order: all filled, a remainder to price and send again, or a failure."""
        next_order = await self._repriced(record) if sent.has_timed_out else None
        if next_order is None:
            self._record_failure(record)
            return
        self._tracker.log_event("repriced", f"{next_order.ref} for the remainder of {record.order.ref}")
        self._remainders[next_order.ref] = record
        # first in the queue, so that a line is finished before the next one starts
        self._queue.appendleft(next_order)

    async def _repriced(self, record: OrderRecord) -> Order | None:
        is_stopped = self._sends_no_more or bool(self._tracker.disconnected)
        if self._reprice is None or is_stopped or not may_continue(record, self._settings):
            return None
        try:
            next_order = await self._watched(self._reprice(record))
        except ConnectionLost as error:
            self._tracker.mark_disconnected(error)
            # the cause of what is left unfilled comes before it
            self.fail(error)
            return None
        except RebalanceError as error:
            self._errors.append(error)
            return None
        # the callback decides the price, never the line: a wrong remainder would buy twice
        if next_order is not None and not _is_next_attempt(next_order, record):
            self.fail(
                SafetyRefused(
                    f"{next_order.ref} is not a next attempt at the remainder of {record.order.ref}",
                    next_step="nothing of it was sent; report this",
                )
            )
            return None
        return next_order

    def _record_failure(self, record: OrderRecord) -> None:
        """Keep the failure of an order that ended; that of an unknown one is among the tracker's failures already."""
        if record.state is OrderState.REJECTED:
            refused = rejection_error(record)
            self._errors.append(refused)
            # these concern the account or the market, not this order alone: the next would be rejected too
            if record.reject_reason in STOPS_SENDING:
                self._sends_no_more = True
                self._stopped_by = self._stopped_by or refused
        elif record.state is not OrderState.UNKNOWN and record.filled < record.order.quantity:
            is_told = isinstance(self._stopped_by, KillSwitchOn | RunCancelled) and record.state is OrderState.CANCELLED
            self._errors.append(incomplete_error(record, was_told_to_stop=is_told))

    def _finish(self) -> None:
        """Keep the failures of orders that the abort ended, of remainders not sent again, and of whole lines."""
        for ref in self._open:
            self._record_failure(self._tracker.record(ref))
        self._open.clear()
        sent = set(self._refs)
        for ref, record in self._remainders.items():
            if ref not in sent:
                self._errors.append(incomplete_error(record))
        self._check_lines()

    def _forgive_disconnect(self, at_work: Sequence[OrderRef]) -> None:
        """Make a lost connection a mere warning where no order was left to send and all that worked has filled."""
        lost = self._stopped_by
        is_all_filled = all(self._tracker.record(ref).state is OrderState.FILLED for ref in at_work)
        if not isinstance(lost, ConnectionLost) or self._queue or not is_all_filled:
            return
        self._errors.remove(lost)
        self._stopped_by, self._is_aborted = None, False
        self._warnings.append(f"the connection was lost, and the orders working then have filled: {lost.message}")

    def _check_lines(self) -> None:
        """Fail for a line that filled more than was ordered, as a late fill beside a new attempt can cause."""
        filled: dict[int, Decimal] = defaultdict(Decimal)
        for ref in self._intended:
            record = self._tracker.record(ref)
            # an UNKNOWN order has failed the stage already, with a message of its own
            filled[record.order.line] += record.filled if record.state is not OrderState.UNKNOWN else ZERO
        for order in self._orders:
            if filled[order.line] > order.quantity:
                self.fail(
                    OrderStateUnknown(
                        f"{order.contract.symbol}: {filled[order.line]:f} filled over all attempts, "
                        f"{order.quantity:f} were ordered",
                        next_step=LOOK_AT_ACCOUNT,
                    )
                )

    async def _drain(self) -> None:
        """Process the events that are waiting, and give missing commissions a moment; they may come later, or never."""
        until = self._in(COMMISSION_SECONDS)
        while not self._tracker.disconnected:
            # commissionReport comes after execDetails, by seconds at times, and for some executions never
            wait = (until - self._tracker.broker.now()).total_seconds() if self._lacks_commissions() else 0.0
            if await self._tracker.next_event(wait) is None:
                break

    def _lacks_commissions(self) -> bool:
        return any(fill.commission is None for ref in self._intended for fill in self._tracker.record(ref).fills)

    def _seconds_to_wait(self) -> float:
        """Seconds until the next deadline, or until the guard is to be called again."""
        nearest = min(sent.deadline for sent in self._open.values())
        return min((nearest - self._tracker.broker.now()).total_seconds(), GUARD_SECONDS)

    def _fill_deadline(self, record: OrderRecord) -> datetime:
        is_fx = record.order.stage is Stage.FX
        seconds = self._settings.fx.wait_for_fill_seconds if is_fx else self._settings.execution.order_timeout_seconds
        # from sending, not from acknowledgement, which must not lengthen a stage beyond `longest_trading`
        return (record.sent_at or record.created_at) + timedelta(seconds=seconds)

    def _in(self, seconds: float) -> datetime:
        return self._tracker.broker.now() + timedelta(seconds=seconds)


def _differs_in_price_alone(fresh: Order, order: Order) -> bool:
    """Whether `fresh` is the same order but for its price and what that was made from."""
    price = {name: getattr(order, name) for name in ("order_type", "limit_price", "mid", "spread")}
    return replace(fresh, **price) == order


def _is_next_attempt(next_order: Order, record: OrderRecord) -> bool:
    """Whether `next_order` is the next attempt at the same line, for no more than its remainder."""
    order = record.order
    is_next = (next_order.stage, next_order.line, next_order.attempt) == (order.stage, order.line, order.attempt + 1)
    is_same = (next_order.contract.con_id, next_order.side) == (order.contract.con_id, order.side)
    return is_next and is_same and ZERO < next_order.quantity <= order.quantity - record.filled
