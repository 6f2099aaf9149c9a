"""`rebalance down`: stop what `rebalance up` started, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from core.errors import AccountBusy
from core.model.refs import run_id_of
from core.text import counted
from deployments.terminal import console, print_progress, show_warnings
from tasks.app.process import Process
from tasks.app.service import Service, forget_service, one_at_a_time, password, read_service

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

# a run cancels its orders and waits until the broker has confirmed each
RUNS_SECONDS = 300.0
SERVER_SECONDS = 30.0
ANSWER_SECONDS = 15.0
PROGRESS_SECONDS = 10.0


def down() -> None:
    """Stop the runs of the deployments, then their executor, then the server; return when all have ended.

    Runs of other processes are named, as nobody can answer them without a server, and go on.
    Raises AccountBusy when a run has not ended by then: it may still be cancelling orders.
    """
    with one_at_a_time():
        service = read_service()
        if service is None:
            console().print("nothing is running", markup=False)
            return
        _stop_runs(service)
        show_warnings(_left_line(run) for run in _left(service))
        _stop_server(service)
        forget_service()
    console().print("down: everything that `rebalance up` started has stopped", markup=False)


def _stop_runs(service: Service) -> None:
    """The executor first, which stops its runs; then runs whose own executor died before them."""
    executor = service.find(service.executor)
    if executor is not None:
        print_progress("stopping the executor; its runs cancel their orders first ...")
        _end([executor])
    server = service.server.pid if service.server else None
    orphans = [each for each in service.marked() if each.pid != server]
    if orphans:
        print_progress(f"stopping {counted(len(orphans), 'run')} that outlived the executor ...")
        _end(orphans)


def _left(service: Service) -> list[FlowRun]:
    """The runs on the server that have not ended and are of other processes; none where it does not answer."""
    if not service.has_server:
        return []
    import httpx
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    settings = {PREFECT_API_URL: service.api_url, PREFECT_API_AUTH_STRING: password()}
    try:
        with temporary_settings(settings):
            return asyncio.run(_unfinished())
    except (httpx.HTTPError, PrefectException, RuntimeError, TimeoutError):
        return []


async def _unfinished() -> list[FlowRun]:
    from prefect.client.orchestration import get_client

    from flows.liveness import PROCESS_LABEL, UNFINISHED, is_alive, read_runs

    async with asyncio.timeout(ANSWER_SECONDS), get_client() as client:
        runs = await read_runs(client, UNFINISHED)
    return [run for run in runs if PROCESS_LABEL in run.labels and is_alive(run)]


def _left_line(run: FlowRun) -> str:
    from flows.liveness import PROCESS_LABEL

    process = Process.parse(run.labels[PROCESS_LABEL])
    where = f" in process {process.pid}{'' if process.is_here else f' on {process.host}'}" if process else ""
    name = f"run {run_id_of(str(run.id))}"
    if run.state is not None and run.state.is_paused():
        return f"{name} waits{where}; `rebalance up` makes it answerable again"
    return f"{name} goes on{where}; `rebalance up` shows it again"


def _end(processes: Sequence[psutil.Process]) -> None:
    left, began = list(processes), time.monotonic()
    _signal(left)
    while left:
        _, left = psutil.wait_procs(left, timeout=PROGRESS_SECONDS)
        waited = time.monotonic() - began
        if left and waited > RUNS_SECONDS:
            raise AccountBusy(
                f"runs have not ended within {waited:.0f} s (processes {', '.join(str(each.pid) for each in left)})",
                next_step="see on the Prefect page and at the broker what they wait for, then `rebalance down` again",
            )
        if left:
            print_progress(f"waiting for the runs to end ({waited:.0f} s) ...")


def _stop_server(service: Service) -> None:
    server = service.find(service.server)
    if server is None:
        return
    print_progress("stopping the Prefect server ...")
    _signal([server])
    _, left = psutil.wait_procs([server], timeout=SERVER_SECONDS)
    for each in left:  # it holds no order, and its database survives being killed
        each.kill()
    psutil.wait_procs(left)


def _signal(processes: Sequence[psutil.Process]) -> None:
    for each in processes:
        try:
            each.terminate()
        except psutil.NoSuchProcess:
            continue
