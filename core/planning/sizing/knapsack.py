"""What the whole shares left over, spent so that Σ|drift| becomes as small as the money allows.

A greedy start, from the scaled steps or from the lines that lose least by their worst prices, then a few
rounds of a bounded search around it, each wider than the one before. Up to a hundred lines that comes within
a hundredth of the optimum, most often within a few thousandths; with more, one share is so small against
Σ|drift| that the search is over soon.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.planning.sizing.greedy import by_worth, fill
from core.planning.sizing.items import Basket
from core.planning.sizing.moves import Away, Effort, Marginal, allowed_steps, moves_of, useful_lines
from core.planning.sizing.search import best_moves

ROUNDS = (
    Effort(pairs=20_000, reach=4, dense=3, span=2),
    Effort(pairs=20_000, reach=4, dense=3, span=2),
    Effort(pairs=20_000, reach=4, dense=16, span=2),
    Effort(pairs=20_000, reach=8, dense=16, span=8),
    Effort(pairs=60_000, reach=20, dense=30, span=16),
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
    rate = max(growing)
    lines = _at_the_margin(basket, steps, rate)
    for effort in ROUNDS:
        margin = Marginal(basket.left(steps), rate)
        away = _away(basket, effort)
        moves = (
            moves_of(basket, margin, line, steps[line], allowed_steps(basket, line, base[line], away), effort.dense)
            for line in lines
        )
        useful = useful_lines(basket, moves, margin, basket.drift(steps))
        if not useful:
            break
        keep = max(FEWEST_STATES, effort.pairs // sum(len(line.moves) for line in useful))
        for line, q in best_moves(useful, margin, keep=keep, span=effort.span * basket.dearest):
            steps[line] = q
        steps = fill(basket, steps, lines)
    return steps


def _start(basket: Basket, base: Sequence[int]) -> tuple[Sequence[int], list[int]]:
    """Where the search begins: the scaled steps, or those by worth where that leaves less drift; bare and filled up.

    When the money covers the goals at their prices, only worst prices take it away, and the lines that lose most
    by theirs are the ones to give up steps. When it does not, every line goes without alike.
    """
    lines = range(len(basket.items))
    scaled = base, fill(basket, base, lines)
    if sum(item.floor * item.price for item in basket.items) > basket.money:
        return scaled
    richest = by_worth(basket)
    return min(scaled, (richest, fill(basket, richest, lines)), key=lambda start: basket.drift(start[1]))


def _away(basket: Basket, effort: Effort) -> Away:
    """How far a line may leave its scaled size: when little money is missing, by all of that.

    When much is missing, what a line gives up would go to others at hardly any less drift: one step is the most.
    """
    missing = -basket.left(item.floor for item in basket.items)
    if SHORT_OF_MONEY * missing > basket.money:
        return Away(ROUNDS[0].reach * basket.dearest, most_down=1)
    return Away(max(effort.reach * basket.dearest, missing))


def _at_the_margin(basket: Basket, steps: Sequence[int], rate: int) -> list[int]:
    """The lines worth searching: those whose next step (or last, at the cap) is nearest to the price of money."""
    lines = [line for line, item in enumerate(basket.items) if item.cap]
    if len(lines) <= MOST_LINES:
        return lines

    def distance(line: int) -> tuple[int, int]:
        item = basket.items[line]
        return abs(item.worth_of_next(min(steps[line], item.cap - 1)) - rate), line

    return sorted(sorted(lines, key=distance)[:MOST_LINES])
