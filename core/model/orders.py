"""Orders, fills and what the broker says of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model.market import Contract
from core.model.types import AccountId, Currency, OrderRef, OrderState, OrderType, RejectReason, Side, Stage, Symbol


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it is sent: TIF DAY, and `ref` (RB-<run id>-<F|S|B><line>-<attempt>) is its only identity.

    `line` is the number of the plan's line within its stage; `mid` the NBBO mid when it was priced, for slippage.
    """

    ref: OrderRef
    account_id: AccountId
    contract: Contract
    stage: Stage
    line: int
    attempt: int
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    outside_rth: bool
    mid: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `exec_id` without its revision (after the last dot) identifies it; a higher revision replaces.

    `commission` is None until the broker reports it, and then never guessed.
    """

    exec_id: str
    order_ref: OrderRef
    symbol: Symbol
    side: Side
    shares: Decimal
    price: Decimal
    at: datetime
    commission: Decimal | None = None
    commission_currency: Currency | None = None


@dataclass(frozen=True, slots=True)
class CommissionReport:
    """What a fill cost, which may come late or never."""

    exec_id: str
    commission: Decimal
    currency: Currency


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """The broker's word on an order: `state` is SENT, WORKING, CANCELLING, FILLED, CANCELLED, REJECTED or EXPIRED.

    `filled` is the broker's cumulative count; the fills are the truth. `reason` and `code` are its text and number.
    """

    order_ref: OrderRef
    state: OrderState
    filled: Decimal
    at: datetime
    perm_id: int = 0
    reason: str = ""
    code: int | None = None
    reject_reason: RejectReason | None = None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """The link to the broker went (`is_up` False) or came back; after either, nothing is sure until reconciled."""

    is_up: bool
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the broker says, of an order or in general, that ends no order: shown, logged, put on record.

    `failure` is set where the gateway keeps the order to itself: it was not sent on, and has not ended either.
    """

    text: str
    at: datetime
    code: int | None = None
    order_ref: OrderRef | None = None
    reject_reason: RejectReason | None = None

    @property
    def in_full(self) -> str:
        """The broker's text on one line, with its code."""
        text = " ".join(self.text.split())
        return text if self.code is None else f"{text} ({self.code})"


BrokerEvent = OrderUpdate | Fill | CommissionReport | ConnectionChange | Notice


@dataclass(frozen=True, slots=True)
class CompletedOrder:
    """An order of today that has ended, as the broker's completed-orders list shows it."""

    order_ref: OrderRef
    symbol: Symbol
    side: Side
    quantity: Decimal
    filled: Decimal
    state: OrderState
    reason: str = ""
    perm_id: int = 0
