"""What planning hands from step to step: targets → valuation → drift → lines → plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.model.funding import FUNDING
from core.model.market import Contract, Nbbo, Price
from core.model.types import AccountId, Currency, LimitedBy, Mode, ModelName, OrderType, RunId, Side, Symbol
from core.money import BPS, digits


@dataclass(frozen=True, slots=True)
class ModelWeight:
    """One row of portfolios.csv: `weight` is a fraction (60 % is 0.6), `line` its line in the file."""

    model: ModelName
    symbol: Symbol
    weight: Decimal
    line: int


@dataclass(frozen=True, slots=True)
class Targets:
    """The blend, alphabetical: asset `weights` (fractions ≥ 0) sum to `gross`.

    `cash` ≤ 0 is what is borrowed; `net` = gross + cash.
    """

    weights: Mapping[Symbol, Decimal]
    gross: Decimal
    cash: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class OutsideHolding:
    """A position that the plan may not trade, valued in USD at the broker's mark, and `why` not."""

    symbol: Symbol
    quantity: Decimal
    value: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class Valuation:
    """The account in USD by our own prices.

    `held` and `prices` cover the universe (alphabetical; a target that is not held has 0 shares).
    `investable` = net_liq − buffer − outside value. `broker_net_liq` is the broker's figure in USD, to
    compare. `usd_per_funding` is the account's own rate, or the market's mid, with a warning, where its books have none
    for USD yet. `gross_position_value` counts outside holdings too. `unconverted` is what the cash of currencies that
    no plan converts is worth in USD.
    """

    prices: Mapping[Symbol, Price]
    held: Mapping[Symbol, Decimal]
    untargeted: frozenset[Symbol]
    outside: tuple[OutsideHolding, ...]
    cash: Mapping[Currency, Decimal]
    usd_per_funding: Decimal | None
    net_liq: Decimal
    broker_net_liq: Decimal
    buffer: Decimal
    investable: Decimal
    gross_position_value: Decimal
    excess_liquidity: Decimal
    maintenance_margin: Decimal
    buying_power: Decimal
    warnings: tuple[str, ...] = ()
    unconverted: Mapping[Currency, Decimal] = field(default_factory=dict)


def with_drift(rule: str, drift_bps: Decimal) -> str:
    """`rule` with the size of the drift in place of {drift}.

    >>> with_drift("overweight by {drift} bps", Decimal(61))
    'overweight by 61.00 bps'
    """
    # written only where it is read: for every symbol it would be a tenth of the planning time. Not str.format,
    # for a rule may end in a text of the broker's, with braces of its own
    return rule.replace("{drift}", f"{abs(drift_bps):.2f}")


def bps_from_target(value: Decimal, target: Decimal, investable: Decimal) -> Decimal:
    """How far `value` (USD) is from the target weight, in bps of `investable`, positive = overweight.

    >>> bps_from_target(Decimal(61_000), Decimal("0.60"), Decimal(100_000))
    Decimal('100')
    """
    # one division of the whole difference: of two quotients each would be rounded
    return (value - target * investable) * BPS / investable


class DriftLine(NamedTuple):
    """How far one symbol is from its target. Dollars are USD; `wanted` = target value − value, positive = buy.

    `rule` is why it trades or does not, as text, in which {drift} stands for the size of the drift. `investable` is
    the account's, one number for all lines: what follows from it is worked out where it is read, for it would be half
    of what a plan of thousands of symbols takes in memory, and a quarter of the time.
    """

    symbol: Symbol
    target: Decimal
    held: Decimal
    price: Price
    investable: Decimal
    wanted: Decimal
    triggered: bool
    limited_by: LimitedBy | None
    rule: str

    @property
    def value(self) -> Decimal:
        """USD that the holding is worth."""
        return self.held * self.price.value

    @property
    def drift_bps(self) -> Decimal:
        """(Current − target weight) × 10 000, positive = overweight."""
        return bps_from_target(self.value, self.target, self.investable)

    @property
    def reason(self) -> str:
        """The rule with its number: "overweight by 61.00 bps, band 50 bps: sell down to the target"."""
        return with_drift(self.rule, self.drift_bps)


class Limit(NamedTuple):
    """How an order is priced: `limit_price` is None for MKT; `worst_price` is what money is counted at.

    That is the limit of the last attempt; the first is sent at `limit_price`. `market` is the NBBO it was made from,
    None without a usable one. `rule` is how it was made, as text; it may name the figures of the market and of this
    limit as {mid}, {spread} and {worst}. `warning` is shown in the approval.
    """

    order_type: OrderType
    limit_price: Decimal | None
    worst_price: Decimal
    market: Nbbo | None
    rule: str
    warning: str | None = None

    @property
    def mid(self) -> Decimal | None:
        """Halfway between the bid and the ask of the market it was made from, None without a usable one."""
        return self.market.mid if self.market else None

    @property
    def spread(self) -> Decimal | None:
        """How far the ask of that market is above its bid, None without a usable one."""
        return self.market.spread if self.market else None

    @property
    def how(self) -> str:
        """The rule with its numbers: "mid 100 + 0.25 × spread 0.04", "spread 60.0 bps is wide (over 50): crossed"."""
        market = self.market
        if market is None:
            return self.rule
        return self.rule.format(mid=digits(market.mid), spread=digits(market.spread), worst=digits(self.worst_price))


class TradeLine(NamedTuple):
    """One symbol of the plan, traded (`side` set, `quantity` > 0) or not (`side` None, `quantity` 0).

    `number` counts the lines of a stage from 1 (0 when not traded). `wanted` is in USD, signed. `remainder` is what an
    exit could not sell (a fraction of a share). `rule` is that of its DriftLine, with what limited the quantity;
    `investable` too is as there.
    """

    symbol: Symbol
    side: Side | None
    number: int
    quantity: Decimal
    held: Decimal
    price: Price
    limit: Limit | None
    target: Decimal
    wanted: Decimal
    investable: Decimal
    untargeted: bool
    limited_by: LimitedBy | None
    rule: str
    remainder: Decimal = Decimal(0)

    @property
    def dollars(self) -> Decimal:
        """USD that it trades at the valuation price, unsigned."""
        return self.quantity * self.price.value

    @property
    def current(self) -> Decimal:
        """The weight of what is held now."""
        return self.held * self.price.value / self.investable

    @property
    def drift_bps(self) -> Decimal:
        """(Current − target weight) × 10 000, positive = overweight."""
        return bps_from_target(self.held * self.price.value, self.target, self.investable)

    @property
    def projected_drift_bps(self) -> Decimal:
        """The drift once it has traded, at the valuation price.

        Selling 10 shares of 50.00 out of 100 000 USD takes 50 bps off.
        """
        if not self.quantity:
            return self.drift_bps
        bought = self.dollars if self.side is Side.BUY else -self.dollars
        return (bought - self.wanted) * BPS / self.investable

    @property
    def is_held_back(self) -> bool:
        """Whether it is outside its band and does not trade all the same."""
        return not self.quantity and self.limited_by not in (None, LimitedBy.BAND, LimitedBy.ROUNDING)

    @property
    def reason(self) -> str:
        """Why it trades or does not, and what limited it, with the size of its drift."""
        return with_drift(self.rule, self.drift_bps)


@dataclass(frozen=True, slots=True)
class FxLeg:
    """The CAD → USD conversion: BUY USD.CAD, `quantity` in whole USD, 0 when there is none, and `reason` why.

    Rates are CAD per USD. `funding_needed` is the quantity at the planning rate, in CAD.
    """

    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    worst_rate: Decimal | None
    planning_rate: Decimal | None
    funding_needed: Decimal
    shortfall: Decimal
    reason: str
    mid: Decimal | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a plan: dollars in USD, exposures as fractions of NetLiq, drift in bps summed over the universe."""

    sells: Decimal
    buys: Decimal
    turnover_pct: Decimal
    spread_cost: Decimal
    gross_after: Decimal
    net_after: Decimal
    cash_after: Mapping[Currency, Decimal]
    drift_before_bps: Decimal
    drift_after_bps: Decimal


@dataclass(frozen=True, slots=True)
class Plan:
    """What a person approves. `lines` hold every symbol of the universe: sells, buys, then what does not trade.

    `fx` is None when conversion is switched off. `hash` covers account, mode, every line with its maximum quantity and
    worst price, FX and expiry. `notes` are what the owner should know of the account even when nothing trades; none of
    them is a risk.
    """

    run_id: RunId
    account_id: AccountId
    mode: Mode
    targets: Targets
    valuation: Valuation
    contracts: Mapping[Symbol, Contract]
    lines: tuple[TradeLine, ...]
    fx: FxLeg | None
    totals: Totals
    warnings: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    hash: str
    notes: tuple[str, ...] = ()

    @property
    def sells(self) -> tuple[TradeLine, ...]:
        return tuple(line for line in self.lines if line.side is Side.SELL)

    @property
    def buys(self) -> tuple[TradeLine, ...]:
        return tuple(line for line in self.lines if line.side is Side.BUY)

    @property
    def traded(self) -> tuple[Symbol, ...]:
        """The symbols of all orders, in the order of trading: currency, sells, buys."""
        return tuple(self.quantities)

    @property
    def quantities(self) -> Mapping[Symbol, Decimal]:
        """How much of each symbol is to be traded, in that order: USD of the conversion, shares of the others."""
        fx = {FUNDING.symbol: self.fx.quantity} if self.fx and self.fx.quantity else {}
        return fx | {line.symbol: line.quantity for line in (*self.sells, *self.buys)}

    @property
    def trades(self) -> bool:
        """Whether any order would be sent."""
        return bool(self.traded)
