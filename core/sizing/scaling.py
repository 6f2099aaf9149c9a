"""Too little money for everything: the common factor, and the lines that become too small to trade.

A line with goal g and price p gets floor(f × g / p) steps at the factor f. What that costs is a step
function of f, so the largest factor that fits lies at one of its jumps k × p / g. It is bracketed by
probes, each a pass over the lines, until few jumps are left between; those are sorted and tried in
order. All of it is in integers, so a goal of exactly k shares at f = 1 gets k of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from core.sizing.items import Item, cost, total_cost

GRID_BITS = 64


def scale(items: Sequence[Item], money: int, minimum: int, commission: int) -> tuple[Sequence[Item], list[int]]:
    """The lines, those too small to trade dropped, and steps for each that `money` (units) is enough for.

    A line bought at all is worth `minimum` or more. Steps are the whole ones below the scaled goal, and
    one more where that lifts a line to the minimum.
    """
    steps = largest_fit(items, money, commission)
    if not any(_is_short(item, q) for item, q in zip(items, steps, strict=True)):
        return items, steps
    kept = _without_small(items, money, minimum, commission)
    return _lift_or_drop(kept, largest_fit(kept, money, commission), money, commission)


def largest_fit(items: Sequence[Item], money: int, commission: int) -> list[int]:
    """Steps of each line at the largest factor ≤ 1 at which all together cost no more than `money` (units)."""
    low, high = [0] * len(items), [item.floor for item in items]
    spent, needed = 0, total_cost(high, items, commission)
    if needed <= money:
        return high
    least, most, probes = 0, 1 << GRID_BITS, 0
    while sum(high) - sum(low) > 2 * len(items):
        probes += 1
        # a straight line between the two ends is a good guess, but may creep along one of them
        gap = (most - least) * (money - spent) // (needed - spent) if probes % 3 else (most - least) // 2
        factor = least + max(1, min(gap, most - least - 1))
        steps = _steps_at(factor, items)
        paid = total_cost(steps, items, commission)
        if paid <= money:
            least, low, spent = factor, steps, paid
        else:
            most, high, needed = factor, steps, paid
    return _climb(items, low, high, money - spent, commission)


def _steps_at(factor: int, items: Sequence[Item]) -> list[int]:
    """Whole steps of each line at `factor` / 2⁶⁴ of its goal."""
    return [(factor * item.goal >> GRID_BITS) // item.price for item in items]


def _climb(items: Sequence[Item], low: list[int], high: list[int], left: int, commission: int) -> list[int]:
    """From `low` toward `high`, jump by jump of the factor, until the next jump costs more than what is `left`."""
    # two different fractions with such denominators are further apart than one unit of the key
    shift = 2 * max(item.goal for item in items).bit_length()
    jumps = sorted(
        ((k * item.price << shift) // item.goal, i)
        for i, item in enumerate(items)
        for k in range(low[i] + 1, high[i] + 1)
    )
    steps = list(low)
    for _, together in groupby(jumps, key=itemgetter(0)):
        lines = [i for _, i in together]
        left -= sum(items[i].worst + (0 if steps[i] else commission) for i in lines)
        if left < 0:
            break
        for i in lines:
            steps[i] += 1
    return steps


def _is_short(item: Item, steps: int) -> bool:
    """Whether the line could be worth the minimum but is not; one share worth it is never short."""
    return steps < item.least and 1 < item.least <= item.cap


def _without_small(items: Sequence[Item], money: int, minimum: int, commission: int) -> list[Item]:
    """The lines without those whose scaled goal is below the minimum, once the money they free is counted.

    Dropping the smallest line raises the factor for the others and the next smallest needs a lower one,
    so "enough are dropped" is monotone in their number and found by bisection.
    """
    by_size = sorted(
        (i for i, item in enumerate(items) if 1 < item.least <= item.cap), key=lambda i: (items[i].goal, i)
    )

    def is_enough(drops: int) -> bool:
        if drops == len(by_size):
            return True
        kept = _drop(items, by_size[:drops])
        goal = max(items[by_size[drops]].goal, minimum)
        steps = [minimum * item.goal // (goal * item.price) for item in kept]
        return total_cost(steps, kept, commission) <= money

    return _drop(items, by_size[: bisect_left(range(len(by_size)), x=True, key=is_enough)])


def _smallest_first(items: Sequence[Item], lines: list[int]) -> list[int]:
    return sorted(lines, key=lambda i: (items[i].goal, i))


def _drop(items: Sequence[Item], lines: Sequence[int]) -> list[Item]:
    kept = list(items)
    for i in lines:
        kept[i] = kept[i].dropped()
    return kept


def _lift_or_drop(items: list[Item], steps: list[int], money: int, commission: int) -> tuple[list[Item], list[int]]:
    """Every short line is less than one step from the minimum: the largest get it, the smallest pay for that."""
    left = money - total_cost(steps, items, commission)
    short = deque(_smallest_first(items, [i for i, item in enumerate(items) if _is_short(item, steps[i])]))
    while short:
        largest, smallest = short[-1], short[0]
        if items[largest].worst <= left:
            steps[largest] += 1
            left -= items[largest].worst
            short.pop()
        else:
            left += cost(steps[smallest], items[smallest], commission)
            items[smallest], steps[smallest] = items[smallest].dropped(), 0
            short.popleft()
    return items, steps
