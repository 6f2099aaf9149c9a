"""What the whole shares left over: single shares that bring Σ|drift| as low as the money allows."""

from __future__ import annotations

from collections.abc import Sequence

from core.sizing.items import Item, cost, total_cost


def spend(items: Sequence[Item], base: Sequence[int], money: int, commission: int) -> list[int]:
    """Steps of each line, starting from `base`, that cost no more than `money` (units) at worst."""
    return _greedy(items, base, money - total_cost(base, items, commission), commission)


def _greedy(items: Sequence[Item], base: Sequence[int], left: int, commission: int) -> list[int]:
    """First at most one more step per line, then as many as fit; the step that removes most drift per dollar first."""
    steps = list(base)
    for most in (1, max(item.cap for item in items)):
        open_lines = [i for i, item in enumerate(items) if steps[i] < item.cap]
        open_lines.sort(key=lambda i: (-_worth_of_next(items[i], steps[i]), i))
        for i in open_lines:
            before = cost(steps[i], items[i], commission)
            fits = (left + before - commission) // items[i].worst
            steps[i] = max(steps[i], min(steps[i] + most, items[i].cap, fits))
            left += before - cost(steps[i], items[i], commission)
    return steps


def _worth_of_next(item: Item, steps: int) -> int:
    """Drift that the next step removes per unit of its cost, in 2⁻⁴⁰."""
    return (item.drift(steps) - item.drift(steps + 1) << 40) // item.worst
