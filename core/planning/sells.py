"""The sell stage: how many shares of each overweight symbol."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.model import DriftLine, LimitedBy, Side, SizingRules
from core.money import ZERO, floor_to, nearest_to_low
from core.planning.funding import Proceeds
from core.planning.inputs import Draft, PricingRules
from core.planning.notes import note_for
from core.planning.sizing import SellWant, SizedSell, size_sell


def size_sells(drifts: Iterable[DriftLine], pricing: PricingRules, *, rounds_up: bool) -> tuple[Draft, ...]:
    """A draft for every symbol that is to be sold, also those of which nothing can be.

    Only lines that trade are priced, so a missing quote stops nothing that would not trade.
    """
    return tuple(_sell(drift, pricing, rounds_up=rounds_up) for drift in drifts if drift.triggered and drift.wanted < 0)


def proceeds_of(sells: Iterable[Draft], commission: Decimal) -> Proceeds:
    """What the sells bring at their worst prices, and what they cost."""
    traded = [draft for draft in sells if draft.quantity]
    worst = sum((draft.worst_dollars for draft in traded), ZERO)
    value = sum((draft.dollars for draft in traded), ZERO)
    return Proceeds(sells=worst, value=value, commissions=commission * len(traded))


def _sell(drift: DriftLine, pricing: PricingRules, *, rounds_up: bool) -> Draft:
    rules = pricing.sizing
    step = pricing.step(drift.symbol)
    want = SellWant(
        drift.symbol, -drift.wanted, drift.price.value, drift.held, not drift.target, rules.max_order_usd, step
    )
    sized = size_sell(want, rounds_up=rounds_up, min_order_usd=rules.min_order_usd)
    limited_by = sized.limited_by if sized.quantity or sized.limited_by else LimitedBy.ROUNDING
    note = _note(limited_by, sized, want, rules) if limited_by else ""
    limit = pricing.limit(Side.SELL, drift.symbol, drift.price) if sized.quantity else None
    return Draft(drift, Side.SELL, sized.quantity, limit, limited_by, note, sized.remainder)


def _note(limited_by: LimitedBy, sized: SizedSell, want: SellWant, rules: SizingRules) -> str:
    if not floor_to(want.held, want.step):
        return "not traded: fractions of a share may not be traded"
    return note_for(limited_by, sized.quantity, nearest_to_low(want.wanted / want.price, want.step), rules)
