"""The broker's own lists of orders, as values of the product."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.broker.ib.messages import EndedRow, OrderRow, StatusRow
from core.broker.ib.orders import DAY_OVER, INACTIVE, STATES
from core.model import CompletedOrder, OrderState, OrderType, WorkingOrder
from core.money import ZERO

_Key = tuple[int, int]
ENDS = (OrderState.FILLED, OrderState.CANCELLED)


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
