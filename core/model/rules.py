"""Settings as planning sees them: small frozen values, built by `core.settings`, in fractions, USD and bps as named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from core.model.types import (
    ConvertMode,
    EscalateAction,
    LimitStyle,
    MarketDataType,
    ModelName,
    OrderType,
    PriceSource,
    StaleAction,
    Symbol,
    TradeDirection,
    TriggerMode,
    Untargeted,
)


@dataclass(frozen=True, slots=True)
class PortfolioRules:
    """How the models become targets: `mix` (fractions, sum 1 ± 0.001) and how much may be borrowed.

    `mix` is None where the models are not known, because the settings that name them cannot be read. None of
    `hold_symbols` may have a target, for they are never traded.
    """

    mix: Mapping[ModelName, Decimal] | None
    allow_margin: bool
    max_leverage: Decimal
    hold_symbols: frozenset[Symbol] = frozenset()


@dataclass(frozen=True, slots=True)
class QuoteRules:
    """What is asked for, how a quote becomes a price, and when it is too old or wide to contradict a last trade."""

    price_source: PriceSource
    fallback_to_snapshot: bool
    stale_after: timedelta
    stale_action: StaleAction
    wide_spread_bps: Decimal
    data_type: MarketDataType = MarketDataType.LIVE


@dataclass(frozen=True, slots=True)
class ValuationRules:
    """`hold_symbols` are left alone whatever they are; one without any price counts as 0."""

    cash_buffer_pct: Decimal
    untargeted: Untargeted
    max_net_liq_gap_pct: Decimal
    max_mark_gap_pct: Decimal
    hold_symbols: frozenset[Symbol] = frozenset()


@dataclass(frozen=True, slots=True)
class TriggerRules:
    """`idle_cash_pct` is None where cash may lie idle while every symbol is inside its band."""

    mode: TriggerMode
    per_holding_band_bps: Decimal
    portfolio_total_band_bps: Decimal
    direction: TradeDirection
    idle_cash_pct: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SizingRules:
    """`max_order_usd` and `max_turnover_pct` are None when there is no such limit."""

    min_order_usd: Decimal
    max_order_usd: Decimal | None
    max_turnover_pct: Decimal | None
    allow_fractional: bool
    allow_margin: bool
    max_leverage: Decimal
    maintenance_buffer_pct: Decimal
    maintenance_margin_pct: Decimal
    commission_per_order_usd: Decimal


@dataclass(frozen=True, slots=True)
class LimitRules:
    """`style` is OFF when smart_limit is false; after the first attempt there are up to `reprice_attempts` more."""

    style: LimitStyle
    order_type: OrderType
    buy_offset_frac: Decimal
    sell_offset_frac: Decimal
    max_offset_bps: Decimal
    wide_spread_bps: Decimal
    escalate_action: EscalateAction
    use_ask_bid_cap: bool
    reprice_attempts: int


@dataclass(frozen=True, slots=True)
class FundingRules:
    enabled: bool
    convert_mode: ConvertMode
    use_mid_for_planning: bool
    min_fx_order_usd: Decimal
    max_fx_order_usd: Decimal | None
    fx_buffer_bps: Decimal
    order_type: OrderType
    limit_slippage_bps: Decimal
    prefer_market_hours: bool


@dataclass(frozen=True, slots=True)
class PlanRules:
    """All that planning may depend on besides targets, account, quotes and time.

    `sends_orders` is the mode's: what only matters when orders go out refuses then, and warns otherwise.
    """

    quotes: QuoteRules
    valuation: ValuationRules
    trigger: TriggerRules
    sizing: SizingRules
    limits: LimitRules
    funding: FundingRules
    plan_lifetime: timedelta
    sends_orders: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRules:
    """How orders are sent and watched; all seconds are of the venue's clock.

    An order may work for `order_timeout_seconds` (a currency order for `fx_timeout_seconds`) and is then
    cancelled; the rest is priced anew `reprice_attempts` times. `acknowledge_seconds` is how long the
    broker may take to answer an order or a cancel before its silence counts as unknown,
    `watch_seconds` how often the kill switch is looked at while orders work,
    `commission_seconds` how long a stage waits for fees still missing at its end, `shutdown_seconds` the
    most that cancelling everything may take.
    """

    max_open_orders: int
    order_timeout_seconds: float
    fx_timeout_seconds: float
    reprice_attempts: int
    shutdown_seconds: float
    read_attempts: int
    acknowledge_seconds: float = 10.0
    commission_seconds: float = 2.0
    watch_seconds: float = 1.0
