"""However a run of the command ends, its exit status, result.json and its Prefect state agree."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from uuid import UUID

import pytest
from commands import rebalancing
from flow_runs import NO
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.input.run_input import keyset_from_paused_state
from prefect.states import Cancelling, Completed, Failed

from core.errors import AccountBusy
from core.model.refs import run_id_of
from deployments.commands.approve import Decision, answer
from flows.liveness import end_crashed_runs

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

COMPLETED, FAILED, CANCELLED = StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED
NOTHING_TO_TRADE = ("--set", "rebalance.min_order_usd=9999999", "--set", "rebalance.untargeted=hold")


@pytest.fixture
async def client():
    async with get_client() as client:
        yield client


def flow_run_of(command) -> UUID:
    return UUID(re.search(r"/runs/flow-run/([0-9a-f-]{36})", command.printed)[1])


async def question_of(client, command):
    """The run of the command, once it waits with its form."""
    await asyncio.to_thread(command.until, "rebalance approve")
    async with asyncio.timeout(60):
        while True:
            run = await client.read_flow_run(flow_run_of(command))
            if run.state.is_paused():
                key = keyset_from_paused_state(run.state)["schema"]
                if await client.filter_flow_run_input(run.id, key_prefix=key, limit=1, exclude_keys=set()):
                    return run
            await asyncio.sleep(0.05)


async def nothing(client, command):
    """The run comes to its end by itself."""


async def a_no(client, command):
    waiting = await question_of(client, command)
    assert (await client.resume_flow_run(waiting.id, run_input=NO)).status is SetStateStatus.ACCEPT


def a_signal(number):
    async def act(client, command):
        await question_of(client, command)
        command.signal(number)

    return act


def a_state(state):
    async def act(client, command):
        await client.set_flow_run_state((await question_of(client, command)).id, state, force=state.is_final())

    return act


ENDINGS = {
    "done": (("--paper", "--yes"), nothing, 0, "Completed", COMPLETED),
    "nothing to trade": (("--paper", "--yes", *NOTHING_TO_TRADE), nothing, 0, "No trades", COMPLETED),
    "a refusal": (("--paper", "--yes", "--set", "rebalance.max_turnover_pct=1"), nothing, 30, "Refused", FAILED),
    "nobody answers": (("--paper", "--pause", "--set", "approval.timeout_seconds=1"), nothing, 33, "Expired", FAILED),
    "a no": (("--paper", "--pause"), a_no, 32, "Rejected", CANCELLED),
    "Ctrl-C": (("--paper", "--pause"), a_signal(signal.SIGINT), 32, "Cancelled", CANCELLED),
    "SIGTERM": (("--paper", "--pause"), a_signal(signal.SIGTERM), 32, "Cancelled", CANCELLED),
    "SIGHUP": (("--paper", "--pause"), a_signal(signal.SIGHUP), 32, "Cancelled", CANCELLED),
    "cancelled by API": (("--paper", "--pause"), a_state(Cancelling()), 32, "Cancelled", CANCELLED),
    "set to Failed by hand": (("--paper", "--pause"), a_state(Failed()), 32, "Cancelled", CANCELLED),
    "set to Completed by hand": (("--paper", "--pause"), a_state(Completed()), 32, "Cancelled", CANCELLED),
}
# each starts a process; the others are left to make test-long
SAMPLE = ("Ctrl-C",)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name, marks=() if name in SAMPLE else pytest.mark.slow) for name, case in ENDINGS.items()],
)
async def test_exit_status_report_and_state_agree(client, tmp_path, case):
    arguments, act, code, name, kind = case
    with rebalancing(tmp_path, *arguments) as command:
        await act(client, command)
        status = await asyncio.to_thread(command.ended)
    (found,) = tmp_path.rglob("result.json")
    result = json.loads(found.read_text())
    state = (await client.read_flow_run(flow_run_of(command))).state
    assert status == code, command.printed
    assert (result["exit_code"], result["state"]) == (code, name)
    assert (state.name, state.type, state.message) == (name, kind, f"exit {code}: {result['reason']}")
    last = command.printed.rstrip().splitlines()[-1]
    assert last.startswith(f"{name.lower()}: ")
    assert last.endswith(f"(exit {code})")
    for noise in ("Traceback", "NoneType: None", "does not answer"):
        assert noise not in command.printed
    if code:
        assert result["orders"] == []


@pytest.mark.slow
async def test_an_answer_to_a_process_that_was_killed_is_no_success_and_the_run_is_marked(client, tmp_path, capsys):
    with rebalancing(tmp_path, "--paper", "--pause") as command:
        run = await question_of(client, command)
        command.process.kill()
        await asyncio.to_thread(command.process.join)
    yes = Decision(approve=True, approver="Ann", account_suffix="567")
    with pytest.raises(AccountBusy, match=f"the process of run {run_id_of(str(run.id))} is gone.*; start a new run"):
        await asyncio.to_thread(answer, str(run.id), yes)
    state = (await client.read_flow_run(run.id)).state
    assert (state.name, state.type) == ("Crashed", StateType.CRASHED)
    assert state.message.startswith("exit 70: the process of this run is gone")
    with pytest.raises(AccountBusy, match=r"is not waiting for an answer: it is Crashed - exit 70: .*start a new run"):
        await asyncio.to_thread(answer, str(run.id), yes)


@pytest.mark.slow
async def test_a_resume_on_the_page_leaves_no_dead_run_running(client, tmp_path):
    with rebalancing(tmp_path, "--paper", "--pause") as command:
        run = await question_of(client, command)
        assert [each.id for each in await end_crashed_runs(client)] == []
        command.process.kill()
        await asyncio.to_thread(command.process.join)
    await client.resume_flow_run(run.id, run_input={"answer": "approve", "approver": "Ann", "account_suffix": "567"})
    assert (await client.read_flow_run(run.id)).state.is_running()
    assert [each.id for each in await end_crashed_runs(client)] == [run.id]
    assert (await client.read_flow_run(run.id)).state.is_crashed()
    assert await end_crashed_runs(client) == []
