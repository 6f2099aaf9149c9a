"""One step of a rebalance as a Prefect task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

P = ParamSpec("P")
T = TypeVar("T")


def step(name: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """A decorator: the function runs as a Prefect task inside a flow run, and as itself outside one.

    Never retried (a step may send orders), never cached, awaited in the flow's own loop, which owns
    the broker connection. Prefect gets the bound call as one opaque argument: it would otherwise walk
    through every value of a thousand-line plan in search of futures.
    """

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @task(name=name, retries=0, cache_policy=NO_CACHE, persist_result=False)
        async def as_task(call: Callable[[], Awaitable[T]]) -> T:
            return await call()

        @wraps(function)
        async def run_step(*args: P.args, **kwargs: P.kwargs) -> T:
            if FlowRunContext.get() is None:
                return await function(*args, **kwargs)
            return await as_task(partial(function, *args, **kwargs))

        return run_step

    return decorate
