"""What the broker's own lists say of our orders: open orders, completed orders, executions.

Orders are matched by reference alone, and what is found must be the order that was sent. Silence of all
three proves nothing here: whether an order never arrived is for recovery to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from core.broker.port import Broker
from core.model import CompletedOrder, Fill, Order, OrderRecord, OrderRef, OrderState, OrderUpdate, WorkingOrder


@dataclass(frozen=True, slots=True)
class Evidence:
    """Three witnesses, each complete: the working orders of all clients, today's ended orders, today's fills."""

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
    """What the three lists say now. Raises ConnectionLost, PacingExceeded.

    Open orders come first: an order that ends between two of the requests then still stands in one of them.
    """
    working = await broker.open_orders()
    completed = await broker.completed_orders()
    return Evidence(working, completed, await broker.executions())


def events_in(evidence: Evidence, record: OrderRecord, at: datetime) -> Iterator[OrderUpdate | Fill | str]:
    """What the evidence says of one order, as events in the order to take them in; a string is a contradiction.

    An order that the gateway kept back, and that was cancelled, is refused when no list knows it.
    """
    order = record.order
    if record.is_kept_back and record.state is OrderState.CANCELLING and order.ref not in evidence.refs():
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


def _contradiction(order: Order, found: CompletedOrder | WorkingOrder) -> str | None:
    is_same = (found.symbol, found.side) == (order.contract.symbol, order.side)
    # a completed order may come without the quantity it was placed with
    is_same_size = isinstance(found, CompletedOrder) or found.quantity == order.quantity
    if is_same and is_same_size:
        return None
    return f"the broker shows {found.side} {found.quantity:f} {found.symbol} under its reference"
