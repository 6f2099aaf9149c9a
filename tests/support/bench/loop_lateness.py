"""How late a run's event loop is for others while it connects, imports, checks, trades and reports.

A whole paper run of the demo in a process of its own, over the simulated gateway, which shares its loop; with a
server up, so that no waiting for one counts as time in which the loop was free.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles

from bench.figures import Figure

MOST_MS = 50
EVERY_SECONDS = 0.001
IDLE_SECONDS = 2.0


def measure(folder: Path, environment: Mapping[str, str]) -> tuple[Figure, ...]:
    """The figures of one run in a folder with the demo's files."""
    child = {**environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=child)
    found = json.loads(done.stdout.splitlines()[-1])
    return (
        Figure("event loop in a paper run: a timer's delay, p99, ms", found["p99"], MOST_MS),
        Figure("the same in an idle loop, ms", found["idle p99"]),
        Figure("the longest delay in the run, ms", found["longest"]),
    )


def main() -> None:
    """Run, and print the figures as one line of JSON."""
    sys.stdout.write(json.dumps(asyncio.run(_measured())) + "\n")


async def _measured() -> dict[str, float]:
    # imported before there is a loop, as by everyone who starts a run
    from flows.rebalance import rebalance  # noqa: PLC0415

    idle = await _delays(asyncio.sleep(IDLE_SECONDS))
    run = await _delays(
        rebalance(
            "portfolios.csv",
            "settings.ini",
            mode="paper",
            broker="simulated",
            overrides={"safety.require_confirm": False},
        )
    )
    return {"p99": quantiles(run, n=100)[98], "idle p99": quantiles(idle, n=100)[98], "longest": max(run)}


async def _delays(work) -> list[float]:
    """By how many ms each tick of a timer comes late while `work` is done."""
    delays: list[float] = []
    ticking = asyncio.create_task(_tick(delays))
    await work
    ticking.cancel()
    return delays


async def _tick(delays: list[float]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        delays.append((clock() - due) * 1000)


if __name__ == "__main__":
    main()
