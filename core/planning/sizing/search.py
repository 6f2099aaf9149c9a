"""The best choice of one move per line: a multiple-choice knapsack, solved with a bounded number of states.

A state is a choice of moves for the first lines. Of two states the one that costs no less and drifts
no less is dropped, and so is one that can no longer become better than staying. Where too many are
left, each stretch of cost keeps the one that loses least, so the work is bounded and its order fixed.
The lines are divided into two halves, whose states are joined at the best pair: that makes n × n plans of n + n.

Money has a price: the drift that its last unit removes. At that price every move has a loss, and a
line a move with the least. What all lines lose, and what the unspent money could have done, is the gap
to the best that any choice of moves could reach; a move that alone loses more than the gap is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core.planning.sizing.basket import RATE_BITS, Basket

GOOD_ENOUGH = 1000  # a gap below a thousandth of Σ|drift| is not worth a search
State = tuple[int, int, int, int]  # change of cost and of drift; its number in the layer before, and its move


class SearchEffort(NamedTuple):
    """How far and how long one round searches.

    A line may move by `reach` times the dearest step; its first `dense` moves are one step apart, then two,
    four and so on. All lines together may give back `span` times the dearest step. `pairs` of a state
    and a move are looked at.
    """

    pairs: int
    reach: int
    dense: int
    span: int


class Reach(NamedTuple):
    """How far a line may leave its scaled size: by so many `units`, downwards by `most_down` steps if not None."""

    units: int
    most_down: int | None = None


class SpareMoney(NamedTuple):
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


class SearchBounds(NamedTuple):
    """What a state must keep to, so that the lines still to come may make it a better plan."""

    low: int
    high: int
    loss: int


def best_moves(lines: Sequence[LineMoves], spare: SpareMoney, *, keep: int, span: int) -> list[tuple[int, int]]:
    """(line, steps) for every line, where that lowers Σ|drift| within the money; empty when nothing found does.

    At most `keep` states are kept at a time; none gives back more than `span` units.
    """
    halves = lines[0::2], lines[1::2]
    layers = [
        _layers(half, list(_bounds(half, other, spare, span)), spare, keep) for half, other in (halves, halves[::-1])
    ]
    pair = _best_pair(layers[0][-1], layers[1][-1], spare.left)
    if pair is None:
        return []
    return [move for half, layer, last in zip(halves, layers, pair, strict=True) for move in _trace(half, layer, last)]


def _bounds(
    half: Sequence[LineMoves], other: Sequence[LineMoves], spare: SpareMoney, span: int
) -> Iterator[SearchBounds]:
    to_gain, to_free = sum(line.best for line in other), sum(line.cheapest for line in other)
    to_gain, to_free = to_gain + sum(line.best for line in half), to_free + sum(line.cheapest for line in half)
    for line in half:
        to_gain -= line.best
        to_free -= line.cheapest
        yield SearchBounds(-span, spare.left - to_free, spare.loss(spare.left, 0) - to_gain)


def _layers(
    half: Sequence[LineMoves], bounds: Iterable[SearchBounds], spare: SpareMoney, keep: int
) -> list[list[State]]:
    """States after none of the lines, after the first, and so on."""
    layers: list[list[State]] = [[(0, 0, 0, 0)]]
    for line, bound in zip(half, bounds, strict=True):
        grown = sorted(
            (cost + move.cost, drift + move.drift, before, choice)
            for choice, move in enumerate(line.moves)
            for before, (cost, drift, _, _) in enumerate(layers[-1])
        )
        layers.append(_thinned(_undominated(grown, bound, spare.rate), spare, keep))
    return layers


def _undominated(states: Iterable[State], bounds: SearchBounds, rate: int) -> list[State]:
    """Of states in order of cost, those that drift less than every cheaper one."""
    low, high, most_loss = bounds
    kept: list[State] = []
    for state in states:
        cost, drift = state[0], state[1]
        if kept and drift >= kept[-1][1]:
            continue
        if low <= cost <= high and (drift << RATE_BITS) + rate * cost <= most_loss:
            kept.append(state)
    return kept


def _thinned(states: list[State], spare: SpareMoney, keep: int) -> list[State]:
    count = len(states)
    if count <= keep:
        return states
    stretches = (states[count * k // keep : count * (k + 1) // keep] for k in range(keep))
    return [min(stretch, key=lambda state: spare.loss(state[0], state[1])) for stretch in stretches]


def _best_pair(first: Sequence[State], second: Sequence[State], left: int) -> tuple[int, int] | None:
    """Numbers of the two states that together remove most drift for no more than what is `left`."""
    best, pair, j = 0, None, len(second) - 1
    for i, (cost, drift, _, _) in enumerate(first):
        while j >= 0 and cost + second[j][0] > left:
            j -= 1
        if j < 0:
            break
        if drift + second[j][1] < best:
            best, pair = drift + second[j][1], (i, j)
    return pair


def _trace(half: Sequence[LineMoves], layers: Sequence[Sequence[State]], last: int) -> Iterator[tuple[int, int]]:
    for line, layer in zip(reversed(half), reversed(layers), strict=False):
        _, _, before, choice = layer[last]
        yield line.number, line.moves[choice].steps
        last = before


def useful_lines(basket: Basket, lines: Iterable[LineMoves], spare: SpareMoney, drift: int) -> list[LineMoves]:
    """The lines and moves that a plan with less than `drift` may use; none when the gap is small against it."""
    lines = list(lines)
    gap = spare.loss(spare.left, 0) - sum(line.best for line in lines)
    if gap * GOOD_ENOUGH <= drift << RATE_BITS:
        return []
    useful = []
    for number, moves, best, _ in lines:
        able = [move for move in moves if move.loss - best < gap]
        if len(able) > 1 or able[0].cost:
            useful.append(LineMoves(number, able, best, min(move.cost for move in able)))
    return sorted(useful, key=lambda line: (len(line.moves), -basket.items[line.number].worst, line.number))


def moves_of(basket: Basket, spare: SpareMoney, number: int, now: int, allowed: range, dense: int) -> LineMoves:
    """Every move of a line from `now` steps to some of the `allowed` ones."""
    item, cost, drift = basket.items[number], basket.cost_of(number, now), basket.items[number].drift(now)
    moves = []
    for steps in _stops(now, allowed, item.least, dense):
        more_cost, more_drift = basket.cost_of(number, steps) - cost, item.drift(steps) - drift
        moves.append(Move(spare.loss(more_cost, more_drift), more_cost, more_drift, steps))
    return LineMoves(number, moves, min(move.loss for move in moves), min(move.cost for move in moves))


def allowed_steps(basket: Basket, number: int, base: int, reach: Reach) -> range:
    """Steps that a line may move to from its scaled size `base`, never to a small order."""
    item = basket.items[number]
    far = 1 + reach.units // item.worst
    down = far if reach.most_down is None else min(far, reach.most_down)
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
