"""Orders: our own on this connection, whose messages become events of the broker port, and the broker's lists of all.

Only a status of the broker ends an order, or an error whose code refuses it by the table of error codes. Gateways
repeat openOrder and orderStatus freely: an update that brings nothing new is not emitted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from core.broker.error_codes import (
    CANCELLED,
    NOT_CANCELLABLE,
    NOT_FOUND,
    NOTHING_TO_CANCEL,
    hold_reason,
    meaning_of,
    reject_reason_of,
)
from core.broker.errors import NOT_FOUND_TO_CANCEL, would_refuse
from core.broker.ib.messages import CompletedOrderRow, ErrorMessage, OpenOrderRow, OrderStatusRow, WhatIfEffect
from core.broker.ib.requests import RequestRefused
from core.clock import Clock, Timer
from core.errors import BrokerError
from core.model import (
    AccountId,
    BrokerEvent,
    CompletedOrder,
    Currency,
    MarginChange,
    MarginEffect,
    Notice,
    Order,
    OrderRef,
    OrderState,
    OrderType,
    OrderUpdate,
    RejectReason,
    WorkingOrder,
)
from core.money import ZERO

# PendingSubmit, ApiPending and ApiUpdate are missing: none of them means that the broker accepted the order
STATES: Mapping[str, OrderState] = {
    "PreSubmitted": OrderState.WORKING,
    "Submitted": OrderState.WORKING,
    "PendingCancel": OrderState.CANCELLING,
    "Cancelled": OrderState.CANCELLED,
    "ApiCancelled": OrderState.CANCELLED,
    "Filled": OrderState.FILLED,
}
NOT_AT_WORK = (OrderState.SENDING, OrderState.REJECTED)
MAY_FILL = (OrderState.WORKING, OrderState.CANCELLING)
CANCELS = (OrderState.CANCELLED, OrderState.EXPIRED)
INACTIVE = "Inactive"
MADE_INACTIVE = "the broker made the order inactive without giving a reason"
DAY_OVER = "the day of the order is over"
JUST_CANCELLED = "Order Canceled"
REASON = "reason:"
# error 202 with the reason of a cancel, or the error that made an order inactive, may follow the status
REASON_WITHIN = timedelta(milliseconds=500)
LISTED_ENDS = (OrderState.FILLED, OrderState.CANCELLED)

_Key = tuple[int, int]


@dataclass(slots=True)
class OwnOrder:
    """An order by its id on this connection; `filled` is None until the broker has reported a quantity.

    `cancelled` is its status Cancelled while the reason is awaited, `is_answered` set by the first message about it.
    """

    order_id: int
    ref: OrderRef
    perm_id: int = 0
    state: OrderState = OrderState.SENDING
    filled: Decimal | None = None
    reason: str = ""
    code: int | None = None
    reject_reason: RejectReason | None = None
    is_inactive: bool = False
    cancel_text: str = ""
    cancelled: OrderStatusRow | None = None
    timer: Timer | None = None
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_acknowledged(self) -> bool:
        return self.state is not OrderState.SENDING


class OwnOrders:
    """The orders of `client_id` in `account_id` that this connection has sent, or that the gateway listed.

    `emit` gets every event. Other accounts of the gateway may use the client id when it is their turn: what is reported
    of their orders is ignored.
    """

    def __init__(
        self, clock: Clock, client_id: int, account_id: AccountId, emit: Callable[[BrokerEvent], None]
    ) -> None:
        self._clock = clock
        self._client_id = client_id
        self._account_id = account_id
        self._emit = emit
        self._orders: dict[int, OwnOrder] = {}
        self._ignored_perm_ids: set[int] = set()
        self._ids_of_others: set[int] = set()
        self._is_listed = False
        self._not_strange: set[int] = set()

    def note_listed(self) -> None:
        """From now on every working order of ours is known: the gateway has listed those from before."""
        self._is_listed = True

    def note_what_if(self, order_id: int) -> None:
        """Expect messages on an order that is only asked about."""
        self._not_strange.add(order_id)

    def register(self, order_id: int, ref: OrderRef) -> OwnOrder:
        """An order that is about to be sent."""
        self._orders[order_id] = OwnOrder(order_id, ref)
        return self._orders[order_id]

    def with_ref(self, ref: OrderRef) -> list[OwnOrder]:
        """Orders with this reference: those that may still fill, else the last one that has ended, else none."""
        found = [order for order in self._orders.values() if order.ref == ref]
        return [order for order in found if not order.state.is_final] or found[-1:]

    def on_open_order(self, row: OpenOrderRow) -> None:
        """Handle openOrder: an acknowledgement, or an order of ours from before this connection."""
        if row.client_id != self._client_id or row.order_id <= 0:
            return
        if row.account not in ("", self._account_id):
            self._ignored_perm_ids.add(row.perm_id)
            self._ids_of_others.add(row.order_id)
            return
        order = self._orders.get(row.order_id)
        state = STATES.get(row.status, OrderState.SENDING)
        if order and row.order_ref and row.order_ref != order.ref:
            # a restarted gateway may give out the id of an order again while that order still works (LEAN IB #242)
            self._ignored_perm_ids.add(row.perm_id)
            return
        if order is None:
            if state.is_final:
                return
            self._report_stranger(row)
            order = OwnOrder(row.order_id, row.order_ref, row.perm_id, OrderState.WORKING)
            self._orders[row.order_id] = order
        elif state is OrderState.WORKING and order.state in NOT_AT_WORK:
            self._emit_update(order, state, row.perm_id, order.filled or ZERO)
        order.is_answered.set()

    def on_order_status(self, row: OrderStatusRow) -> None:
        """Handle orderStatus, the one message that may end an order."""
        if row.client_id != self._client_id or (row.perm_id and row.perm_id in self._ignored_perm_ids):
            return
        order = self._orders.get(row.order_id)
        if order is None:
            self._report_stranger(row)
            return
        order.is_answered.set()
        state = STATES.get(row.status)
        order.is_inactive &= row.status == INACTIVE
        if row.status == INACTIVE:
            self._on_inactive(order, row)
        elif state is OrderState.CANCELLED:
            self._on_cancelled(order, row)
        elif state is not None:
            self._emit_update(order, state, row.perm_id, row.filled)

    def on_execution(self, order_id: int, ref: OrderRef) -> None:
        """Note that an order has arrived: it filled."""
        order = self._orders.get(order_id)
        if order and order.ref == ref:
            order.is_answered.set()

    def on_error(self, message: ErrorMessage) -> bool:
        """Emit what an error means for the order it names; whether it names one, of ours or of another account."""
        order = self._orders.get(message.id)
        if order is None:
            return message.id in self._ids_of_others
        order.is_answered.set()
        if message.code == CANCELLED:
            order.cancel_text = message.text
            self._emit_cancelled(order)
        elif message.code in NOTHING_TO_CANCEL and order.state.is_final:
            self._emit_end_again(order, message.code, _ended_already(order))
        elif message.code == NOT_FOUND:
            self._notice(NOT_FOUND_TO_CANCEL, message.code, order.ref)
        elif not order.state.is_final and meaning_of(message.code).refuses(is_acknowledged=order.is_acknowledged):
            self._refuse(order, message)
        else:
            self._notice(message.text, message.code, order.ref)
        return True

    def refuse_sent(self, message: ErrorMessage) -> None:
        """Refuse every order that is not acknowledged: the gateway takes none at all, and does not name the order."""
        for order in self._orders.values():
            if not order.is_acknowledged:
                order.is_answered.set()
                self._refuse(order, message)

    def emit_end_again(self, order: OwnOrder) -> None:
        """Repeat the end of an order that is to be cancelled and has ended already."""
        self._emit_end_again(order, NOT_CANCELLABLE, _ended_already(order))

    def emit_not_found(self, ref: OrderRef) -> None:
        """Report that there is no order of ours with this reference to cancel."""
        self._notice(NOT_FOUND_TO_CANCEL, NOT_FOUND, ref)

    def stop(self) -> None:
        """Emit nothing more, and let nobody wait for an answer."""
        for order in self._orders.values():
            order.is_answered.set()
            if order.timer:
                order.timer.cancel()

    def _report_stranger(self, row: OpenOrderRow | OrderStatusRow) -> None:
        """Raise the alarm, once, about an order under our client id that may fill and that nobody here has sent.

        Until the first list of open orders is complete, an order from before this connection may be reported as well.
        """
        is_strange = row.order_id > 0 and row.order_id not in self._not_strange | self._ids_of_others
        if self._is_listed and is_strange and STATES.get(row.status) in MAY_FILL:
            self._not_strange.add(row.order_id)
            text = (
                f"the broker reports order {row.order_id} of client {row.client_id} as {row.status}: it was never sent"
            )
            ref = row.order_ref if isinstance(row, OpenOrderRow) else None
            self._emit(Notice(text, self._clock.now(), order_ref=ref, is_alarm=True))

    def _refuse(self, order: OwnOrder, message: ErrorMessage) -> None:
        order.reason, order.code = message.text, message.code
        order.reject_reason = reject_reason_of(message.code, message.text)
        self._emit_update(order, OrderState.REJECTED, order.perm_id, order.filled or ZERO)

    def _on_inactive(self, order: OwnOrder, row: OrderStatusRow) -> None:
        """Handle Inactive, which is no end: the order may come back, or the error that refuses it may follow."""
        if order.state.is_final or order.is_inactive:
            return
        order.is_inactive = True
        self._emit_update(order, OrderState.WORKING, row.perm_id, row.filled)
        order.timer = self._clock.call_at(self._clock.now() + REASON_WITHIN, lambda: self._emit_inactive(order))

    def _emit_inactive(self, order: OwnOrder) -> None:
        """Report the order as held when no error came in time: it is to be cancelled, for it could come back."""
        if order.is_inactive and not order.state.is_final:
            self._emit(Notice(MADE_INACTIVE, self._clock.now(), None, order.ref, RejectReason.REJECTED))

    def _on_cancelled(self, order: OwnOrder, row: OrderStatusRow) -> None:
        if order.cancelled or (order.state in CANCELS and row.filled == order.filled):
            if order.cancelled and row.filled > order.cancelled.filled:
                order.cancelled = row
            return
        order.cancelled = row
        if order.cancel_text:
            self._emit_cancelled(order)
        else:
            order.timer = self._clock.call_at(self._clock.now() + REASON_WITHIN, lambda: self._emit_cancelled(order))

    def _emit_cancelled(self, order: OwnOrder) -> None:
        """Emit the end of a cancelled order: with its reason once both have arrived, without it when it is late."""
        row, order.cancelled = order.cancelled, None
        if row is None:
            return
        if order.timer:
            order.timer.cancel()
        reason = order.cancel_text.partition(REASON)[2].strip() or JUST_CANCELLED
        if reason.lower() == DAY_OVER:
            order.reason, order.code = DAY_OVER, None
            self._emit_update(order, OrderState.EXPIRED, row.perm_id, row.filled)
        else:
            order.reason, order.code = reason, CANCELLED if order.cancel_text else None
            self._emit_update(order, OrderState.CANCELLED, row.perm_id, row.filled)

    def _emit_update(self, order: OwnOrder, state: OrderState, perm_id: int, filled: Decimal) -> None:
        """Note the state and emit it unless it is known.

        A second permId under one reference is always emitted: two orders would then work where one was meant.
        """
        is_other = bool(order.perm_id and perm_id and perm_id != order.perm_id)
        is_first_count = order.filled is None and state is order.state
        if not is_other and _is_known(order, state, filled):
            return
        order.filled = filled if state.is_final else max(filled, order.filled or ZERO)
        order.state, order.perm_id = state, perm_id or order.perm_id
        if is_other or not is_first_count:
            self._emit(self._update_of(order))

    def _update_of(self, order: OwnOrder) -> OrderUpdate:
        return OrderUpdate(
            order_ref=order.ref,
            state=order.state,
            filled=order.filled or ZERO,
            at=self._clock.now(),
            perm_id=order.perm_id,
            reason=order.reason,
            code=order.code,
            reject_reason=order.reject_reason,
        )

    def _emit_end_again(self, order: OwnOrder, code: int, reason: str) -> None:
        self._emit(replace(self._update_of(order), code=code, reason=reason))

    def _notice(self, text: str, code: int | None, ref: OrderRef) -> None:
        self._emit(Notice(text, self._clock.now(), code, ref, hold_reason(code)))


def _ended_already(order: OwnOrder) -> str:
    return f"the order that needs to be cancelled is {order.state.label} already"


def _is_known(order: OwnOrder, state: OrderState, filled: Decimal) -> bool:
    """Whether the same was emitted before, or is older than what was: statuses may arrive out of order."""
    if order.filled is None:
        return False
    if state.is_final:
        return (state, filled) == (order.state, order.filled)
    return order.state is OrderState.FILLED or (state is order.state and filled <= order.filled)


def working_orders(rows: Iterable[OpenOrderRow | OrderStatusRow], account: str) -> tuple[WorkingOrder, ...]:
    """The listed orders of the account that may still fill; one that ended while the list was sent is left out."""
    orders: dict[_Key, OpenOrderRow] = {}
    statuses: dict[_Key, OrderStatusRow] = {}
    for row in rows:
        if isinstance(row, OpenOrderRow):
            orders[_key(row)] = row
        else:
            statuses[_key(row)] = row
    return tuple(
        _working(order, statuses.get(key))
        for key, order in orders.items()
        if order.account == account and _is_open(order, statuses.get(key))
    )


def completed_order(row: CompletedOrderRow) -> CompletedOrder:
    """An order that ended today; how it ended follows from its status and from the text beside it."""
    state, reason = _end_of(row)
    return CompletedOrder(
        order_ref=row.order_ref,
        symbol=row.contract.as_symbol,
        side=row.side,
        quantity=row.quantity,
        filled=row.filled,
        state=state,
        reason=reason,
        perm_id=row.perm_id,
    )


def _key(row: OpenOrderRow | OrderStatusRow) -> _Key:
    """What joins an order with its status: orders entered by hand have no id, orders just sent have no permId yet."""
    return (0, row.perm_id) if row.perm_id else (row.client_id, row.order_id)


def _is_open(order: OpenOrderRow, status: OrderStatusRow | None) -> bool:
    return STATES.get(status.status if status else order.status) not in LISTED_ENDS


def _working(order: OpenOrderRow, status: OrderStatusRow | None) -> WorkingOrder:
    filled: Decimal = status.filled if status else ZERO
    return WorkingOrder(
        order_ref=order.order_ref,
        symbol=order.contract.as_symbol,
        side=order.side,
        quantity=order.quantity,
        filled=filled,
        order_type=OrderType.MKT if order.limit_price is None else OrderType.LMT,
        limit_price=order.limit_price,
        perm_id=order.perm_id,
    )


def _end_of(row: CompletedOrderRow) -> tuple[OrderState, str]:
    state = STATES.get(row.status)
    if state is OrderState.FILLED:
        return OrderState.FILLED, ""
    if row.status == INACTIVE or row.completed_status.lower().startswith("rejected"):
        # `Rejected by System: Order is already expired.` is a rejection: the order never worked
        return OrderState.REJECTED, row.completed_status
    if "expired" in row.completed_status.lower():
        return OrderState.EXPIRED, DAY_OVER
    return OrderState.CANCELLED, row.completed_status


def effect_of(effect: WhatIfEffect, base: Currency) -> MarginEffect:
    """The effect of a what-if order, in the account's base currency."""
    commission = effect.commission
    return MarginEffect(
        currency=base,
        initial_margin=_change(effect, "initMargin"),
        maintenance_margin=_change(effect, "maintMargin"),
        equity_with_loan=_change(effect, "equityWithLoan"),
        commission=commission,
        commission_currency=None if commission is None else effect.commission_currency,
    )


def refusal_of(order: Order, refusal: RequestRefused) -> BrokerError:
    """The error to raise where the broker would refuse the order."""
    return would_refuse(order, refusal.code, refusal.text, reject_reason_of(refusal.code, refusal.text))


def _change(effect: WhatIfEffect, name: str) -> MarginChange:
    before, change = effect.margins[name]
    return MarginChange(_present(before), _present(change))


def _present(number: Decimal | None) -> Decimal:
    # the dispatcher ignores an incomplete effect, so None cannot come this far
    return ZERO if number is None else number
