"""What each line may do in one round of the search, and which of it can be part of a better plan.

Money has a price: the drift that its last unit removes. At that price every move has a loss, and a
line a move with the least. What all lines lose, and what the unspent money could have done, is the gap
to the best that any choice of moves could reach; a move that alone loses more than the gap is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core.planning.sizing.items import RATE_BITS, Basket

GOOD_ENOUGH = 1000  # a gap below a thousandth of Σ|drift| is not worth a search


class Effort(NamedTuple):
    """How far and how long one round searches.

    A line may move by `reach` times the dearest step; its first `dense` moves are one step apart, then two,
    four and so on. All lines together may give back `span` times the dearest step. `pairs` of a state
    and a move are looked at.
    """

    pairs: int
    reach: int
    dense: int
    span: int


class Away(NamedTuple):
    """How far a line may leave its scaled size: by `reach` (units), downwards by `most_down` steps if not None."""

    reach: int
    most_down: int | None = None


class Marginal(NamedTuple):
    """Where a round starts: unspent money (units), and the drift that a unit of money removes (2⁻⁴⁰)."""

    left: int
    rate: int

    def loss(self, cost: int, drift: int) -> int:
        """What a change of cost and of drift loses, in 2⁻⁴⁰ units; negative is a gain."""
        return (drift << RATE_BITS) + self.rate * cost


class Move(NamedTuple):
    """To `steps` of a line: what that loses, and how it changes cost and drift (units)."""

    loss: int
    cost: int
    drift: int
    steps: int


class LineMoves(NamedTuple):
    """A line's moves, staying among them; `best` is their least loss, `cheapest` their least cost."""

    number: int
    moves: Sequence[Move]
    best: int
    cheapest: int


def useful_lines(basket: Basket, lines: Iterable[LineMoves], margin: Marginal, drift: int) -> list[LineMoves]:
    """The lines and moves that a plan with less than `drift` may use; none when the gap is small against it."""
    lines = list(lines)
    gap = margin.loss(margin.left, 0) - sum(line.best for line in lines)
    if gap * GOOD_ENOUGH <= drift << RATE_BITS:
        return []
    useful = []
    for number, moves, best, _ in lines:
        able = [move for move in moves if move.loss - best < gap]
        if len(able) > 1 or able[0].cost:
            useful.append(LineMoves(number, able, best, min(move.cost for move in able)))
    return sorted(useful, key=lambda line: (len(line.moves), -basket.items[line.number].worst, line.number))


def moves_of(basket: Basket, margin: Marginal, number: int, now: int, allowed: range, dense: int) -> LineMoves:
    """Every move of a line from `now` steps to some of the `allowed` ones."""
    item, cost, drift = basket.items[number], basket.cost_of(number, now), basket.items[number].drift(now)
    moves = []
    for steps in _stops(now, allowed, item.least, dense):
        more_cost, more_drift = basket.cost_of(number, steps) - cost, item.drift(steps) - drift
        moves.append(Move(margin.loss(more_cost, more_drift), more_cost, more_drift, steps))
    return LineMoves(number, moves, min(move.loss for move in moves), min(move.cost for move in moves))


def allowed_steps(basket: Basket, number: int, base: int, away: Away) -> range:
    """Steps that a line may move to from its scaled size `base`, never to a small order."""
    item = basket.items[number]
    far = 1 + away.reach // item.worst
    down = far if away.most_down is None else min(far, away.most_down)
    fewest = item.least if base and item.can_be_small else 0
    return range(max(base - down, fewest), min(base + far, item.cap) + 1)


def _stops(now: int, allowed: range, least: int, dense: int) -> list[int]:
    stops = {now, allowed[0], allowed[-1]}
    middle, away, stride = max(now, least), 0, 1
    while middle - away in allowed or middle + away in allowed:
        stops.update(steps for steps in (middle - away, middle + away) if steps in allowed)
        away += stride
        if away > dense * stride:
            stride *= 2
    return sorted(steps for steps in stops if steps >= least or not steps)
