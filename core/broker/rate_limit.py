"""The rate limiter that every message to the gateway passes: in order, and never more in a second than allowed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from core.clock import Clock
from core.pacing import SECOND, MessageWindow

# how much overshoot of a wait is made up for; without it every overshoot would cost throughput
CATCH_UP = timedelta(milliseconds=25)
# the gateway counts arrivals: what leaves 50 times in a second can arrive 51 times within one (error 100)
SAFE_RATE = 48
# no more than what was sent in the last second can make a message wait: a longer wait means a clock put back
LONGEST_WAIT = timedelta(seconds=10)


class RateLimiter:
    """Lets one message after the other pass, first come, first served: `messages_per_second`, and 48 at most.

    Messages are spread over the second: a burst of a whole second's worth could arrive, after one slow moment of the
    gateway, within the same second as the next burst.
    """

    def __init__(self, clock: Clock, messages_per_second: int) -> None:
        self._clock = clock
        self._limit = min(messages_per_second, SAFE_RATE)
        self._window = MessageWindow(self._limit)
        self._gap = SECOND / self._limit
        self._next: datetime | None = None
        self._queue = asyncio.Lock()

    async def acquire(self) -> None:
        """Return when one more message may leave; it is counted as sent."""
        async with self._queue:
            while (wait := self._free_at() - self._clock.now()) > timedelta(0):
                if wait > LONGEST_WAIT:
                    self.reset()  # the computer's clock was put back
                    continue
                await self._clock.sleep(wait.total_seconds())
            self.count()

    def reset(self) -> None:
        """Let the next message wait a second: the clock was set, so what left within the last second is unknown."""
        self._next = None
        self._window = MessageWindow(self._limit)
        self.count(self._limit)

    def count(self, messages: int = 1) -> None:
        """Count messages that leave now."""
        now = self._clock.now()
        for _ in range(messages):
            due = self._next
            # after a pause there is nothing to make up for
            self._next = (now if due is None or now - due > CATCH_UP else due) + self._gap
            self._window.spend(max(now, self._window.free_at(now)))

    def _free_at(self) -> datetime:
        now = self._clock.now()
        return max(self._window.free_at(now), self._next or now)
