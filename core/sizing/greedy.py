"""Money left over, spent on the steps that remove most drift per dollar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.sizing.items import Basket


def fill(basket: Basket, base: Sequence[int], lines: Iterable[int]) -> list[int]:
    """`base` with more steps in `lines`, until none fits: at most one more each at first, then as many as fit."""
    steps, left = list(base), basket.left(base)
    growing = [line for line in lines if steps[line] < basket.items[line].cap]
    for most in (1, max((basket.items[line].cap for line in growing), default=0)):
        growing = [line for line in growing if steps[line] < basket.items[line].cap]
        growing.sort(key=lambda line: (-basket.items[line].worth_of_next(steps[line]), line))
        for line in growing:
            item, paid = basket.items[line], basket.cost_of(line, steps[line])
            fits = (left + paid - basket.commission) // item.worst
            steps[line] = max(steps[line], min(steps[line] + most, item.cap, fits))
            left += paid - basket.cost_of(line, steps[line])
    return steps
