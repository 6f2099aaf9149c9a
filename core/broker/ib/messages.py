"""What the gateway sends, one value per message, as it was received and not interpreted yet.

Numbers are exact decimals; None is a value that the gateway leaves unset. The id of a request or an order is −1 where
a message belongs to none. Names are those of the TWS API (EWrapper): `OpenOrderRow` is its openOrder callback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model import AccountId, Currency, OrderRef, Side, Symbol, TickBand

Key = int | str
"""Which request an answer belongs to: its id, or its name for the requests that have no id."""

NEWEST_VERSION = 178  # above it fields have moved, and ib_async would misread them

ACCOUNT = "account"
POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
TIME = "time"
LISTS = frozenset({ACCOUNT, POSITIONS, OPEN_ORDERS, COMPLETED_ORDERS})
"""Answers of many messages, none of which names its request."""


def rule_key(rule_id: int) -> Key:
    """The name of a request for this market rule."""
    return f"rule {rule_id}"


@dataclass(frozen=True, slots=True)
class ContractRow:
    """A contract as it stands inside other messages."""

    con_id: int
    symbol: str
    security_type: str
    currency: Currency
    exchange: str = ""
    primary_exchange: str = ""
    local_symbol: str = ""

    @property
    def as_symbol(self) -> Symbol:
        """The product's own name: `USD.CAD` for a pair, the local symbol of what is neither share nor pair."""
        if self.security_type == "CASH":
            return Symbol(f"{self.symbol}.{self.currency}")
        is_share = self.security_type == "STK" or not self.local_symbol
        return Symbol(self.symbol if is_share else self.local_symbol)


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """The version of the protocol that the gateway chose."""

    number: int


@dataclass(frozen=True, slots=True)
class ManagedAccounts:
    ids: tuple[AccountId, ...]


@dataclass(frozen=True, slots=True)
class AccountValueRow:
    """A figure of the account, as text: `NetLiquidation`, `100000.00`, `USD`."""

    account: str
    tag: str
    text: str
    currency: str


@dataclass(frozen=True, slots=True)
class PortfolioRow:
    """A position with its value (updatePortfolio); `price` is the broker's mark."""

    account: str
    contract: ContractRow
    quantity: Decimal
    price: Decimal | None
    value: Decimal | None
    average_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionRow:
    account: str
    contract: ContractRow
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class WhatIfEffect:
    """The answer to a what-if order: initMargin, maintMargin and equityWithLoan before it and their changes."""

    margins: Mapping[str, tuple[Decimal | None, Decimal | None]]
    commission: Decimal | None
    commission_currency: Currency

    @property
    def is_complete(self) -> bool:
        return all(number is not None for figure in self.margins.values() for number in figure)


@dataclass(frozen=True, slots=True)
class OpenOrderRow:
    """An order as it stands at the broker; a what-if order carries its effect."""

    order_id: int
    client_id: int
    perm_id: int
    order_ref: OrderRef
    account: str
    contract: ContractRow
    side: Side
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None
    status: str
    effect: WhatIfEffect | None = None


@dataclass(frozen=True, slots=True)
class OrderStatusRow:
    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: Decimal


@dataclass(frozen=True, slots=True)
class CompletedOrderRow:
    """An order of today that has ended (completedOrder), which no longer has an order id."""

    perm_id: int
    order_ref: OrderRef
    account: str
    contract: ContractRow
    side: Side
    quantity: Decimal
    filled: Decimal
    status: str
    completed_status: str


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    request_id: int
    order_id: int
    order_ref: OrderRef
    account: str
    exec_id: str
    contract: ContractRow
    side: Side
    shares: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class CommissionRow:
    """`commission` is None while the broker is still computing it."""

    exec_id: str
    commission: Decimal | None
    currency: Currency


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """An error, a warning or a mere notice, about the request or order `id`, or about none (−1)."""

    id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ContractDetailsRow:
    """The details of a contract; `rules` are the market rule ids, in the order of `exchanges`."""

    request_id: int
    contract: ContractRow
    stock_type: str
    min_tick: Decimal | None
    size_increment: Decimal | None
    exchanges: tuple[str, ...]
    rules: tuple[str, ...]
    time_zone: str
    trading_hours: str
    liquid_hours: str


@dataclass(frozen=True, slots=True)
class MarketRuleRow:
    rule_id: int
    bands: tuple[TickBand, ...]


@dataclass(frozen=True, slots=True)
class TickValue:
    """A price with its size, or a size alone; `kind` is the tick type (1 bid, 2 ask, 4 last …)."""

    request_id: int
    kind: int
    price: Decimal | None
    size: Decimal | None


@dataclass(frozen=True, slots=True)
class HaltTick:
    request_id: int
    is_halted: bool


@dataclass(frozen=True, slots=True)
class LastTradeTick:
    """When the symbol last traded."""

    request_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class MarketDataTypeRow:
    """The market data type (1 to 4) of what follows."""

    request_id: int
    number: int


@dataclass(frozen=True, slots=True)
class CurrentTimeRow:
    at: datetime


@dataclass(frozen=True, slots=True)
class EndOfAnswer:
    """The answer to this request is complete."""

    key: Key


@dataclass(frozen=True, slots=True)
class EndOfAccount:
    """The download of an account, which is not always the one that was requested, is complete."""

    account: str


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a kind that the client does not know."""

    number: str


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message with this number that could not be read."""

    number: str
    reason: str


MarketMessage = TickValue | HaltTick | LastTradeTick | MarketDataTypeRow
Message = (
    ServerVersion
    | ManagedAccounts
    | AccountValueRow
    | PortfolioRow
    | PositionRow
    | OpenOrderRow
    | OrderStatusRow
    | CompletedOrderRow
    | ExecutionRow
    | CommissionRow
    | ErrorMessage
    | ContractDetailsRow
    | MarketRuleRow
    | MarketMessage
    | CurrentTimeRow
    | EndOfAnswer
    | EndOfAccount
    | UnknownMessage
    | UnreadableMessage
)
