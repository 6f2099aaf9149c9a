"""Clocks shared by client and venue: the time, and every wait for it, come from the clock.

A running clock follows the computer's, from any start and at any speed. An autojump clock stands still while any task
works, and jumps to the next timer when all of them wait, so that a rehearsal over a real socket waits for nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

# An answer passes through a socket, a future and some tasks, each a turn of the event loop, before a task waits again.
QUIET_ROUNDS = 25
# When one side has stopped, bytes may never arrive: real seconds after which that counts as quiet all the same.
STUCK_SECONDS = 2.0


class Timer(Protocol):
    """A callback that is due at some time."""

    def cancel(self) -> None:
        """Cancel it; without effect once it has been called."""
        ...


class Clock(Protocol):
    """Time, aware and in UTC, and every way to wait for it."""

    def now(self) -> datetime: ...

    def call_at(self, at: datetime, callback: Callable[[], None]) -> Timer:
        """Call `callback` at that time, whether any task waits or not; a time in the past means at once."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds of this clock have passed."""
        ...

    async def within(self, seconds: float, awaitable: Awaitable[T]) -> T:
        """The awaitable's result; when so many seconds pass first, it is cancelled and TimeoutError raised."""
        ...


class RunningClock:
    """The computer's clock, or one that began at `start` when it was made and runs `speed` times as fast."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self._is_wall_clock = start is None and speed == 1.0
        self._start = (start or datetime.now(UTC)).astimezone(UTC)
        self._speed = speed
        self._began = time.monotonic()
        self._shift = timedelta(0)

    def now(self) -> datetime:
        if self._is_wall_clock:
            return datetime.now(UTC) + self._shift
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed) + self._shift

    def set(self, to: datetime) -> None:
        """Set the time to `to`; waits that have begun last as long as before."""
        self._shift += to - self.now()

    def call_at(self, at: datetime, callback: Callable[[], None]) -> Timer:
        seconds = max((at - self.now()).total_seconds(), 0.0)
        return asyncio.get_running_loop().call_later(seconds / self._speed, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)

    async def within(self, seconds: float, awaitable: Awaitable[T]) -> T:
        # not wait_for: it loses a cancellation that comes at the same moment as the answer; the run would go on trading
        async with asyncio.timeout(max(seconds, 0.0) / self._speed):
            return await awaitable


@dataclass(order=True, slots=True)
class _JumpTimer:
    """A timer, ordered by time, then by number; it `drives` the clock if a task waits for it."""

    at: datetime
    number: int
    callback: Callable[[], None] = field(compare=False)
    drives: bool = field(compare=False)
    is_over: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_over = True


class AutojumpClock:
    """A clock that moves only while a task waits for it and nothing else is going on.

    `is_quiet` is whether no bytes are between the two sides of any connection. A wait by `sleep` or `within` drives the
    clock: it jumps from timer to timer, whoever set them, and before each jump it lets everything finish that the last
    one started. `call_at` alone moves nothing, as a real market does not hurry because an order is due.
    """

    def __init__(self, start: datetime, is_quiet: Callable[[], bool] = lambda: True) -> None:
        self.is_quiet = is_quiet
        self._now = start.astimezone(UTC)
        self._timers: list[_JumpTimer] = []
        self._made = 0
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        return self._now

    def call_at(self, at: datetime, callback: Callable[[], None]) -> Timer:
        return self._set(at, callback, drives=False)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self._wait_until(seconds, woken)
        try:
            await woken
        finally:
            timer.cancel()

    async def within(self, seconds: float, awaitable: Awaitable[T]) -> T:
        woken = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(awaitable)
        timer = self._wait_until(seconds, woken)
        try:
            await asyncio.wait((task, woken), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            timer.cancel()
            await discard(task)
        raise TimeoutError(f"{seconds:g} s passed")

    def _wait_until(self, seconds: float, woken: asyncio.Future[None]) -> Timer:
        at = self._now + timedelta(seconds=max(seconds, 0.0))
        timer = self._set(at, lambda: None if woken.done() else woken.set_result(None), drives=True)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.ensure_future(self._drive())
        return timer

    def _set(self, at: datetime, callback: Callable[[], None], *, drives: bool) -> _JumpTimer:
        self._made += 1
        entry = _JumpTimer(max(at, self._now), self._made, callback, drives)
        heapq.heappush(self._timers, entry)
        return entry

    async def _drive(self) -> None:
        """Jump from timer to timer for as long as a task waits for one."""
        while self._is_driven():
            await self._wait_until_quiet()
            if self._is_driven():
                self._jump()

    def _is_driven(self) -> bool:
        self._timers = [entry for entry in self._timers if not entry.is_over]
        heapq.heapify(self._timers)
        return any(entry.drives for entry in self._timers)

    def _jump(self) -> None:
        entry = heapq.heappop(self._timers)
        entry.is_over = True
        self._now = max(self._now, entry.at)
        try:
            entry.callback()
        except Exception as error:  # noqa: BLE001 - reported as the event loop reports its own timers', and time goes on
            asyncio.get_running_loop().call_exception_handler({"message": "in a timer", "exception": error})

    async def _wait_until_quiet(self) -> None:
        quiet, stuck_at = 0, time.monotonic() + STUCK_SECONDS
        while quiet < QUIET_ROUNDS:
            is_quiet = self.is_quiet() or time.monotonic() > stuck_at
            quiet = quiet + 1 if is_quiet else 0
            await asyncio.sleep(0)


async def discard(task: asyncio.Future[Any]) -> None:
    """Cancel a task that is no longer awaited, and retrieve its error, which asyncio would report as unhandled."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
