"""A simulated world as values: an account, its market, how orders fill there, and what is scripted to go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.model import (
    USD,
    AccountId,
    Currency,
    MarketDataType,
    OrderRef,
    SecurityType,
    Side,
    Symbol,
)
from core.money import ONE, ZERO, D

OUR_PREFIX = "RB-"
BY_HAND = OrderRef("")
USUAL_MARGIN = D("0.25")  # FINRA's least maintenance margin of a long position, as a part of its value
USUAL_RATE = D("1.35")  # CAD per USD


@dataclass(frozen=True, slots=True)
class SimPosition:
    """Shares held (negative: short); `average_cost` per share in `currency`."""

    symbol: Symbol
    quantity: Decimal
    average_cost: Decimal = ZERO
    security_type: SecurityType = SecurityType.ETF
    currency: Currency = USD


@dataclass(frozen=True, slots=True)
class SimOrder:
    """An order that works before the world begins; MKT when it has no limit.

    It is the trading client's own when its reference begins with `RB-`, somebody else's otherwise.
    """

    symbol: Symbol
    side: Side
    quantity: Decimal
    filled: Decimal = ZERO
    limit_price: Decimal | None = None
    order_ref: OrderRef = BY_HAND

    @property
    def is_ours(self) -> bool:
        return self.order_ref.startswith(OUR_PREFIX)


@dataclass(frozen=True, slots=True)
class SimAccount:
    """`excess_liquidity` is in the base currency; None means NetLiq − maintenance margin.

    An account in CAD whose `cash` does not name USD has never had any: the broker lists neither a balance nor a rate
    of it before there is something in USD.
    """

    id: AccountId
    base_currency: Currency = USD
    cash: Mapping[Currency, Decimal] = field(default_factory=dict)
    excess_liquidity: Decimal | None = None
    positions: tuple[SimPosition, ...] = ()
    open_orders: tuple[SimOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """Prices of one moment; None is absent."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SimQuote:
    """What the market shows of one symbol: `values` to a subscription, `snapshot` to a snapshot request only.

    It is always `age_seconds` old when requested. `min_tick` None is the usual one (0.01, USD.CAD 0.00005).
    """

    values: Values = Values()
    snapshot: Values | None = None
    age_seconds: Decimal = ZERO
    min_tick: Decimal | None = None
    previous_close: Decimal | None = None
    data_type: MarketDataType = MarketDataType.LIVE
    is_halted: bool = False
    is_fractional: bool = True


@dataclass(frozen=True, slots=True)
class FillScript:
    """How orders in one symbol fill: this part, so much later, at this price, or refused with a broker's code.

    `is_lost` is that they never arrive, and are never reported. `what_if_reject` is the code with which a what-if
    of them is refused, and `what_if_unanswered` says that it is never answered, as while TWS shows a dialog.

    An order with a script fills by it, wherever the touch is; never beyond its limit. The remainder that the fraction
    leaves works on without filling. The filled part comes in `parts` executions at the same moment.
    """

    delay_seconds: Decimal = ZERO
    fill_fraction: Decimal = ONE
    price: Decimal | None = None
    reject: int | None = None
    is_lost: bool = False
    what_if_reject: int | None = None
    what_if_unanswered: bool = False
    parts: int = 1


class Point(StrEnum):
    """Where in a run something scripted happens; an order's own point is `order:` and its symbol."""

    CONNECT = "connect"
    SNAPSHOT = "snapshot"
    QUOTES = "quotes"
    APPROVAL = "approval"
    BEFORE_FX = "before_fx"
    BEFORE_SELLS = "before_sells"
    BEFORE_BUYS = "before_buys"


ORDER_POINT = "order:"


class FaultKind(StrEnum):
    DISCONNECT = "disconnect"
    PACING = "pacing"
    CONTRACT_NOT_FOUND = "contract_not_found"
    STALE = "stale"
    KILL_SWITCH = "kill_switch"
    FRACTIONAL_REFUSED = "fractional_refused"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at the first `times` times that `at` is reached.

    A point before a stage, and an order's, is reached once: a disconnect there breaks the connection, and what is left
    of `times` refuses the connections tried after it.
    """

    at: str
    kind: FaultKind
    times: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A change at `at`: a quote replaces the symbol's, positions and cash are set for those named."""

    at: Point
    quotes: Mapping[Symbol, SimQuote] = field(default_factory=dict)
    positions: tuple[SimPosition, ...] = ()
    cash: Mapping[Currency, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Everything a simulated broker needs to know.

    Every symbol of `quotes`, of the account and of `listed` is a contract; so is USD.CAD. `commission` is charged in
    USD with the first execution of an order. `margin_rate` is the maintenance margin as a
    fraction of a position's value. `book_rate` (CAD per USD) is the account's own rate while USD.CAD has no price.
    """

    as_of: datetime
    account: SimAccount
    quotes: Mapping[Symbol, SimQuote] = field(default_factory=dict)
    fills: Mapping[Symbol, FillScript] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    faults: tuple[Fault, ...] = ()
    listed: frozenset[Symbol] = frozenset()
    commission: Decimal = ONE
    margin_rate: Decimal = USUAL_MARGIN
    book_rate: Decimal = USUAL_RATE


def sharing_market(worlds: Sequence[World]) -> tuple[World, ...]:
    """The worlds with one market: each lists and quotes the symbols of all.

    Raises ValueError where two have the same account, differ in time, or in the quote of a symbol.
    """
    quotes: dict[Symbol, SimQuote] = {}
    accounts: set[AccountId] = set()
    for world in worlds:
        if world.account.id in accounts:
            raise ValueError("two of them have the same account")
        accounts.add(world.account.id)
        if world.as_of != worlds[0].as_of:
            raise ValueError(f"as_of differs: {worlds[0].as_of.isoformat()} and {world.as_of.isoformat()}")
        differing = [symbol for symbol, quote in world.quotes.items() if quotes.get(symbol, quote) != quote]
        if differing:
            raise ValueError(f"the quotes of {', '.join(sorted(differing))} differ")
        quotes |= world.quotes
    return tuple(replace(world, quotes=quotes) for world in worlds)
