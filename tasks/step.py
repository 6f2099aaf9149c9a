"""One step of a rebalance as a Prefect task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.states import Failed

from core.errors import RebalanceError
from core.masking import mask_accounts

P = ParamSpec("P")
T = TypeVar("T")


def step(name: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """A decorator: the function runs as a Prefect task inside a flow run, and as itself outside one.

    Never retried (a step may send orders), never cached, awaited in the flow's own loop, which owns
    the broker connection. Prefect gets the bound call as one opaque argument: it would otherwise walk
    through every value of a thousand-line plan in search of futures. A step that fails is a failed task with a
    line; raised through Prefect, the failure would stand on the page as a traceback, account ids and all.
    """

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @task(name=name, retries=0, cache_policy=NO_CACHE, persist_result=False)
        async def as_task(call: _Call[T]) -> State[Any] | None:
            return await call.make()

        @wraps(function)
        async def run_step(*args: P.args, **kwargs: P.kwargs) -> T:
            if FlowRunContext.get() is None:
                return await function(*args, **kwargs)
            call = _Call(partial(function, *args, **kwargs))
            state = await as_task(call, return_state=True)  # type: ignore[misc]  # Prefect types it as not awaited
            return call.answer(state.message)

        return run_step

    return decorate


class _Call(Generic[T]):
    """A call whose end is kept here instead of in Prefect; no dataclass, since Prefect would walk through one."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._results: list[T] = []
        self._error: Exception | None = None

    async def make(self) -> State[Any] | None:
        """The state of the task where it is not simply done."""
        try:
            self._results.append(await self._function())
        except Exception as error:  # noqa: BLE001 - `answer` raises it, past Prefect
            self._error = error
            return Failed(message=_line(error))
        return None

    def answer(self, message: str | None) -> T:
        """What the call returned. Raises what it raised; RuntimeError with Prefect's `message` if it was never made."""
        if self._error is not None:
            raise self._error
        if not self._results:
            raise RuntimeError(f"Prefect did not run the step: {message}")
        return self._results[0]


def _line(error: Exception) -> str:
    code = f"exit {error.exit_code:d}: " if isinstance(error, RebalanceError) else f"{type(error).__name__}: "
    return mask_accounts(f"{code}{error}")
