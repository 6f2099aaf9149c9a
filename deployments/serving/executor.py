"""What executes the deployments: a process of its own for each run that is due, until the run has ended.

Prefect's Runner would do, were it not for money: it ends itself, and with it every run, when the server is away for
half a minute; a run that is cancelled gets 30 s to cancel its orders and is then killed; and the end that the run
reports is overwritten. Here a run goes on without the server, takes the time it needs, and its own report of its end
stands.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Pending

from core.errors import ExitCode, StartedLate
from core.model import RunEnding
from core.text import counted
from deployments.serving.server import first_line
from flows.admission import too_late
from flows.liveness import crashed_state, end_crashed_runs
from tasks.app.notify import crashed_note, notify, webhook

POLL_SECONDS = 2.0
SWEEP_SECONDS = 10.0
# a run that waits for approval keeps its process: this is a household of 50 accounts, itself, and as much again
MOST_PROCESSES = 102
# a run reads its state every two seconds
SEEN_WITHIN = timedelta(seconds=10)
NO_ANSWER = (httpx.HTTPError, PrefectException, RuntimeError, OSError)


class RunExecutor:
    """Executes the runs of some deployments; `report` receives a line when something noteworthy happens."""

    def __init__(self, deployment_ids: Collection[UUID], report: Callable[[str], None]) -> None:
        self._deployment_ids = list(deployment_ids)
        self._report = report
        self._processes: dict[UUID, Process] = {}
        self._terminated: set[UUID] = set()
        self._is_stopping = False
        self._has_answered = True
        self._swept_at = 0.0

    async def run(self, stopped: asyncio.Event) -> None:
        """Execute runs until `stopped` is set; then stop those that are there, and return when all have ended."""
        async with get_client() as client:
            while not stopped.is_set():
                await self._poll(client)
                await _sleep(stopped)
            self._is_stopping = True
            self._stop_runs()
            while self._processes:
                await self._poll(client)
                await asyncio.sleep(POLL_SECONDS / 4)

    def _stop_runs(self) -> None:
        """Ask every run to stop: it cancels its orders, reports, and ends."""
        running = [each for each in self._processes.values() if each.returncode is None]
        if running:
            self._report(f"stopping {counted(len(running), 'run')}, which first cancel their orders and report ...")
        for process in running:
            _terminate(process)

    async def _poll(self, client: PrefectClient) -> None:
        """Poll the server once. A request that it does not answer is repeated at the next poll."""
        try:
            await self._close_ended(client)
            if not self._is_stopping:
                await self._start_due(client)
                await self._stop_cancelled(client)
                await self._sweep(client)
        except NO_ANSWER as error:
            if self._has_answered:
                self._report(f"the Prefect server does not answer; runs continue without it: {first_line(error)}")
            self._has_answered = False
            if self._is_stopping:
                self._forget_ended()
        else:
            if not self._has_answered:
                self._report("the Prefect server answers again")
            self._has_answered = True

    async def _start_due(self, client: PrefectClient) -> None:
        now = datetime.now(UTC)
        due = await client.get_scheduled_flow_runs_for_deployments(self._deployment_ids, scheduled_before=now)
        for run in sorted(due, key=lambda each: each.next_scheduled_start_time or now):
            refusal = too_late(run)
            if (
                refusal is not None
            ):  # the run would skip itself, but many may have been missed, and each would start a process
                await client.set_flow_run_state(run.id, _skipped(refusal))
            # a run that is not started now is still due at the next poll
            elif len(self._processes) < MOST_PROCESSES and run.id not in self._processes:
                await self._start(client, run)

    async def _start(self, client: PrefectClient, run: FlowRun) -> None:
        """Start the run's process, unless another executor was faster."""
        # the server accepts the step from Scheduled to Pending only once, so one executor alone gets the run
        claimed: OrchestrationResult[Any] = await client.set_flow_run_state(run.id, Pending())
        if claimed.status is not SetStateStatus.ACCEPT:
            return
        self._processes[run.id] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "prefect.engine",
            str(run.id),
            env={**os.environ, "PREFECT__FLOW_RUN_ID": str(run.id)},
            stdin=DEVNULL,
            # Ctrl-C at our terminal is for us alone: we pass it on, once
            start_new_session=True,
        )

    async def _stop_cancelled(self, client: PrefectClient) -> None:
        """Terminate, once, each run that was cancelled on the page and did not notice that by itself in time.

        It then has the time that its orders need to end.
        """
        running = self._processes.keys() - self._terminated
        if not running:
            return
        cancelling = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING]))
        found = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(running)), state=cancelling),
            # the server refuses it as null
            sort=FlowRunSort.START_TIME_DESC,
        )
        for run in found:
            if run.state is not None and datetime.now(UTC) - run.state.timestamp > SEEN_WITHIN:
                self._terminated.add(run.id)
                _terminate(self._processes[run.id])

    async def _close_ended(self, client: PrefectClient) -> None:
        """End on the page every run whose process has ended without doing so itself."""
        for run_id, process in list(self._processes.items()):
            if process.returncode is None:
                continue
            run = await _read(client, run_id)
            if run is not None and run.state is not None and not run.state.is_final():
                ending = self._ending(run, run.state, process.returncode)
                await client.set_flow_run_state(run_id, ending, force=True)
                if ending.is_crashed():
                    await notify(webhook(), crashed_note(run, ending.message or ""))
            del self._processes[run_id]
            self._terminated.discard(run_id)

    def _forget_ended(self) -> None:
        """Drop the runs that ended; without a server their pages cannot be updated, and stopping does not wait."""
        self._processes = {run_id: each for run_id, each in self._processes.items() if each.returncode is None}

    def _ending(self, run: FlowRun, state: State[Any], returncode: int) -> State[Any]:
        """The final state of a run whose process did not report one."""
        if run.start_time is None and (state.is_cancelling() or self._is_stopping):
            why = "cancelled" if state.is_cancelling() else "the executor was stopped"
            message = f"exit {ExitCode.APPROVAL_REJECTED:d}: {why} before this run had begun"
            return State(type=StateType.CANCELLED, name=RunEnding.CANCELLED.value, message=message)
        return crashed_state(run, state, f"its process ended with code {returncode} and no report")

    async def _sweep(self, client: PrefectClient) -> None:
        """Every SWEEP_SECONDS end the runs on the page whose process is gone, whoever started it."""
        if time.monotonic() - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = time.monotonic()
        for run in await end_crashed_runs(client):
            self._report(f"the process of {run.name} ({run.id}) is gone; the run was marked Crashed")


def _skipped(refusal: StartedLate) -> State[Any]:
    message = f"exit {refusal.exit_code:d}: {refusal}"
    return State(type=StateType.CANCELLED, name=RunEnding.SKIPPED.value, message=message)


def _terminate(process: Process) -> None:
    if process.returncode is None:
        process.terminate()


async def _read(client: PrefectClient, run_id: UUID) -> FlowRun | None:
    """The run; None when somebody has deleted it."""
    try:
        return await client.read_flow_run(run_id)
    except ObjectNotFound:
        return None


async def _sleep(stopped: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await stopped.wait()
    except TimeoutError:
        return
