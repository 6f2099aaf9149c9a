"""Steps that only read are retried by Prefect; nothing that sends ever is."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pkgutil import iter_modules

import pytest
from flow_runs import LONGEST, Rehearsal, SaysYes, log_of
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

import tasks
from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import OrderState
from core.sim.venue.world import Fault, FaultKind, Point
from flows.rebalance import rebalance

READING = {
    "Check the gateway",
    "Compare the journal with the broker",
    "Snapshot the account",
    "Resolve the contracts",
    "Take quotes",
    "Preflight: ask the broker about every order",
    "Preflight: ask the broker about the buys",
}
PATIENCE = 4  # tries of the reader for one message
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
TRIES = PATIENCE + 2  # and of the two further tries of the step


class OnTheWallClock(FakeIB):
    """A broker without a script: the run treats it as a real one and waits for real."""

    reach = None


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


def trouble(point, kind, times):
    return {"faults": (Fault(point, kind, times=times),)}


async def attempts(client, flow_run, name):
    """The names of the states through which the first task of that name went, once the last of them has come."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
    async with asyncio.timeout(LONGEST):
        while True:
            found = [each for each in await client.read_task_runs(flow_run_filter=wanted) if each.name.startswith(name)]
            for first in sorted(found, key=lambda each: each.expected_start_time)[:1]:
                # the client's own call for it is gone, the server's is not
                path, params = "/task_run_states/", {"task_run_id": str(first.id)}
                states = (await client.request("GET", path, params=params)).json()
                # they come as events, after the run has gone on
                if any(each["type"] in FINAL for each in states):
                    return [each["name"] for each in sorted(states, key=lambda each: each["timestamp"])]


def every_step():
    """Every Prefect task inside the steps of the package."""
    for found in iter_modules(tasks.__path__, "tasks."):
        for value in vars(import_module(found.name)).values():
            for cell in getattr(value, "__closure__", None) or ():
                if isinstance(cell.cell_contents, Task):
                    yield cell.cell_contents


def test_only_the_steps_that_read_have_retries_and_the_flow_has_none():
    steps = list(every_step())
    assert len({step.name for step in steps}) >= 15
    assert {step.name for step in steps if step.retries} == READING
    assert rebalance.retries == 0
    assert not any(step.persist_result for step in steps)


@pytest.mark.slow
async def test_a_pacing_limit_that_outlasts_the_reader_is_waited_out_by_the_step(client, tmp_path):
    changes = trouble(Point.QUOTES, FaultKind.PACING, times=TRIES - 1)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes=changes)
    run = rehearsal.start()
    state = await run.ended()
    flow_run = await run.flow_run(client)
    log = await log_of(client, flow_run, wanted=["the step is tried again in about 20 s"])
    outcome = rehearsal.outcomes[-1]
    assert state.is_completed()
    assert "NoneType" not in log
    assert await attempts(client, flow_run, "Take quotes") == [
        "Pending",
        "Running",
        "Retrying",
        "Retrying",
        "Completed",
    ]
    # by the venue's clock, 1 + 2 + 4 s for the messages and 5 + 20 s for the steps
    assert (outcome.ended_at - outcome.started_at).total_seconds() >= 32


@pytest.mark.slow
async def test_on_a_real_broker_the_page_shows_that_a_step_waits_to_be_tried_again(client, tmp_path):
    changes = trouble(Point.QUOTES, FaultKind.PACING, times=PATIENCE)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes=changes, kind=OnTheWallClock)
    run = rehearsal.start()
    assert (await run.ended()).is_completed()
    seen = await attempts(client, await run.flow_run(client), "Take quotes")
    assert seen == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


async def test_tries_that_are_used_up_end_the_run_with_one_line_and_no_traceback(client, tmp_path):
    changes = trouble(Point.QUOTES, FaultKind.PACING, times=TRIES)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes=changes)
    run = rehearsal.start()
    state = await run.ended()
    flow_run = await run.flow_run(client)
    log = await log_of(client, flow_run, wanted=["exit 21: "])
    assert state.message.startswith("exit 21: ")
    assert (await attempts(client, flow_run, "Take quotes"))[-1] == "Failed"
    assert "NoneType" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("point", "step"),
    [
        (Point.CONNECT, "Check the gateway"),
        pytest.param(Point.SNAPSHOT, "Snapshot the account", marks=pytest.mark.slow),
    ],
)
async def test_a_connection_refused_or_lost_while_reading_is_reopened_by_the_step(client, tmp_path, point, step):
    changes = trouble(point, FaultKind.DISCONNECT, times=TRIES - 1)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes=changes)
    run = rehearsal.start()
    assert (await run.ended()).is_completed()
    assert "Retrying" in await attempts(client, await run.flow_run(client), step)


async def test_a_connection_lost_after_orders_were_sent_is_not_for_the_step_to_try_again(client, tmp_path):
    changes = trouble(Point.BEFORE_BUYS, FaultKind.DISCONNECT, times=99)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes=changes)
    run = rehearsal.start()
    state = await run.ended()
    outcome = rehearsal.outcomes[-1]
    assert outcome.exit_code is ExitCode.CONNECTION
    assert [record.state for record in outcome.orders] == [OrderState.FILLED]
    assert not state.is_completed()
    assert not [warning for warning in outcome.warnings if "the step is tried again" in warning]
