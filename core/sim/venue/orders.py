"""Orders as the exchange keeps them, and what it reports of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from core.model import (
    BrokerEvent,
    CompletedOrder,
    Contract,
    Fill,
    Notice,
    Order,
    OrderRef,
    OrderState,
    OrderType,
    OrderUpdate,
    RejectReason,
    Side,
    WorkingOrder,
)
from core.model.executions import is_same_execution, next_exec_id
from core.money import ZERO
from core.sim.venue.matching import within
from core.sim.venue.world import FillScript, SimOrder


@dataclass(frozen=True, slots=True)
class Report:
    """An event, with the order (`perm_id`) it is of and the client that sent that order (0: by hand)."""

    perm_id: int
    client_id: int
    event: BrokerEvent


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the broker refuses an order: its code, its text, and what kind of failure that is."""

    code: int
    text: str
    reject_reason: RejectReason = RejectReason.REJECTED


@dataclass(frozen=True, slots=True)
class VenueTerms:
    """The terms of an order."""

    order_ref: OrderRef
    contract: Contract
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    outside_rth: bool = False


@dataclass(slots=True)
class VenueOrder:
    """One order and how far it is. `due` is when it next tries to fill, `expires` the end of its day.

    While `is_held` its sender has not released it: it waits in state SENT, and only its own client sees it.
    `limits` are those that its fills had to keep, one each; None where there was none.
    """

    perm_id: int
    client_id: int
    terms: VenueTerms
    script: FillScript | None = None
    state: OrderState = OrderState.WORKING
    filled: Decimal = ZERO
    filled_before: Decimal = ZERO
    due: datetime | None = None
    expires: datetime | None = None
    reason: str = ""
    code: int | None = None
    reject_reason: RejectReason | None = None
    fills: list[Fill] = field(default_factory=list)
    limits: list[Decimal | None] = field(default_factory=list)
    is_held: bool = False

    @property
    def is_open(self) -> bool:
        return not self.state.is_final

    @property
    def is_working(self) -> bool:
        return self.is_open and not self.is_held

    @property
    def open_quantity(self) -> Decimal:
        return self.terms.quantity - self.filled

    @property
    def state_by_count(self) -> OrderState:
        """FILLED when all of it has filled, and only then: what a correction takes from a filled order is cancelled."""
        if not self.open_quantity:
            return OrderState.FILLED
        return OrderState.CANCELLED if self.state is OrderState.FILLED else self.state

    @property
    def wakes_at(self) -> datetime | None:
        """When something will happen to it by time alone."""
        if not self.is_working:
            return None
        return min((at for at in (self.due, self.expires) if at is not None), default=None)

    def update(self, at: datetime, refusal: Refusal | None = None) -> OrderUpdate:
        """Its state as an event; `refusal` is why a requested change was not made."""
        return OrderUpdate(
            order_ref=self.terms.order_ref,
            state=self.state,
            filled=self.filled,
            at=at,
            perm_id=self.perm_id,
            reason=refusal.text if refusal else self.reason,
            code=refusal.code if refusal else self.code,
            reject_reason=refusal.reject_reason if refusal else self.reject_reason,
        )

    def keep_back(self, at: datetime, refusal: Refusal) -> Notice:
        """Hold the order at the gateway, whose presets stop it; no list has it as working. The notice to send."""
        self.is_held, self.state = True, OrderState.SENT
        return Notice(refusal.text, at, refusal.code, self.terms.order_ref, refusal.reject_reason)

    def next_fill(self, shares: Decimal, price: Decimal, at: datetime) -> Fill:
        """Its next execution, which is not counted yet."""
        return Fill(
            exec_id=f"0000f1f1.{self.perm_id:08x}.{len(self.fills) + 1:02d}.01",
            order_ref=self.terms.order_ref,
            symbol=self.terms.contract.symbol,
            side=self.terms.side,
            shares=shares,
            price=price,
            at=at,
        )

    def as_working(self) -> WorkingOrder:
        """Its entry in the list of open orders."""
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
        """Its entry in the list of completed orders."""
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


def terms_of(order: Order, contract: Contract) -> VenueTerms:
    """The terms of an order that arrives, on the exchange's own contract."""
    return VenueTerms(
        order_ref=order.ref,
        contract=contract,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price=order.limit_price,
        outside_rth=order.outside_rth,
    )


def terms_before(order: SimOrder, contract: Contract) -> VenueTerms:
    """The terms of an order that worked before the world began."""
    return VenueTerms(
        order_ref=order.order_ref,
        contract=contract,
        side=order.side,
        quantity=order.quantity,
        order_type=OrderType.MKT if order.limit_price is None else OrderType.LMT,
        limit_price=order.limit_price,
    )


def corrected(fill: Fill, shares: Decimal, price: Decimal) -> Fill:
    """The next revision of an execution: `….01` becomes `….02`."""
    return replace(fill, exec_id=next_exec_id(fill.exec_id), shares=shares, price=price)


def find_execution(orders: Iterable[VenueOrder], exec_id: str) -> tuple[VenueOrder, int]:
    """The order of the fill and its number among that order's, whatever the revision. Raises KeyError."""
    for order in orders:
        for number, fill in enumerate(order.fills):
            if is_same_execution(fill.exec_id, exec_id):
                return order, number
    raise KeyError(exec_id)


def audit_order(order: VenueOrder) -> None:
    """Raises ArithmeticError unless its count, its state and its limits agree with its fills."""
    # what filled before the world began has no fills here
    filled = sum((fill.shares for fill in order.fills), order.filled_before)
    if filled != order.filled or filled > order.terms.quantity:
        raise ArithmeticError(f"order {order.perm_id}: {filled} in fills, {order.filled} counted")
    if order.fills and order.state is not order.state_by_count:
        raise ArithmeticError(f"order {order.perm_id}: {order.state.label} with {order.open_quantity} open")
    for fill, limit in zip(order.fills, order.limits, strict=True):
        if limit and not within(fill.side, fill.price, limit):
            raise ArithmeticError(f"order {order.perm_id} filled beyond its limit of {limit}")
