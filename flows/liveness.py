"""Whether the process of a flow run is still alive: the labels a run writes, and the end of one whose process is gone.

A paused run of a process that was killed looks to Prefect like any other. So each run labels itself with its
process, and with a heartbeat every few seconds. On the same computer the operating system knows whether the process
is alive, whatever the server missed meanwhile; for another computer there is only the heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from loguru import logger
from prefect import State
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from core.errors import ExitCode
from core.model import RunEnding
from core.text import with_ini
from flows.states import labelled_ending
from tasks.app.notify import crashed_note, notify, webhook
from tasks.app.process import Process

FLOW_NAME = "rebalance"
HOUSEHOLD_FLOW = "household"
FLOW_FILTER = FlowFilter(name=FlowFilterName(any_=[FLOW_NAME, HOUSEHOLD_FLOW]))
HOUSEHOLD_LABEL = "rebalance.household"
PROCESS_LABEL = "rebalance.process"
HEARTBEAT_LABEL = "rebalance.heartbeat"
ANSWER_LABEL = "rebalance.answer"
APPROVED, REJECTED = "approved", "rejected"
# begin the label of an answer that was not accepted; the reason follows
ASKED_AGAIN, REFUSED = "asked again: ", "refused: "
APPROVED_LABEL = "rebalance.approved"
HEARTBEAT_SECONDS = 10.0
# long enough for a server that restarts between two heartbeats
HEARTBEAT_TIMEOUT = timedelta(seconds=4 * HEARTBEAT_SECONDS)
RESTORED_WITHIN = timedelta(hours=1)
UNLABELLED_AFTER = timedelta(minutes=5)
MOST_RUNS = 200
STOPPED = (StateType.CANCELLED, StateType.CRASHED)
UNFINISHED = (StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING)


def process_label() -> dict[str, str]:
    """The label that names the process of the current flow run, which is this one."""
    return {PROCESS_LABEL: str(Process.of())}


def heartbeat_label() -> dict[str, str]:
    """The label that shows that the run's process is alive at this moment."""
    return {HEARTBEAT_LABEL: datetime.now(UTC).isoformat(timespec="seconds")}


def current_flow_run_id() -> UUID | None:
    """Prefect's id of the flow run that we are in; None outside one."""
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None


async def put_labels(labels: Mapping[str, str]) -> None:
    """Label the flow run that we are in; nothing outside one. A failing server is only logged."""
    flow_run_id = current_flow_run_id()
    if flow_run_id is None:
        return
    try:
        async with get_client() as client:
            await client.update_flow_run_labels(flow_run_id, dict(labels))
    except (httpx.HTTPError, PrefectException) as error:
        logger.debug("the run could not be labelled: {}", error)


def is_alive(flow_run: FlowRun) -> bool:
    """Whether the run's process is alive: on another computer, as far as its last heartbeat shows."""
    process = Process.parse(flow_run.labels.get(PROCESS_LABEL))
    # labels are written within seconds of the start: without one the run is new, or its process died before that
    if process is None:
        return not _is_old(flow_run)
    return process.runs() if process.is_here else datetime.now(UTC) - _last_heartbeat(flow_run) < HEARTBEAT_TIMEOUT


async def read_runs(
    client: PrefectClient,
    states: Sequence[StateType] = tuple(StateType),
    *,
    tag: str | None = None,
    ended_after: datetime | None = None,
    sort: FlowRunSort = FlowRunSort.START_TIME_DESC,
    limit: int = MOST_RUNS,
) -> list[FlowRun]:
    """Runs of our flows in one of these states, of all deployments; with a tag, those that have it."""
    found: list[FlowRun] = await client.read_flow_runs(
        flow_filter=FLOW_FILTER,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
            tags=FlowRunFilterTags(all_=[tag]) if tag else None,
            end_time=FlowRunFilterEndTime.model_validate({"after_": ended_after}) if ended_after else None,
        ),
        # the server refuses both as null
        sort=sort,
        limit=limit,
    )
    return found


async def end_crashed_runs(client: PrefectClient) -> list[FlowRun]:
    """End each unfinished rebalance whose process is gone; these runs, as they were before.

    A run that was stopped gets its final state back where Prefect overwrote it. Raises httpx.HTTPError.
    """
    crashed = await without_process(client, await _unfinished(client))
    for run in await read_runs(client, STOPPED, ended_after=datetime.now(UTC) - RESTORED_WITHIN):
        await restore_ending(client, run)
    return [run for run in crashed if await end_crashed(client, run)]


async def without_process(client: PrefectClient, runs: Iterable[FlowRun]) -> list[FlowRun]:
    """Those of these unfinished runs whose process is gone. Raises httpx.HTTPError.

    Those of another computer get the time of one more heartbeat: after an outage of the server none has arrived yet.
    """
    dead = [run for run in runs if not is_alive(run)]
    if any(not _is_of_this_computer(run) for run in dead):
        await asyncio.sleep(1.5 * HEARTBEAT_SECONDS)
        dead = [run for run in await _read_again(client, dead) if not is_alive(run)]
    return dead


async def restore_ending(client: PrefectClient, run: FlowRun) -> bool:
    """Restore the name and message with which a run that was stopped ended, where Prefect overwrote them.

    Whether there was anything to do. Raises httpx.HTTPError.
    """
    own = labelled_ending(run)
    if own is None or run.state is None or not run.state.is_final() or run.state.message == own.message:
        return False
    await client.set_flow_run_state(run.id, own, force=True)
    return True


async def end_crashed(client: PrefectClient, run: FlowRun) -> bool:
    """End a run whose process is gone: as its label says, else Cancelled if a cancel was under way, else Crashed.

    The webhook is notified. False when its state has changed since `run` was read; then nothing was done. Raises
    httpx.HTTPError.
    """
    now = await client.read_flow_run(run.id)
    # its state may have been set since it was read, by the run itself or by another sweep
    if run.state is None or now.state is None or now.state.id != run.state.id:
        return False
    end = labelled_ending(run) or crashed_state(run, run.state)
    await client.set_flow_run_state(run.id, end, force=True)
    await notify(webhook(), crashed_note(run, end.message or ""))
    return True


def crashed_state(run: FlowRun, state: State[Any], what: str = "the process of this run is gone") -> State[None]:
    """The state for a run whose process is gone: Cancelled if a cancel was under way, else Crashed."""
    if state.is_cancelling():
        message = f"exit {ExitCode.APPROVAL_REJECTED:d}: cancelled; {what}; {after_crash(run)}"
        return State(type=StateType.CANCELLED, name=RunEnding.CANCELLED.value, message=message)
    message = f"exit {ExitCode.UNFORESEEN:d}: {what}; {after_crash(run)}"
    return State(type=StateType.CRASHED, name="Crashed", message=message)


def after_crash(run: FlowRun) -> str:
    """What has become of a run whose process is gone, and what a person does next."""
    if HOUSEHOLD_LABEL in run.labels:
        if run.parameters.get("in_process"):
            return "its accounts ended with it, and nothing was sent; retry it on its page"
        return "the runs of its accounts go on; retry it on its page, and it takes them up again"
    if APPROVED_LABEL in run.labels:
        recover = with_ini("rebalance recover", run.parameters.get("ini"))
        other = " --account ID" if run.parameters.get("account") else ""
        return f"its orders are recovered by the next run of the account, or now by: {recover}{other}"
    return "its plan was not approved yet, so nothing was sent; start a new run"


async def _unfinished(client: PrefectClient) -> list[FlowRun]:
    """Runs of our flow that have not ended, without those that no process has started yet."""
    found = await read_runs(client, UNFINISHED)
    return [run for run in found if PROCESS_LABEL in run.labels or run.state_type is not StateType.PENDING]


async def _read_again(client: PrefectClient, runs: Iterable[FlowRun]) -> list[FlowRun]:
    return [await client.read_flow_run(UUID(str(run.id))) for run in runs]


def _is_of_this_computer(run: FlowRun) -> bool:
    process = Process.parse(run.labels.get(PROCESS_LABEL))
    return process is None or process.is_here


def _last_heartbeat(run: FlowRun) -> datetime:
    try:
        return datetime.fromisoformat(str(run.labels.get(HEARTBEAT_LABEL)))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _is_old(run: FlowRun) -> bool:
    """Whether a run without a label has had time enough to write one."""
    return run.state is None or datetime.now(UTC) - run.state.timestamp > UNLABELLED_AFTER
