"""Too little money for everything: the common factor, and the lines that become too small to trade.

A line with goal g and price p gets floor(f × g / p) steps at the factor f. What that costs is a step
function of f, so the largest factor that fits lies at one of its jumps k × p / g. It is bracketed by
probes, each a pass over the lines, until few jumps are left between; those are sorted and tried in
order. All of it is in integers, so a goal of exactly k shares at f = 1 gets k of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from core.sizing.items import Basket, Item

GRID_BITS = 64


def scale(basket: Basket) -> tuple[Basket, list[int]]:
    """The basket, its lines that are too small to trade dropped, and steps for each that the money is enough for.

    A line bought at all is worth the minimum or more. Steps are the whole ones below the scaled goal, and
    one more where that lifts a line to the minimum.
    """
    steps = largest_fit(basket)
    if not _short(basket, steps):
        return basket, steps
    kept, steps = lift_or_drop(without_small(basket))
    # what the dropped lines free goes to all others alike, unless that makes yet another one too small
    again, fairer = lift_or_drop(kept)
    return kept, fairer if again is kept else steps


def largest_fit(basket: Basket) -> list[int]:
    """Steps of each line at the largest factor ≤ 1 at which all together cost no more than the money."""
    low, high = [0] * len(basket.items), [item.floor for item in basket.items]
    spare, missing = basket.money, -basket.left(high)
    if missing <= 0:
        return high
    least, most, probes = 0, 1 << GRID_BITS, 0
    while sum(high) - sum(low) > 2 * len(low):
        probes += 1
        # a straight line between the two ends is a good guess, but may creep along one of them
        gap = (most - least) * spare // (spare + missing) if probes % 3 else (most - least) // 2
        factor = least + max(1, min(gap, most - least - 1))
        steps = [(factor * item.goal >> GRID_BITS) // item.price for item in basket.items]
        left = basket.left(steps)
        if left >= 0:
            least, low, spare = factor, steps, left
        else:
            most, high, missing = factor, steps, -left
    return _climb(basket, low, high)


def _climb(basket: Basket, low: list[int], high: list[int]) -> list[int]:
    """From `low` toward `high`, jump by jump of the factor, as long as the money is enough."""
    # two different fractions of such size are further apart than one unit of the key
    shift = 2 * max(item.goal for item in basket.items).bit_length()
    jumps = sorted(
        ((k * item.price << shift) // item.goal, line)
        for line, item in enumerate(basket.items)
        for k in range(low[line] + 1, high[line] + 1)
    )
    steps, left = list(low), basket.left(low)
    for _, together in groupby(jumps, key=itemgetter(0)):
        lines = [line for _, line in together]
        left -= sum(basket.cost_of(line, steps[line] + 1) - basket.cost_of(line, steps[line]) for line in lines)
        if left < 0:
            break
        for line in lines:
            steps[line] += 1
    return steps


def without_small(basket: Basket) -> Basket:
    """The basket without the lines whose scaled goal is below the minimum, once the money they free is counted.

    Dropping the smallest line raises the factor for the others, and the next smallest needs a lower one:
    once enough are dropped, more would be enough too. So their number is found by bisection.
    """
    items = basket.items
    small = _smallest_first(items, (line for line, item in enumerate(items) if item.can_be_small))

    def is_enough(drops: int) -> bool:
        kept = basket.without(small[:drops])
        goal = max(items[small[drops]].goal, basket.minimum)
        return kept.left(basket.minimum * item.goal // (goal * item.price) for item in kept.items) >= 0

    return basket.without(small[: bisect_left(range(len(small)), x=True, key=is_enough)])


def lift_or_drop(basket: Basket) -> tuple[Basket, list[int]]:
    """The scaled steps, no line short: the largest short lines get one step more, the smallest go and pay for that.

    One step is enough where the scaled goal itself is above the minimum, as `without_small` leaves it.
    """
    steps = largest_fit(basket)
    left, dropped = basket.left(steps), []
    short = deque(_smallest_first(basket.items, _short(basket, steps)))
    while short:
        largest = short[-1]
        price = basket.cost_of(largest, steps[largest] + 1) - basket.cost_of(largest, steps[largest])
        if price <= left:
            steps[short.pop()] += 1
            left -= price
        else:
            dropped.append(smallest := short.popleft())
            left += basket.cost_of(smallest, steps[smallest])
            steps[smallest] = 0
    return basket.without(dropped) if dropped else basket, steps


def _short(basket: Basket, steps: list[int]) -> list[int]:
    """Lines that are below the minimum order but need not be."""
    return [
        line
        for line, (item, q) in enumerate(zip(basket.items, steps, strict=True))
        if q < item.least and item.can_be_small
    ]


def _smallest_first(items: Sequence[Item], lines: Iterable[int]) -> list[int]:
    return sorted(lines, key=lambda line: (items[line].goal, line))
