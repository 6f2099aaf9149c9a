"""Buy quantities: all lines together, because they share the money.

The promise is kept at worst prices: if every order fills at its limit and pays its commission, the
money is enough. Within it Σ|wanted − quantity × price| is made as small as a bounded search can.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from core.model import LimitedBy, Symbol
from core.money import WHOLE_SHARE
from core.planning.sizing.items import Basket, Item, units_down, units_up
from core.planning.sizing.knapsack import spend
from core.planning.sizing.scaling import scale


class BuyWant(NamedTuple):
    """What one line would buy.

    `wanted` > 0 is USD; `price` and `worst_price` are USD per share, the second what money is counted
    at. `step` is 1 or 0.0001 shares. `most` is an upper bound in shares (the largest order allowed, or
    the approved quantity), None without one.
    """

    symbol: Symbol
    wanted: Decimal
    price: Decimal
    worst_price: Decimal
    step: Decimal = WHOLE_SHARE
    most: Decimal | None = None


class SizedBuy(NamedTuple):
    """Shares to buy, 0 for none; `cut` is what made it smaller, None when only rounding did."""

    symbol: Symbol
    quantity: Decimal
    limited_by: LimitedBy | None


def size_buys(
    wants: Sequence[BuyWant], money: Decimal, *, min_order_usd: Decimal, commission: Decimal
) -> tuple[SizedBuy, ...]:
    """Quantities in order of symbol, whatever the order of `wants`.

    Σ(quantity × worst price + `commission`) over the lines that buy is never above `money` (USD). No line
    is above the nearest whole share to wanted / price (a half share is not bought; fractions: 4 decimals,
    down) or above its `most`. Too little money scales all wanted dollars by one common factor, the largest
    at which the whole shares below fit, and what is left buys single shares. No line stays below
    `min_order_usd`: 1 000 USD for wanted 600 + 600 + 300 and a minimum of 400 drops the third before
    anything is scaled; of those that the scaling makes too small the one worth least is dropped first.
    """
    ordered = sorted(wants, key=attrgetter("symbol"))
    minimum = units_up(min_order_usd)
    items = [_item(want, minimum) for want in ordered]
    basket = Basket(items, units_down(money), minimum, units_up(commission))
    return tuple(map(_sized, ordered, *_bought(basket)))


def _item(want: BuyWant, minimum: int) -> Item:
    price, goal = units_down(want.price * want.step), units_down(want.wanted)
    floor, over = divmod(goal, price)
    cap, limited_by = floor + (want.step == WHOLE_SHARE and 2 * over > price), None
    if want.most is not None and (most := int(want.most / want.step)) < cap:
        cap, limited_by = most, LimitedBy.MAXIMUM
        goal, floor = min(goal, most * price), min(floor, most)
    least = max(1, -(-minimum // price))
    item = Item(price, units_up(want.worst_price * want.step), goal, cap, floor, least, limited_by)
    return item.dropped() if 0 < cap < least or goal < minimum > cap * price else item


def _bought(basket: Basket) -> tuple[Sequence[Item], Sequence[int]]:
    """The lines, those without a share that became too small marked as such, and the steps of each."""
    caps = [item.cap for item in basket.items]
    if basket.left(caps) >= 0:
        return basket.items, caps
    if basket.money <= 0:
        return basket.items, [0] * len(caps)
    scaled = scale(basket)
    steps = spend(basket, scaled.steps)
    return basket.without(line for line in scaled.dropped if not steps[line]).items, steps


def _sized(want: BuyWant, item: Item, steps: int) -> SizedBuy:
    return SizedBuy(want.symbol, steps * want.step, LimitedBy.MONEY if steps < item.cap else item.limited_by)
