"""Money left over, spent on the steps that remove most drift per dollar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.planning.sizing.items import Basket


def fill(basket: Basket, base: Sequence[int], lines: Iterable[int]) -> list[int]:
    """`base` with more steps in `lines`, until none fits: at most one more each at first, then as many as fit.

    A line of which nothing is bought gets no fewer steps than are worth the minimum order, so most often the others'
    next steps go first.
    """
    steps, left = list(base), basket.left(base)
    growing = [line for line in lines if steps[line] < basket.items[line].cap]
    for most in (1, max((basket.items[line].cap for line in growing), default=0)):
        growing = [line for line in growing if steps[line] < basket.items[line].cap]
        growing.sort(key=lambda line: (-basket.items[line].worth_of_next(steps[line]), line))
        for line in growing:
            item, paid = basket.items[line], basket.cost_of(line, steps[line])
            fits = (left + paid - basket.commission) // item.worst
            wished = min(steps[line] + most, item.cap, fits)
            if wished >= item.least:
                steps[line] = max(steps[line], wished)
            left += paid - basket.cost_of(line, steps[line])
    return steps


def by_worth(basket: Basket) -> list[int]:
    """The whole steps below the goals, line by line, those first whose worst price is nearest to their price."""
    items, left = basket.items, basket.money
    steps = [0] * len(items)
    for line in sorted(range(len(items)), key=lambda line: (-items[line].worth_of_next(0), line)):
        fits = min(items[line].floor, max(0, left - basket.commission) // items[line].worst)
        if fits >= items[line].least:
            steps[line] = fits
            left -= basket.cost_of(line, fits)
    return steps
