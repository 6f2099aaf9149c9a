"""The effective settings of a run, frozen, and the rule values that the arithmetic takes from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
from pydantic.fields import FieldInfo

from core.masking import mask_account
from core.model.rules import (
    ExecutionRules,
    FundingRules,
    LimitRules,
    PlanRules,
    PortfolioRules,
    QuoteRules,
    SizingRules,
    TriggerRules,
    ValuationRules,
)
from core.model.types import LimitStyle, Mode, ModelName, OrderType, StaleAction
from core.money import ZERO
from core.settings.kinds import MODEL_NOUN, ROUTE_NOUN, SYMBOL_NOUN, MixWeight, ModelKey, Route, SymbolKey
from core.settings.sections import (
    ApprovalSection,
    ExecutionSection,
    FxSection,
    IbkrSection,
    IoSection,
    LimitsSection,
    NotifySection,
    PricingSection,
    RebalanceSection,
    SafetySection,
    Section,
    guard,
)

MIX_TOLERANCE = Decimal("0.001")


class OpenSection(NamedTuple):
    """A section whose keys are the user's own names: how the table of settings writes one, and what they take."""

    about: str
    key: str
    key_noun: str
    value_noun: str
    default: str
    meaning: str


OPEN_SECTIONS = {
    "models": OpenSection(
        about="How much of each model of portfolios.csv goes into the blend, a line for each model.",
        key="NAME",
        key_noun=MODEL_NOUN,
        value_noun="a number >= 0 and <= 1",
        default="at least one",
        meaning="weight of the model NAME in the blend; all sum to 1 (±0.001)",
    ),
    "symbol_overrides": OpenSection(
        about="Symbols of which the broker knows more than one, a line for each.",
        key="SYMBOL",
        key_noun=SYMBOL_NOUN,
        value_noun=ROUTE_NOUN,
        default="none",
        meaning="the conId or the exchange of a symbol",
    ),
}


def _sums_to_one(mix: Mapping[ModelName, Decimal]) -> Mapping[ModelName, Decimal]:
    total = sum(mix.values(), ZERO)
    if not mix:
        raise guard((), "holds no model: write NAME = its weight in the blend, a line for each model of portfolios.csv")
    if abs(total - 1) > MIX_TOLERANCE:
        found = " + ".join(f"{model} {weight}" for model, weight in mix.items())
        raise guard((), f"{found} = {total}: must sum to 1 (±{MIX_TOLERANCE})")
    return mix


class Settings(BaseModel):
    """Settings of one run; `folder` is where relative paths stand. Made by `load_settings` and `settings_from` only."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    folder: Path
    ibkr: IbkrSection
    models: Annotated[Mapping[ModelKey, MixWeight], AfterValidator(_sums_to_one)]
    rebalance: RebalanceSection
    pricing: PricingSection
    fx: FxSection
    limits: LimitsSection
    execution: ExecutionSection
    symbol_overrides: Mapping[SymbolKey, Route]
    safety: SafetySection
    approval: ApprovalSection
    notify: NotifySection
    io: IoSection

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant."""
        if self.rebalance.order_type is OrderType.MKT and self.limits.smart_limit:
            return ("[rebalance] order_type = MKT with [limits] smart_limit = true: the limits are unused",)
        return ()

    def portfolio_rules(self) -> PortfolioRules:
        own = self.rebalance
        return PortfolioRules(self.models, own.allow_margin, own.max_leverage, frozenset(own.hold_symbols))

    def plan_rules(self, mode: Mode) -> PlanRules:
        """All that planning depends on. In a mode that sends no orders a stale quote warns instead of refusing."""
        return PlanRules(
            quotes=self._quote_rules(mode),
            valuation=ValuationRules(
                cash_buffer_pct=self.rebalance.cash_buffer_pct,
                untargeted=self.rebalance.untargeted,
                max_net_liq_gap_pct=self.safety.max_net_liq_gap_pct,
                max_mark_gap_pct=self.pricing.max_mark_gap_pct,
                hold_symbols=frozenset(self.rebalance.hold_symbols),
            ),
            trigger=TriggerRules(
                mode=self.rebalance.trigger_mode,
                per_holding_band_bps=self.rebalance.per_holding_band_bps,
                portfolio_total_band_bps=self.rebalance.portfolio_total_band_bps,
                direction=self.rebalance.direction,
                idle_cash_pct=self.rebalance.idle_cash_pct,
            ),
            sizing=self._sizing_rules(),
            limits=self._limit_rules(),
            funding=self._funding_rules(),
            plan_lifetime=timedelta(seconds=self.approval.timeout_seconds),
            sends_orders=mode.sends_orders,
        )

    def execution_rules(self) -> ExecutionRules:
        return ExecutionRules(
            max_open_orders=self.execution.max_open_orders,
            order_timeout_seconds=self.execution.order_timeout_seconds,
            fx_timeout_seconds=self.fx.wait_for_fill_seconds,
            reprice_attempts=self.execution.reprice_attempts,
            shutdown_seconds=self.execution.shutdown_seconds,
            read_attempts=self.ibkr.read_attempts,
        )

    def echo(self) -> dict[str, dict[str, str]]:
        """The effective settings as text, for log and report: account masked, secrets only `set` or `none`."""
        echoed = {
            name: {key: as_text(getattr(getattr(self, name), key)) for key in section.model_fields}
            for name, section in sections().items()
        }
        echoed["ibkr"]["account_id"] = mask_account(self.ibkr.account_id)
        for name in OPEN_SECTIONS:
            echoed[name] = {str(key): as_text(each) for key, each in getattr(self, name).items()}
        return echoed

    def _quote_rules(self, mode: Mode) -> QuoteRules:
        stale = self.limits.stale_action
        return QuoteRules(
            price_source=self.pricing.price_source,
            fallback_to_snapshot=self.pricing.fallback_to_snapshot,
            stale_after=timedelta(seconds=self.limits.stale_quote_seconds),
            stale_action=StaleAction.WARN if stale is StaleAction.REFUSE and not mode.sends_orders else stale,
            wide_spread_bps=self.limits.wide_spread_bps,
            data_type=self.ibkr.market_data_type,
        )

    def _sizing_rules(self) -> SizingRules:
        return SizingRules(
            min_order_usd=self.rebalance.min_order_usd,
            max_order_usd=self.rebalance.max_order_usd,
            max_turnover_pct=self.rebalance.max_turnover_pct,
            allow_fractional=self.rebalance.allow_fractional,
            allow_margin=self.rebalance.allow_margin,
            max_leverage=self.rebalance.max_leverage,
            maintenance_buffer_pct=self.rebalance.maintenance_buffer_pct,
            maintenance_margin_pct=self.rebalance.maintenance_margin_pct,
            commission_per_order_usd=self.rebalance.commission_per_order_usd,
        )

    def _limit_rules(self) -> LimitRules:
        return LimitRules(
            style=self.limits.style if self.limits.smart_limit else LimitStyle.OFF,
            order_type=self.rebalance.order_type,
            buy_offset_frac=self.limits.buy_offset_frac,
            sell_offset_frac=self.limits.sell_offset_frac,
            max_offset_bps=self.limits.max_offset_bps,
            wide_spread_bps=self.limits.wide_spread_bps,
            escalate_action=self.limits.escalate_action,
            use_ask_bid_cap=self.limits.use_ask_bid_cap,
            reprice_attempts=self.execution.reprice_attempts,
        )

    def _funding_rules(self) -> FundingRules:
        return FundingRules(
            enabled=self.fx.enabled,
            convert_mode=self.fx.convert_mode,
            use_mid_for_planning=self.fx.use_mid_for_planning,
            min_fx_order_usd=self.fx.min_fx_order_usd,
            max_fx_order_usd=self.fx.max_fx_order_usd,
            fx_buffer_bps=self.fx.fx_buffer_bps,
            order_type=self.fx.order_type,
            limit_slippage_bps=self.fx.limit_slippage_bps,
            prefer_market_hours=self.fx.prefer_market_hours,
        )


def sections() -> dict[str, type[Section]]:
    """The sections with fixed keys, in the order of the file."""
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Section)}


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """(section, key, field) of every fixed key."""
    for name, section in sections().items():
        for key, field in section.model_fields.items():
            yield name, key, field


def as_text(value: object) -> str:
    """A value as one writes it in the file; a secret is only `set`."""
    match value:
        case None:
            text = "none"
        case bool():
            text = str(value).lower()
        case SecretStr():
            text = "set"
        case Decimal():
            text = f"{value:f}"
        case float():
            text = repr(value).removesuffix(".0")
        case tuple():
            text = ", ".join(map(str, value)) or "none"
        case _:
            text = str(value)
    return text
