"""The tick grid of a contract: the multiples of the increment that is valid at the price itself.

The grid is anchored at 0 and each band keeps its own multiples, so with steps of 0.0001 below 1.00 and 0.01 from
there, the price above 0.9999 is 1.00 and the next 1.01.
"""

from __future__ import annotations

from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

from core.model import Side, TickBand
from core.money import ceil_to, floor_to

Ticks = tuple[TickBand, ...]

TIE = {Side.BUY: ROUND_HALF_DOWN, Side.SELL: ROUND_HALF_UP}
"""How a tie is rounded, of prices above 0: to the passive side."""


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
    low_edge, increment = ticks[-1].low_edge, ticks[-1].increment
    if price >= low_edge + increment:
        # in the highest band, and not next to its edge: both neighbours are multiples of one increment
        return (price / increment).to_integral_value(TIE[side]) * increment
    below = floor_tick(ticks, price)
    if below == price:
        return below
    above = ceil_tick(ticks, price)
    to_below, to_above = price - below, above - price
    if to_below == to_above:
        return below if side is Side.BUY else above
    return below if to_below < to_above else above


def _band(ticks: Ticks, price: Decimal) -> int:
    # from the top: most prices lie in the highest band
    at = len(ticks) - 1
    while at and ticks[at].low_edge > price:
        at -= 1
    return at
