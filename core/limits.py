"""The price of an order: the limit it is sent with and the worst price that money is counted at.

Every price lies on the contract's tick grid: the multiples of the increment that is valid at the price
itself. The grid is anchored at 0 and each band keeps its own multiples, so with steps of 0.0001 below
1.00 and 0.01 from there, the price above 0.9999 is 1.00 and the next 1.01.

BUY and SELL mirror each other. The passive side is the cheap one for whoever trades (down for BUY, up
for SELL), the costly side its opposite; the far touch is the ask for BUY and the bid for SELL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from core.errors import MarketDataMissing
from core.model import (
    Contract,
    EscalateAction,
    Limit,
    LimitRules,
    LimitStyle,
    MarketDataType,
    OrderType,
    Price,
    Quote,
    QuoteRules,
    Side,
    StaleAction,
    TickBand,
)
from core.money import BPS, ceil_to, floor_to
from core.quotes import Nbbo, is_stale, nbbo, usable_sides, why_no_nbbo

Ticks = tuple[TickBand, ...]

FAR_FROM_CLOSE = Decimal("0.10")


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a limit depends on besides the quote. `sends_orders` is the mode's: without it, faults of a quote warn."""

    limits: LimitRules
    quotes: QuoteRules
    now: datetime
    sends_orders: bool


def increment_at(ticks: Ticks, price: Decimal) -> Decimal:
    """The price step valid at `price`: that of the last band whose low edge is not above it, else of the first."""
    return ticks[_band(ticks, price)].increment


def floor_tick(ticks: Ticks, price: Decimal) -> Decimal:
    """The highest price on the grid that is not above `price`, valid in its own band."""
    at = _band(ticks, price)
    found = floor_to(price, ticks[at].increment)
    while at and found < ticks[at].low_edge:
        edge, at = ticks[at].low_edge, at - 1
        found = ceil_to(edge, ticks[at].increment) - ticks[at].increment
    return found


def ceil_tick(ticks: Ticks, price: Decimal) -> Decimal:
    """The lowest price on the grid that is not below `price`, valid in its own band."""
    at = _band(ticks, price)
    found = ceil_to(price, ticks[at].increment)
    while at + 1 < len(ticks) and found >= ticks[at + 1].low_edge:
        at += 1
        found = ceil_to(ticks[at].low_edge, ticks[at].increment)
    return found


def nearest_tick(side: Side, ticks: Ticks, price: Decimal) -> Decimal:
    """The price on the grid nearest to `price`; a tie goes to the passive side: 100.005 is BUY 100.00, SELL 100.01."""
    below = floor_tick(ticks, price)
    if below == price:
        return below
    above = ceil_tick(ticks, price)
    to_below, to_above = price - below, above - price
    if to_below == to_above:
        return below if side is Side.BUY else above
    return below if to_below < to_above else above


def limit_for(side: Side, contract: Contract, quote: Quote, fallback: Price | None, pricing: Pricing) -> Limit:
    """How to price an order: type, limit, worst price, and the rule in words with its numbers.

    A limit order's worst price is its limit. An order that goes as MKT has the far touch moved by
    `max_offset_bps` to the costly side: ask 100.01 and 10 bps give 100.12. `fallback` is the valuation
    price; modes that send no orders fall back on it when a quote is no usable market. The warnings
    stand in one line that starts with the symbol.

    Raises MarketDataMissing naming the symbol. In modes that send orders: no usable NBBO (for MKT no far
    touch), or a stale quote with `stale_action = refuse`. In every mode: no price at all, or none above 0
    on the tick grid.
    """
    _refuse(side, quote, pricing)
    market = nbbo(quote)
    if market:
        is_escalated = pricing.quotes.stale_action is StaleAction.ESCALATE and _is_old(quote, pricing)
        limit = _Desk(side, contract.ticks, market, pricing.limits).limit(is_escalated=is_escalated)
    else:
        limit = _estimate(side, contract.ticks, _base(side, quote, fallback), pricing.limits)
    if limit.worst_price <= 0:
        raise MarketDataMissing(
            f"{quote.symbol}: {limit.how} leaves no price above 0 on the tick grid",
            next_step="check the quote in TWS, or take the symbol out of the plan",
        )
    warnings = tuple(_warnings(quote, market.mid if market else limit.worst_price, pricing))
    return replace(limit, warning=f"{quote.symbol}: {'; '.join(warnings)}") if warnings else limit


@dataclass(frozen=True, slots=True)
class _Desk:
    """Prices one order in a usable market; BUY and SELL differ in the small helpers below only."""

    side: Side
    ticks: Ticks
    market: Nbbo
    rules: LimitRules

    def limit(self, *, is_escalated: bool) -> Limit:
        """The limit by order type and style; `is_escalated` has a stale quote count as a wide spread."""
        rules, market = self.rules, self.market
        if rules.order_type is OrderType.MKT:
            return self.as_market("market order")
        if rules.style is LimitStyle.OFF:
            return self.at(self.touch, self.touch_words)
        if rules.style is LimitStyle.STATIC_BPS:
            return self.static()
        if is_escalated:
            return self.escalated("stale quote counts as wide")
        # spread in bps of mid > wide_spread_bps, without division
        if market.spread * BPS > rules.wide_spread_bps * market.mid:
            return self.escalated(f"spread {market.spread_bps:.1f} bps is wide (over {_text(rules.wide_spread_bps)})")
        return self.spread_aware()

    def spread_aware(self) -> Limit:
        """Mid moved by a part of the spread, at most `max_offset_bps` from mid, at most at the far touch."""
        rules, market = self.rules, self.market
        part = rules.buy_offset_frac if self.side is Side.BUY else rules.sell_offset_frac
        wanted = nearest_tick(self.side, self.ticks, market.mid + _towards(self.side, part * market.spread))
        price = self.capped(_passive_of(self.side, wanted, self.bound))
        if price == wanted:
            sign = "+" if self.side is Side.BUY else "−"
            words = f"mid {_text(market.mid)} {sign} {_text(part)} × spread {_text(market.spread)}"
            return self.at(price, words)
        return self.at(price, self.bound_words if price == self.bound else self.touch_words)

    def static(self) -> Limit:
        """Mid moved by `max_offset_bps`, at most at the far touch."""
        price = self.capped(self.bound)
        return self.at(price, self.bound_words if price == self.bound else self.touch_words)

    def escalated(self, why: str) -> Limit:
        """What `escalate_action` makes of a wide spread."""
        action = self.rules.escalate_action
        if action is EscalateAction.MARKET:
            return self.as_market(f"{why}: market order")
        if action is EscalateAction.CROSS:
            return self.at(self.touch, f"{why}: crossed, {self.touch_words}")
        # use_ask_bid_cap is about the other rules: keep means inside the NBBO
        price = _passive_of(self.side, self.bound, self.touch)
        words = self.bound_words if price == self.bound else self.touch_words
        return self.at(price, f"{why}: kept at {words}")

    def at(self, price: Decimal, how: str) -> Limit:
        return Limit(OrderType.LMT, price, price, self.market.mid, how)

    def as_market(self, how: str) -> Limit:
        worst = _costly_tick(self.side, self.ticks, _moved(self.side, self.far, self.rules.max_offset_bps))
        words = f"{how}, counted at {self.touch_words} {_offset_words(self.side, self.rules)}"
        return Limit(OrderType.MKT, None, worst, self.market.mid, words)

    def capped(self, price: Decimal) -> Decimal:
        return _passive_of(self.side, price, self.touch) if self.rules.use_ask_bid_cap else price

    @property
    def far(self) -> Decimal:
        return self.market.ask if self.side is Side.BUY else self.market.bid

    @property
    def touch(self) -> Decimal:
        """The far touch; a feed's touch between two ticks gives the tick inside the NBBO."""
        return _passive_tick(self.side, self.ticks, self.far)

    @property
    def touch_words(self) -> str:
        return f"{'ask' if self.side is Side.BUY else 'bid'} {_text(self.far)}"

    @property
    def bound(self) -> Decimal:
        """As far from mid as `max_offset_bps` allows."""
        return _passive_tick(self.side, self.ticks, _moved(self.side, self.market.mid, self.rules.max_offset_bps))

    @property
    def bound_words(self) -> str:
        return f"mid {_text(self.market.mid)} {_offset_words(self.side, self.rules)}"


def _estimate(side: Side, ticks: Ticks, base: tuple[Decimal, str], rules: LimitRules) -> Limit:
    """A limit without a market, for modes that send no orders: `base` moved by `max_offset_bps` to the costly side."""
    price, name = base
    worst = _costly_tick(side, ticks, _moved(side, price, rules.max_offset_bps))
    how = f"estimated, {name} {_text(price)} {_offset_words(side, rules)}"
    return Limit(rules.order_type, None if rules.order_type is OrderType.MKT else worst, worst, None, how)


def _base(side: Side, quote: Quote, fallback: Price | None) -> tuple[Decimal, str]:
    """What an estimate starts from, and its name: the far touch if there is one, else the valuation price."""
    far = _far_side(side, quote)
    if far is not None:
        return far, "ask" if side is Side.BUY else "bid"
    if fallback is None:
        raise MarketDataMissing(
            f"{quote.symbol}: no usable market ({why_no_nbbo(quote)}) and no other price",
            next_step="check the symbol and the market data subscription, or run again when it is quoted",
        )
    return fallback.value, fallback.source.value


def _far_side(side: Side, quote: Quote) -> Decimal | None:
    bid, ask = usable_sides(quote)
    return ask if side is Side.BUY else bid


def _refuse(side: Side, quote: Quote, pricing: Pricing) -> None:
    """Raise MarketDataMissing for a quote that no order may be priced from."""
    if not pricing.sends_orders:
        return
    reason = why_no_nbbo(quote)
    goes_anyway = pricing.limits.order_type is OrderType.MKT and _far_side(side, quote) is not None
    if reason and not goes_anyway:
        raise MarketDataMissing(
            f"{quote.symbol}: no usable market, {reason}",
            next_step="run again when bid and ask are quoted",
        )
    if pricing.quotes.stale_action is StaleAction.REFUSE and _is_old(quote, pricing):
        raise MarketDataMissing(
            f"{quote.symbol}: {_age_words(quote, pricing)}",
            next_step="run again with fresh quotes, or set [limits] stale_action = escalate",
        )


def _warnings(quote: Quote, price: Decimal, pricing: Pricing) -> Iterator[str]:
    """What a person should know of the quote before approving an order at about `price`."""
    reason = why_no_nbbo(quote)
    if reason:
        yield f"no usable market ({reason}), the limit is an estimate"
    if _is_old(quote, pricing):
        yield _age_words(quote, pricing)
    if quote.data_type is not MarketDataType.LIVE:
        yield f"{quote.data_type.value.replace('_', ' ')} quote, not live"
    close = quote.previous_close
    if close is not None and close > 0 and abs(price - close) > FAR_FROM_CLOSE * close:
        yield f"price {_text(price)} is more than 10 % from the previous close {_text(close)}"


def _is_old(quote: Quote, pricing: Pricing) -> bool:
    return is_stale(quote, pricing.quotes, pricing.now)


def _age_words(quote: Quote, pricing: Pricing) -> str:
    age, limit = pricing.now - quote.taken_at, pricing.quotes.stale_after
    return f"stale quote, {age.total_seconds():.1f} s old (limit {limit.total_seconds():g} s)"


def _band(ticks: Ticks, price: Decimal) -> int:
    for at in range(len(ticks) - 1, 0, -1):
        if ticks[at].low_edge <= price:
            return at
    return 0


def _towards(side: Side, amount: Decimal) -> Decimal:
    """`amount`, signed towards the costly side."""
    return amount if side is Side.BUY else -amount


def _moved(side: Side, price: Decimal, bps: Decimal) -> Decimal:
    return price + _towards(side, price * bps / BPS)


def _passive_tick(side: Side, ticks: Ticks, price: Decimal) -> Decimal:
    return floor_tick(ticks, price) if side is Side.BUY else ceil_tick(ticks, price)


def _costly_tick(side: Side, ticks: Ticks, price: Decimal) -> Decimal:
    return ceil_tick(ticks, price) if side is Side.BUY else floor_tick(ticks, price)


def _passive_of(side: Side, one: Decimal, other: Decimal) -> Decimal:
    return min(one, other) if side is Side.BUY else max(one, other)


def _offset_words(side: Side, rules: LimitRules) -> str:
    return f"{'+' if side is Side.BUY else '−'} {_text(rules.max_offset_bps)} bps"


def _text(number: Decimal) -> str:
    """Plain digits without the zeros that arithmetic left behind; a fraction has at least two: 100.005, 99.50, 10."""
    digits = f"{number.normalize():f}"
    whole, _, rest = digits.partition(".")
    return f"{whole}.{rest:0<2}" if rest else whole
