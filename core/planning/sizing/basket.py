"""Buy lines as whole numbers, so that the search for the best quantities is exact and quick.

Dollars are counted in units of 10⁻¹⁰ USD and quantities in steps (one share, or 0.0001 share). Costs
are rounded up and money down, so no rounding here can spend more than there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from core.model import LimitedBy

UNITS_PER_USD = Decimal(10**10)
RATE_BITS = 40


class Item(NamedTuple):
    """One line: `price` and `worst` are units per step, `goal` the wanted units (at most those of the maximum).

    `cap` is the most steps it may get and `limited_by` what keeps that below the nearest; `floor` ≤ cap ≤ floor + 1
    are the whole steps below the goal; `least` ≥ 1 the fewest steps that are worth the minimum order.
    """

    price: int
    worst: int
    goal: int
    cap: int
    floor: int
    least: int
    limited_by: LimitedBy | None

    def drift(self, steps: int) -> int:
        """Distance of so many steps from the goal, in units."""
        return abs(self.goal - steps * self.price)

    def worth_of_next(self, steps: int) -> int:
        """Drift that the next steps remove per unit of their cost, in 2⁻⁴⁰; falls as the line grows."""
        after = self.next_above(steps)
        return (self.drift(steps) - self.drift(after) << RATE_BITS) // (self.worst * (after - steps))

    def next_above(self, steps: int) -> int:
        """The fewest steps above `steps` that are worth the minimum order."""
        return max(steps + 1, self.least)

    @property
    def can_be_small(self) -> bool:
        """Whether there are quantities above 0 but below the minimum order, which it may not end on."""
        return 1 < self.least <= self.cap

    def dropped(self) -> Item:
        """The same line, which now buys nothing because it would be below the minimum."""
        return self._replace(goal=0, cap=0, floor=0, limited_by=LimitedBy.MINIMUM)


@dataclass(frozen=True, slots=True)
class Basket:
    """All lines, in order of symbol, and the `money` they share; `minimum` and `commission` are per order (units)."""

    items: Sequence[Item]
    money: int
    minimum: int
    commission: int

    def cost_of(self, line: int, steps: int) -> int:
        """What `steps` of a line cost at worst; nothing costs nothing."""
        return steps * self.items[line].worst + self.commission if steps else 0

    def cost(self, steps: Iterable[int]) -> int:
        """What the steps of all lines cost at worst."""
        commission = self.commission
        return sum([q * item.worst + commission for q, item in zip(steps, self.items, strict=True) if q])

    def left(self, steps: Iterable[int]) -> int:
        """Money that is left when the steps of all lines are paid; negative when it is not enough."""
        return self.money - self.cost(steps)

    def drift(self, steps: Iterable[int]) -> int:
        """Σ|drift| of all lines, in units."""
        return sum([item.drift(q) for q, item in zip(steps, self.items, strict=True)])

    @property
    def dearest(self) -> int:
        """The highest cost of one step, of the lines that may buy."""
        return max(item.worst for item in self.items if item.cap)

    def without(self, lines: Iterable[int]) -> Basket:
        """The basket with these lines dropped for being below the minimum."""
        items = list(self.items)
        for line in lines:
            items[line] = items[line].dropped()
        return replace(self, items=items)


def units_down(usd: Decimal) -> int:
    """`usd` in units, rounded toward zero."""
    return int(usd * UNITS_PER_USD)


def units_up(usd: Decimal) -> int:
    """`usd` ≥ 0 in units, rounded up."""
    return int((usd * UNITS_PER_USD).to_integral_value(ROUND_CEILING))
