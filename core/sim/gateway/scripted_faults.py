"""The faults that a world scripts, at the messages that stand for the points of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.model import Symbol
from core.sim.venue.orders import Refusal
from core.sim.venue.script import REFUSALS, FaultScript, refusal_by
from core.sim.venue.world import ORDER_POINT, Change, FaultKind, Point

CONNECTING = (FaultKind.DISCONNECT, FaultKind.PACING)


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
        """How the world moves at a point of the run, and whether the connections break."""
        changes = self._script.changes(point)
        triggered = self._trigger(point)
        breaks = FaultKind.DISCONNECT in triggered
        if breaks:
            self._script.refuse_reconnects(point)
        self._armed += [kind for kind in triggered if kind is not FaultKind.DISCONNECT]
        return changes, breaks

    def take(self, *kinds: FaultKind) -> tuple[FaultKind, ...]:
        """Those of the kinds that wait; each then waits once less."""
        taken = tuple(kind for kind in kinds if kind in self._armed)
        for kind in taken:
            self._armed.remove(kind)
        return taken

    def _trigger(self, point: str) -> tuple[FaultKind, ...]:
        triggered = self._script.trigger(point)
        if FaultKind.KILL_SWITCH in triggered:
            self._on_kill_switch()
        return tuple(kind for kind in triggered if kind is not FaultKind.KILL_SWITCH)


def _read_fault(triggered: Sequence[FaultKind]) -> ReadFault:
    if FaultKind.DISCONNECT in triggered:
        return ReadFault(breaks=True)
    codes = [REFUSALS[kind] for kind in (FaultKind.PACING, FaultKind.CONTRACT_NOT_FOUND) if kind in triggered]
    return ReadFault(code=codes[0]) if codes else ReadFault()
