"""Following our orders: each broker event goes onto the journal first, then onto the timeline, then may be a failure.

A fill after the end of its order, a corrected execution, an order whose reports contradict each other: each is a
failure that stops a stage. After a lost connection the state of every working order is uncertain until the broker's
lists were read (`core.execution.reconcile`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from core.broker import error_codes
from core.broker.port import Broker
from core.errors import ConnectionLost, OrderIncomplete, OrderStateUnknown, RebalanceError
from core.execution.reader import Reader
from core.execution.stage_result import order_text
from core.journal import Journal
from core.model import (
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Fill,
    Notice,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderUpdate,
    RunEvent,
)
from core.model.executions import fill_of_execution
from core.text import price_text

AT_WORK = (OrderState.WORKING, OrderState.FILLED)
LOOK_AT_ACCOUNT = "look at the account in TWS before the next run"


class OrderTracker:
    """Processes the broker's events for one executor, and keeps what is certain of its orders.

    `disconnected` is the failure that makes the state of every working order uncertain, None while the connection is
    sound. `failures` are what must stop a stage, in order of time. `ended` are the references of all orders, of any
    client, whose end was reported. `disturbances` counts what was reported or noticed of a connection that failed, of
    the gateway to IBKR or to a data farm too. While `is_journaling` is off (the journal cannot be written) events only
    count here.
    """

    def __init__(
        self, broker: Broker, journal: Journal, read_attempts: int, on_event: Callable[[RunEvent], None]
    ) -> None:
        self.broker = broker
        self.journal = journal
        self.reader = Reader(broker, read_attempts, lambda text: self.log_event("retry", text))
        self.disconnected: ConnectionLost | None = None
        self.failures: list[RebalanceError] = []
        self.ended: set[OrderRef] = set()
        self.disturbances = 0
        self.is_journaling = True
        self._on_event = on_event
        self._connected_at: datetime = broker.now()

    def log_event(self, kind: str, detail: str) -> None:
        """Put a line on the timeline."""
        self._on_event(RunEvent(self.broker.now(), kind, detail))

    def record(self, ref: OrderRef) -> OrderRecord:
        """The order on record. Raises KeyError for one that this journal never had."""
        found = self.journal.order(ref)
        if found is None:
            raise KeyError(ref)
        return found

    def unsettled(self, refs: Iterable[OrderRef]) -> list[OrderRecord]:
        """The orders among `refs` that have not ended, or whose fills are not all here."""
        return [record for record in map(self.record, refs) if not record.is_settled]

    async def next_event(self, seconds: float) -> BrokerEvent | None:
        """The next event, processed; None when `seconds` passed without one or the connection was lost."""
        try:
            event = await self.broker.next_event(max(seconds, 0.0))
        except ConnectionLost as error:
            self.mark_disconnected(error)
            return None
        if event is not None:
            self.process(event)
        return event

    def process(self, event: BrokerEvent) -> None:
        """Process one event. Raises OutputFailed when it cannot be put on record."""
        match event:
            case OrderUpdate() | Fill():
                self._process_order_event(event)
            # ib_async drops a commission that comes before its execution; reconcile reads it again with the executions
            case CommissionReport():
                if self.is_journaling:
                    self.journal.record(event)
            case ConnectionChange():
                self.disturbances += 1
                self._process_connection_change(event)
            # 2148 may precede a forced sale by seconds: the account is no longer what was planned for
            case Notice(code=error_codes.MARGIN_DEFICIENCY):
                self._fail(f"the broker warns of the account's margin: {event.text}")
            case Notice(is_alarm=True):
                self._process_alarm(event)
            case Notice(order_ref=ref) if ref is not None and self.journal.order(ref) is not None:
                self._process_notice(event)
            case _:
                # a broken data farm stops no order, but is no undisturbed connection either
                self.disturbances += event.code in error_codes.FARMS_BROKEN
                self.log_event("notice", f"{event.order_ref or ''} {event.in_full}".strip())

    def mark_disconnected(self, error: ConnectionLost) -> None:
        """Note that the connection was lost; the state of every working order is uncertain from now on."""
        self.disturbances += 1
        if self.disconnected is None:
            self.disconnected = error
            self.log_event("connection", error.message)

    def mark_unknown(self, ref: OrderRef, reason: str) -> None:
        """Close an order as UNKNOWN, a failure; nothing if it has ended with all its fills."""
        before = self.record(ref)
        self.journal.unknown(ref, reason=reason)
        self._report_state_change(before, self.record(ref))

    async def start(self) -> None:
        """Connect if need be, with nothing of ours in flight. Raises ConnectionLost."""
        await self.reader.connect()
        self.mark_connected()

    def mark_connected(self) -> datetime:
        """Note that the connection is sound and its earlier losses are dealt with; returns the present moment."""
        self.disconnected = None
        self._connected_at = self.broker.now()
        return self._connected_at

    def _process_order_event(self, event: OrderUpdate | Fill) -> None:
        if isinstance(event, OrderUpdate) and event.state.is_final:
            # kept for orders of any run: `cancel_without_journal` has no record of theirs to look at
            self.ended.add(event.order_ref)
        if not self.is_journaling:
            return
        before = self.journal.order(event.order_ref)
        self.journal.record(event)
        if before is None:
            self.log_event("other_order", f"{event.order_ref or 'an order entered by hand'}: {_describe_event(event)}")
            return
        after = self.record(event.order_ref)
        self._report_state_change(before, after)
        if isinstance(event, Fill) and after.fills != before.fills:
            self._check_fill(event, before, after)
        elif isinstance(event, OrderUpdate) and _works_after_rejection(before, event):
            state = event.state.label
            self._fail(f"{order_text(before)} was rejected ({before.code}), yet the broker reports it as {state}")

    def _process_notice(self, notice: Notice) -> None:
        """Put a message about an order of ours on record and on the timeline, in the broker's own text."""
        if self.is_journaling:
            self.journal.record(notice)
        self.log_event("message", f"{notice.order_ref}: {notice.in_full}")

    def _process_alarm(self, notice: Notice) -> None:
        """Process the report of an order that nobody sent: a failure, unless we are looking for that very order."""
        record = self.journal.order(notice.order_ref) if notice.order_ref else None
        if record is None or record.state.is_final:
            self._fail(notice.text)
        else:
            self._process_notice(notice)

    def _report_state_change(self, before: OrderRecord, after: OrderRecord) -> None:
        if after.state is before.state:
            return
        ref = after.order.ref
        self.log_event(after.state.name.lower(), f"{ref} {after.reason}".rstrip())
        if after.state is OrderState.UNKNOWN:
            self.failures.append(_unknown(after))

    def _check_fill(self, fill: Fill, before: OrderRecord, after: OrderRecord) -> None:
        """Report a fill that changed the record; it is a failure when it came late or corrects another."""
        ref = after.order.ref
        known = fill_of_execution(before.fills, fill.exec_id)
        if known is not None and known.exec_id == fill.exec_id:
            return  # the same fill again, with its commission
        self.log_event("fill", f"{ref} {_shares_at_price(fill)}, {after.filled:,f} of {after.order.quantity:,f}")
        # a correction replaces the execution (same id but for the revision); money was counted by the old one
        if known is not None:
            was, now = _shares_at_price(known), _shares_at_price(fill)
            self._fail(f"an execution of {order_text(after)} was corrected: {was} became {now}")
        elif before.is_settled:
            self._fail(f"{order_text(after)} filled {fill.shares:,f} after its end was confirmed")

    def _fail(self, message: str) -> None:
        self.log_event("failure", message)
        self.failures.append(OrderIncomplete(message, next_step=LOOK_AT_ACCOUNT))

    def _process_connection_change(self, event: ConnectionChange) -> None:
        # an older report is about a loss after which the lists were read
        if not event.is_up and event.at > self._connected_at:
            self.mark_disconnected(
                ConnectionLost(event.reason or "the connection to the broker was lost", next_step=LOOK_AT_ACCOUNT)
            )
        else:
            self.log_event("connection", event.reason or ("up" if event.is_up else "down"))


def _works_after_rejection(before: OrderRecord, update: OrderUpdate) -> bool:
    """Whether an order works that an error code alone had ended.

    201 is final: the gateway sends it for a rejected order only. Other codes may come with an order that was accepted
    all the same; its permId, which IBKR's servers assign, then proves that.
    """
    is_unseen = before.state is OrderState.REJECTED and not before.perm_id
    return is_unseen and before.code != error_codes.REJECTED and update.state in AT_WORK and bool(update.perm_id)


def _unknown(record: OrderRecord) -> OrderStateUnknown:
    return OrderStateUnknown(
        f"{order_text(record)}: {record.reason}",
        next_step="look the order up in TWS, and cancel it there if it still works, before you start a new run",
    )


def _describe_event(event: OrderUpdate | Fill) -> str:
    if isinstance(event, Fill):
        return f"{event.side} {event.shares:f} {event.symbol} at {price_text(event.price)}"
    return f"{event.state.label} {event.reason}".rstrip()


def _shares_at_price(fill: Fill) -> str:
    return f"{fill.shares:,f} at {price_text(fill.price)}"
