"""What the gateway says, word for word, before anybody makes sense of it: one value per message.

Numbers are exact; None is a value that the gateway leaves unset. An id of a request or an order is the gateway's −1
where a message belongs to none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model import AccountId, Currency, OrderRef, Side, Symbol, TickBand

Key = int | str
"""What an answer is an answer to: the id of a request, or the name of one that has no id."""

NEWEST_VERSION = 178  # beyond it ib_async would misread what comes

ACCOUNT = "account"
POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
TIME = "time"
LISTS = frozenset({ACCOUNT, POSITIONS, OPEN_ORDERS, COMPLETED_ORDERS})
"""Answers of many messages that do not say which request they answer."""


def rule_key(rule_id: int) -> Key:
    """The name of a request for this market rule."""
    return f"rule {rule_id}"


@dataclass(frozen=True, slots=True)
class Named:
    """A contract as messages name it."""

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
class Version:
    """The version of the protocol that the gateway chose."""

    number: int


@dataclass(frozen=True, slots=True)
class Accounts:
    ids: tuple[AccountId, ...]


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A figure of the account, as text."""

    account: str
    tag: str
    text: str
    currency: str


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """A line of the account's portfolio; the price is the broker's mark."""

    account: str
    named: Named
    quantity: Decimal
    price: Decimal | None
    value: Decimal | None
    average_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionRow:
    account: str
    named: Named
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Effect:
    """What an order would do: for initMargin, maintMargin and equityWithLoan the figure before it and the change."""

    margins: Mapping[str, tuple[Decimal | None, Decimal | None]]
    commission: Decimal | None
    commission_currency: Currency

    @property
    def is_complete(self) -> bool:
        return all(number is not None for figure in self.margins.values() for number in figure)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it stands at the broker; one that was only asked about carries its effect."""

    order_id: int
    client_id: int
    perm_id: int
    order_ref: OrderRef
    account: str
    named: Named
    side: Side
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None
    status: str
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class StatusRow:
    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: Decimal


@dataclass(frozen=True, slots=True)
class EndedRow:
    """An order of today that has ended; it has lost its order id by then."""

    perm_id: int
    order_ref: OrderRef
    account: str
    named: Named
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
    named: Named
    side: Side
    shares: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class CommissionRow:
    """`commission` is None while the broker does not know it."""

    exec_id: str
    commission: Decimal | None
    currency: Currency


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """An error, a warning or plain news; of the request or order `id`, or of none (−1)."""

    id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class DetailsRow:
    """What the broker knows of a contract; `rules` are the market rules parallel to `exchanges`."""

    request_id: int
    named: Named
    stock_type: str
    min_tick: Decimal | None
    size_increment: Decimal | None
    exchanges: tuple[str, ...]
    rules: tuple[str, ...]
    time_zone: str
    trading_hours: str
    liquid_hours: str


@dataclass(frozen=True, slots=True)
class RuleRow:
    rule_id: int
    bands: tuple[TickBand, ...]


@dataclass(frozen=True, slots=True)
class TickValue:
    """A price with its size, or a size alone, by the broker's number of its kind."""

    request_id: int
    kind: int
    price: Decimal | None
    size: Decimal | None


@dataclass(frozen=True, slots=True)
class Halt:
    request_id: int
    is_halted: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """When the symbol last traded."""

    request_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class DataKind:
    """The market data type (1 to 4) of what follows."""

    request_id: int
    number: int


@dataclass(frozen=True, slots=True)
class TimeRow:
    at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The answer to this request is complete."""

    of: Key


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a kind that the client does not know."""

    number: str


@dataclass(frozen=True, slots=True)
class Garbled:
    """A message with this number that could not be read."""

    number: str
    why: str


MarketMessage = TickValue | Halt | Stamp | DataKind
Message = (
    Version
    | Accounts
    | ValueRow
    | HoldingRow
    | PositionRow
    | OrderRow
    | StatusRow
    | EndedRow
    | ExecutionRow
    | CommissionRow
    | ErrorMessage
    | DetailsRow
    | RuleRow
    | MarketMessage
    | TimeRow
    | End
    | UnknownMessage
    | Garbled
)
