"""What a rehearsed broker is told besides the broker port: how far the run has come."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Rehearsed(Protocol):
    """A broker with a script; a real one has none, and a run that meets one says nothing to it."""

    def reach(self, point: str) -> None:
        """The run is at `approval` (just answered), `before_fx`, `before_sells` or `before_buys`.

        What the script holds for that point happens now.
        """
        ...
