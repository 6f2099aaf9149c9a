"""What a plan is made from, and what its lines are on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.errors import MarketDataMissing
from core.market.limits import Pricing, limit_for
from core.market.quotes import is_stale
from core.model import (
    USD_CAD,
    AccountSnapshot,
    Contract,
    DriftLine,
    Limit,
    LimitedBy,
    MarketDataType,
    Mode,
    PlanRules,
    Price,
    Quote,
    RunId,
    Side,
    SizingRules,
    StaleAction,
    Symbol,
    Targets,
)
from core.money import FRACTION_OF_SHARE, WHOLE_SHARE, ZERO
from core.planning.funding import FxMarket, fx_market


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything a plan depends on besides the rules.

    `contracts` and `quotes` cover every target and every held USD ETF, and USD.CAD when conversion is
    enabled. `fx_closed` says why the FX market is closed at `now`, None when it is open.
    """

    run_id: RunId
    mode: Mode
    targets: Targets
    snapshot: AccountSnapshot
    contracts: Mapping[Symbol, Contract]
    quotes: Mapping[Symbol, Quote]
    now: datetime
    fx_closed: str | None = None


class Draft(NamedTuple):
    """One symbol on its way into the plan; `side` is the side it would trade on, None when it is left alone.

    `rest` is what an exit cannot sell (a fraction of a share); `note` says what was cut, in words.
    """

    drift: DriftLine
    side: Side | None = None
    quantity: Decimal = ZERO
    limit: Limit | None = None
    limited_by: LimitedBy | None = None
    note: str = ""
    remainder: Decimal = ZERO

    @property
    def dollars(self) -> Decimal:
        """USD at the valuation price."""
        return self.quantity * self.drift.price.value

    @property
    def worst_dollars(self) -> Decimal:
        """USD at the worst price; 0 when nothing trades."""
        return self.quantity * self.limit.worst_price if self.limit and self.quantity else ZERO


@dataclass(frozen=True, slots=True)
class PricingRules:
    """Prices and steps of the symbols that may trade."""

    contracts: Mapping[Symbol, Contract]
    quotes: Mapping[Symbol, Quote]
    pricing: Pricing
    sizing: SizingRules

    def limit(self, side: Side, symbol: Symbol, price: Price) -> Limit:
        """How an order in this symbol, valued at `price`, is priced. Raises MarketDataMissing naming it."""
        return limit_for(side, self.contracts[symbol], self.quotes[symbol], price, self.pricing)

    def step(self, symbol: Symbol) -> Decimal:
        """1 share, or 0.0001 where the setting and the contract both allow fractions."""
        takes_fractions = self.sizing.allow_fractional and self.contracts[symbol].fractional
        return FRACTION_OF_SHARE if takes_fractions else WHOLE_SHARE


def pricing_rules_for(inputs: PlanInputs, rules: PlanRules) -> PricingRules:
    """The desk that prices what `inputs` may trade."""
    pricing = Pricing(rules.limits, rules.quotes, inputs.now, rules.sends_orders)
    return PricingRules(inputs.contracts, inputs.quotes, pricing, rules.sizing)


def fx_market_of(inputs: PlanInputs, rules: PlanRules) -> FxMarket:
    """USD.CAD as it may be planned with at that moment; without rates where conversion is switched off."""
    if not rules.funding.enabled:
        return FxMarket(why_not="conversion is switched off")
    quote = inputs.quotes.get(USD_CAD)
    return fx_market(quote, rules.funding, rules.quotes, inputs.now, sends_orders=rules.sends_orders)


def refuse_unfit_quotes(universe: Iterable[Symbol], inputs: PlanInputs, rules: PlanRules) -> None:
    """Raise MarketDataMissing naming every symbol whose quote may not even value a holding.

    In modes that send orders with `stale_action = refuse` that is a stale one, in live one that is not
    live: a symbol may be left untraded only because its price is old.
    """
    if rules.sends_orders and rules.quotes.stale_action is StaleAction.REFUSE:
        old = [symbol for symbol in universe if is_stale(inputs.quotes[symbol], rules.quotes, inputs.now)]
        if old:
            raise MarketDataMissing(
                f"stale quotes, older than {rules.quotes.stale_after.total_seconds():g} s: {', '.join(old)}",
                next_step="run again with fresh quotes, or set [limits] stale_action = escalate",
            )
    if inputs.mode is Mode.LIVE:
        late = [symbol for symbol in universe if inputs.quotes[symbol].data_type is not MarketDataType.LIVE]
        if late:
            raise MarketDataMissing(
                f"quotes are not live: {', '.join(late)}",
                next_step="subscribe to live market data, or rehearse in mode paper",
            )


def quote_warnings(untraded: Iterable[Symbol], inputs: PlanInputs, rules: PlanRules) -> tuple[str, ...]:
    """Warnings for symbols that do not trade and are valued by an old quote or one that is not live."""
    stale, late = [], []
    for symbol in untraded:
        quote = inputs.quotes[symbol]
        if is_stale(quote, rules.quotes, inputs.now):
            stale.append(symbol)
        if quote.data_type is not MarketDataType.LIVE:
            late.append(symbol)
    warnings = [f"valued by stale quotes: {', '.join(stale)}"] if stale else []
    return (*warnings, f"valued by quotes that are not live: {', '.join(late)}") if late else tuple(warnings)
