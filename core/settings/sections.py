"""Every key of settings.ini: its kind, default, bounds and meaning, in one place.

Messages, the table of settings and the forms of the UI are made from these fields. Amounts, percentages,
bps and fractions are Decimal exactly as written; what a timer takes (`*_seconds`) is float.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from core.model.types import (
    CAD,
    USD,
    ConvertMode,
    EscalateAction,
    ForeignOrders,
    LimitStyle,
    MarketDataType,
    OrderType,
    PriceSource,
    StaleAction,
    TradeDirection,
    TriggerMode,
    Untargeted,
)
from core.settings.kinds import (
    Account,
    BaseCurrency,
    Blackout,
    Exchange,
    FolderPath,
    FundingCurrencies,
    Number,
    OneOf,
    Seconds,
    Switch,
    Symbols,
    Text,
    WebAddress,
    Whole,
    is_none,
    is_optional,
)

APP = "ibkr-rebalancer"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Section(BaseModel):
    """One section; keys are read from text, and `none` or nothing means no value where a key may have none."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    defaults_as_text: ClassVar[Mapping[str, str]] = {}  # of keys whose default depends on the machine

    @model_validator(mode="before")
    @classmethod
    def _none_is_no_value(cls, values: Mapping[str, str]) -> dict[str, str | None]:
        optional = {name for name, field in cls.model_fields.items() if is_optional(field)}
        return {key: None if key in optional and is_none(text) else text for key, text in values.items()}


def guard(keys: tuple[str, ...], message: str) -> PydanticCustomError:
    """The error of a rule across `keys` of a section; the first key is the one named."""
    return PydanticCustomError("guard", "{message}", {"keys": keys, "message": message})


class IbkrSection(Section):
    """How TWS or IB Gateway is reached, and which account is traded."""

    host: Text = Field("127.0.0.1", description="where TWS or IB Gateway listens")
    port: Whole = Field(
        4002, ge=1, le=65_535, description="4002 and 7497 are the paper ports, 4001 and 7496 the live ones"
    )
    client_id: Whole = Field(42, ge=1, le=999_998, description="trading uses it; reading commands use the next one")
    account_id: Account = Field(description="one of the accounts that the gateway manages", repr=False)
    read_only: Switch = Field(default=True, description="true refuses every order, in every mode")
    connect_timeout_seconds: Seconds = Field(15.0, gt=0, description="how long to wait for the connection")
    request_timeout_seconds: Seconds = Field(20.0, gt=0, description="how long to wait for the answer to a read")
    read_attempts: Whole = Field(4, ge=1, le=10, description="tries of a read that met pacing or connection errors")
    max_messages_per_second: Whole = Field(
        45, ge=1, le=50, description="the gateway's own limit is 50; never more than 48 are sent"
    )
    market_data_type: Annotated[MarketDataType, OneOf(tuple(MarketDataType))] = Field(
        MarketDataType.LIVE, description="anything but live is a warning, and in mode live a refusal"
    )


class RebalanceSection(Section):
    """When something is traded, and how much."""

    trigger_mode: Annotated[TriggerMode, OneOf(tuple(TriggerMode))] = Field(
        TriggerMode.PER_HOLDING, description="what starts trading: each symbol's drift, or the sum over all"
    )
    per_holding_band_bps: Number = Field(Decimal(50), ge=0, description="drift of one symbol that is tolerated")
    portfolio_total_band_bps: Number = Field(Decimal(100), ge=0, description="sum of drifts that is tolerated")
    min_order_usd: Number = Field(Decimal(500), ge=0, description="a smaller line is not traded")
    cash_buffer_pct: Number = Field(Decimal("1.0"), ge=0, lt=100, description="part of NetLiq that is kept as cash")
    allow_fractional: Switch = Field(default=False, description="order fractions of shares (4 decimals)")
    allow_margin: Switch = Field(default=False, description="allow CASH rows in portfolios.csv, that is borrowing")
    max_leverage: Number = Field(Decimal("1.50"), ge=1, le=4, description="gross exposure is never above it")
    maintenance_buffer_pct: Number = Field(
        Decimal(10), ge=0, le=100, description="excess liquidity kept after the trades, in % of NetLiq"
    )
    maintenance_margin_pct: Number = Field(
        Decimal(25), ge=0, le=100, description="margin assumed for a bought ETF until the broker says"
    )
    prefer_rth: Switch = Field(default=True, description="trade in regular hours only")
    direction: Annotated[TradeDirection, OneOf(tuple(TradeDirection))] = Field(
        TradeDirection.BOTH, description="what may be traded"
    )
    untargeted: Annotated[Untargeted, OneOf(tuple(Untargeted))] = Field(
        Untargeted.SELL, description="what happens to a held USD ETF without a target"
    )
    max_order_usd: Number | None = Field(None, description="> min_order_usd; a larger line is cut to it")
    max_turnover_pct: Number | None = Field(None, ge=0, le=200, description="a plan above it is refused")
    idle_cash_pct: Number | None = Field(
        None, gt=0, le=100, description="more idle cash, in % of NetLiq, is invested though every symbol is in its band"
    )
    hold_symbols: Symbols = Field(
        (), description="held symbols that are never traded: outside holdings; one without any price counts as 0"
    )
    order_type: Annotated[OrderType, OneOf(tuple(OrderType))] = Field(OrderType.LMT, description="of ETF orders")
    commission_per_order_usd: Number = Field(Decimal("1.00"), ge=0, description="set aside for every order")

    @model_validator(mode="after")
    def _maximum_above_minimum(self) -> Self:
        if self.max_order_usd is not None and self.max_order_usd <= self.min_order_usd:
            found = f"max_order_usd = {self.max_order_usd}"
            allowed = f"must be > min_order_usd ({self.min_order_usd}), or none"
            raise guard(("max_order_usd", "min_order_usd"), f"{found}: {allowed}")
        return self


class PricingSection(Section):
    """Which price values a holding."""

    price_source: Annotated[PriceSource, OneOf((PriceSource.LAST, PriceSource.MIDPOINT, PriceSource.BIDASK))] = Field(
        PriceSource.LAST, description="where the chain of sources starts that values a holding"
    )
    fallback_to_snapshot: Switch = Field(default=True, description="ask for a snapshot when the chain finds no price")
    max_mark_gap_pct: Number = Field(
        Decimal(5), gt=0, description="our price of a holding further from the broker's own mark is a red warning"
    )


class FxSection(Section):
    """The conversion of CAD to USD that funds buys."""

    enabled: Switch = Field(default=False, description="convert CAD to USD to fund buys")
    base_currency: BaseCurrency = Field(USD, description="USD only")
    funding_currencies: FundingCurrencies = Field((CAD,), description="CAD only")
    convert_mode: Annotated[ConvertMode, OneOf(tuple(ConvertMode))] = Field(
        ConvertMode.JUST_IN_TIME, description="convert for the buys only, or for the cash buffer too"
    )
    use_mid_for_planning: Switch = Field(default=True, description="plan at the mid; false: at the ask")
    min_fx_order_usd: Number = Field(Decimal(1000), ge=0, description="a smaller conversion is not made")
    max_fx_order_usd: Number | None = Field(None, description="> min_fx_order_usd; one conversion is never larger")
    fx_buffer_bps: Number = Field(Decimal(20), ge=0, le=1000, description="converted on top of what is short")
    order_type: Annotated[OrderType, OneOf(tuple(OrderType))] = Field(OrderType.MKT, description="of the conversion")
    limit_slippage_bps: Number = Field(Decimal(5), ge=0, description="worst rate above the ask")
    route: Exchange = Field("IDEALPRO", description="where the conversion is sent")
    wait_for_fill_seconds: Seconds = Field(5.0, ge=0, description="then the unfilled rest is cancelled")
    prefer_market_hours: Switch = Field(default=False, description="convert only while the currency market is open")

    @model_validator(mode="after")
    def _maximum_above_minimum(self) -> Self:
        if self.max_fx_order_usd is not None and self.max_fx_order_usd <= self.min_fx_order_usd:
            found = f"max_fx_order_usd = {self.max_fx_order_usd}"
            allowed = f"must be > min_fx_order_usd ({self.min_fx_order_usd}), or none"
            raise guard(("max_fx_order_usd", "min_fx_order_usd"), f"{found}: {allowed}")
        return self


class LimitsSection(Section):
    """How a limit price is made from bid and ask."""

    smart_limit: Switch = Field(default=True, description="false = style off")
    style: Annotated[LimitStyle, OneOf(tuple(LimitStyle))] = Field(
        LimitStyle.SPREAD_AWARE, description="how a limit price is made"
    )
    buy_offset_frac: Number = Field(Decimal("0.25"), ge=0, le=1, description="part of the spread above the mid")
    sell_offset_frac: Number = Field(Decimal("0.25"), ge=0, le=1, description="part of the spread below the mid")
    max_offset_bps: Number = Field(Decimal(10), ge=0, description="a limit is never further from the mid")
    wide_spread_bps: Number = Field(Decimal(50), gt=0, description="a spread above it is wide")
    escalate_action: Annotated[EscalateAction, OneOf(tuple(EscalateAction))] = Field(
        EscalateAction.CROSS, description="what a wide spread does: cross it, send MKT, or keep near the mid"
    )
    stale_quote_seconds: Seconds = Field(10.0, gt=0, description="an older quote is stale")
    stale_action: Annotated[StaleAction, OneOf((StaleAction.REFUSE, StaleAction.ESCALATE))] = Field(
        StaleAction.REFUSE, description="what a stale quote does: refuse the run, or count as wide"
    )
    use_ask_bid_cap: Switch = Field(default=True, description="buy at most at the ask, sell at least at the bid")


class ExecutionSection(Section):
    """How orders are worked."""

    max_open_orders: Whole = Field(5, ge=1, le=50, description="orders that work at once")
    order_timeout_seconds: Seconds = Field(
        60.0, gt=0, description="what is unfilled then is cancelled; each attempt has its own"
    )
    reprice_attempts: Whole = Field(
        2, ge=0, le=10, description="how often a cancelled rest is priced anew, nearer to the far touch, and sent again"
    )
    shutdown_seconds: Seconds = Field(30.0, gt=0, description="to cancel and await our orders when stopped")
    preflight: Switch = Field(
        default=True, description="ask the broker what it would say to every line before the first order"
    )
    close_margin_minutes: Number = Field(
        Decimal(5), ge=0, description="no start when the session ends sooner than all time-outs of the stages plus this"
    )
    foreign_orders: Annotated[ForeignOrders, OneOf(tuple(ForeignOrders))] = Field(
        ForeignOrders.REFUSE, description="what somebody else's working orders in a symbol of the plan do"
    )
    blackout: Blackout = Field(
        ("00:10-01:50",), description="New York times in which no stage starts (the gateway's daily reset)"
    )


class SafetySection(Section):
    """What may never happen."""

    paper_only: Switch = Field(default=True, description="true refuses mode live")
    require_confirm: Switch = Field(default=True, description="ask a person before the first order")
    live_without_approval: Switch = Field(default=False, description="allow require_confirm = false in mode live")
    kill_switch_file: FolderPath = Field(
        Path("KILL_SWITCH"), validate_default=True, description="while this file exists, nothing is sent"
    )
    max_net_liq_gap_pct: Number = Field(Decimal(5), gt=0, description="our NetLiq further from the broker's is refused")


class ApprovalSection(Section):
    """How a person is asked."""

    each_stage: Switch = Field(default=False, description="ask before each stage")
    timeout_seconds: Whole = Field(3600, gt=0, description="how long a run waits for answers")
    max_price_move_bps: Number = Field(Decimal(50), ge=0, description="a larger move voids the approval")


class NotifySection(Section):
    """Who is told when a run waits, fails or ends."""

    webhook_url: WebAddress | None = Field(
        None, description="told when a run waits, fails or ends; from the environment only"
    )


class IoSection(Section):
    """Files and log."""

    max_csv_age_days: Whole | None = Field(
        None, gt=0, le=36_500, description="a portfolios file not changed for longer is refused"
    )
    report_dir: FolderPath = Field(Path("reports"), validate_default=True, description="created if missing")
    log_level: Annotated[LogLevel, OneOf(tuple(LogLevel))] = Field(LogLevel.INFO, description="of the run's log")
