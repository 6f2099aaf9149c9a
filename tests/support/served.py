"""A gateway on a loop and a clock of its own, in a thread, for clients that cannot share a loop with it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from threading import Thread

from core.clock import RunningClock
from core.sim.gateway import SimulatedGateway

DEADLINE_SECONDS = 20.0


class Served:
    """A running gateway; `call` lets a function of it run where it lives."""

    def __init__(self, world, options=None, speed=1.0, others=()):
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        clock = RunningClock(world.as_of, speed)
        self.gateway = self.call(lambda: SimulatedGateway.of(world, clock, options, others=others))
        self.port = self.wait(self.gateway.start())

    def wait(self, coroutine):
        """What the coroutine gives, run in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_SECONDS)

    def call(self, function):
        """What the function gives, called in the gateway's loop."""

        async def run():
            return function()

        return self.wait(run())

    def stop(self):
        """Raises what the gateway did wrong, once it is down."""
        try:
            self.wait(self.gateway.stop())
            self.call(self.gateway.check)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(DEADLINE_SECONDS)
            self.loop.close()


@contextmanager
def served(world, options=None, speed=1.0, others=()):
    """A gateway that serves this world, and the accounts of `others`, checked at the end."""
    running = Served(world, options, speed, others)
    try:
        yield running
    finally:
        running.stop()
