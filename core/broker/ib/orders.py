"""Our own orders on this connection: what the broker says of each becomes the events of the broker port.

Only the broker's status ends an order, or a code that the table of codes says refuses it. News that was told before is
not told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from core.broker.error_codes import CANCELLED, NOT_FOUND, NOTHING_TO_CANCEL, kept_back, meaning_of, reject_reason_of
from core.broker.errors import NOT_FOUND_TO_CANCEL, would_refuse
from core.broker.ib.messages import Effect, EndedRow, ErrorMessage, OrderRow, StatusRow
from core.broker.ib.requests import RequestRefused
from core.clock import Clock, Timer
from core.errors import BrokerError
from core.model import (
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

# PendingSubmit, ApiPending and ApiUpdate are missing: none of them says that the order was accepted
STATES: Mapping[str, OrderState] = {
    "PreSubmitted": OrderState.WORKING,
    "Submitted": OrderState.WORKING,
    "PendingCancel": OrderState.CANCELLING,
    "Cancelled": OrderState.CANCELLED,
    "ApiCancelled": OrderState.CANCELLED,
    "Filled": OrderState.FILLED,
}
NOT_AT_WORK = (OrderState.SENDING, OrderState.REJECTED)
CANCELS = (OrderState.CANCELLED, OrderState.EXPIRED)
INACTIVE = "Inactive"
MADE_INACTIVE = "the broker made the order inactive and did not say why"
DAY_OVER = "the day of the order is over"
JUST_CANCELLED = "Order Canceled"
REASON = "reason:"
# the reason of a cancel, or of an inactive order, comes after its status
REASON_WITHIN = timedelta(milliseconds=500)

ENDS = (OrderState.FILLED, OrderState.CANCELLED)

_Key = tuple[int, int]


@dataclass(slots=True)
class OwnOrder:
    """An order by its id on this connection; `filled` is None until the broker has said a number."""

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
    cancelled: StatusRow | None = None
    timer: Timer | None = None
    is_heard_of: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_acknowledged(self) -> bool:
        return self.state is not OrderState.SENDING


class OwnOrders:
    """The orders of `client_id` that this connection has sent or was told of; `deliver` gets every event."""

    def __init__(self, clock: Clock, client_id: int, deliver: Callable[[BrokerEvent], None]) -> None:
        self._clock = clock
        self._client_id = client_id
        self._deliver = deliver
        self._orders: dict[int, OwnOrder] = {}
        self._namesakes: set[int] = set()

    def expect(self, order_id: int, ref: OrderRef) -> OwnOrder:
        """An order that is about to leave."""
        self._orders[order_id] = OwnOrder(order_id, ref)
        return self._orders[order_id]

    def of(self, ref: OrderRef) -> list[OwnOrder]:
        """Orders under this reference: those that may still fill, else the last that has ended, else none."""
        found = [order for order in self._orders.values() if order.ref == ref]
        return [order for order in found if not order.state.is_final] or found[-1:]

    def hear_order(self, row: OrderRow) -> None:
        """An order as the broker shows it: an acknowledgement, or one of ours from before this connection."""
        if row.client_id != self._client_id or row.order_id <= 0:
            return
        order = self._orders.get(row.order_id)
        state = STATES.get(row.status, OrderState.SENDING)
        if order and row.order_ref and row.order_ref != order.ref:
            # a gateway that was restarted may give the id of an order out again while that still works
            self._namesakes.add(row.perm_id)
            return
        if order is None:
            if state.is_final:
                return
            order = OwnOrder(row.order_id, row.order_ref, row.perm_id, OrderState.WORKING)
            self._orders[row.order_id] = order
        elif state is OrderState.WORKING and order.state in NOT_AT_WORK:
            self._tell(order, state, row.perm_id, order.filled or ZERO)
        order.is_heard_of.set()

    def hear_status(self, row: StatusRow) -> None:
        """How far an order is, by the one word that may end it."""
        order = self._orders.get(row.order_id) if row.client_id == self._client_id else None
        if order is None or (row.perm_id and row.perm_id in self._namesakes):
            return
        order.is_heard_of.set()
        state = STATES.get(row.status)
        order.is_inactive &= row.status == INACTIVE
        if row.status == INACTIVE:
            self._hear_inactive(order, row)
        elif state is OrderState.CANCELLED:
            self._hear_cancelled(order, row)
        elif state is not None:
            self._tell(order, state, row.perm_id, row.filled)

    def hear_execution(self, order_id: int, ref: OrderRef) -> None:
        """An order filled, so it has arrived."""
        order = self._orders.get(order_id)
        if order and order.ref == ref:
            order.is_heard_of.set()

    def hear_error(self, word: ErrorMessage) -> bool:
        """Whether the id is that of an order; what the code means for it is told."""
        order = self._orders.get(word.id)
        if order is None:
            return False
        order.is_heard_of.set()
        if word.code == CANCELLED:
            order.cancel_text = word.text
            self._tell_cancelled(order)
        elif word.code in NOTHING_TO_CANCEL and order.state.is_final:
            self._tell_end_again(order, word.code, _ended_already(order))
        elif word.code == NOT_FOUND:
            self._notice(NOT_FOUND_TO_CANCEL, word.code, order.ref)
        elif not order.state.is_final and meaning_of(word.code).refuses(is_acknowledged=order.is_acknowledged):
            self._refuse(order, word)
        else:
            self._notice(word.text, word.code, order.ref)
        return True

    def refuse_sent(self, word: ErrorMessage) -> None:
        """The gateway takes no orders at all: it has refused what was sent and not acknowledged, whichever that is."""
        for order in self._orders.values():
            if not order.is_acknowledged:
                order.is_heard_of.set()
                self._refuse(order, word)

    def tell_end_again(self, order: OwnOrder) -> None:
        """The end of an order that was to be cancelled and has none left to cancel."""
        self._tell_end_again(order, 10148, _ended_already(order))

    def tell_not_found(self, ref: OrderRef) -> None:
        """There is no order of ours under this reference to be cancelled."""
        self._notice(NOT_FOUND_TO_CANCEL, NOT_FOUND, ref)

    def release(self) -> None:
        """Tell nothing more, and let nobody wait for it."""
        for order in self._orders.values():
            order.is_heard_of.set()
            if order.timer:
                order.timer.cancel()

    def _refuse(self, order: OwnOrder, word: ErrorMessage) -> None:
        order.reason, order.code, order.reject_reason = word.text, word.code, reject_reason_of(word.code, word.text)
        self._tell(order, OrderState.REJECTED, order.perm_id, order.filled or ZERO)

    def _hear_inactive(self, order: OwnOrder, row: StatusRow) -> None:
        """Not at work now, which is no end: it may come back, or a code that refuses it is there or comes yet."""
        if order.state.is_final or order.is_inactive:
            return
        order.is_inactive = True
        self._tell(order, OrderState.WORKING, row.perm_id, row.filled)
        order.timer = self._clock.call_at(self._clock.now() + REASON_WITHIN, lambda: self._tell_inactive(order))

    def _tell_inactive(self, order: OwnOrder) -> None:
        """Without a code in time the order is kept back: it is to be cancelled, lest it comes back some day."""
        if order.is_inactive and not order.state.is_final:
            self._deliver(Notice(MADE_INACTIVE, self._clock.now(), None, order.ref, RejectReason.REJECTED))

    def _hear_cancelled(self, order: OwnOrder, row: StatusRow) -> None:
        if order.cancelled or (order.state in CANCELS and row.filled == order.filled):
            if order.cancelled and row.filled > order.cancelled.filled:
                order.cancelled = row
            return
        order.cancelled = row
        if order.cancel_text:
            self._tell_cancelled(order)
        else:
            order.timer = self._clock.call_at(self._clock.now() + REASON_WITHIN, lambda: self._tell_cancelled(order))

    def _tell_cancelled(self, order: OwnOrder) -> None:
        """The end of a cancelled order with its reason, once both are here or the reason is late."""
        row, order.cancelled = order.cancelled, None
        if row is None:
            return
        if order.timer:
            order.timer.cancel()
        reason = order.cancel_text.partition(REASON)[2].strip() or JUST_CANCELLED
        if reason.lower() == DAY_OVER:
            order.reason, order.code = DAY_OVER, None
            self._tell(order, OrderState.EXPIRED, row.perm_id, row.filled)
        else:
            order.reason, order.code = reason, CANCELLED if order.cancel_text else None
            self._tell(order, OrderState.CANCELLED, row.perm_id, row.filled)

    def _tell(self, order: OwnOrder, state: OrderState, perm_id: int, filled: Decimal) -> None:
        """Note what was said, and deliver it unless it is known; a second permId under one reference always is news."""
        is_other = bool(order.perm_id and perm_id and perm_id != order.perm_id)
        is_count_of_adopted = order.filled is None and state is order.state
        if not is_other and _is_known(order, state, filled):
            return
        order.filled = filled if state.is_final else max(filled, order.filled or ZERO)
        order.state, order.perm_id = state, perm_id or order.perm_id
        if is_other or not is_count_of_adopted:
            self._deliver(self._update(order))

    def _update(self, order: OwnOrder) -> OrderUpdate:
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

    def _tell_end_again(self, order: OwnOrder, code: int, reason: str) -> None:
        self._deliver(replace(self._update(order), code=code, reason=reason))

    def _notice(self, text: str, code: int | None, ref: OrderRef) -> None:
        self._deliver(Notice(text, self._clock.now(), code, ref, kept_back(code)))


def _ended_already(order: OwnOrder) -> str:
    return f"the order that needs to be cancelled is {order.state.label} already"


def _is_known(order: OwnOrder, state: OrderState, filled: Decimal) -> bool:
    """Whether the same was told before, or what is said is older than what was told."""
    if order.filled is None:
        return False
    if state.is_final:
        return (state, filled) == (order.state, order.filled)
    return order.state is OrderState.FILLED or (state is order.state and filled <= order.filled)


def working_orders(rows: Iterable[OrderRow | StatusRow], account: str) -> tuple[WorkingOrder, ...]:
    """The orders of the account that may still fill, as listed; one that ended while they were listed is none."""
    orders: dict[_Key, OrderRow] = {}
    statuses: dict[_Key, StatusRow] = {}
    for row in rows:
        if isinstance(row, OrderRow):
            orders[_key(row)] = row
        else:
            statuses[_key(row)] = row
    return tuple(
        _working(order, statuses.get(key))
        for key, order in orders.items()
        if order.account == account and _is_open(order, statuses.get(key))
    )


def completed_order(row: EndedRow) -> CompletedOrder:
    """An order that ended today; its end stands partly in its status, partly in the words beside it."""
    state, reason = _end_of(row)
    return CompletedOrder(
        order_ref=row.order_ref,
        symbol=row.named.as_symbol,
        side=row.side,
        quantity=row.quantity,
        filled=row.filled,
        state=state,
        reason=reason,
        perm_id=row.perm_id,
    )


def _key(row: OrderRow | StatusRow) -> _Key:
    """What joins an order with its status: orders by hand have no id, orders just sent no permId yet."""
    return (0, row.perm_id) if row.perm_id else (row.client_id, row.order_id)


def _is_open(order: OrderRow, status: StatusRow | None) -> bool:
    return STATES.get(status.status if status else order.status) not in ENDS


def _working(order: OrderRow, status: StatusRow | None) -> WorkingOrder:
    filled: Decimal = status.filled if status else ZERO
    return WorkingOrder(
        order_ref=order.order_ref,
        symbol=order.named.as_symbol,
        side=order.side,
        quantity=order.quantity,
        filled=filled,
        order_type=OrderType.MKT if order.limit_price is None else OrderType.LMT,
        limit_price=order.limit_price,
        perm_id=order.perm_id,
    )


def _end_of(row: EndedRow) -> tuple[OrderState, str]:
    state = STATES.get(row.status)
    if state is OrderState.FILLED:
        return OrderState.FILLED, ""
    if row.status == INACTIVE or row.completed_status.lower().startswith("rejected"):
        # `Rejected by System: Order is already expired.` is no expiry: the order never worked
        return OrderState.REJECTED, row.completed_status
    if "expired" in row.completed_status.lower():
        return OrderState.EXPIRED, DAY_OVER
    return OrderState.CANCELLED, row.completed_status


def effect_of(effect: Effect, base: Currency) -> MarginEffect:
    """The effect, in the account's base currency."""
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
    """Why the broker would not take the order."""
    return would_refuse(order, refusal.code, refusal.text, reject_reason_of(refusal.code, refusal.text))


def _change(effect: Effect, name: str) -> MarginChange:
    before, change = effect.margins[name]
    return MarginChange(_present(before), _present(change))


def _present(number: Decimal | None) -> Decimal:
    # only a complete effect comes this far
    return ZERO if number is None else number
