"""Which runs are alive, and what becomes of those that are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from freezegun import freeze_time
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Paused, Running

from flows.liveness import (
    APPROVED_LABEL,
    HEARTBEAT_LABEL,
    HEARTBEAT_TIMEOUT,
    PROCESS_LABEL,
    crashed_state,
    end_crashed_runs,
    is_alive,
)
from flows.rebalance import rebalance
from flows.states import ENDING_LABEL
from tasks.app.process import Process

HERE = Process.of()
ELSEWHERE = replace(HERE, host="another-computer")
NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
NO_PROCESS = replace(HERE, pid=2**22 + 1)  # above the highest number that Linux gives


def a_run(process=None, *, heartbeat_age=timedelta(0), since=timedelta(0), **labels):
    heartbeat = {HEARTBEAT_LABEL: (NOW - heartbeat_age).isoformat()}
    labels = ({PROCESS_LABEL: str(process), **heartbeat} if process else {}) | labels
    state = Running(timestamp=NOW - since)
    return FlowRun(id=uuid4(), flow_id=uuid4(), labels=labels, state=state)


LONG = 10 * HEARTBEAT_TIMEOUT
A_SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("run", "lives"),
    [
        (a_run(HERE), True),
        (a_run(HERE, heartbeat_age=LONG), True),
        (a_run(NO_PROCESS), False),
        (a_run(replace(HERE, started=HERE.started - 60)), False),
        (a_run(ELSEWHERE), True),
        (a_run(ELSEWHERE, heartbeat_age=HEARTBEAT_TIMEOUT - A_SECOND), True),
        (a_run(ELSEWHERE, heartbeat_age=HEARTBEAT_TIMEOUT), False),
        (a_run(), True),
        (a_run(since=timedelta(minutes=5)), True),
        (a_run(since=timedelta(minutes=5) + A_SECOND), False),
    ],
    ids=[
        "its process runs", "its process runs, and the server was away", "its process has ended",
        "its pid was reused", "elsewhere, with a fresh heartbeat", "elsewhere, heartbeat just in time",
        "elsewhere, heartbeat overdue", "started a moment ago, without a label yet", "still without a label",
        "never labelled",
    ],
)  # fmt: skip
def test_a_run_is_alive_while_its_process_is(run, lives):
    with freeze_time(NOW):
        assert is_alive(run) is lives


def test_after_an_approval_a_person_is_sent_to_look_for_working_orders():
    approved, waiting = a_run(NO_PROCESS, **{APPROVED_LABEL: "7f3a91c2"}), a_run(NO_PROCESS)
    assert crashed_state(approved, approved.state).message.endswith("now by: rebalance recover --ini FILE")
    approved.parameters = {"ini": "/home/ann/settings.ini", "account": "DU7654321"}
    assert crashed_state(approved, approved.state).message.endswith("--ini /home/ann/settings.ini --account ID")
    assert "nothing was sent; start a new run" in crashed_state(waiting, waiting.state).message


@pytest.mark.server
async def test_a_sweep_ends_dead_runs_gives_back_endings_and_leaves_the_living_alone(prefect_server):
    async with get_client() as client:

        async def made(state, **labels):
            run = await client.create_flow_run(rebalance, parameters={"csv": "p.csv", "ini": "s.ini"})
            await client.update_flow_run_labels(run.id, labels)
            await client.set_flow_run_state(run.id, state, force=True)
            return run.id

        here, gone = {PROCESS_LABEL: str(HERE)}, {PROCESS_LABEL: str(NO_PROCESS)}
        ending = {ENDING_LABEL: "Cancelled: exit 32: the run was cancelled on its Prefect page"}
        dead = await made(Running(), **gone)
        living = await made(Paused(timeout_seconds=600), **here)
        overwritten = await made(Cancelled(message="Flow run was cancelled successfully."), **gone, **ending)
        swept = [run.id for run in await end_crashed_runs(client)]
        states = {each: (await client.read_flow_run(each)).state for each in (dead, living, overwritten)}
        assert (dead in swept, living in swept, overwritten in swept) == (True, False, False)
        assert states[dead].is_crashed()
        assert states[living].is_paused()
        assert states[overwritten].message == "exit 32: the run was cancelled on its Prefect page"
        await client.delete_flow_run(living)
