"""What may stop a run from outside: a signal to its process, or a state that was set on its Prefect page.

Both stop it in the same way: nothing more is sent, what works at the broker is cancelled, the report is written.
The run also labels itself with a heartbeat, which shows other processes that its own is alive.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol
from uuid import UUID

import httpx
from loguru import logger
from prefect import State
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectException

from core.errors import RunCancelled
from flows.liveness import (
    HEARTBEAT_SECONDS,
    current_flow_run_id,
    heartbeat_label,
    process_label,
    put_labels,
    restore_ending,
)
from flows.states import ending_label
from tasks.lifecycle import NEXT_STEP

POLL_SECONDS = 2.0
CANCEL_SECONDS = 1.0
RUNNER_WRITES_WITHIN = 30.0
SIGNALS = {
    signal.SIGINT: "the run was stopped by Ctrl-C",
    signal.SIGTERM: "the run was stopped by SIGTERM",
    signal.SIGHUP: "the run was stopped because its terminal was closed",
}

_HOOKS: set[asyncio.Task[None]] = set()
# true in a run that handles the signals of its process, and in the runs within it
_HAS_SIGNALS: ContextVar[bool] = ContextVar("has_signals", default=False)


class Stoppable(Protocol):
    """A run that can be stopped: `labels` are those of its flow run, `cancel_cause` is why it stops."""

    labels: dict[str, str]
    cancel_cause: RunCancelled | None

    def cancel(self, cause: RunCancelled) -> None:
        """Let nothing more be begun, and bring the run to its end; the first cause stands."""
        ...


@asynccontextmanager
async def stoppable(run: Stoppable, ending: Callable[[], State[Any]]) -> AsyncIterator[None]:
    """While the block runs, a signal or a state set from outside stops the run, and its heartbeat is written.

    A run that was stopped sets its final state, by then what `ending` returns, before signals are handled as before.
    """
    flow_run_id = current_flow_run_id()
    run.labels |= process_label()
    # at once: other computers see from it that this run has the account
    await put_labels({**run.labels, **heartbeat_label()})
    watcher = asyncio.create_task(_watch(run, flow_run_id)) if flow_run_id else None
    helpers = [watcher] if watcher else []

    def on_signal(number: signal.Signals) -> None:
        # a runner also sends SIGTERM for a cancel on the page, so the server is asked which of the two it is
        if number is signal.SIGTERM and flow_run_id:
            helpers.append(asyncio.create_task(_terminated(run, flow_run_id)))
        else:
            run.cancel(RunCancelled(SIGNALS[number], next_step=NEXT_STEP))

    try:
        with _signals_to(on_signal):
            yield
            if run.cancel_cause:
                await _force_state(ending())
    finally:
        await cancel_and_wait(*helpers)


async def cancel_and_wait(*helpers: asyncio.Task[Any]) -> None:
    """Cancel the helpers that still run, and wait until each has ended, whatever it ended with.

    A cancel may get lost in a library's own time-out (`asyncio.wait_for` before Python 3.12), so it is repeated.
    """
    running = set(helpers)
    while running:
        for helper in running:
            helper.cancel()
        done, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
        for helper in done:
            if not helper.cancelled():
                helper.exception()


async def _force_state(state: State[Any]) -> None:
    """Set the state at the server, whatever is there: during a cancel Prefect itself accepts none but Cancelled."""
    flow_run_id = current_flow_run_id()
    if flow_run_id is None:
        return
    await put_labels(ending_label(state))
    try:
        async with get_client() as client:
            # without its data: the server takes no exception
            bare = State(type=state.type, name=state.name, message=state.message)
            await client.set_flow_run_state(flow_run_id, bare, force=True)
    except (httpx.HTTPError, PrefectException) as error:
        logger.debug("the state could not be set: {}", error)


async def restore_after_cancellation(flow: object, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - a hook's names
    """A hook on cancellation: once Prefect's own runner has overwritten the run's final state, restore that.

    The runner calls it before it writes.
    """
    _HOOKS.add(task := asyncio.create_task(_restore_ending(flow_run.id)))
    task.add_done_callback(_HOOKS.discard)


async def _restore_ending(flow_run_id: UUID) -> None:
    end = time.monotonic() + RUNNER_WRITES_WITHIN
    async with get_client() as client:
        while time.monotonic() < end:
            await asyncio.sleep(POLL_SECONDS / 4)
            if await restore_ending(client, await client.read_flow_run(flow_run_id)):
                return


def cancel_cause_from(state: State[Any] | None) -> RunCancelled | None:
    """Why a run in this state has to stop; None for a state that it set itself."""
    if state is None or not (state.is_cancelling() or state.is_final()):
        return None
    if state.is_cancelling() or state.is_cancelled():
        return RunCancelled("the run was cancelled on its Prefect page", next_step=NEXT_STEP)
    return RunCancelled(f"the run was set to {state.name} on its Prefect page", next_step=NEXT_STEP)


@contextmanager
def _signals_to(on_signal: Callable[[signal.Signals], None]) -> Iterator[None]:
    """In the block the loop calls `on_signal`; Prefect's and asyncio's handlers would raise anywhere in the code.

    Off the main thread, where no signal arrives, nothing changes; nor in a run within another, which cancels it then.
    """
    if _HAS_SIGNALS.get():
        yield
        return
    loop, before = asyncio.get_running_loop(), {}
    token = _HAS_SIGNALS.set(True)
    try:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, on_signal, number)
            before[number] = handler
    except (ValueError, RuntimeError):
        logger.debug("signals do not reach this thread")
    try:
        yield
    finally:
        _HAS_SIGNALS.reset(token)
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def _terminated(run: Stoppable, flow_run_id: UUID) -> None:
    """Stop the run for SIGTERM, which a deployment's runner also sends for a cancel on the page."""
    run.cancel_cause = run.cancel_cause or RunCancelled(SIGNALS[signal.SIGTERM], next_step=NEXT_STEP)
    try:
        async with asyncio.timeout(CANCEL_SECONDS), get_client() as client:
            run.cancel_cause = await _read_cause(client, flow_run_id) or run.cancel_cause
    except (TimeoutError, httpx.HTTPError, PrefectException) as error:
        logger.debug("the cause of SIGTERM could not be looked up: {}", error)
    run.cancel(run.cancel_cause)


async def _watch(run: Stoppable, flow_run_id: UUID) -> None:
    """Read the run's state, and write its labels, every few seconds.

    A request that fails is skipped: the orders do not depend on the server.
    """
    next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
    async with get_client() as client:
        while True:
            try:
                # monotonic: a clock that is set must not stop the heartbeat
                if time.monotonic() >= next_heartbeat:
                    await client.update_flow_run_labels(flow_run_id, {**run.labels, **heartbeat_label()})
                    next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
                cause = await _read_cause(client, flow_run_id)
                if cause:
                    run.cancel(cause)
            except (httpx.HTTPError, PrefectException) as error:
                logger.debug("the Prefect server could not be asked about the run: {}", error)
            await asyncio.sleep(POLL_SECONDS)


async def _read_cause(client: PrefectClient, flow_run_id: UUID) -> RunCancelled | None:
    return cancel_cause_from((await client.read_flow_run(flow_run_id)).state)
