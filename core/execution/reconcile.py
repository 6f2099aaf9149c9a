"""Finding out what became of our orders, and ending those that still work.

The broker keeps three lists: open orders, completed orders, executions. What they show of an order goes through the
same `OrderTracker.process` as a live event, so the journal decides alone what state an order is in. Orders are matched
by reference, and what is found must be the order that was sent. That an order is in none of the lists proves nothing:
it may not have arrived yet. Nothing here ever sends an order.

Orders on the journal are cancelled by `cancel_and_confirm`; orders that it does not follow (of an earlier run, or when
it can no longer be written) by `cancel_without_journal`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.broker.port import Broker
from core.errors import ConnectionLost, OrderStateUnknown, PacingExceeded
from core.execution.stage_result import messages_about
from core.execution.tracker import LOOK_AT_ACCOUNT, OrderTracker
from core.model import (
    AccountSnapshot,
    CompletedOrder,
    Fill,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderUpdate,
    WorkingOrder,
)
from core.model.refs import belongs_to_us

ROUNDS = 3
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The broker's three lists, each complete: working orders of all clients, today's ended orders, today's fills."""

    working: tuple[WorkingOrder, ...]
    completed: tuple[CompletedOrder, ...]
    fills: tuple[Fill, ...]

    def refs(self) -> frozenset[OrderRef]:
        """References of all orders that any of the three knows."""
        return self.working_refs() | self.ended_refs() | {fill.order_ref for fill in self.fills}

    def working_refs(self) -> frozenset[OrderRef]:
        """References of the orders that may still fill."""
        return frozenset(order.order_ref for order in self.working)

    def ended_refs(self) -> frozenset[OrderRef]:
        """References of the orders that have ended."""
        return frozenset(order.order_ref for order in self.completed)


async def read_evidence(broker: Broker) -> Evidence:
    """The three lists as they are now. Raises ConnectionLost, PacingExceeded.

    Open orders come first: an order that ends between two of the requests is then still in one of them.
    """
    working = await broker.open_orders()
    completed = await broker.completed_orders()
    return Evidence(working, completed, await broker.executions())


def events_in(evidence: Evidence, record: OrderRecord, at: datetime) -> Iterator[OrderUpdate | Fill | str]:
    """What the evidence shows of one order, as events in the order to process them; a string is a contradiction.

    An order that the gateway held back, and that was cancelled, is rejected when no list knows it.
    """
    order = record.order
    if record.is_held and record.state is OrderState.CANCELLING and order.ref not in evidence.refs():
        yield OrderUpdate(
            order.ref,
            OrderState.REJECTED,
            record.filled,
            at,
            record.perm_id,
            record.reason,
            record.code,
            record.reject_reason,
        )
    # fills before the end: after it each would count as one that came too late
    yield from (fill for fill in evidence.fills if fill.order_ref == order.ref)
    for found in evidence.completed:
        if found.order_ref == order.ref:
            yield _contradiction(order, found) or OrderUpdate(
                order.ref, found.state, found.filled, at, found.perm_id, found.reason
            )
    for alive in evidence.working:
        if alive.order_ref == order.ref:
            yield _contradiction(order, alive) or OrderUpdate(
                order.ref, OrderState.WORKING, alive.filled, at, alive.perm_id
            )


async def reconcile(tracker: OrderTracker, refs: Iterable[OrderRef]) -> Evidence | None:
    """The broker's lists, processed for our orders `refs`; None when they could not be read, tries used up.

    Connects again if need be. Afterwards the connection counts as sound, and every order that the lists settle is
    settled on the journal.
    """
    try:
        evidence = await tracker.reader.read("reconciling orders", lambda: read_evidence(tracker.broker))
    except ConnectionLost as error:
        tracker.mark_disconnected(error)
        return None
    except PacingExceeded as error:
        # without the lists nothing is certain, as if there were no connection
        tracker.mark_disconnected(ConnectionLost(error.message, next_step=error.next_step))
        return None
    at = tracker.mark_connected()
    for ref in refs:
        for found in events_in(evidence, tracker.record(ref), at):
            if isinstance(found, str):
                tracker.mark_unknown(ref, found)
            else:
                tracker.process(found)
    tracker.log_event(
        "reconciled",
        f"{len(evidence.working)} working, {len(evidence.completed)} ended, {len(evidence.fills)} fills",
    )
    return evidence


async def cancel_and_confirm(
    tracker: OrderTracker, refs: Sequence[OrderRef], *, seconds: float
) -> tuple[OrderRecord, ...]:
    """Cancel whatever of `refs` may still fill and await its end, at most `seconds` of venue time.

    What comes back are the orders that have not ended for certain, as a rule none. They are not closed here. After a
    lost connection the broker's lists are read first. Raises OutputFailed.
    """
    deadline = tracker.broker.now() + timedelta(seconds=seconds)
    if not tracker.broker.is_connected:
        tracker.mark_disconnected(ConnectionLost("the connection to the broker is closed"))
    for _ in range(ROUNDS):
        if tracker.disconnected and await reconcile(tracker, refs) is None:
            break
        await _cancel_all(tracker, refs)
        await _await_ends(tracker, refs, deadline)
        if not tracker.unsettled(refs):
            break
        if not tracker.disconnected:
            await reconcile(tracker, refs)
    return tuple(tracker.unsettled(refs))


async def cancel_or_mark_unknown(tracker: OrderTracker, refs: Sequence[OrderRef], *, seconds: float) -> None:
    """Cancel and confirm; each order that has not ended for certain after that is closed as UNKNOWN, a failure.

    Raises OutputFailed.
    """
    for record in await cancel_and_confirm(tracker, refs, seconds=seconds):
        messages = f"; its messages: {messages_about(record)}" if record.notices else ""
        tracker.mark_unknown(record.order.ref, f"the broker does not report what became of it{messages}")


async def cancel_without_journal(
    tracker: OrderTracker, refs: Iterable[OrderRef], *, seconds: float
) -> frozenset[OrderRef]:
    """Cancel orders that the journal does not follow; the references whose end the broker has not confirmed.

    Confirmed is what the broker has reported the end of, or lists as ended, and does not list as open.
    """
    wanted = frozenset(refs)
    deadline = tracker.broker.now() + timedelta(seconds=seconds)
    requested: set[OrderRef] = set()
    while True:
        evidence = await reconcile(tracker, ())
        if evidence is None:
            return wanted
        alive = wanted & evidence.working_refs()
        unconfirmed = alive | (wanted - evidence.ended_refs() - tracker.ended)
        if not unconfirmed or tracker.broker.now() >= deadline:
            return unconfirmed
        for ref in sorted(alive - requested):
            await _cancel(tracker, ref)
        await _await_end_reports(tracker, unconfirmed)
        # a request may have been lost with the connection, which is noticed only afterwards: make it again
        requested = set() if tracker.disconnected else requested | alive


async def cancel_orphaned_orders(
    tracker: OrderTracker, snapshot: AccountSnapshot, *, seconds: float
) -> tuple[WorkingOrder, ...]:
    """The working orders of an earlier run of ours, now cancelled and confirmed by the broker; as a rule none.

    Call it with the account's lock held, in modes that trade; read the account again when it found any, for they may
    have filled meanwhile. Raises OrderStateUnknown when an end is not confirmed within `seconds`.
    """
    ours = tuple(order for order in snapshot.working_orders if belongs_to_us(order.order_ref))
    if not ours:
        return ()
    unconfirmed = await cancel_without_journal(tracker, [order.order_ref for order in ours], seconds=seconds)
    if unconfirmed:
        raise OrderStateUnknown(
            f"cancellation of an earlier run's orders could not be confirmed: {', '.join(sorted(unconfirmed))}",
            next_step="cancel them in TWS, then run again",
        )
    return ours


async def cancel_still_working(
    tracker: OrderTracker, snapshot: AccountSnapshot, refs: Collection[OrderRef], *, seconds: float
) -> OrderStateUnknown | None:
    """The failure for orders `refs` of this run that still work although each was reported ended; they are cancelled.

    None when there are none, as it must be with a broker that reports correctly.
    """
    alive = sorted(order.order_ref for order in snapshot.working_orders if order.order_ref in refs)
    if not alive:
        return None
    unconfirmed = await cancel_without_journal(tracker, alive, seconds=seconds)
    done = f"cancel {', '.join(sorted(unconfirmed))} in TWS" if unconfirmed else "the broker has cancelled them now"
    return OrderStateUnknown(
        f"still working at the end of the run: {', '.join(alive)}", next_step=f"{done}; {LOOK_AT_ACCOUNT}"
    )


async def request_cancel(tracker: OrderTracker, ref: OrderRef) -> None:
    """Put CANCELLING on record and request the cancel. Raises OutputFailed; a lost connection is only noted."""
    tracker.journal.cancelling(ref)
    await _cancel(tracker, ref)


def _contradiction(order: Order, found: CompletedOrder | WorkingOrder) -> str | None:
    is_same = (found.symbol, found.side) == (order.contract.symbol, order.side)
    # a completed order may come without the quantity it was placed with
    is_same_size = isinstance(found, CompletedOrder) or found.quantity == order.quantity
    if is_same and is_same_size:
        return None
    return f"the broker shows {found.side} {found.quantity:f} {found.symbol} under its reference"


async def _cancel_all(tracker: OrderTracker, refs: Sequence[OrderRef]) -> None:
    for record in map(tracker.record, refs):
        # an order whose reports contradict each other may work all the same
        if not tracker.disconnected and (record.state is OrderState.UNKNOWN or not record.state.is_final):
            await request_cancel(tracker, record.order.ref)


async def _cancel(tracker: OrderTracker, ref: OrderRef) -> None:
    try:
        await tracker.broker.cancel(ref)
    except ConnectionLost as error:
        tracker.mark_disconnected(error)


async def _await_ends(tracker: OrderTracker, refs: Sequence[OrderRef], deadline: datetime) -> None:
    while tracker.unsettled(refs) and not tracker.disconnected and tracker.broker.now() < deadline:
        await tracker.next_event((deadline - tracker.broker.now()).total_seconds())


async def _await_end_reports(tracker: OrderTracker, refs: frozenset[OrderRef]) -> None:
    until = tracker.broker.now() + timedelta(seconds=POLL_SECONDS)
    while not refs <= tracker.ended and not tracker.disconnected and tracker.broker.now() < until:
        await tracker.next_event((until - tracker.broker.now()).total_seconds())
