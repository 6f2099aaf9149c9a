"""Orders as the exchange keeps them, and what it reports of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from core.model import (
    BrokerEvent,
    CompletedOrder,
    Contract,
    Failure,
    Fill,
    Order,
    OrderRef,
    OrderState,
    OrderType,
    OrderUpdate,
    Side,
    WorkingOrder,
)
from core.money import ZERO
from core.sim.world import FillScript, SimOrder


@dataclass(frozen=True, slots=True)
class Report:
    """An event, with the order (`perm_id`) it is of and the client that sent that order (0: by hand)."""

    perm_id: int
    client_id: int
    event: BrokerEvent


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the broker does not take an order: its code, its text, and what kind of failure that is."""

    code: int
    text: str
    failure: Failure = Failure.REJECTED


@dataclass(frozen=True, slots=True)
class Terms:
    """What was ordered."""

    order_ref: OrderRef
    contract: Contract
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    outside_rth: bool = False


@dataclass(slots=True)
class Ticket:
    """One order and how far it is. `due` is when it next tries to fill, `expires` the end of its day."""

    perm_id: int
    client_id: int
    terms: Terms
    script: FillScript | None = None
    state: OrderState = OrderState.WORKING
    filled: Decimal = ZERO
    filled_before: Decimal = ZERO
    due: datetime | None = None
    expires: datetime | None = None
    reason: str = ""
    code: int | None = None
    failure: Failure | None = None
    fills: list[Fill] = field(default_factory=list)

    @property
    def is_working(self) -> bool:
        return not self.state.is_final

    @property
    def open_quantity(self) -> Decimal:
        return self.terms.quantity - self.filled

    @property
    def wakes_at(self) -> datetime | None:
        """When something will happen to it by time alone."""
        if not self.is_working:
            return None
        return min((at for at in (self.due, self.expires) if at is not None), default=None)

    def update(self, at: datetime) -> OrderUpdate:
        """Its state as an event."""
        return OrderUpdate(
            order_ref=self.terms.order_ref,
            state=self.state,
            filled=self.filled,
            at=at,
            perm_id=self.perm_id,
            reason=self.reason,
            code=self.code,
            failure=self.failure,
        )

    def as_working(self) -> WorkingOrder:
        """Its line in the list of open orders."""
        return WorkingOrder(
            order_ref=self.terms.order_ref,
            symbol=self.terms.contract.symbol,
            side=self.terms.side,
            quantity=self.terms.quantity,
            filled=self.filled,
            order_type=self.terms.order_type,
            limit_price=self.terms.limit_price,
            perm_id=self.perm_id,
        )

    def as_completed(self) -> CompletedOrder:
        """Its line in the list of completed orders."""
        return CompletedOrder(
            order_ref=self.terms.order_ref,
            symbol=self.terms.contract.symbol,
            side=self.terms.side,
            quantity=self.terms.quantity,
            filled=self.filled,
            state=self.state,
            reason=self.reason,
            perm_id=self.perm_id,
        )


def terms_of(order: Order, contract: Contract) -> Terms:
    """The terms of an order that arrives, on the exchange's own contract."""
    return Terms(
        order_ref=order.ref,
        contract=contract,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price=order.limit_price,
        outside_rth=order.outside_rth,
    )


def terms_before(order: SimOrder, contract: Contract) -> Terms:
    """The terms of an order that worked before the world began."""
    return Terms(
        order_ref=order.order_ref,
        contract=contract,
        side=order.side,
        quantity=order.quantity,
        order_type=OrderType.MKT if order.limit_price is None else OrderType.LMT,
        limit_price=order.limit_price,
    )
