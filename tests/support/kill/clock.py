"""One venue's time for several processes: the gateway's process has it, a client's process asks for it.

A client whose tasks all wait asks for its next timer. The gateway lets its own timers come first, and nothing happens
while bytes are between the two. So waiting takes no time, and the same case takes the same course.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection

from core.broker.ib.client import SocketTraffic
from core.clock import STUCK_SECONDS, AutojumpClock

# each time both sides had a turn to read what the other had written
MANY_REFUSALS = 100


class VenueClock(AutojumpClock):
    """The time of the venue, which moves only when it is told to."""

    def step(self, until: datetime) -> None:
        """Let the next timer that is due until then happen; where there is none, let it be `until`."""
        self._timers = [timer for timer in self._timers if not timer.is_over]
        heapq.heapify(self._timers)
        if self._timers and self._timers[0].at <= until:
            self._jump()
        else:
            self._now = max(self._now, until)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, with everything that is due in them."""
        until = self.now() + timedelta(seconds=seconds)
        while self.now() < until:
            self.step(until)


@dataclass(frozen=True, slots=True)
class NextTimer:
    """A client's wish: be it `until`. `traffic` is what passed its socket; with `is_stuck` that no longer matters."""

    until: datetime | None
    traffic: SocketTraffic | None
    is_stuck: bool = False


class ClientClock(AutojumpClock):
    """The venue's time in a client's process; `traffic` says what has passed the client's socket."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self.traffic: Callable[[], SocketTraffic | None] = lambda: None
        self._busy_since: float | None = None
        self._refusals = 0
        super().__init__(self._ask(None)[0])

    def _jump(self) -> None:
        now, is_quiet = self._ask(self._timers[0].at, is_stuck=self._is_stuck())
        self._now = max(self._now, now)
        if not is_quiet:
            self._busy_since = self._busy_since or time.monotonic()
            self._refusals += 1
            return
        self._busy_since, self._refusals = None, 0
        if self._timers[0].at <= self._now:
            super()._jump()

    def _is_stuck(self) -> bool:
        """Whether what is between the two sides will never arrive; a busy machine alone is no reason."""
        is_long = self._busy_since is not None and time.monotonic() - self._busy_since > STUCK_SECONDS
        return is_long and self._refusals > MANY_REFUSALS

    def _ask(self, until: datetime | None, *, is_stuck: bool = False) -> tuple[datetime, bool]:
        self._channel.send(NextTimer(until, self.traffic(), is_stuck))
        answer: tuple[datetime, bool] = self._channel.recv()
        return answer
