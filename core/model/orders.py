"""Orders, fills and what the broker reports of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model.market import Contract
from core.model.types import AccountId, Currency, OrderRef, OrderState, OrderType, RejectReason, Side, Stage, Symbol


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it is sent, always with TIF DAY.

    `ref` (RB-<run id>-<F|S|B><line>-<attempt>) is its only identity: order ids are given out again after a gateway was
    restarted. `line` is the number of the plan's line within its stage and `attempt` that of the order at the line,
    both from 1. `quantity` is in shares (in USD for USD.CAD), never signed. `limit_price` is in the contract's
    currency, None for a market order; `mid` and `spread` are those of the NBBO when it was priced, against which its
    costs are measured; None where they were not known.
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
    spread: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: all of an order or part of it, at one price.

    `exec_id` identifies it, see `core.model.executions`. `shares` (USD for USD.CAD) are never signed, `price` is in the
    contract's currency. `commission` is in `commission_currency`, None until the broker reports it, and never guessed.
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
    """The commission of one execution in `currency`; it may arrive before the execution, late, or never."""

    exec_id: str
    commission: Decimal
    currency: Currency


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """The broker's report on an order: `state` is SENT, WORKING, CANCELLING, FILLED, CANCELLED, REJECTED or EXPIRED.

    `filled` is the broker's cumulative count in shares (USD for USD.CAD), which may run ahead of the executions: those
    are what counts. `perm_id` is the broker's own number of the order, 0 where it gave none. `reason` and `code` are
    its text and error code.
    """

    order_ref: OrderRef
    state: OrderState
    filled: Decimal
    at: datetime
    # account-wide and kept across sessions, but known only once the broker has answered: so it is not the identity
    perm_id: int = 0
    reason: str = ""
    code: int | None = None
    reject_reason: RejectReason | None = None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """The connection to the broker was lost (`is_up` False) or restored; after either, orders must be reconciled."""

    is_up: bool
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the broker's, about an order or in general, that ends no order: it is shown, logged and recorded.

    `reject_reason` is set where the gateway holds the order: it was not passed on, and has not ended either.
    `is_alarm` is set where the order works and was not sent by us.
    """

    text: str
    at: datetime
    code: int | None = None
    order_ref: OrderRef | None = None
    reject_reason: RejectReason | None = None
    is_alarm: bool = False

    @property
    def in_full(self) -> str:
        """The broker's text on one line, with its code."""
        text = " ".join(self.text.split())
        return text if self.code is None else f"{text} ({self.code})"


BrokerEvent = OrderUpdate | Fill | CommissionReport | ConnectionChange | Notice


@dataclass(frozen=True, slots=True)
class CompletedOrder:
    """An order of today that has ended, as the broker's completed-orders list shows it.

    `quantity` and `filled` are in shares (USD for USD.CAD); the list may not have the quantity that it was placed with.
    """

    order_ref: OrderRef
    symbol: Symbol
    side: Side
    quantity: Decimal
    filled: Decimal
    state: OrderState
    reason: str = ""
    perm_id: int = 0
