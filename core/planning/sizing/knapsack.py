"""What the whole shares left over, spent so that Σ|drift| becomes as small as the money allows.

A greedy start, from the scaled steps or from the lines that lose least by their worst prices, then a few
rounds of a bounded search around it, each wider than the one before. Up to a hundred lines that comes within
a hundredth of the optimum, most often within a few thousandths; with more, one share is so small against
Σ|drift| that the search is over soon.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.planning.sizing.basket import Basket
from core.planning.sizing.search import (
    Reach,
    SearchEffort,
    SpareMoney,
    allowed_steps,
    best_moves,
    moves_of,
    useful_lines,
)

ROUNDS = (
    SearchEffort(pairs=20_000, reach=4, dense=3, span=2),
    SearchEffort(pairs=20_000, reach=4, dense=3, span=2),
    SearchEffort(pairs=20_000, reach=4, dense=16, span=2),
    SearchEffort(pairs=20_000, reach=8, dense=16, span=8),
    SearchEffort(pairs=60_000, reach=20, dense=30, span=16),
)
SHORT_OF_MONEY = 20  # missing more than a 20th: the lines stay near their scaled sizes
MOST_LINES = 120
FEWEST_STATES = 8


def spend(basket: Basket, base: Sequence[int]) -> list[int]:
    """Steps of each line that the money is enough for, near `base`, with no more drift than it."""
    base, steps = _start(basket, base)
    growing = [item.worth_of_next(q) for item, q in zip(basket.items, steps, strict=True) if q < item.cap]
    if not growing:
        return steps
    # what the best next step would remove per unit of money: no choice of steps can do better
    rate = max(growing)
    lines = _at_the_margin(basket, steps, rate)
    for effort in ROUNDS:
        spare = SpareMoney(basket.left(steps), rate)
        reach = _reach(basket, effort)
        moves = (
            moves_of(basket, spare, line, steps[line], allowed_steps(basket, line, base[line], reach), effort.dense)
            for line in lines
        )
        useful = useful_lines(basket, moves, spare, basket.drift(steps))
        if not useful:
            break
        keep = max(FEWEST_STATES, effort.pairs // sum(len(line.moves) for line in useful))
        for line, q in best_moves(useful, spare, keep=keep, span=effort.span * basket.dearest):
            steps[line] = q
        steps = _fill(basket, steps, lines)
    return steps


def _start(basket: Basket, base: Sequence[int]) -> tuple[Sequence[int], list[int]]:
    """Where the search begins: the scaled steps, or those by worth where that leaves less drift; bare and filled up.

    When the money covers the goals at their prices, only worst prices take it away, and the lines that lose most
    by theirs are the ones to give up steps. When it does not, every line goes without alike.
    """
    lines = range(len(basket.items))
    scaled = base, _fill(basket, base, lines)
    if sum(item.floor * item.price for item in basket.items) > basket.money:
        return scaled
    richest = _by_worth(basket)
    return min(scaled, (richest, _fill(basket, richest, lines)), key=lambda start: basket.drift(start[1]))


def _reach(basket: Basket, effort: SearchEffort) -> Reach:
    """How far a line may leave its scaled size: when little money is missing, by all of that.

    When much is missing, what a line gives up would go to others at hardly any less drift: one step is the most.
    """
    missing = -basket.left(item.floor for item in basket.items)
    if SHORT_OF_MONEY * missing > basket.money:
        return Reach(ROUNDS[0].reach * basket.dearest, most_down=1)
    return Reach(max(effort.reach * basket.dearest, missing))


def _at_the_margin(basket: Basket, steps: Sequence[int], rate: int) -> list[int]:
    """The lines worth searching: those whose next step (or last, at the cap) is nearest to the price of money."""
    lines = [line for line, item in enumerate(basket.items) if item.cap]
    if len(lines) <= MOST_LINES:
        return lines

    def distance(line: int) -> tuple[int, int]:
        item = basket.items[line]
        return abs(item.worth_of_next(min(steps[line], item.cap - 1)) - rate), line

    return sorted(sorted(lines, key=distance)[:MOST_LINES])


def _fill(basket: Basket, base: Sequence[int], lines: Iterable[int]) -> list[int]:
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
            wanted = min(steps[line] + most, item.cap, fits)
            if wanted >= item.least:
                steps[line] = max(steps[line], wanted)
            left += paid - basket.cost_of(line, steps[line])
    return steps


def _by_worth(basket: Basket) -> list[int]:
    """The whole steps below the goals, line by line, those first whose worst price is nearest to their price."""
    items, left = basket.items, basket.money
    steps = [0] * len(items)
    for line in sorted(range(len(items)), key=lambda line: (-items[line].worth_of_next(0), line)):
        fits = min(items[line].floor, max(0, left - basket.commission) // items[line].worst)
        if fits >= items[line].least:
            steps[line] = fits
            left -= basket.cost_of(line, fits)
    return steps
