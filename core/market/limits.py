"""The price of an order: the limit it is sent with and the worst price that money is counted at.

Every price lies on the contract's tick grid; see `core.market.ticks`.

An order that did not fill is sent again, up to `reprice_attempts` times, each time nearer to the far touch; what
money is counted at is the limit of the last attempt.

BUY and SELL mirror each other, and WAYS says all in which they differ. The passive side is the cheap one
for whoever trades (down for BUY, up for SELL), the costly side its opposite; the far touch is the ask for
BUY and the bid for SELL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from operator import add
from operator import sub as subtract
from typing import NamedTuple

from core.errors import MarketDataMissing
from core.market.quotes import Nbbo, is_stale, nbbo, usable_sides, why_no_nbbo
from core.market.ticks import Ticks, ceil_tick, floor_tick, nearest_tick
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
)
from core.money import BPS, plain
from core.text import age_text

FAR_FROM_CLOSE = Decimal("0.10")
HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a limit depends on besides the quote. `sends_orders` is the mode's: without it, faults of a quote warn.

    `attempt` counts from 0, the first.
    """

    limits: LimitRules
    quotes: QuoteRules
    now: datetime
    sends_orders: bool
    attempt: int = 0


def limit_for(side: Side, contract: Contract, quote: Quote, fallback: Price | None, pricing: Pricing) -> Limit:
    """How to price an order: type, limit, worst price, and the rule in words with its numbers.

    A limit order's worst price is the limit of its last attempt. An order that goes as MKT has the far touch moved by
    `max_offset_bps` to the costly side: ask 100.01 and 10 bps give 100.12. `fallback` is the valuation
    price; modes that send no orders fall back on it when a quote is no usable market. The warnings
    stand in one line that starts with the symbol.

    Raises MarketDataMissing naming the symbol. In modes that send orders: no usable NBBO (for MKT no far
    touch), or a stale quote with `stale_action = refuse`. In every mode: no price at all, or none above 0
    on the tick grid.
    """
    market, is_old = nbbo(quote), is_stale(quote, pricing.quotes, pricing.now)
    way = WAYS[side]
    if pricing.sends_orders and (is_old or not market):
        _refuse(way, quote, pricing, is_old=is_old)
    if market:
        is_escalated = is_old and pricing.quotes.stale_action is StaleAction.ESCALATE
        limit = _LimitCalculation(way, contract.ticks, market, pricing.limits, pricing.attempt, is_escalated).limit()
    else:
        limit = _estimate(way, contract.ticks, _base(way, quote, fallback), pricing.limits)
    if limit.worst_price <= 0:
        raise MarketDataMissing(
            f"{quote.symbol}: {limit.how} leaves no price above 0 on the tick grid",
            next_step="check the quote in TWS, or take the symbol out of the plan",
        )
    warnings = _warnings(quote, limit, pricing, is_old=is_old)
    return replace(limit, warning=f"{quote.symbol}: {'; '.join(warnings)}") if warnings else limit


class _Way(NamedTuple):
    """What BUY and SELL do differently. `costlier(price, amount)` is a price moved to the costly side.

    `far` is where the far touch stands in (bid, ask).
    """

    side: Side
    passive_tick: Callable[[Ticks, Decimal], Decimal]
    costly_tick: Callable[[Ticks, Decimal], Decimal]
    passive_of: Callable[[Decimal, Decimal], Decimal]
    costlier: Callable[[Decimal, Decimal], Decimal]
    sign: str
    far: int
    far_name: str

    def moved(self, price: Decimal, rules: LimitRules) -> Decimal:
        """`price` moved by `max_offset_bps` to the costly side."""
        return self.costlier(price, price * rules.max_offset_bps / BPS)

    def offset_words(self, rules: LimitRules) -> str:
        return f"{self.sign} {_text(rules.max_offset_bps)} bps"


WAYS = {
    Side.BUY: _Way(Side.BUY, floor_tick, ceil_tick, min, add, "+", 1, "ask"),
    Side.SELL: _Way(Side.SELL, ceil_tick, floor_tick, max, subtract, "−", 0, "bid"),
}


class _LimitCalculation(NamedTuple):
    """Prices one order in a usable market; `is_escalated` has a stale quote count as a wide spread."""

    way: _Way
    ticks: Ticks
    market: Nbbo
    rules: LimitRules
    attempt: int
    is_escalated: bool

    def limit(self) -> Limit:
        """The limit by order type and style."""
        if self.rules.order_type is OrderType.MKT:
            return self.as_market("market order")
        return STYLES[self.rules.style](self)

    def at_touch(self) -> Limit:
        """The far touch."""
        return self.at(self.touch, self.touch_words)

    def static(self) -> Limit:
        """Mid moved by `max_offset_bps`, at most at the far touch."""
        return self.at(self._most, self._most_words(self._most))

    def spread_aware(self) -> Limit:
        """Mid moved by a part of the spread that grows to the half of it with the last attempt; see `_moved`."""
        market, rules = self.market, self.rules
        if self.is_escalated:
            return self.escalated("stale quote counts as wide")
        if market.is_wide(rules.wide_spread_bps):
            return self.escalated(f"spread {market.spread_bps:.1f} bps is wide (over {_text(rules.wide_spread_bps)})")
        last, part = rules.reprice_attempts, self._part(self.attempt)
        price, is_free = self._moved(part)
        final = self._moved(self._part(last))[0] if last > self.attempt else price
        how = self._moved_words(part) if is_free else self._most_words(price)
        # a part above one half shrinks to it, so that the last attempt need not be the costliest
        if self.way.passive_of(price, final) == final:
            return self.at(price, how)
        how = f"{how}; {_text(final)} in the last of {last + 1} attempts"
        return Limit(OrderType.LMT, price, final, self.mid, how)

    def _part(self, attempt: int) -> Decimal:
        """The part of the spread that an attempt goes from mid: by equal steps from the setting to one half."""
        rules = self.rules
        first = rules.buy_offset_frac if self.way.side is Side.BUY else rules.sell_offset_frac
        return first + (HALF - first) * attempt / rules.reprice_attempts if attempt else first

    def _moved(self, part: Decimal) -> tuple[Decimal, bool]:
        """Mid moved by `part` of the spread, at most as far as `_most`; and whether it is nearer than that."""
        way, mid, rules = self.way, self.mid, self.rules
        wanted = nearest_tick(way.side, self.ticks, way.costlier(mid, part * self.market.spread))
        most = way.moved(mid, rules)
        if rules.use_ask_bid_cap:
            most = way.passive_of(most, self.far)
        # `wanted` lies on the grid, so that being within `most` it is also within the tick before
        is_free = way.passive_of(wanted, most) == wanted
        return (wanted if is_free else self._most), is_free

    def _moved_words(self, part: Decimal) -> str:
        return f"mid {_text(self.mid)} {self.way.sign} {_text(round(part, 4))} × spread {_text(self.market.spread)}"

    @property
    def _most(self) -> Decimal:
        """As far as any limit goes: `max_offset_bps` from mid, and to the far touch."""
        return self.way.passive_of(self.bound, self.touch) if self.rules.use_ask_bid_cap else self.bound

    def _most_words(self, price: Decimal) -> str:
        return self.bound_words if price == self.bound else self.touch_words

    def escalated(self, why: str) -> Limit:
        """What `escalate_action` makes of a wide spread."""
        action = self.rules.escalate_action
        if action is EscalateAction.MARKET:
            return self.as_market(f"{why}: market order")
        if action is EscalateAction.CROSS:
            return self.at(self.touch, f"{why}: crossed, {self.touch_words}")
        # use_ask_bid_cap is about the other rules: keep means inside the NBBO
        bound = self.bound
        price = self.way.passive_of(bound, self.touch)
        words = self.bound_words if price == bound else self.touch_words
        return self.at(price, f"{why}: kept at {words}")

    def at(self, price: Decimal, how: str) -> Limit:
        return Limit(OrderType.LMT, price, price, self.mid, how)

    def as_market(self, how: str) -> Limit:
        worst = self.way.costly_tick(self.ticks, self.way.moved(self.far, self.rules))
        words = f"{how}, counted at {self.touch_words} {self.way.offset_words(self.rules)}"
        return Limit(OrderType.MKT, None, worst, self.mid, words)

    @property
    def mid(self) -> Decimal:
        return self.market.mid

    @property
    def far(self) -> Decimal:
        return self.market[self.way.far]

    @property
    def touch(self) -> Decimal:
        """The far touch; a feed's touch between two ticks gives the tick inside the NBBO."""
        return self.way.passive_tick(self.ticks, self.far)

    @property
    def touch_words(self) -> str:
        return f"{self.way.far_name} {_text(self.far)}"

    @property
    def bound(self) -> Decimal:
        """As far from mid as `max_offset_bps` allows."""
        return self.way.passive_tick(self.ticks, self.way.moved(self.mid, self.rules))

    @property
    def bound_words(self) -> str:
        return f"mid {_text(self.mid)} {self.way.offset_words(self.rules)}"


STYLES: Mapping[LimitStyle, Callable[[_LimitCalculation], Limit]] = {
    LimitStyle.OFF: _LimitCalculation.at_touch,
    LimitStyle.STATIC_BPS: _LimitCalculation.static,
    LimitStyle.SPREAD_AWARE: _LimitCalculation.spread_aware,
}


def _estimate(way: _Way, ticks: Ticks, base: tuple[Decimal, str], rules: LimitRules) -> Limit:
    """A limit without a market, for modes that send no orders: `base` moved by `max_offset_bps` to the costly side."""
    price, name = base
    worst = way.costly_tick(ticks, way.moved(price, rules))
    how = f"estimated, {name} {_text(price)} {way.offset_words(rules)}"
    return Limit(rules.order_type, None if rules.order_type is OrderType.MKT else worst, worst, None, how)


def _base(way: _Way, quote: Quote, fallback: Price | None) -> tuple[Decimal, str]:
    """What an estimate starts from, and its name: the far touch if there is one, else the valuation price."""
    far = usable_sides(quote)[way.far]
    if far is not None:
        return far, way.far_name
    if fallback is None:
        raise MarketDataMissing(
            f"{quote.symbol}: no usable market ({why_no_nbbo(quote)}) and no other price",
            next_step="check the symbol and the market data subscription, or run again when it is quoted",
        )
    return fallback.value, fallback.source.value


def _refuse(way: _Way, quote: Quote, pricing: Pricing, *, is_old: bool) -> None:
    """Raise MarketDataMissing for a quote that no order may be priced from."""
    reason = why_no_nbbo(quote)
    goes_anyway = pricing.limits.order_type is OrderType.MKT and usable_sides(quote)[way.far] is not None
    if reason and not goes_anyway:
        raise MarketDataMissing(
            f"{quote.symbol}: no usable market, {reason}",
            next_step="run again when bid and ask are quoted",
        )
    if is_old and pricing.quotes.stale_action is StaleAction.REFUSE:
        raise MarketDataMissing(
            f"{quote.symbol}: {_age_words(quote, pricing)}",
            next_step="run again with fresh quotes, or set [limits] stale_action = escalate",
        )


def _warnings(quote: Quote, limit: Limit, pricing: Pricing, *, is_old: bool) -> list[str]:
    """What a person should know of the quote before approving an order at about the mid, or without one the limit."""
    warnings = []
    if limit.mid is None:
        warnings.append(f"no usable market ({why_no_nbbo(quote)}), the limit is an estimate")
    if is_old:
        warnings.append(_age_words(quote, pricing))
    if quote.data_type is not MarketDataType.LIVE:
        warnings.append(f"{quote.data_type.value.replace('_', ' ')} quote, not live")
    close = quote.previous_close
    price = limit.worst_price if limit.mid is None else limit.mid
    if close is not None and close > 0 and abs(price - close) > FAR_FROM_CLOSE * close:
        warnings.append(f"price {_text(price)} is more than 10 % from the previous close {_text(close)}")
    return warnings


def _age_words(quote: Quote, pricing: Pricing) -> str:
    age, limit = pricing.now - quote.taken_at, pricing.quotes.stale_after
    return f"stale quote, {age_text(age)} old (limit {limit.total_seconds():g} s)"


def _text(number: Decimal) -> str:
    """Plain digits without the zeros that arithmetic left behind; a fraction has at least two: 100.005, 99.50, 10."""
    digits = plain(number)
    return f"{digits}0" if digits[-2:-1] == "." else digits
