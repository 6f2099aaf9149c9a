"""How long a run takes from the command to its report, beside the imports it cannot do without and a flow of nothing.

A server is up for all but the last figure. Also how late the event loop of a run is for others meanwhile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from bench import loop_lateness
from bench.figures import Figure
from programs import free_port

REPEATS = 3
MOST_TIMES_IMPORTS = 1.15
DEADLINE = 120.0
LOOK_SECONDS = 0.25
# another server; and what would have our modules compiled in each run
LEFT_OUT = ("PREFECT_API", "PYTHONDONTWRITEBYTECODE")
BIN = Path(sys.executable).parent
DEMO = Path(__file__).parents[3] / "deployments" / "demo"
FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini", "--broker", "simulated")
DRY_RUN = (str(BIN / "rebalance"), "run", *FILES, "--dry-run")
# what `make run` does
PAPER = (str(BIN / "rebalance"), "run", *FILES, "--paper", "--yes")
EMPTY = """
import asyncio
import great_expectations
from prefect import flow, task

@task
async def nothing(): ...

@flow
async def empty():
    for _ in range({tasks}):
        await nothing()

asyncio.run(empty())
"""


def measure() -> tuple[Figure, ...]:
    """The best of three of each, taken in turns; the run with a server of its own and the loop are measured once."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("portfolios.csv", "settings.ini"):
            shutil.copy(DEMO / file, folder)
        own = {"PREFECT_HOME": str(folder / "prefect"), "REBALANCER_HOME": str(folder / "home")}
        alone = {key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)} | own
        with server(folder, alone) as url:
            served = {**alone, "PREFECT_API_URL": url}
            _seconds(DRY_RUN, folder, served)
            empty = (sys.executable, "-c", EMPTY.format(tasks=task_runs(url)))
            pairs = [(_seconds(empty, folder, served), _seconds(DRY_RUN, folder, served)) for _ in range(REPEATS)]
            late = loop_lateness.measure(folder, served)
        bare, run = (min(each) for each in zip(*pairs, strict=True))
        return (
            Figure("imports of Prefect and Great Expectations, empty flow, s", bare),
            Figure("a dry run with a server up, s", run),
            Figure("a dry run / imports and empty flow", run / bare, MOST_TIMES_IMPORTS),
            *late,
            Figure("make run: a paper run with a server of its own, s", _seconds(PAPER, folder, alone)),
        )


@contextmanager
def server(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The API of a Prefect server that is up while the block runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(url)
            yield url
        finally:
            server.terminate()
            server.wait()


def _wait_for(url: str) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            httpx.get(f"{url}/health").raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return


def task_runs(url: str) -> int:
    """How many tasks all runs on this server have had."""
    return int(httpx.post(f"{url}/task_runs/count", json={}).raise_for_status().text)


def _seconds(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    return time.perf_counter() - started
