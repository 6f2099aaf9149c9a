"""Sell quantities: one line at a time, from what is held.

In: the drift lines that want less than nothing (USD), shares held, price (USD per share). Out: a draft for each, its
quantity in shares, and its limit where it trades. Why one at a time: sells share no money, so that nothing is
gained by looking at them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.model import DriftLine, LimitedBy, Side
from core.money import ZERO, ceil_to, floor_to, nearest_to_low
from core.planning.drafts import TradeDraft, TradingTerms, new_draft, note_for
from core.settings import RebalanceSection

SELL = Side.SELL


def size_sells(drifts: Iterable[DriftLine], terms: TradingTerms, *, rounds_up: bool) -> tuple[TradeDraft, ...]:
    """A draft for each of `drifts`, which are all to be sold, also those of which nothing can be.

    Only lines that trade are priced, so a missing quote stops nothing that would not trade.
    """
    return tuple([_sell(drift, terms, rounds_up=rounds_up) for drift in drifts])


def _sell(drift: DriftLine, terms: TradingTerms, *, rounds_up: bool) -> TradeDraft:
    step = terms.step(drift.symbol)
    quantity, remainder, limited_by = sell_quantity(drift, step, terms.rebalance, rounds_up=rounds_up)
    limit, note = None, ""
    if quantity:
        limit = terms.limit(SELL, drift.symbol)
    else:
        limited_by = limited_by or LimitedBy.ROUNDING
    if limited_by:
        note = _note(limited_by, quantity, drift, step, terms.rebalance)
    return new_draft(TradeDraft, drift, SELL, quantity, limit, limited_by, note, remainder, step)


def sell_quantity(
    drift: DriftLine, step: Decimal, rebalance: RebalanceSection, *, rounds_up: bool
) -> tuple[Decimal, Decimal, LimitedBy | None]:
    """(shares to sell, shares that an exit cannot sell, what made it fewer than wanted).

    The quantity nearest to the wanted dollars, a tie toward fewer: 250 USD at 100.00 sells 2 shares, for two leave
    50 USD too much and three sell what may be needed tomorrow. `rounds_up` (a USD debit that may not stay) sells the
    next step above instead: 3 shares. Never more than is held; an exit (target 0) sells all of that, and is then
    exempt from `min_order_usd`, below which any other line is dropped: a remainder of a few dollars could otherwise
    never be sold.
    """
    price, is_exit = drift.price.value, not drift.target
    sellable = floor_to(drift.held, step)
    remainder = drift.held - sellable if is_exit else ZERO
    if is_exit:
        quantity = sellable
    else:
        shares = -drift.wanted / price
        quantity = ceil_to(shares, step) if rounds_up else nearest_to_low(shares, step)
    limited_by, most_usd = None, rebalance.max_order_usd
    if quantity > sellable:
        quantity, limited_by = sellable, LimitedBy.HELD
    if most_usd is not None and quantity * price > most_usd:
        quantity, limited_by = floor_to(most_usd / price, step), LimitedBy.MAXIMUM
    # an exit that max_order_usd holds back is no exit yet, and the minimum is kept
    sells_all = is_exit and quantity == sellable
    if quantity * price < rebalance.min_order_usd and not sells_all:
        # what the maximum cut was worth the minimum before, which is the smaller of the two
        return ZERO, remainder, LimitedBy.MAXIMUM if limited_by is LimitedBy.MAXIMUM else LimitedBy.MINIMUM
    return quantity, remainder, limited_by


def _note(
    limited_by: LimitedBy, quantity: Decimal, drift: DriftLine, step: Decimal, rebalance: RebalanceSection
) -> str:
    if not floor_to(drift.held, step):
        return "not traded: fractions of a share may not be traded"
    return note_for(limited_by, quantity, nearest_to_low(-drift.wanted / drift.price.value, step), rebalance)
