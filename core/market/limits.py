"""The price of an order: the limit it is sent with and the worst price that money is counted at.

Every price lies on the contract's tick grid; see `core.market.ticks`.

An order that did not fill is sent again, up to `reprice_attempts` times, each time nearer to the far touch; what
money is counted at is the limit of the last attempt.

BUY and SELL mirror each other, and SIDE_TERMS holds everything in which they differ. The passive side is the one that
is cheap for whoever trades (down for BUY, up for SELL), the costly side its opposite; the far touch is the ask for BUY
and the bid for SELL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import add, gt, lt
from operator import sub as subtract
from typing import NamedTuple

from core.errors import MarketDataMissing
from core.market.quotes import Verdict, judge
from core.market.ticks import Ticks, ceil_tick, floor_tick, nearest_tick
from core.model import (
    Contract,
    EscalateAction,
    Limit,
    LimitStyle,
    Nbbo,
    OrderType,
    Quote,
    Side,
    StaleAction,
)
from core.money import BPS, ZERO, digits
from core.settings import Settings
from core.text import age_text

FAR_FROM_CLOSE = Decimal("0.10")
HALF = Decimal("0.5")

# members of an enum are looked up slowly (Python 3.11), and these for every symbol
LMT, MKT = OrderType.LMT, OrderType.MKT
# calling the class takes half as long again, and one is made for every symbol
new_limit = Limit.__new__


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a limit depends on besides the quote; `attempt` counts from 0, the first.

    `sends_orders` is the mode's: in modes that send none, faults of a quote are only warnings.
    """

    settings: Settings
    now: datetime
    sends_orders: bool
    attempt: int = 0

    def judge(self, quote: Quote) -> Verdict:
        """The verdict on a quote by these settings."""
        return judge(quote, self.settings, self.now)


def limit_for(side: Side, contract: Contract, verdict: Verdict, pricing: Pricing) -> Limit:
    """How to price one order, as `LimitCalculator.limit` does; to price many on one side, keep a LimitCalculator."""
    return LimitCalculator(side, pricing).limit(contract.ticks, verdict)


class _SideTerms(NamedTuple):
    """What BUY and SELL do differently. `costlier(price, amount)` is a price moved to the costly side.

    `is_beyond(price, bound)` is whether a price lies on the costly side of a bound. `far` is where the
    far touch stands in (bid, ask).
    """

    side: Side
    passive_tick: Callable[[Ticks, Decimal], Decimal]
    costly_tick: Callable[[Ticks, Decimal], Decimal]
    passive_of: Callable[[Decimal, Decimal], Decimal]
    is_beyond: Callable[[Decimal, Decimal], bool]
    costlier: Callable[[Decimal, Decimal], Decimal]
    sign: str
    far: int
    far_name: str


SIDE_TERMS = {
    Side.BUY: _SideTerms(Side.BUY, floor_tick, ceil_tick, min, gt, add, "+", 1, "ask"),
    Side.SELL: _SideTerms(Side.SELL, ceil_tick, floor_tick, max, lt, subtract, "−", 0, "bid"),
}


class LimitCalculator:
    """Prices orders of one side by the same settings: what does not depend on the quote is worked out once.

    Every price is in the contract's currency per share and lies on its tick grid.
    """

    def __init__(self, side: Side, pricing: Pricing) -> None:
        settings, limits = pricing.settings, pricing.settings.limits
        self._terms, self._pricing, self._limits = SIDE_TERMS[side], pricing, limits
        self._last_attempt, self._order_type = settings.execution.reprice_attempts, settings.rebalance.order_type
        # exact: a division by a power of ten only moves the point
        self._offset, self._wide = limits.max_offset_bps / BPS, limits.wide_spread_bps / BPS
        self._offset_text = f"{self._terms.sign} {digits(limits.max_offset_bps)} bps"
        self._part, self._last_part = self._part_of(pricing.attempt), self._part_of(self._last_attempt)
        self._is_last = pricing.attempt >= self._last_attempt
        self._rule = f"mid {{mid}} {self._terms.sign} {digits(round(self._part, 4))} × spread {{spread}}"
        self._rule_and_worst = f"{self._rule}; {{worst}} in the last of {self._last_attempt + 1} attempts"
        styles = {
            LimitStyle.OFF: self._at_touch,
            LimitStyle.STATIC_BPS: self._static,
            LimitStyle.SPREAD_AWARE: self._spread_aware,
        }
        self._style = styles[limits.effective_style] if self._order_type is LMT else self._market_order

    def limit(self, ticks: Ticks, verdict: Verdict) -> Limit:
        """How to price an order: type, limit, worst price, and the rule as text.

        A limit order's worst price is the limit of its last attempt. An order that goes as MKT has the far touch moved
        by `max_offset_bps` to the costly side: ask 100.01 and 10 bps give 100.12. Modes that send no orders fall back
        on the price that values the holding when a quote has no usable market. The warnings are one text that starts
        with the symbol.

        Raises MarketDataMissing naming the symbol. In modes that send orders: no usable NBBO (for MKT no far
        touch), or a stale quote with `stale_action = refuse`. In every mode: no price at all, or none above 0
        on the tick grid.
        """
        market, is_stale = verdict.nbbo, verdict.is_stale
        limit = self._style(ticks, market) if market and not is_stale else self._of_poor_quote(ticks, verdict)
        if limit.worst_price <= ZERO:
            raise MarketDataMissing(
                f"{verdict.quote.symbol}: {limit.how} leaves no price above 0 on the tick grid",
                next_step="check the quote in TWS, or take the symbol out of the plan",
            )
        warnings = _warnings(verdict, limit, self._pricing)
        return limit._replace(warning=f"{verdict.quote.symbol}: {'; '.join(warnings)}") if warnings else limit

    def _of_poor_quote(self, ticks: Ticks, verdict: Verdict) -> Limit:
        """The limit for a quote that is stale or has no usable market, where the mode and the settings allow one."""
        market = verdict.nbbo
        if self._pricing.sends_orders:
            self._refuse(verdict)
        if market is None:
            return self._estimate(ticks, verdict)
        is_aware = self._limits.effective_style is LimitStyle.SPREAD_AWARE and self._order_type is LMT
        if is_aware and self._limits.stale_action is StaleAction.ESCALATE:
            return self._escalated(ticks, market, "stale quote counts as wide")
        return self._style(ticks, market)

    def _part_of(self, attempt: int) -> Decimal:
        """The part of the spread that an attempt goes from mid: by equal steps from the setting to one half."""
        limits = self._limits
        first = limits.buy_offset_frac if self._terms.side is Side.BUY else limits.sell_offset_frac
        return first + (HALF - first) * attempt / self._last_attempt if attempt else first

    def _market_order(self, ticks: Ticks, market: Nbbo) -> Limit:
        return self._as_market(ticks, market, "market order")

    def _at_touch(self, ticks: Ticks, market: Nbbo) -> Limit:
        """The far touch; where a feed sends one between two ticks, the tick inside the NBBO."""
        far = market[self._terms.far]
        return self._at(self._terms.passive_tick(ticks, far), market, self._touch_text(far))

    def _static(self, ticks: Ticks, market: Nbbo) -> Limit:
        """Mid moved by `max_offset_bps`, at most at the far touch."""
        return self._at(*self._most(ticks, market, is_capped=self._limits.use_ask_bid_cap))

    def _spread_aware(self, ticks: Ticks, market: Nbbo) -> Limit:
        """Mid moved by a part of the spread, which becomes half of it with the last attempt.

        At most as far as `_static`. Bid 99.95, ask 100.05 and a part of a quarter: BUY at 100.025, on ticks of a
        cent at 100.02, for a tie goes to the passive side.
        """
        mid, spread, limits, terms = market.mid, market.ask - market.bid, self._limits, self._terms
        if spread > self._wide * mid:
            text = f"spread {market.spread_bps:.1f} bps is wide (over {digits(limits.wide_spread_bps)})"
            return self._escalated(ticks, market, text)
        most = terms.costlier(mid, mid * self._offset)
        if limits.use_ask_bid_cap:
            most = terms.passive_of(most, market[terms.far])
        price = nearest_tick(terms.side, ticks, terms.costlier(mid, self._part * spread))
        # the price lies on the grid, so that being within `most` it is also within the tick before
        is_free = not terms.is_beyond(price, most)
        if is_free and self._is_last:
            return new_limit(Limit, LMT, price, price, market, self._rule)
        rule = self._rule
        if not is_free:
            price, _, rule = self._most(ticks, market, is_capped=limits.use_ask_bid_cap)
        final = nearest_tick(terms.side, ticks, terms.costlier(mid, self._last_part * spread))
        if terms.is_beyond(final, most):
            final = self._most(ticks, market, is_capped=limits.use_ask_bid_cap)[0]
        # a part above one half shrinks to it, so that the last attempt need not be the costliest
        if self._is_last or not terms.is_beyond(final, price):
            return new_limit(Limit, LMT, price, price, market, rule)
        rule = (
            self._rule_and_worst
            if is_free
            else f"{rule}; {digits(final)} in the last of {self._last_attempt + 1} attempts"
        )
        return new_limit(Limit, LMT, price, final, market, rule)

    def _escalated(self, ticks: Ticks, market: Nbbo, why: str) -> Limit:
        """What `escalate_action` makes of a wide spread."""
        action = self._limits.escalate_action
        if action is EscalateAction.MARKET:
            return self._as_market(ticks, market, f"{why}: market order")
        if action is EscalateAction.CROSS:
            crossed = self._at_touch(ticks, market)
            return crossed._replace(rule=f"{why}: crossed, {crossed.how}")
        # use_ask_bid_cap is about the other rules: keep means inside the NBBO
        kept = self._at(*self._most(ticks, market, is_capped=True))
        return kept._replace(rule=f"{why}: kept at {kept.how}")

    def _most(self, ticks: Ticks, market: Nbbo, *, is_capped: bool) -> tuple[Decimal, Nbbo, str]:
        """As far as any limit goes, and why: `max_offset_bps` from mid, where it `is_capped` at most the far touch."""
        terms, mid, far = self._terms, market.mid, market[self._terms.far]
        bound = terms.passive_tick(ticks, self._moved(mid))
        price = terms.passive_of(bound, terms.passive_tick(ticks, far)) if is_capped else bound
        text = f"mid {digits(mid)} {self._offset_text}" if price == bound else self._touch_text(far)
        return price, market, text

    def _at(self, price: Decimal, market: Nbbo, how: str) -> Limit:
        return Limit(LMT, price, price, market, how)

    def _as_market(self, ticks: Ticks, market: Nbbo, how: str) -> Limit:
        far = market[self._terms.far]
        text = f"{how}, counted at {self._touch_text(far)} {self._offset_text}"
        return Limit(MKT, None, self._beyond(ticks, far), market, text)

    def _estimate(self, ticks: Ticks, verdict: Verdict) -> Limit:
        """A limit without a market, for modes that send no orders: the far touch if there is one, else the price.

        Either is moved by `max_offset_bps` to the costly side.
        """
        base, name = verdict.sides[self._terms.far], self._terms.far_name
        if base is None:
            if verdict.price is None:
                raise MarketDataMissing(
                    f"{verdict.quote.symbol}: no usable market ({verdict.why_no_nbbo}) and no other price",
                    next_step=_how_to_be_quoted(
                        verdict, "check the symbol and the market data subscription, or run again when it is quoted"
                    ),
                )
            base, name = verdict.price.value, verdict.price.source.value
        worst, order_type = self._beyond(ticks, base), self._order_type
        how = f"estimated, {name} {digits(base)} {self._offset_text}"
        return Limit(order_type, None if order_type is MKT else worst, worst, None, how)

    def _beyond(self, ticks: Ticks, price: Decimal) -> Decimal:
        """`price` moved by `max_offset_bps` to the costly side, and on to the next tick there."""
        return self._terms.costly_tick(ticks, self._moved(price))

    def _moved(self, price: Decimal) -> Decimal:
        """`price` moved by `max_offset_bps` to the costly side."""
        return self._terms.costlier(price, price * self._limits.max_offset_bps / BPS)

    def _touch_text(self, far: Decimal) -> str:
        return f"{self._terms.far_name} {digits(far)}"

    def _refuse(self, verdict: Verdict) -> None:
        """Raise MarketDataMissing for a quote that no order may be priced from."""
        goes_anyway = self._order_type is MKT and verdict.sides[self._terms.far] is not None
        if verdict.why_no_nbbo and not goes_anyway:
            raise MarketDataMissing(
                f"{verdict.quote.symbol}: no usable market, {verdict.why_no_nbbo}",
                next_step=_how_to_be_quoted(verdict, "run again when bid and ask are quoted"),
            )
        if verdict.is_stale and self._pricing.settings.limits.stale_action is StaleAction.REFUSE:
            raise MarketDataMissing(
                f"{verdict.quote.symbol}: {_age_text(verdict.quote, self._pricing)}",
                next_step="run again with fresh quotes, or set [limits] stale_action = escalate",
            )


def _how_to_be_quoted(verdict: Verdict, otherwise: str) -> str:
    refusal = verdict.quote.refusal
    return refusal.next_step if refusal else otherwise


def _warnings(verdict: Verdict, limit: Limit, pricing: Pricing) -> list[str]:
    """What a person should know of the quote before approving an order at about the mid, or without one the limit."""
    warnings, quote, market = [], verdict.quote, limit.market
    if market is None:
        warnings.append(f"no usable market ({verdict.why_no_nbbo}), the limit is an estimate")
    if verdict.is_stale:
        warnings.append(_age_text(quote, pricing))
    if not verdict.is_live:
        warnings.append(f"{quote.data_type.value.replace('_', ' ')} quote, not live")
    close = quote.previous_close
    if close is not None and close > ZERO:
        price = market.mid if market else limit.worst_price
        if abs(price - close) > FAR_FROM_CLOSE * close:
            warnings.append(f"price {digits(price)} is more than 10 % from the previous close {digits(close)}")
    return warnings


def _age_text(quote: Quote, pricing: Pricing) -> str:
    age, limit = pricing.now - quote.taken_at, pricing.settings.limits.stale_after
    return f"stale quote, {age_text(age)} old (limit {limit.total_seconds():g} s)"
