"""The faults and changes of a world that are still to come, by the points of a run.

A fault that no message at its point can show waits for the next that can: a refused fraction for the next order,
stale quotes for the next read of quotes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.model import Symbol
from core.sim.venue.checks import refusal_of
from core.sim.venue.orders import Refusal
from core.sim.venue.world import ORDER_POINT, Change, FaultKind, Point, World

REFUSALS: Mapping[FaultKind, int] = {
    FaultKind.FRACTIONAL_REFUSED: 10243,
    FaultKind.CONTRACT_NOT_FOUND: 200,
    FaultKind.PACING: 100,
}
CONNECTING = (FaultKind.DISCONNECT, FaultKind.PACING)
STALE_BY = timedelta(hours=1)  # by how much FaultKind.STALE makes the quotes of a read older


class FaultScript:
    """The faults and changes of a world that have not happened yet."""

    def __init__(self, world: World) -> None:
        self._left: Counter[tuple[str, FaultKind]] = Counter()
        for fault in world.faults:
            self._left[fault.at, fault.kind] += fault.times
        self._changes = list(world.changes)

    def trigger(self, at: str) -> tuple[FaultKind, ...]:
        """The kinds of fault that happen at this point now; each then has one time less left."""
        # in the order of the enum, whatever their order in the scenario
        triggered = tuple(kind for kind in FaultKind if self._left[at, kind] > 0)
        for kind in triggered:
            self._left[at, kind] -= 1
        return triggered

    def refuse_reconnects(self, at: str) -> None:
        """Refuse the next connections for the remaining times of a disconnect at `at`."""
        self._left[Point.CONNECT, FaultKind.DISCONNECT] += self._left.pop((at, FaultKind.DISCONNECT), 0)

    def changes(self, at: str) -> tuple[Change, ...]:
        """The next change due at this point: of several, the first the first time, the second the second time."""
        for number, change in enumerate(self._changes):
            if change.at == at:
                del self._changes[number]
                return (change,)
        return ()


@dataclass(frozen=True, slots=True)
class ReadFault:
    """What becomes of a read: the connection breaks, or an error with this code answers it; 0: neither."""

    breaks: bool = False
    code: int = 0


class ScriptedFaults:
    """The script, and the faults that wait for the next read or order."""

    def __init__(self, script: FaultScript, on_kill_switch: Callable[[], None]) -> None:
        self._script = script
        self._on_kill_switch = on_kill_switch
        self._armed: list[FaultKind] = []

    def at_connect(self) -> ReadFault:
        """What becomes of a new connection; other faults scripted there wait for a read or an order."""
        triggered = self._trigger(Point.CONNECT)
        self._armed += [kind for kind in triggered if kind not in CONNECTING]
        return _read_fault([kind for kind in triggered if kind in CONNECTING])

    def at_read(self, point: Point) -> ReadFault:
        """What becomes of a read at this point; if nothing does, the faults scripted there wait for the next."""
        triggered = self._trigger(point) + self.take(FaultKind.PACING, FaultKind.CONTRACT_NOT_FOUND)
        fault = _read_fault(triggered)
        if fault == ReadFault():
            self._armed += triggered
        return fault

    def at_order(self, symbol: Symbol) -> tuple[Refusal | None, bool]:
        """Why an order is refused, if it is, and whether the connection breaks once it has arrived."""
        point = f"{ORDER_POINT}{symbol}"
        triggered = self._trigger(point) + self.take(FaultKind.FRACTIONAL_REFUSED)
        breaks = FaultKind.DISCONNECT in triggered
        if breaks:
            self._script.refuse_reconnects(point)
        else:
            self._armed += [kind for kind in triggered if kind is FaultKind.STALE]
        return refusal_by(triggered), breaks

    def at_point(self, point: str) -> tuple[tuple[Change, ...], bool]:
        """The change at a point of the run, if any, and whether the connections break."""
        changes = self._script.changes(point)
        triggered = self._trigger(point)
        breaks = FaultKind.DISCONNECT in triggered
        if breaks:
            self._script.refuse_reconnects(point)
        self._armed += [kind for kind in triggered if kind is not FaultKind.DISCONNECT]
        return changes, breaks

    def take(self, *kinds: FaultKind) -> tuple[FaultKind, ...]:
        """Those of the kinds that are waiting, each of which is then used up once."""
        taken = tuple(kind for kind in kinds if kind in self._armed)
        for kind in taken:
            self._armed.remove(kind)
        return taken

    def _trigger(self, point: str) -> tuple[FaultKind, ...]:
        triggered = self._script.trigger(point)
        if FaultKind.KILL_SWITCH in triggered:
            self._on_kill_switch()
        return tuple(kind for kind in triggered if kind is not FaultKind.KILL_SWITCH)


def refusal_by(triggered: Sequence[FaultKind]) -> Refusal | None:
    """How an order is refused that meets these faults; None when none of them refuses one."""
    codes = [REFUSALS[kind] for kind in triggered if kind in REFUSALS]
    return refusal_of(codes[0]) if codes else None


def _read_fault(triggered: Sequence[FaultKind]) -> ReadFault:
    if FaultKind.DISCONNECT in triggered:
        return ReadFault(breaks=True)
    codes = [REFUSALS[kind] for kind in (FaultKind.PACING, FaultKind.CONTRACT_NOT_FOUND) if kind in triggered]
    return ReadFault(code=codes[0]) if codes else ReadFault()
