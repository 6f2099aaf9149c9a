"""What is still to go wrong or to move in a world, point by point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from core.sim.venue.checks import refusal_of
from core.sim.venue.orders import Refusal
from core.sim.venue.world import Change, FaultKind, Point, World

REFUSALS: Mapping[FaultKind, int] = {
    FaultKind.FRACTIONAL_REFUSED: 10243,
    FaultKind.CONTRACT_NOT_FOUND: 200,
    FaultKind.PACING: 100,
}


class FaultScript:
    """The faults and changes of a world that have not happened yet."""

    def __init__(self, world: World) -> None:
        self._left: Counter[tuple[str, FaultKind]] = Counter()
        for fault in world.faults:
            self._left[fault.at, fault.kind] += fault.times
        self._changes = list(world.changes)

    def trigger(self, at: str) -> tuple[FaultKind, ...]:
        """The kinds of fault that happen at this point now; each then has one time less left."""
        triggered = tuple(kind for kind in FaultKind if self._left[at, kind] > 0)
        for kind in triggered:
            self._left[at, kind] -= 1
        return triggered

    def refuse_reconnects(self, at: str) -> None:
        """Let what is left of a disconnect at `at` refuse the next connections instead."""
        self._left[Point.CONNECT, FaultKind.DISCONNECT] += self._left.pop((at, FaultKind.DISCONNECT), 0)

    def changes(self, at: str) -> tuple[Change, ...]:
        """The next change due at this point: of several, the first the first time, the second the second time."""
        for number, change in enumerate(self._changes):
            if change.at == at:
                del self._changes[number]
                return (change,)
        return ()


def refusal_by(triggered: Sequence[FaultKind]) -> Refusal | None:
    """How an order is refused that meets these faults; None when none of them refuses one."""
    codes = [REFUSALS[kind] for kind in triggered if kind in REFUSALS]
    return refusal_of(codes[0]) if codes else None
