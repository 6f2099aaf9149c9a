"""The best choice of one move per line: a multiple-choice knapsack, solved with a bounded number of states.

A state is a choice of moves for the first lines. Of two states the one that costs no less and drifts
no less is dropped, and so is one that can no longer become better than staying. Where too many are
left, each stretch of cost keeps the one that loses least, so the work is bounded and its order fixed.
The lines are divided into two halves, whose states are joined at the best pair: that makes n × n plans of n + n.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core.planning.sizing.items import RATE_BITS
from core.planning.sizing.moves import LineMoves, Marginal

State = tuple[int, int, int, int]  # change of cost and of drift; its number in the layer before, and its move


class SearchBounds(NamedTuple):
    """What a state must keep to, so that the lines still to come may make it a better plan."""

    low: int
    high: int
    loss: int


def best_moves(lines: Sequence[LineMoves], margin: Marginal, *, keep: int, span: int) -> list[tuple[int, int]]:
    """(line, steps) for every line, where that lowers Σ|drift| within the money; empty when nothing found does.

    At most `keep` states are kept at a time; none gives back more than `span` units.
    """
    halves = lines[0::2], lines[1::2]
    layers = [
        _layers(half, list(_bounds(half, other, margin, span)), margin, keep) for half, other in (halves, halves[::-1])
    ]
    pair = _best_pair(layers[0][-1], layers[1][-1], margin.left)
    if pair is None:
        return []
    return [move for half, layer, last in zip(halves, layers, pair, strict=True) for move in _trace(half, layer, last)]


def _bounds(
    half: Sequence[LineMoves], other: Sequence[LineMoves], margin: Marginal, span: int
) -> Iterator[SearchBounds]:
    to_gain, to_free = sum(line.best for line in other), sum(line.cheapest for line in other)
    to_gain, to_free = to_gain + sum(line.best for line in half), to_free + sum(line.cheapest for line in half)
    for line in half:
        to_gain -= line.best
        to_free -= line.cheapest
        yield SearchBounds(-span, margin.left - to_free, margin.loss(margin.left, 0) - to_gain)


def _layers(
    half: Sequence[LineMoves], bounds: Iterable[SearchBounds], margin: Marginal, keep: int
) -> list[list[State]]:
    """States after none of the lines, after the first, and so on."""
    layers: list[list[State]] = [[(0, 0, 0, 0)]]
    for line, bound in zip(half, bounds, strict=True):
        grown = sorted(
            (cost + move.cost, drift + move.drift, before, choice)
            for choice, move in enumerate(line.moves)
            for before, (cost, drift, _, _) in enumerate(layers[-1])
        )
        layers.append(_thinned(_undominated(grown, bound, margin.rate), margin, keep))
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


def _thinned(states: list[State], margin: Marginal, keep: int) -> list[State]:
    count = len(states)
    if count <= keep:
        return states
    stretches = (states[count * k // keep : count * (k + 1) // keep] for k in range(keep))
    return [min(stretch, key=lambda state: margin.loss(state[0], state[1])) for stretch in stretches]


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
