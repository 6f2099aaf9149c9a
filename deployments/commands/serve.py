"""`rebalance serve`: the deployments, in the foreground, on the server that is configured."""

from __future__ import annotations

import asyncio
import signal

from prefect.client.orchestration import get_client

from core.errors import UsageError
from core.text import without_password
from deployments.options import Defaults
from deployments.serving.definitions import register
from deployments.serving.executor import RunExecutor
from deployments.serving.server import lasting_server, server_failures
from deployments.terminal import print_progress
from tasks.app.server import check_server

READY = "ready"


def serve(defaults: Defaults) -> None:
    """Register the deployments and execute their runs until Ctrl-C or SIGTERM; then stop the runs and wait for them.

    Raises UsageError without a server, SafetyRefused for one that anybody could tell to start and approve runs, and
    ConnectionLost when it does not answer at the start.
    """
    server = lasting_server()
    if server is None:
        raise UsageError(
            "no Prefect server is configured to serve the deployments on",
            next_step="start one with `rebalance up`, which serves them as well, or set PREFECT_API_URL",
        )
    asyncio.run(_serve(defaults, server))


async def _serve(defaults: Defaults, server: str) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await check_server()
    with server_failures():
        async with get_client() as client:
            deployments = await register(client, defaults)
    print_progress(f"{READY}: {', '.join(deployments.values())} on {without_password(server)}")
    await RunExecutor(deployments, print_progress).run(stopped)
    print_progress("stopped")
