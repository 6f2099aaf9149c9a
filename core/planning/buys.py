"""The buy stage: what is wanted, and how much of it the money pays for at worst prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from core.model import DriftLine, Limit, LimitedBy, Side, SizingRules, Symbol
from core.money import ONE, WHOLE_SHARE, ZERO, floor_to, nearest_to_low
from core.planning.funding import Budget, BuyCosts
from core.planning.inputs import Draft, PricingRules
from core.planning.notes import note_for
from core.planning.sizing import BuyWant, SizedBuy, size_buys


class Wish(NamedTuple):
    """One buy as wanted, before the money: its `shares` are the nearest whole number to the wanted dollars.

    The upper bound of `want` is by max_order_usd or by what was approved.
    """

    drift: DriftLine
    limit: Limit
    shares: Decimal
    want: BuyWant


@dataclass(frozen=True, slots=True)
class WishList:
    """What is wanted and may be bought, and what dropped out before the money was looked at."""

    wishes: tuple[Wish, ...]
    dropped: tuple[Draft, ...]

    def costs(self, rules: SizingRules) -> BuyCosts:
        """What the limits of borrowing need to know of these buys."""
        slippage = max((ONE - wish.drift.price.value / wish.limit.worst_price for wish in self.wishes), default=ZERO)
        return BuyCosts(len(self.wishes), max(ZERO, slippage), rules.commission_per_order_usd)

    def unlimited_cost(self, rules: SizingRules) -> Decimal:
        """USD for everything wanted, at worst prices."""
        ample = sum((2 * (wish.shares + ONE) * wish.limit.worst_price for wish in self.wishes), ZERO)
        bought = [draft for draft in size_wishes(self, Budget(ample, LimitedBy.MONEY, ZERO), rules) if draft.quantity]
        return sum((draft.worst_dollars for draft in bought), ZERO)


def wish_list(
    drifts: Iterable[DriftLine], pricing: PricingRules, approved: Mapping[Symbol, Decimal] | None = None
) -> WishList:
    """What `drifts` want to buy. With `approved` quantities those are the upper bounds, else max_order_usd is.

    What is too small to trade whatever the money drops out here, before it needs a quote to be priced.
    """
    wishes: list[Wish] = []
    dropped: list[Draft] = []
    for drift in drifts:
        step = pricing.step(drift.symbol)
        shares = _wished(drift, step)
        most = _most(drift, step, pricing.sizing) if approved is None else approved[drift.symbol]
        limited_by = _too_small(drift, shares, most, pricing.sizing)
        if limited_by:
            dropped.append(
                Draft(drift, Side.BUY, limited_by=limited_by, note=note_for(limited_by, ZERO, shares, pricing.sizing))
            )
        else:
            limit = pricing.limit(Side.BUY, drift.symbol, drift.price)
            want = BuyWant(drift.symbol, drift.wanted, drift.price.value, limit.worst_price, step, most)
            wishes.append(Wish(drift, limit, shares, want))
    return WishList(tuple(wishes), tuple(dropped))


def _wished(drift: DriftLine, step: Decimal) -> Decimal:
    shares = max(drift.wanted, ZERO) / drift.price.value
    return nearest_to_low(shares, step) if step == WHOLE_SHARE else floor_to(shares, step)


def _most(drift: DriftLine, step: Decimal, rules: SizingRules) -> Decimal | None:
    return None if rules.max_order_usd is None else floor_to(rules.max_order_usd / drift.price.value, step)


def _too_small(drift: DriftLine, shares: Decimal, most: Decimal | None, rules: SizingRules) -> LimitedBy | None:
    """Why a buy cannot trade however much money there is; None when it can."""
    if not shares:
        return LimitedBy.MINIMUM if ZERO < drift.wanted < rules.min_order_usd else LimitedBy.ROUNDING
    if most is not None and not most:
        return LimitedBy.MAXIMUM
    possible = shares if most is None else min(shares, most)
    return LimitedBy.MINIMUM if possible * drift.price.value < rules.min_order_usd else None


def size_wishes(listed: WishList, budget: Budget, rules: SizingRules) -> tuple[Draft, ...]:
    """A draft for every wish: as many shares as `budget` pays for, at worst prices and with its commissions."""
    if not listed.wishes:
        return ()
    sized = size_buys(
        [wish.want for wish in listed.wishes],
        budget.money,
        min_order_usd=rules.min_order_usd,
        commission=budget.commission,
    )
    return tuple([_draft(wish, buy, budget, rules) for wish, buy in zip(listed.wishes, sized, strict=True)])


def _draft(wish: Wish, buy: SizedBuy, budget: Budget, rules: SizingRules) -> Draft:
    limited_by, note = buy.limited_by, ""
    if limited_by:
        limited_by = budget.limited_by if limited_by is LimitedBy.MONEY else limited_by
        note = note_for(limited_by, buy.quantity, wish.shares, rules)
    return Draft(wish.drift, Side.BUY, buy.quantity, wish.limit if buy.quantity else None, limited_by, note)
