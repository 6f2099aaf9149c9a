"""The command's run on a lasting server: a run of the deployment, made before it starts, and executed in this process.

So its page is known beforehand and offers a cancel, and nothing else executes it: no executor takes a run that is
Pending from the start.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.states import Pending

from core.model.refs import run_id_of
from deployments.serving.server import page_of
from deployments.terminal import errors_console
from flows.account_runs import ON_DEMAND
from flows.liveness import process_label
from flows.rebalance import rebalance
from tasks.app.request import Request


async def run_here(request: Request) -> None:
    """Make the run, print its page, and execute it to its end, whatever that is. Raises what the client raises."""
    async with get_client() as client:
        made = await _make(client, request)
    line = f"run {run_id_of(str(made.id))}: {page_of(made)}"
    errors_console().print(line, markup=False, soft_wrap=True)
    running = run_flow(rebalance, flow_run=made, parameters=request.parameters(), return_type="state")
    await cast("Awaitable[object]", running)  # as the flow is async


async def _make(client: PrefectClient, request: Request) -> FlowRun:
    """A run of the deployment; without one on this server a run of the flow, whose page offers no cancel."""
    try:
        deployment = await client.read_deployment_by_name(ON_DEMAND)
    except ObjectNotFound:
        bare = await client.create_flow_run(rebalance, parameters=request.parameters(), state=Pending())
        await client.update_flow_run_labels(bare.id, {**process_label()})
        return bare
    return await client.create_flow_run_from_deployment(
        deployment.id, parameters=request.parameters(), state=Pending(), labels={**process_label()}
    )
