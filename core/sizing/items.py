"""Buy lines as whole numbers, so that the search for the best quantities is exact and quick.

Dollars are counted in units of 10⁻¹⁰ USD and quantities in steps (one share, or 0.0001 share). Costs
are rounded up and money down, so no rounding here can spend more than there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from core.model import Cut

UNITS_PER_USD = Decimal(10**10)


class Item(NamedTuple):
    """One line: `price` and `worst` are units per step, `goal` the wanted units (after any cut by a maximum).

    `cap` is the most steps it may get and `cut` what keeps that below the nearest; `floor` ≤ cap ≤ floor + 1
    are the whole steps below the goal; `least` ≥ 1 the fewest steps that are worth the minimum order.
    """

    price: int
    worst: int
    goal: int
    cap: int
    floor: int
    least: int
    cut: Cut | None

    def dropped(self) -> Item:
        """The same line, which now buys nothing because it would be below the minimum."""
        return self._replace(goal=0, cap=0, floor=0, cut=Cut.MINIMUM)

    def drift(self, quantity: int) -> int:
        """Distance of `quantity` steps from the goal, in units."""
        return abs(self.goal - quantity * self.price)


def units_down(usd: Decimal) -> int:
    """`usd` in units, rounded toward zero."""
    return int(usd * UNITS_PER_USD)


def units_up(usd: Decimal) -> int:
    """`usd` ≥ 0 in units, rounded up."""
    exact = usd * UNITS_PER_USD
    units = int(exact)
    return units + (units < exact)


def cost(quantity: int, item: Item, commission: int) -> int:
    """What `quantity` steps cost at worst, in units; nothing costs nothing."""
    return quantity * item.worst + commission if quantity else 0


def total_cost(quantities: Iterable[int], items: Iterable[Item], commission: int) -> int:
    """What all lines cost at worst, in units."""
    return sum(q * item.worst + commission for q, item in zip(quantities, items, strict=True) if q)
