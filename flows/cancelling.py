"""A cancel on the Prefect page, for a run that nobody serves: no one else would tell its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from loguru import logger
from prefect.client.orchestration import PrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal

from flows.liveness import beat_label, process_label
from tasks.run import Run

LOOK_SECONDS = 2.0
CANCEL_SECONDS = 1.0


@asynccontextmanager
async def heeding_the_page(run: Run) -> AsyncIterator[None]:
    """While the block runs, a cancel on the page reaches the run's guard, which then lets nothing more be sent.

    Nothing to do outside a flow run, and in modes that send no orders.
    """
    if FlowRunContext.get() is None or not run.mode.sends_orders:
        yield
        return
    await _name_process()
    look = asyncio.create_task(_look(run))
    try:
        yield
    finally:
        await ended(look)


async def ended(*helpers: asyncio.Task[Any]) -> None:
    """Cancel what still runs of our helpers, and wait until it has ended; how it ended is no matter any more.

    A cancel may get lost in a library's own time-out (`asyncio.wait_for` before Python 3.12), so it is said again.
    """
    running = set(helpers)
    while running:
        for helper in running:
            helper.cancel()
        done, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
        for helper in done:
            if not helper.cancelled():
                helper.exception()


async def is_cancelled_on_page(client: PrefectClient) -> bool:
    """Whether this flow run was cancelled at the server. Raises httpx.HTTPError."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    state = (await client.read_flow_run(context.flow_run.id)).state
    return state is not None and (state.is_cancelling() or state.is_cancelled())


async def _name_process() -> None:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    try:
        async with get_client() as client:
            await client.update_flow_run_labels(context.flow_run.id, {**process_label(), **beat_label()})
    except httpx.HTTPError as error:
        logger.debug("no label: {}", error)


async def _look(run: Run) -> None:
    """Look every few seconds; a look that fails is left out, for the orders do not depend on the server."""
    # most rehearsals are over before the first look, and need no client
    await asyncio.sleep(LOOK_SECONDS)
    async with get_client() as client:
        while not run.is_cancelled:
            try:
                run.is_cancelled = await is_cancelled_on_page(client)
            except httpx.HTTPError as error:
                logger.debug("the page could not be looked at: {}", error)
            except TerminationSignal:
                # SIGTERM is raised in whatever runs just then; here it would be lost
                run.is_cancelled = True
            await asyncio.sleep(LOOK_SECONDS)
