"""The broker's own lists of orders, as values of the product."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.broker.ib.orders import DAY_OVER, INACTIVE, STATES
from core.broker.ib.words import EndedRow, NameOf, OrderRow, StatusRow
from core.model import CompletedOrder, OrderState, OrderType, WorkingOrder
from core.money import ZERO

ENDS = (OrderState.FILLED, OrderState.CANCELLED)


def working_orders(rows: Iterable[OrderRow | StatusRow], account: str, name_of: NameOf) -> tuple[WorkingOrder, ...]:
    """The orders of the account that may still fill, as listed; one that ended while they were listed is none."""
    orders: dict[int, OrderRow] = {}
    statuses: dict[int, StatusRow] = {}
    for row in rows:
        if isinstance(row, OrderRow):
            orders[row.perm_id] = row
        else:
            statuses[row.perm_id] = row
    return tuple(
        _working(order, statuses.get(perm_id), name_of)
        for perm_id, order in orders.items()
        if order.account == account and _is_open(order, statuses.get(perm_id))
    )


def completed_order(row: EndedRow, name_of: NameOf) -> CompletedOrder:
    """An order that ended today; its end stands partly in its status, partly in the words beside it."""
    state, reason = _end_of(row)
    return CompletedOrder(
        order_ref=row.order_ref,
        symbol=name_of(row.named),
        side=row.side,
        quantity=row.quantity,
        filled=row.filled,
        state=state,
        reason=reason,
        perm_id=row.perm_id,
    )


def _is_open(order: OrderRow, status: StatusRow | None) -> bool:
    return STATES.get(status.status if status else order.status) not in ENDS


def _working(order: OrderRow, status: StatusRow | None, name_of: NameOf) -> WorkingOrder:
    filled: Decimal = status.filled if status else ZERO
    return WorkingOrder(
        order_ref=order.order_ref,
        symbol=name_of(order.named),
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
    if "expired" in row.completed_status.lower():
        return OrderState.EXPIRED, DAY_OVER
    return OrderState.REJECTED if row.status == INACTIVE else OrderState.CANCELLED, row.completed_status
