"""One step of a rebalance as a Prefect task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Cancelled, Failed

from core.errors import TRANSIENT, RebalanceError
from core.masking import mask_accounts
from tasks.app.run import Run

P = ParamSpec("P")
T = TypeVar("T")

# seconds before a reading step is tried again, each made longer or shorter at random by up to the half
READ_DELAYS = (5.0, 20.0)
JITTER = 0.5

StepFunction = Callable[Concatenate[Run, P], Awaitable[T]]


def step(name: str) -> Callable[[StepFunction[P, T]], StepFunction[P, T]]:
    """A decorator: the function runs as a Prefect task inside a flow run, and as itself outside one.

    Never retried (a step may send orders), never cached, awaited in the flow's own loop, which owns
    the broker connection. Prefect gets the bound call as one opaque argument: it would otherwise walk
    through every value of a thousand-line plan in search of futures. A step that fails is a failed task with
    one line; raised through Prefect, the failure would be shown as a traceback, account ids included.
    """
    return _decorator(name, delays=())


def reading_step(name: str) -> Callable[[StepFunction[P, T]], StepFunction[P, T]]:
    """A step that only reads: Prefect tries it again where `Run.may_read_again` allows it.

    That comes on top of the reader's own retries, which are used up by then and not repeated: each further try makes
    one attempt. A rehearsal waits by its own clock.
    """
    return _decorator(name, delays=READ_DELAYS)


def _decorator(name: str, *, delays: tuple[float, ...]) -> Callable[[StepFunction[P, T]], StepFunction[P, T]]:
    def decorate(function: StepFunction[P, T]) -> StepFunction[P, T]:
        @task(
            name=name,
            retries=len(delays),
            retry_delay_seconds=list(delays),
            retry_jitter_factor=JITTER,
            retry_condition_fn=_may_try_again,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        async def as_task(call: _Call[T]) -> State[Any] | None:
            return await call.run()

        # a rehearsal's clock jumps, so that Prefect's own delay would be real time for nothing
        rehearsed = as_task.with_options(retry_delay_seconds=0)

        @wraps(function)
        async def run_step(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> T:
            bound = partial(function, run, *args, **kwargs)
            # outside a flow run, as in a test, there is no page to show a task on
            if FlowRunContext.get() is None:
                return await bound()
            call = _Call(run, bound, delays)
            chosen = rehearsed if run.is_rehearsed else as_task
            state = await chosen(call, return_state=True)  # type: ignore[misc]  # Prefect types it as not awaited
            return call.result(state.message)

        return run_step

    return decorate


class _Call(Generic[T]):
    """A call whose result is kept here instead of in Prefect; no dataclass, since Prefect would walk through one."""

    def __init__(self, run: Run, function: Callable[[], Awaitable[T]], delays: tuple[float, ...]) -> None:
        self._run = run
        self._function = function
        self._delays = list(delays)
        self._results: list[T] = []
        self._error: BaseException | None = None

    async def run(self) -> State[Any] | None:
        """Run the call; the state of a task that failed or was cancelled, None for one that completed."""
        try:
            self._results.append(await (self._function() if self._error is None else self._retry()))
        except asyncio.CancelledError as error:
            self._error = error
            # re-raised by `result` in the flow, where it has its orderly end
            return Cancelled(message="the run was stopped")
        except BaseException as error:  # noqa: BLE001 - `result` raises it, past Prefect
            self._error = error
            return Failed(message=_line(error))
        self._error = None
        return None

    def may_try_again(self) -> bool:
        """Whether the failed call may be repeated; a warning says so."""
        error = self._error
        if not (self._delays and isinstance(error, TRANSIENT) and self._run.may_read_again(error)):
            return False
        self._run.warn(f"{error.message}; the step is tried again in about {self._delays[0]:g} s")
        return True

    def result(self, message: str | None) -> T:
        """What the call returned. Raises what it raised; RuntimeError with Prefect's `message` if it never ran."""
        if self._error is not None:
            raise self._error
        if not self._results:
            raise RuntimeError(f"Prefect did not run the step: {message}")
        return self._results[0]

    async def _retry(self) -> T:
        """Run it again; Prefect has waited already, except in a rehearsal, whose time passes here."""
        delay = self._delays.pop(0)
        if self._run.is_rehearsed:
            await self._run.broker.sleep(delay)
        with self._run.reader.single_attempt():
            return await self._function()


def _may_try_again(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's form
    context = TaskRunContext.get()
    call = context.parameters["call"] if context else None
    return isinstance(call, _Call) and call.may_try_again()


def _line(error: BaseException) -> str:
    code = f"exit {error.exit_code:d}: " if isinstance(error, RebalanceError) else f"{type(error).__name__}: "
    return mask_accounts(f"{code}{error}")
