"""Too little money for everything: the common factor, and the lines that become too small to trade.

A line with goal g and price p gets floor(f × g / p) steps at the factor f. What that costs is a step
function of f, so the largest factor that fits lies at one of its jumps k × p / g. It is bracketed by
probes, each a pass over the lines, until few jumps are left between; those are sorted and tried in
order. All of it is in integers, so a goal of exactly k shares at f = 1 gets k of them.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from core.planning.sizing.basket import Basket

GRID_BITS = 64
ONE_BY_ONE = 20_000  # lines × lines that are too small, up to which each is dropped by itself
BATCHES = 8


class Fit(NamedTuple):
    """Steps of each line at the largest factor that fits, and a factor (in 2⁻⁶⁴) not above it."""

    steps: list[int]
    factor: int


class Scaled(NamedTuple):
    """Steps of each line, and the lines that were dropped because they would be below the minimum."""

    steps: list[int]
    dropped: frozenset[int]


def scale(basket: Basket) -> Scaled:
    """Whole steps below the scaled goals, at the largest common factor that fits; no line is below the minimum.

    The line worth least goes first, and what it frees lets the factor rise for the others before the next is
    looked at. Where very many are too small they go in a few batches instead, each no larger than must be by the
    order of what they are worth now: the order may change while they go, but not by much.
    """
    kept, fit, dropped, batches = basket, largest_fit(basket), set[int](), 0
    while short := _short(kept, fit.steps):
        if len(short) * len(basket.items) <= ONE_BY_ONE:
            short = short[:1]
        elif batches < BATCHES:
            short, batches = short[: _enough(kept, short)], batches + 1
        dropped.update(short)
        kept = kept.without(short)
        fit = largest_fit(kept, fit.factor)
    return Scaled(fit.steps, frozenset(dropped))


def _short(basket: Basket, steps: list[int]) -> list[int]:
    """Lines that are below the minimum order, the one worth least first."""
    lines = [
        line
        for line, (item, q) in enumerate(zip(basket.items, steps, strict=True))
        if q < item.least and item.can_be_small
    ]
    return sorted(lines, key=lambda line: (steps[line] * basket.items[line].price, line))


def _enough(basket: Basket, short: list[int]) -> int:
    """How many of the `short` lines, in their order, must go before the next of them is worth the minimum."""

    def is_enough(drops: int) -> bool:
        if drops == len(short):
            return True
        kept, next_up = basket.without(short[:drops]), basket.items[short[drops]]
        # the factor at which that line gets its least steps, as a fraction
        worth, goal = next_up.least * next_up.price, next_up.goal
        return worth <= goal and kept.left(worth * item.goal // (goal * item.price) for item in kept.items) >= 0

    return 1 + bisect_left(range(1, len(short) + 1), x=True, key=is_enough)


def largest_fit(basket: Basket, known: int = 0) -> Fit:
    """Steps of each line at the largest factor ≤ 1 at which all together cost no more than the money.

    `known` is a factor that fits, in 2⁻⁶⁴.
    """
    high = [item.floor for item in basket.items]
    missing = -basket.left(high)
    if missing <= 0:
        return Fit(high, 1 << GRID_BITS)
    least, most, probes = known, 1 << GRID_BITS, 0
    low = _steps_at(basket, least)
    spare = basket.left(low)
    while sum(high) - sum(low) > 2 * len(low):
        probes += 1
        # a straight line between the two ends is a good guess, but may creep along one of them
        gap = (most - least) * spare // (spare + missing) if probes % 3 else (most - least) // 2
        factor = least + max(1, min(gap, most - least - 1))
        steps = _steps_at(basket, factor)
        left = basket.left(steps)
        if left >= 0:
            least, low, spare = factor, steps, left
        else:
            most, high, missing = factor, steps, -left
    return Fit(_climb(basket, low, high), least)


def _steps_at(basket: Basket, factor: int) -> list[int]:
    return [(factor * item.goal >> GRID_BITS) // item.price for item in basket.items]


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
