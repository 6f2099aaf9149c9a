"""`rebalance gateway`: a simulated IB Gateway on its own, for any client that speaks to a real one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.clock import RunningClock
from core.errors import UsageError
from core.scenario import read_market, read_scenario
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.venue.sessions import xnys_hours
from core.sim.venue.world import World
from deployments.terminal import print_progress
from tasks.app.brokers import DEMO_MARKET, WireLog


@dataclass(frozen=True, slots=True)
class GatewayWorld:
    """Whose accounts and market: a scenario's, those of the market files, or the demo's; and where the log goes."""

    scenario: Path | None = None
    markets: Sequence[Path] = ()
    log: Path | None = None

    def worlds(self) -> tuple[World, ...]:
        """A world for each account. Raises UsageError for a file that is missing or not understood, or one too many."""
        if self.scenario and self.markets:
            raise UsageError("--scenario and --market cannot be combined", next_step="name one of them")
        if self.scenario:
            return (read_scenario(self.scenario).world,)
        now = datetime.now(UTC)
        return tuple(read_market(path, now=now) for path in self.markets or (DEMO_MARKET,))


def serve_gateway(port: int, served: GatewayWorld) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises UsageError, also when the port is taken."""
    first, *others = served.worlds()
    options = GatewayOptions(
        hours_around=xnys_hours,
        on_kill_switch=lambda: print_progress(
            "the scenario engages a kill switch, which this gateway by itself does not have"
        ),
        on_log=None if served.log is None else WireLog(served.log),
    )
    try:
        gateway = SimulatedGateway.of(first, RunningClock(first.as_of), options, others=others)
    except ValueError as error:
        raise UsageError(
            f"the --market files do not fit together: {error}",
            next_step="give each an account of its own, and all the same as_of and the same quote of a symbol",
        ) from error
    asyncio.run(_serve(gateway, port))


async def _serve(gateway: SimulatedGateway, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    try:
        found = await gateway.start(port)
    except OSError as error:
        raise UsageError(
            f"port {port} is not free: {os.strerror(error.errno or 0).lower()}",
            next_step="choose another --port, or 0 for a free one",
        ) from error
    print(f"ready 127.0.0.1:{found}", flush=True)  # noqa: T201 - what a program waits for
    print_progress("a simulated IB Gateway; Ctrl-C stops it")
    try:
        await stopped.wait()
    finally:
        await gateway.stop()
    gateway.check()
