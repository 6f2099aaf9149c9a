"""A household over five gateways and two workers on PostgreSQL: what an account costs beside what it cannot do without.

REBALANCER_HOUSEHOLD_ACCOUNTS says how many accounts, 10 without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from uuid import UUID

import psutil
from bench.figures import Figure
from household_rig import Rig, executing, household, on_postgresql, work_pool, workers

from core.model.refs import run_id_of

AT_ONCE = 6
# the run of the household has a place too
PLACES = AT_ONCE // 2 + 1
LEAST_BUSY = 0.8
MOST_TIMES_FLOOR = 1.3
LOOK_SECONDS = 0.5
REPEATS = 2
MB = 1024 * 1024
EMPTY = """
import asyncio
import great_expectations
import flows.rebalance
from prefect import flow

@flow
async def empty(): ...

asyncio.run(empty())
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What the workers did at one moment: how many accounts each had at work, and the memory of their processes."""

    accounts: tuple[int, ...]
    run_mb: tuple[float, ...]
    worker_mb: tuple[float, ...]


def measure() -> tuple[Figure, ...]:
    """One household of one account, and then one of all."""
    size = int(os.environ.get("REBALANCER_HOUSEHOLD_ACCOUNTS", "10"))
    with TemporaryDirectory() as name, on_postgresql(Path(name)) as own:
        own.ensure_up()
        folders = [Path(name) / each for each in ("workers", "alone", "together")]
        for folder in folders:
            folder.mkdir()
        with work_pool(own), workers(own, folders[0], PLACES) as both:
            start = min(_seconds_of_nothing(own.client_environment, own.folder) for _ in range(REPEATS))
            with household(own, folders[1], 1, 1, at_once=1) as alone:
                _played(alone, both)
                connected = _connected_seconds(alone)
            with household(own, folders[2], 2, size, at_once=AT_ONCE) as together:
                seconds, looks = _played(together, both)
            server = own.half("server").memory_info().rss / MB
    floor = start + connected
    working = [each for each in looks if any(each.accounts)]
    return (
        Figure("accounts", size),
        Figure("wall time, s", seconds),
        Figure("process with our imports and an empty flow, alone, s", start),
        Figure("one account alone: connected to its gateway, s", connected),
        Figure("seconds per account / the sum of these two", seconds / size / floor, MOST_TIMES_FLOOR),
        Figure("share of time in which a worker has an account", _share_of_workers(working), least=LEAST_BUSY),
        Figure("share of the places that accounts take", _share_of_places(working)),
        Figure("memory of an account's process, most, MB", max(mb for each in looks for mb in each.run_mb)),
        Figure("memory of all runs at once, most, MB", max(sum(each.run_mb) for each in looks)),
        Figure("memory of a worker, most, MB", max(mb for each in looks for mb in each.worker_mb)),
        Figure("memory of the server, MB", server),
    )


def _played(rig: Rig, both: Sequence[psutil.Process]) -> tuple[float, list[Look]]:
    """How long the household took from its first to its last moment, and what was seen meanwhile."""
    run_id = rig.start()
    looks = []
    while not rig.own.state(run_id).is_final():
        looks.append(_look(run_id, both))
        time.sleep(LOOK_SECONDS)
    report = rig.ended(run_id)
    if report["exit_code"] or rig.placed_twice():
        raise RuntimeError(f"{report['reason']}; sent twice: {rig.placed_twice()}")
    with rig.own.client() as client:
        found = client.read_flow_run(run_id)
    return (found.end_time - found.start_time).total_seconds(), looks


def _look(household_run: UUID, both: Sequence[psutil.Process]) -> Look:
    ours = run_id_of(str(household_run))
    runs = [{run: each for run, each in executing(worker).items() if run != ours} for worker in both]
    return Look(
        accounts=tuple(len(each) for each in runs),
        run_mb=tuple(_mb(process) for each in runs for process in each.values()),
        worker_mb=tuple(_mb(worker) for worker in both),
    )


def _mb(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / MB
    except psutil.NoSuchProcess:
        return 0.0


def _share_of_workers(looks: Sequence[Look]) -> float:
    return mean(float(count > 0) for look in looks for count in look.accounts)


def _share_of_places(looks: Sequence[Look]) -> float:
    return mean(sum(look.accounts) / AT_ONCE for look in looks)


def _connected_seconds(rig: Rig) -> float:
    """For how long clients were connected to the gateways, by their logs."""
    total = 0.0
    for gateway in rig.gateways:
        lines = gateway.log.read_text().splitlines() if gateway.log.exists() else []
        since: dict[int, datetime] = {}
        for entry in (each for each in map(json.loads, lines) if each["dir"] == "note"):
            at = datetime.fromisoformat(entry["t"])
            if entry["message"] == "connected":
                since[entry["connection"]] = at
            elif entry["message"] == "closed":
                total += (at - since[entry["connection"]]).total_seconds()
    return total


def _seconds_of_nothing(environment: dict[str, str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run((sys.executable, "-c", EMPTY), check=True, capture_output=True, cwd=folder, env=environment)
    return time.perf_counter() - started
