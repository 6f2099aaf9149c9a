"""Where the money for buys comes from: cash, sells, CAD turned into USD, and borrowing within its limits.

In: the account's Valuation and the drafts of the sells (USD), the quote of the funding pair (CAD per USD). Out: a
conversion (FxLeg, whole USD) and a Budget (USD) that the buys together may cost.

USD.CAD is CAD per USD. To get USD, USD.CAD is bought, its quantity in whole USD. Everything is counted at
the worst price an order may fill at, so that what is planned stays affordable whatever happens. An example: 3 000 USD
of cash, sells of 5 000 USD at worst prices and 2 commissions of 1 USD pay for buys of 7 998 USD; buys of 10 000 USD at
worst prices are 2 000 USD short before commissions, and with a buffer of 20 bps 2 004 USD are converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from core.errors import MarketDataMissing
from core.market.quotes import Verdict
from core.model import (
    FUNDING,
    USD,
    ConvertMode,
    FxLeg,
    LimitedBy,
    OrderType,
    QuoteRefusal,
    StaleAction,
    Symbol,
    Targets,
    Valuation,
)
from core.money import BPS, CENT, HUNDRED, ONE, ZERO, ceil_to, floor_to
from core.planning.drafts import TradeDraft
from core.settings import FxSection, RebalanceSection, Settings

WHOLE_DOLLAR = ONE
ODD_LOT_USD = Decimal(25_000)
NO_CONVERSION = "no conversion: "


@dataclass(frozen=True, slots=True)
class FxMarket:
    """USD.CAD as it may be planned with, CAD per USD; without rates, and with `why_not`, when it may not.

    `worst` = ask × (1 + limit_slippage_bps / 10 000); `planning` is the mid, or the ask by setting. `spread` is that of
    the NBBO, None without one. `next_step` is how to come by a rate.
    """

    mid: Decimal | None = None
    planning: Decimal | None = None
    worst: Decimal | None = None
    why_not: str = ""
    warning: str | None = None
    spread: Decimal | None = None
    next_step: str = f"run again when {FUNDING.symbol} is quoted"


@dataclass(frozen=True, slots=True)
class FxNeed:
    """What the account must pay in USD and has, by sells at their worst prices.

    `wanted_cost` is that of the buys sized with unlimited money, at worst prices. Commissions are not part of
    the need: the conversion's buffer is for what is not known to the dollar.
    """

    wanted_cost: Decimal
    usd_cash: Decimal
    funding_cash: Decimal
    sells: Decimal
    buffer: Decimal


@dataclass(frozen=True, slots=True)
class Proceeds:
    """What happens before the buys, in USD: sells at their worst prices, conversion, commissions.

    `value` is what the sells are worth at the prices that value the account.
    """

    sells: Decimal = ZERO
    value: Decimal = ZERO
    converted: Decimal = ZERO
    worst_rate: Decimal | None = None
    commissions: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """USD that come in, commissions paid."""
        return self.sells + self.converted - self.commissions

    @property
    def loss(self) -> Decimal:
        """What the sells lose of their value when filled at their worst prices; a gain is not counted."""
        return max(ZERO, self.value - self.sells)


@dataclass(frozen=True, slots=True)
class BuyCosts:
    """What the limits of borrowing need to know of the buys before they are sized.

    `slippage` is the largest (worst price − price) / worst price of any of them, at least 0.
    """

    orders: int
    slippage: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that buys may cost at worst prices, and what to call it when it binds.

    Each order takes `commission` of it.
    """

    money: Decimal
    limited_by: LimitedBy
    commission: Decimal


@dataclass(frozen=True, slots=True)
class Headroom:
    """USD that may still be bought before a limit of borrowing is met; negative: by how much it is broken.

    `leverage` counts position value, `margin` counts excess liquidity.
    """

    leverage: Decimal
    margin: Decimal

    @property
    def is_broken(self) -> bool:
        return self.leverage < 0 or self.margin < 0


def fx_market(verdicts: Mapping[Symbol, Verdict], settings: Settings, *, sends_orders: bool) -> FxMarket:
    """USD.CAD by its quote at that moment; without rates where it is missing, unusable, or too old to send an order on.

    Without rates also where conversion is switched off. In modes that send no orders any price of the quote will do,
    with a warning.
    """
    if not settings.fx.enabled:
        return FxMarket(why_not="conversion is switched off")
    verdict = verdicts.get(FUNDING.symbol)
    if verdict is None:
        return FxMarket(why_not="no quote")
    market, price = verdict.nbbo, verdict.price
    if price is None or (sends_orders and market is None):
        return _unquoted(verdict.quote.refusal)
    # an order on an old rate is a guess; a plan that sends nothing may still show what it would be
    if sends_orders and verdict.is_stale and settings.limits.stale_action is StaleAction.REFUSE:
        return FxMarket(why_not="the quote is stale")
    warning = f"{FUNDING.symbol}: stale quote" if verdict.is_stale else None
    if market:
        return replace(_rates(market.mid, market.ask, settings.fx, warning), spread=market.spread)
    text = f"{FUNDING.symbol}: no usable bid and ask, planned at {price.source.value}"
    return _rates(price.value, price.value, settings.fx, text)


def _unquoted(refusal: QuoteRefusal | None) -> FxMarket:
    if refusal:
        return FxMarket(why_not=refusal.text, next_step=refusal.next_step)
    return FxMarket(why_not="no usable bid and ask")


def _rates(mid: Decimal, ask: Decimal, fx: FxSection, warning: str | None) -> FxMarket:
    worst = ask + ask * fx.limit_slippage_bps / BPS
    return FxMarket(mid, mid if fx.use_mid_for_planning else ask, worst, warning=warning)


def convertible(funding_cash: Decimal, market: FxMarket, fx: FxSection) -> Decimal:
    """Whole USD that the CAD cash buys at the planning rate, at most `max_fx_order_usd`; 0 without a rate."""
    if market.planning is None or funding_cash <= 0:
        return ZERO
    dollars = FUNDING.usd_for(funding_cash, market.planning)
    return dollars if fx.max_fx_order_usd is None else min(dollars, fx.max_fx_order_usd // 1)


def affordable(quantity: Decimal, funding_cash: Decimal, market: FxMarket) -> Decimal:
    """Whole USD of `quantity` that the CAD cash pays for even at the worst rate."""
    if market.worst is None or funding_cash <= 0:
        return ZERO
    return min(quantity, FUNDING.usd_for(funding_cash, market.worst))


def fx_limit(market: FxMarket, fx: FxSection) -> Decimal | None:
    """The limit of a conversion: the worst rate down to the price step of the venue; None for MKT or without a rate."""
    if fx.order_type is not OrderType.LMT or market.worst is None:
        return None
    return FUNDING.limit_at(market.worst)


def convert(need: FxNeed, market: FxMarket, closed: str | None, fx: FxSection) -> FxLeg:
    """The conversion that covers the shortfall, or one of quantity 0 with the reason why there is none.

    Shortfall = wanted cost − USD cash − sells at worst prices, plus the cash buffer under
    always_top_up. Quantity = shortfall × (1 + fx_buffer_bps / 10 000), up to the whole dollar, at most what
    the CAD cash allows: 10 000.40 short with 20 bps is 10 021 USD. Up and not to the nearest, because a
    shortfall of cents is a debit too. `closed` is why the FX market is closed, None when it is open.
    Raises MarketDataMissing when a conversion is needed and has no rate.
    """
    shortfall = _shortfall(need, fx)
    reason = _needless(shortfall, need.funding_cash, closed, fx)
    if reason:
        return _no_conversion(shortfall, market, reason, fx)
    if market.worst is None or market.planning is None:
        raise MarketDataMissing(
            f"{FUNDING.symbol}: {market.why_not}, and {shortfall:,.2f} USD must be converted",
            next_step=f"{market.next_step}, or set [fx] enabled = false",
        )
    wanted = ceil_to(shortfall + shortfall * fx.fx_buffer_bps / BPS, WHOLE_DOLLAR)
    quantity = min(wanted, convertible(need.funding_cash, market, fx))
    if quantity < fx.min_fx_order_usd or not quantity:
        reason = f"only {quantity:,f} USD could be converted, below min_fx_order_usd {fx.min_fx_order_usd:f}"
        return _no_conversion(shortfall, market, reason, fx)
    odd = quantity < ODD_LOT_USD
    return FxLeg(
        quantity=quantity,
        order_type=fx.order_type,
        limit_price=fx_limit(market, fx),
        worst_rate=market.worst,
        planning_rate=market.planning,
        funding_needed=FUNDING.cost_of(quantity, market.planning),
        shortfall=shortfall,
        reason=_why_convert(shortfall, quantity, wanted),
        mid=market.mid,
        warning="; ".join(filter(None, (market.warning, _odd_lot(quantity) if odd else None))) or None,
    )


def _shortfall(need: FxNeed, fx: FxSection) -> Decimal:
    # a USD debit is negative cash, so that it is paid back by the same sum
    owed = need.wanted_cost - need.usd_cash - need.sells
    if fx.convert_mode is ConvertMode.ALWAYS_TOP_UP:
        owed += need.buffer
    return max(owed, ZERO)


def _needless(shortfall: Decimal, funding_cash: Decimal, closed: str | None, fx: FxSection) -> str | None:
    """Why nothing is converted, whatever the rate; None when a rate is needed."""
    if not shortfall:
        return "USD cash and sells cover everything"
    if funding_cash <= 0:
        return f"{shortfall:,.2f} USD short, but there is no {FUNDING.currency} to convert"
    if shortfall < fx.min_fx_order_usd:
        return f"{shortfall:,.2f} USD short, below min_fx_order_usd {fx.min_fx_order_usd:f}"
    if closed and fx.prefer_market_hours:
        return f"{shortfall:,.2f} USD short, but no FX order is sent: {closed}"
    return None


def _no_conversion(shortfall: Decimal, market: FxMarket, reason: str, fx: FxSection) -> FxLeg:
    return FxLeg(
        quantity=ZERO,
        order_type=fx.order_type,
        limit_price=None,
        worst_rate=market.worst,
        planning_rate=market.planning,
        funding_needed=ZERO,
        shortfall=shortfall,
        reason=f"{NO_CONVERSION}{reason}",
        mid=market.mid,
    )


def _why_convert(shortfall: Decimal, quantity: Decimal, wanted: Decimal) -> str:
    limited = (
        f"; limited from {wanted:,f} USD by the {FUNDING.currency} cash or max_fx_order_usd"
        if quantity < wanted
        else ""
    )
    return f"{shortfall:,.2f} USD short for the buys{limited}"


def _odd_lot(quantity: Decimal) -> str:
    return (
        f"{FUNDING.symbol}: {quantity:,f} USD is below {ODD_LOT_USD:,} USD, an odd lot: the rate may be worse"
        " and the broker may warn (399)"
    )


def proceeds_of(sells: Iterable[TradeDraft], commission: Decimal) -> Proceeds:
    """What the sells bring at their worst prices, and what they cost."""
    traded = [draft for draft in sells if draft.quantity]
    worst = sum([draft.worst_dollars for draft in traded], ZERO)
    value = sum([draft.dollars for draft in traded], ZERO)
    return Proceeds(sells=worst, value=value, commissions=commission * len(traded))


def free_cash(valuation: Valuation, proceeds: Proceeds) -> Decimal:
    """USD for buys without borrowing, negative when something is owed.

    USD cash + sells + conversion − commissions − the part of the cash buffer that the CAD left does not
    hold. The CAD left counts at the worst rate, or at the account's own rate where none is known.
    """
    cad = valuation.cash.get(FUNDING.currency, ZERO)
    if proceeds.worst_rate is not None:
        cad_left = cad / proceeds.worst_rate - proceeds.converted
    else:
        cad_left = cad * (valuation.usd_per_funding or ZERO)
    return valuation.cash.get(USD, ZERO) + proceeds.total - max(ZERO, valuation.buffer - cad_left)


def spendable(valuation: Valuation, targets: Targets, rebalance: RebalanceSection) -> Decimal:
    """USD that may be spent without more borrowing than the target's own: the cash, its buffer included."""
    cash = valuation.cash.get(USD, ZERO)
    return cash - targets.cash * valuation.investable if rebalance.allow_margin else cash


def headroom(valuation: Valuation, proceeds: Proceeds, rebalance: RebalanceSection) -> Headroom:
    """How far the account is from its limits of borrowing once the sells are done.

    Leverage: gross position value ≤ max_leverage × NetLiq. Margin: excess liquidity − maintenance_margin_pct
    × (buys − sells) ≥ maintenance_buffer_pct × NetLiq, sells at their worst prices.
    """
    freed = rebalance.maintenance_margin_pct * proceeds.sells / HUNDRED
    kept = rebalance.maintenance_buffer_pct * valuation.net_liq / HUNDRED
    return Headroom(
        leverage=rebalance.max_leverage * valuation.net_liq - valuation.gross_position_value + proceeds.value,
        margin=valuation.excess_liquidity + freed - kept,
    )


def budget_for(
    valuation: Valuation, targets: Targets, proceeds: Proceeds, costs: BuyCosts, rebalance: RebalanceSection
) -> Budget:
    """The money for buys: free cash, and with allow_margin as much borrowing as every limit allows.

    The USD debit stays ≤ |CASH weight| × investable value. A target that borrows keeps to that limit instead of a
    cash buffer, for nobody has both; one that does not never borrows, and keeps its buffer.
    """
    cash = free_cash(valuation, proceeds)
    if not rebalance.allow_margin:
        return Budget(max(ZERO, cash), LimitedBy.MONEY, costs.commission)
    # a target that borrows has no buffer to keep: what it borrows is the limit instead
    if targets.cash:
        cash = valuation.cash.get(USD, ZERO) + proceeds.total - targets.cash * valuation.investable
    left = headroom(valuation, proceeds, rebalance)
    loss = proceeds.loss + proceeds.commissions + _fx_loss(valuation, proceeds)
    limits = (
        (cash, LimitedBy.LEVERAGE if targets.cash else LimitedBy.MONEY),
        (_within_leverage(left.leverage - rebalance.max_leverage * loss, costs, rebalance), LimitedBy.LEVERAGE),
    )
    # the tightest limit names what held the buys back
    money, limited_by = min(limits, key=lambda limit: limit[0])
    return _within_margin(left.margin, Budget(max(ZERO, money), limited_by, costs.commission), costs, rebalance)


def _fx_loss(valuation: Valuation, proceeds: Proceeds) -> Decimal:
    """USD of NetLiq that the conversion costs at the worst rate against the account's own."""
    if not proceeds.converted or proceeds.worst_rate is None or valuation.usd_per_funding is None:
        return ZERO
    return max(ZERO, proceeds.converted * (proceeds.worst_rate * valuation.usd_per_funding - ONE))


def _within_leverage(left: Decimal, costs: BuyCosts, rebalance: RebalanceSection) -> Decimal:
    """The cost of buys at worst prices that keeps gross ≤ max_leverage × NetLiq after them.

    A buy at its worst price adds its price to gross, and its slippage and commission come off NetLiq, which
    carries max_leverage times as much. With slippage at most s of the cost:
    cost × (1 + (leverage − 1) × s) + leverage × commissions ≤ left.
    """
    lost = (rebalance.max_leverage - ONE) * costs.commission * costs.orders
    return floor_to((left - lost) / (ONE + (rebalance.max_leverage - ONE) * costs.slippage), CENT)


def _within_margin(left: Decimal, budget: Budget, costs: BuyCosts, rebalance: RebalanceSection) -> Budget:
    """The budget, or a smaller one where its buys would not keep the maintenance buffer.

    10 000 USD of excess liquidity to spare and a margin of 25 % allow buys of 40 000 USD, whatever the commissions.
    """
    if not rebalance.maintenance_margin_pct:
        return budget if left >= 0 else replace(budget, money=ZERO, limited_by=LimitedBy.LEVERAGE)
    most = max(ZERO, floor_to(left * HUNDRED / rebalance.maintenance_margin_pct, CENT))
    # commissions are paid from cash, not from margin: where both fit they need not be set aside a second time
    if most + costs.commission * costs.orders <= budget.money:
        return Budget(most, LimitedBy.LEVERAGE, ZERO)
    return budget if budget.money <= most else replace(budget, money=most, limited_by=LimitedBy.LEVERAGE)
