"""Sell quantities: one line at a time, from what is held."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from core.model import LimitedBy, Symbol
from core.money import WHOLE_SHARE, ZERO, ceil_to, floor_to, nearest_to_low


class SellWant(NamedTuple):
    """What one line would sell.

    `wanted` > 0 is USD at `price` (USD per share); `held` shares. `is_exit` says that the target is 0.
    `most_usd` is the largest order allowed, None without a limit. `step` is 1 or 0.0001 shares.
    """

    symbol: Symbol
    wanted: Decimal
    price: Decimal
    held: Decimal
    is_exit: bool
    most_usd: Decimal | None = None
    step: Decimal = WHOLE_SHARE


class SizedSell(NamedTuple):
    """Shares to sell, 0 for none; `cut` is what made it smaller. `rest` < 1 step is what an exit cannot sell."""

    symbol: Symbol
    quantity: Decimal
    remainder: Decimal
    limited_by: LimitedBy | None


def size_sell(want: SellWant, *, rounds_up: bool, min_order_usd: Decimal) -> SizedSell:
    """The quantity nearest to the wanted dollars, a tie toward fewer: 250 USD at 100.00 sells 2 shares.

    `rounds_up` (a USD debit that may not stay) sells the next step above instead: 3 shares. Never more
    than is held; an exit sells all of that, and is then exempt from `min_order_usd`, below which any
    other line is dropped.
    """
    sellable = floor_to(want.held, want.step)
    remainder = want.held - sellable if want.is_exit else ZERO
    quantity, limited_by = _within_limits(want, _nearest(want, rounds_up=rounds_up), sellable)
    sells_all = want.is_exit and quantity == sellable
    if quantity * want.price < min_order_usd and not sells_all:
        return SizedSell(want.symbol, ZERO, remainder, LimitedBy.MINIMUM)
    return SizedSell(want.symbol, quantity, remainder, limited_by)


def _nearest(want: SellWant, *, rounds_up: bool) -> Decimal:
    if want.is_exit:
        return floor_to(want.held, want.step)
    shares = want.wanted / want.price
    return ceil_to(shares, want.step) if rounds_up else nearest_to_low(shares, want.step)


def _within_limits(want: SellWant, quantity: Decimal, sellable: Decimal) -> tuple[Decimal, LimitedBy | None]:
    limited_by = None
    if quantity > sellable:
        quantity, limited_by = sellable, LimitedBy.HELD
    if want.most_usd is not None and quantity * want.price > want.most_usd:
        quantity, limited_by = floor_to(want.most_usd / want.price, want.step), LimitedBy.MAXIMUM
    return quantity, limited_by
