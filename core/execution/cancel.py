"""Bringing orders of ours to an end: cancel, await the broker's word, hear the witnesses, call unknown what none knows.

Nothing here ever sends an order. Recovery after a crash ends the orders of a dead run the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from core.errors import ConnectionLost
from core.execution.stage_result import messages_about
from core.execution.tracker import OrderTracker
from core.model import OrderRecord, OrderRef, OrderState

ROUNDS = 3
POLL_SECONDS = 1.0


async def cancel_and_confirm(
    tracker: OrderTracker, refs: Sequence[OrderRef], *, seconds: float
) -> tuple[OrderRecord, ...]:
    """Cancel whatever of `refs` may still fill and await its end, at most `seconds` of venue time.

    What comes back are the orders that nobody can tell the fate of; none is the rule. They are not closed
    here. After a lost connection the witnesses come first. Raises OutputFailed.
    """
    deadline = tracker.broker.now() + timedelta(seconds=seconds)
    if not tracker.broker.is_connected:
        tracker.mark_disconnected(ConnectionLost("the connection to the broker is closed"))
    for _ in range(ROUNDS):
        if tracker.disconnected and await tracker.reconcile(refs) is None:
            break
        await _cancel_all(tracker, refs)
        await _await_ends(tracker, refs, deadline)
        if not tracker.unsettled(refs):
            break
        if not tracker.disconnected:
            await tracker.reconcile(refs)
    return tuple(tracker.unsettled(refs))


async def cancel_or_mark_unknown(tracker: OrderTracker, refs: Sequence[OrderRef], *, seconds: float) -> None:
    """Wind down, and close as UNKNOWN what stays open after that: an alarm for each. Raises OutputFailed."""
    for record in await cancel_and_confirm(tracker, refs, seconds=seconds):
        said = f"; it said: {messages_about(record)}" if record.notices else ""
        tracker.mark_unknown(record.order.ref, f"the broker does not say what became of it{said}")


async def cancel_without_journal(
    tracker: OrderTracker, refs: Iterable[OrderRef], *, seconds: float
) -> frozenset[OrderRef]:
    """Cancel orders that the journal does not follow; the references whose end the broker has not confirmed.

    For orders of an earlier run, and for our own when the journal can no longer be written. Confirmed is
    what the broker has told the end of, or lists as ended, and does not list as open.
    """
    wanted = frozenset(refs)
    deadline = tracker.broker.now() + timedelta(seconds=seconds)
    requested: set[OrderRef] = set()
    while True:
        evidence = await tracker.reconcile(())
        if evidence is None:
            return wanted
        alive = wanted & evidence.working_refs()
        unconfirmed = alive | (wanted - evidence.ended_refs() - tracker.ended)
        if not unconfirmed or tracker.broker.now() >= deadline:
            return unconfirmed
        for ref in sorted(alive - requested):
            await _cancel(tracker, ref)
        await _await_end_reports(tracker, unconfirmed)
        # what was asked may have gone with the line, which is heard only afterwards
        requested = set() if tracker.disconnected else requested | alive


async def request_cancel(tracker: OrderTracker, ref: OrderRef) -> None:
    """Put CANCELLING on record and ask for the cancel. Raises OutputFailed; a connection that goes is noted."""
    tracker.journal.cancelling(ref)
    await _cancel(tracker, ref)


async def _cancel_all(tracker: OrderTracker, refs: Sequence[OrderRef]) -> None:
    for record in map(tracker.record, refs):
        # one that contradicts itself may work all the same
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
