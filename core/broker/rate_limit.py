"""The one gate that every message to the gateway passes: in order, and never more in a second than allowed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from core.clock import Clock
from core.pacing import SECOND, MessageWindow

# how late a waker may come and catch up; without it each wait's overshoot would cost throughput
CATCH_UP = timedelta(milliseconds=25)
# what leaves 50 times in a second can arrive 51 times within one
SAFE_RATE = 48
# nothing that we sent can make the next message wait for longer
LONGEST_WAIT = timedelta(seconds=10)


class Pace:
    """Turns to send one message each, first come, first served, `messages_per_second` at most and never above 48.

    They are spread over the second: a second's worth sent at once could arrive, after one slow moment of the gateway,
    within the same second as the next.
    """

    def __init__(self, clock: Clock, messages_per_second: int) -> None:
        self._clock = clock
        self._limit = min(messages_per_second, SAFE_RATE)
        self._window = MessageWindow(self._limit)
        self._gap = SECOND / self._limit
        self._next: datetime | None = None
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Return when one more message may leave; it counts as sent."""
        async with self._queue:
            while (wait := self._free_at() - self._clock.now()) > timedelta(0):
                if wait > LONGEST_WAIT:
                    self.begin_again()  # the computer's time was put back
                    continue
                await self._clock.sleep(wait.total_seconds())
            self.spend()

    def begin_again(self) -> None:
        """Wait a second before the next message: the clock was set, and what left within the last one is unsure."""
        self._next = None
        self._window = MessageWindow(self._limit)
        self.spend(self._limit)

    def spend(self, messages: int = 1) -> None:
        """Count messages that leave now."""
        now = self._clock.now()
        for _ in range(messages):
            due = self._next
            # after a rest there is nothing to catch up with
            self._next = (now if due is None or now - due > CATCH_UP else due) + self._gap
            self._window.spend(max(now, self._window.free_at(now)))

    def _free_at(self) -> datetime:
        now = self._clock.now()
        return max(self._window.free_at(now), self._next or now)
