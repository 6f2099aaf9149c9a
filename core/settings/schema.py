"""Every key of settings.ini, declared once: type, bounds, default and meaning on one line.

A section is a frozen standard dataclass, and the arithmetic takes it as it is. Messages, the table of settings, the
template and the forms of the UI are made from the same lines. Amounts, percentages, bps and fractions are Decimal
exactly as written, `*_pct` in percent and `*_bps` in 1/10 000; what a timer takes (`*_seconds`) is float.

pydantic validates these classes from outside, in `core.settings.loading`, by their annotations; here nothing imports
it, so that planning and pricing, which must stay pure, can import their settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, Predicate

from core.model.market import IDEALPRO
from core.model.types import (
    CAD,
    USD,
    ConvertMode,
    EscalateAction,
    ForeignOrders,
    LimitStyle,
    MarketDataType,
    ModelName,
    OrderType,
    PriceSource,
    StaleAction,
    TradeDirection,
    TriggerMode,
    Untargeted,
)
from core.money import ZERO
from core.settings.kinds import (
    Account,
    Approvers,
    BaseCurrency,
    Blackout,
    Conflict,
    DatabaseUrl,
    Exchange,
    FilePath,
    FundingCurrencies,
    MixWeight,
    ModelKey,
    Number,
    Route,
    Seconds,
    Switch,
    SymbolKey,
    Symbols,
    Text,
    WebAddress,
    Whole,
    one_of,
)

MIX_TOLERANCE = Decimal("0.001")


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def _refuse_below(most_key: str, most: Decimal | None, least_key: str, least: Decimal) -> None:
    """Raise Conflict when a maximum is not above its minimum."""
    if most is not None and most <= least:
        raise Conflict(f"{most_key} = {most}: must be > {least_key} ({least}), or none", keys=(most_key, least_key))


def sums_to_one(mix: Mapping[ModelName, Decimal]) -> bool:
    """True for a mix whose weights sum to 1 (±0.001). Raises Conflict with its sum for any other."""
    if not mix:
        raise Conflict(
            "contains no model: write NAME = its weight in the blend, a line for each model of portfolios.csv"
        )
    total = sum(mix.values(), ZERO)
    if abs(total - 1) > MIX_TOLERANCE:
        found = " + ".join(f"{model} {weight}" for model, weight in mix.items())
        raise Conflict(f"{found} = {total}: must sum to 1 (±{MIX_TOLERANCE})")
    return True


@dataclass(frozen=True, kw_only=True)
class IbkrSection:
    """How TWS or IB Gateway is reached, and which account is traded."""

    host: Annotated[Text, "where TWS or IB Gateway listens"] = "127.0.0.1"
    port: Annotated[Whole, Ge(1), Le(65_535), "4002 and 7497 are the paper ports, 4001 and 7496 the live ones"] = 4002
    # client 0 would also be given the orders entered by hand in TWS; the id after the last one must be valid, too
    client_id: Annotated[Whole, Ge(1), Le(999_998), "trading uses it; reading commands use the next one"] = 42
    account_id: Annotated[Account, "one of the accounts that the gateway manages"] = field(repr=False)
    read_only: Annotated[Switch, "true refuses every order, in every mode"] = True
    connect_timeout_seconds: Annotated[Seconds, Gt(0), "how long to wait for the connection"] = 15.0
    request_timeout_seconds: Annotated[Seconds, Gt(0), "how long to wait for the answer to a read"] = 20.0
    read_attempts: Annotated[
        Whole, Ge(1), Le(10), "how often a read is tried when it meets pacing or connection errors"
    ] = 4
    # above 50 messages a second the gateway answers error 100
    max_messages_per_second: Annotated[
        Whole, Ge(1), Le(50), "the gateway's own limit is 50; never more than 48 are sent"
    ] = 45
    market_data_type: Annotated[
        MarketDataType, one_of(*MarketDataType), "anything but live is a warning, and in mode live a refusal"
    ] = MarketDataType.LIVE


@dataclass(frozen=True, kw_only=True)
class RebalanceSection:
    """When something is traded, and how much."""

    trigger_mode: Annotated[
        TriggerMode, one_of(*TriggerMode), "what starts trading: each symbol's drift, or the sum over all"
    ] = TriggerMode.PER_HOLDING
    per_holding_band_bps: Annotated[Number, Ge(0), "drift of one symbol that is tolerated"] = Decimal(50)
    portfolio_total_band_bps: Annotated[Number, Ge(0), "sum of drifts that is tolerated"] = Decimal(100)
    min_order_usd: Annotated[Number, Ge(0), "a smaller trade is not made"] = Decimal(500)
    cash_buffer_pct: Annotated[Number, Ge(0), Lt(100), "part of NetLiq that is kept as cash"] = Decimal("1.0")
    allow_fractional: Annotated[Switch, "order fractions of shares (4 decimals)"] = False
    allow_margin: Annotated[Switch, "allow CASH rows in portfolios.csv, that is borrowing"] = False
    max_leverage: Annotated[Number, Ge(1), Le(4), "gross exposure is never above it"] = Decimal("1.50")
    maintenance_buffer_pct: Annotated[
        Number, Ge(0), Le(100), "excess liquidity kept after the trades, in % of NetLiq"
    ] = Decimal(10)
    maintenance_margin_pct: Annotated[
        Number, Ge(0), Le(100), "margin assumed for a bought ETF until the broker reports it"
    ] = Decimal(25)
    prefer_rth: Annotated[Switch, "trade in regular hours only"] = True
    direction: Annotated[TradeDirection, one_of(*TradeDirection), "what may be traded"] = TradeDirection.BOTH
    untargeted: Annotated[Untargeted, one_of(*Untargeted), "what happens to a held USD ETF without a target"] = (
        Untargeted.SELL
    )
    max_order_usd: Annotated[Number | None, "> min_order_usd; a larger trade is reduced to it"] = None
    max_turnover_pct: Annotated[Number | None, Ge(0), Le(200), "a plan above it is refused"] = None
    idle_cash_pct: Annotated[
        Number | None,
        Gt(0),
        Le(100),
        "more idle cash, in % of NetLiq, is invested though all is in its band, the largest drift first",
    ] = None
    hold_symbols: Annotated[
        Symbols, "held symbols that are never traded: outside holdings; one without any price counts as 0"
    ] = ()
    cooldown_hours: Annotated[
        Number, Ge(0), "a paper or live run sooner after the last one that traded does nothing, and says so"
    ] = ZERO
    order_type: Annotated[OrderType, one_of(*OrderType), "of ETF orders"] = OrderType.LMT
    commission_per_order_usd: Annotated[Number, Ge(0), "set aside for every order"] = Decimal("1.00")

    # here and not as a bound of the key, because a bound knows only its own key; pydantic reports it with the others
    def __post_init__(self) -> None:
        _refuse_below("max_order_usd", self.max_order_usd, "min_order_usd", self.min_order_usd)


@dataclass(frozen=True, kw_only=True)
class PricingSection:
    """Which price values a holding."""

    # a snapshot is requested when the chain finds no price, so it cannot be where the chain starts
    price_source: Annotated[
        PriceSource,
        one_of(PriceSource.LAST, PriceSource.MIDPOINT, PriceSource.BIDASK),
        "the first of the sources that value a holding",
    ] = PriceSource.LAST
    fallback_to_snapshot: Annotated[Switch, "request a snapshot when no source has a price"] = True
    max_mark_gap_pct: Annotated[
        Number, Gt(0), "our price of a holding further from the broker's own mark is a warning"
    ] = Decimal(5)


@dataclass(frozen=True, kw_only=True)
class FxSection:
    """The conversion of CAD to USD that funds buys."""

    enabled: Annotated[Switch, "convert CAD to USD to fund buys"] = False
    # keys with a single accepted value: a file for another currency is refused instead of misread
    base_currency: Annotated[BaseCurrency, "USD only"] = USD
    funding_currencies: Annotated[FundingCurrencies, "CAD only"] = (CAD,)
    convert_mode: Annotated[
        ConvertMode, one_of(*ConvertMode), "convert for the buys only, or for the cash buffer too"
    ] = ConvertMode.JUST_IN_TIME
    use_mid_for_planning: Annotated[Switch, "plan at the mid; false: at the ask"] = True
    min_fx_order_usd: Annotated[Number, Ge(0), "a smaller conversion is not made"] = Decimal(1000)
    max_fx_order_usd: Annotated[Number | None, "> min_fx_order_usd; one conversion is never larger"] = None
    fx_buffer_bps: Annotated[Number, Ge(0), Le(1000), "converted on top of what is short"] = Decimal(20)
    order_type: Annotated[OrderType, one_of(*OrderType), "of the conversion"] = OrderType.MKT
    limit_slippage_bps: Annotated[Number, Ge(0), "worst rate above the ask"] = Decimal(5)
    route: Annotated[Exchange, "where the conversion is sent"] = IDEALPRO
    wait_for_fill_seconds: Annotated[Seconds, Ge(0), "then the unfilled remainder is cancelled"] = 5.0
    prefer_market_hours: Annotated[Switch, "convert only while the currency market is open"] = False

    def __post_init__(self) -> None:
        _refuse_below("max_fx_order_usd", self.max_fx_order_usd, "min_fx_order_usd", self.min_fx_order_usd)


@dataclass(frozen=True, kw_only=True)
class LimitsSection:
    """How a limit price is made from bid and ask."""

    smart_limit: Annotated[Switch, "false = style off"] = True
    style: Annotated[LimitStyle, one_of(*LimitStyle), "how a limit price is computed"] = LimitStyle.SPREAD_AWARE
    buy_offset_frac: Annotated[Number, Ge(0), Le(1), "part of the spread above the mid"] = Decimal("0.25")
    sell_offset_frac: Annotated[Number, Ge(0), Le(1), "part of the spread below the mid"] = Decimal("0.25")
    max_offset_bps: Annotated[Number, Ge(0), "a limit is never further from the mid"] = Decimal(10)
    wide_spread_bps: Annotated[Number, Gt(0), "a spread above it is wide"] = Decimal(50)
    escalate_action: Annotated[
        EscalateAction, one_of(*EscalateAction), "what a wide spread does: cross it, send MKT, or keep near the mid"
    ] = EscalateAction.CROSS
    stale_quote_seconds: Annotated[Seconds, Gt(0), "an older quote is stale"] = 10.0
    stale_action: Annotated[
        StaleAction,
        one_of(*StaleAction),
        "what a stale quote does: refuse the run, or count as wide",
    ] = StaleAction.REFUSE
    use_ask_bid_cap: Annotated[Switch, "buy at most at the ask, sell at least at the bid"] = True

    @property
    def effective_style(self) -> LimitStyle:
        """OFF while smart_limit is off, else the style."""
        return self.style if self.smart_limit else LimitStyle.OFF

    # cached, for every quote of a plan is compared with it; without slots a frozen dataclass can do that
    @cached_property
    def stale_after(self) -> timedelta:
        """The age above which a quote is stale."""
        return timedelta(seconds=self.stale_quote_seconds)


@dataclass(frozen=True, kw_only=True)
class ExecutionSection:
    """How orders are worked."""

    max_open_orders: Annotated[Whole, Ge(1), Le(50), "orders that work at the same time"] = 5
    order_timeout_seconds: Annotated[
        Seconds, Gt(0), "then the unfilled remainder is cancelled; each attempt has its own"
    ] = 60.0
    reprice_attempts: Annotated[
        Whole, Ge(0), Le(10), "times the unfilled remainder is re-priced, nearer to the far touch, and re-sent"
    ] = 2
    absent_confirm_seconds: Annotated[
        Seconds, Gt(0), "between the two looks that prove that an order never reached the broker"
    ] = 60.0
    shutdown_seconds: Annotated[Seconds, Gt(0), "for cancelling our orders when the run is stopped"] = 30.0
    preflight: Annotated[Switch, "check the effect of every order with the broker before the first is sent"] = True
    close_margin_minutes: Annotated[
        Number, Ge(0), "no start when the session ends sooner than all timeouts of the stages plus this"
    ] = Decimal(5)
    foreign_orders: Annotated[
        ForeignOrders,
        one_of(*ForeignOrders),
        "what orders not placed by this tool do when they work in a symbol of the plan",
    ] = ForeignOrders.REFUSE
    blackout: Annotated[Blackout, "New York times in which no stage starts (the gateway's daily reset)"] = (
        "00:10-01:50",
    )


@dataclass(frozen=True, kw_only=True)
class SafetySection:
    """What may never happen."""

    paper_only: Annotated[Switch, "true refuses mode live"] = True
    require_confirm: Annotated[Switch, "ask a person before the first order"] = True
    live_without_approval: Annotated[Switch, "allow require_confirm = false in mode live"] = False
    kill_switch_file: Annotated[FilePath, "while this file exists, nothing is sent"] = Path("KILL_SWITCH")
    max_net_liq_gap_pct: Annotated[Number, Gt(0), "our NetLiq further from the broker's is refused"] = Decimal(5)


@dataclass(frozen=True, kw_only=True)
class ApprovalSection:
    """How a person is asked."""

    each_stage: Annotated[Switch, "ask before each stage"] = False
    timeout_seconds: Annotated[Whole, Gt(0), "how long a run waits for answers"] = 3600
    max_price_move_bps: Annotated[Number, Ge(0), "a larger move voids the approval"] = Decimal(50)
    approvers: Annotated[
        Approvers, "who alone may approve, each with a one-time code; not to be set by the options of a run"
    ] = ()

    @property
    def lifetime(self) -> timedelta:
        """How long a plan may wait for its approval."""
        return timedelta(seconds=self.timeout_seconds)


@dataclass(frozen=True, kw_only=True)
class JournalSection:
    """Where runs, approvals, orders and fills are on record; rehearsals have a file of their own."""

    # repr=False: it may hold a password
    url: Annotated[
        DatabaseUrl | None,
        "none: journal/journal.sqlite in the user's state folder; one journal holds many accounts; a password is read "
        "only from the environment or ~/.pgpass",
    ] = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class NotifySection:
    """Who is notified when a run waits, fails or ends."""

    webhook_url: Annotated[
        WebAddress | None, "notified when a run waits, fails or ends; read only from the environment"
    ] = None


@dataclass(frozen=True, kw_only=True)
class IoSection:
    """Files and log."""

    max_csv_age_days: Annotated[
        Whole | None, Gt(0), Le(36_500), "a portfolios file that was not changed for longer is refused"
    ] = None
    report_dir: Annotated[FilePath, "created if missing"] = Path("reports")
    log_level: Annotated[LogLevel, one_of(*LogLevel), "of the run's log"] = LogLevel.INFO


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The effective settings of one run, in the order of the file; `folder` is where relative paths start.

    Made by `core.settings.loading` only, which checks these annotations. A field whose type is a section has
    fixed keys; the keys of `models` and `symbol_overrides` are the user's own (see `OPEN_SECTIONS`).
    """

    folder: Path
    ibkr: IbkrSection
    models: Annotated[Mapping[ModelKey, MixWeight], Predicate(sums_to_one)]
    rebalance: RebalanceSection = RebalanceSection()
    pricing: PricingSection = PricingSection()
    fx: FxSection = FxSection()
    limits: LimitsSection = LimitsSection()
    execution: ExecutionSection = ExecutionSection()
    symbol_overrides: Mapping[SymbolKey, Route] = field(default_factory=dict)
    safety: SafetySection = SafetySection()
    approval: ApprovalSection = ApprovalSection()
    journal: JournalSection = JournalSection()
    notify: NotifySection = NotifySection()
    io: IoSection = IoSection()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant."""
        if self.rebalance.order_type is OrderType.MKT and self.limits.smart_limit:
            return ("[rebalance] order_type = MKT with [limits] smart_limit = true: the limits are unused",)
        return ()
