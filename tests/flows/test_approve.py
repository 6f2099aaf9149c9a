"""`rebalance approve` and `rebalance reject`: naming a run that waits, and answering it from another terminal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from flow_runs import ACCOUNT, Rehearsal
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Paused, Running

from core.errors import AccountBusy, ConnectionLost, UsageError
from core.model.refs import run_id_of
from deployments.commands.approve import Decision, answer, only_one
from flows.liveness import HOUSEHOLD_FLOW, HOUSEHOLD_LABEL, PROCESS_LABEL
from tasks.app.process import Process

YES = Decision(approve=True, approver="Ann", account_suffix="567")
NO = Decision(approve=False)


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("flows.approval.POLL_SECONDS", 0.3)


async def send_answer(name, decision):
    """Answer as the command does, in a thread of its own: it has its own event loop."""
    await asyncio.to_thread(answer, str(name), decision)


@pytest.mark.slow
async def test_a_run_is_named_by_its_id_its_flow_run_id_or_the_beginning_of_either(client, tmp_path, capsys):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    flow_run_id = str((await run.question(client)).id)
    wrong = Decision(approve=True, approver="Ann", account_suffix="999")
    for name in (run_id_of(flow_run_id)[:6].lower(), flow_run_id):
        waiting = await run.question(client)
        with pytest.raises(UsageError, match="the run asks again"):
            await send_answer(name, wrong)
        run.keys.append(waiting.state.state_details.pause_key)
    await run.question(client)
    await send_answer(run_id_of(flow_run_id), YES)
    assert (await run.ended()).is_completed()
    assert [approval.approver for approval in rehearsal.outcomes[-1].approvals] == ["Ann"]
    shown = capsys.readouterr().out
    assert "PAPER" in shown
    assert f"approved: run {run_id_of(flow_run_id)}" in shown
    assert ACCOUNT not in shown


async def test_reject_ends_the_run_with_32_and_keeps_the_note(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    await send_answer((await run.question(client)).id, Decision(approve=False, approver="Ann", note="not today"))
    assert (await run.ended()).message.startswith("exit 32: Ann said no: not today")


def test_a_name_that_fits_none_or_several_lists_those_that_wait():
    runs = [FlowRun(id=f"00000000-0000-4000-8000-00000000000{digit}", flow_id=uuid4()) for digit in "12"]
    listed = " - name one of those that are waiting: " + ", ".join(run_id_of(str(run.id)) for run in runs)
    with pytest.raises(UsageError, match=r"^no waiting run has an id that begins with nonsense") as none:
        only_one(runs, "nonsense")
    with pytest.raises(UsageError, match=r"^2 waiting runs have an id that begins with 0000") as several:
        only_one(runs, "0000")
    assert str(none.value).endswith(listed)
    assert str(several.value).endswith(listed)
    assert only_one(runs, str(runs[1].id)) is runs[1]


@pytest.mark.slow
async def test_an_answer_that_the_server_does_not_take_leaves_the_run_waiting(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    with pytest.raises(UsageError, match="did not accept the answer"):
        await send_answer(waiting.id, Decision(approve=True, approver="Ann", account_suffix=ACCOUNT))
    assert (await run.flow_run(client)).state.is_paused()
    await send_answer(waiting.id, NO)
    await run.ended()


@pytest.mark.slow
async def test_without_a_terminal_the_account_must_be_on_the_command_line(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    with pytest.raises(UsageError, match="--account-suffix"):
        await send_answer(waiting.id, Decision(approve=True))
    await send_answer(waiting.id, NO)
    await run.ended()


@pytest.mark.slow
async def test_what_is_for_a_household_is_refused_for_the_run_of_an_account(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    with pytest.raises(UsageError, match="the run is of one account: --household and --leave-out"):
        await send_answer(waiting.id, Decision(approve=True, account_suffix="567", leave_out="Bob"))
    await send_answer(waiting.id, NO)
    await run.ended()


async def test_a_wrong_account_is_no_success(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    wrong = Decision(approve=True, approver="Ann", account_suffix="999")
    with pytest.raises(
        UsageError, match=r"not accept the answer: the answer named another account than \*{6}567 - the run asks"
    ):
        await send_answer(waiting.id, wrong)
    run.keys.append(waiting.state.state_details.pause_key)
    await send_answer((await run.question(client)).id, NO)
    await run.ended()


@pytest.mark.parametrize(
    ("in_process", "instead"),
    [
        (False, "the runs of its accounts go on; retry it on its page"),
        (True, "its accounts ended with it, .*; retry it"),
    ],
)
async def test_a_household_whose_process_is_gone_is_to_be_tried_again_on_its_page(client, in_process, instead):
    async def household(in_process): ...

    run = await client.create_flow_run(
        flow(household, name=HOUSEHOLD_FLOW), parameters={"in_process": in_process}, state=Running()
    )
    gone = replace(Process.of(), pid=2**22 + 1)
    await client.update_flow_run_labels(run.id, {PROCESS_LABEL: str(gone), HOUSEHOLD_LABEL: "Ours"})
    await client.set_flow_run_state(run.id, Paused(timeout_seconds=600, pause_key="all"))
    for what in ("the process of run .* is gone", "is not waiting for an answer: it is Crashed"):
        with pytest.raises(AccountBusy, match=f"{what}.* - .*{instead}"):
            await send_answer(run.id, YES)


@pytest.mark.parametrize("name", ["", " ", "\t"], ids=["empty", "a blank", "a tab"])
def test_a_run_must_be_named(name, prefect_server):
    for decision in (YES, NO):
        with pytest.raises(UsageError, match="no run was named"):
            answer(name, decision)


def test_without_a_server_there_is_nobody_to_answer():
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(UsageError, match="PREFECT_API_URL"):
        answer("ABC", YES)


def test_a_server_that_is_not_there_is_named():
    nowhere = {PREFECT_API_URL: "http://ann:secret@127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere), pytest.raises(ConnectionLost, match=r"\*\*\*@127.0.0.1:9/api does not") as lost:
        answer("ABC", YES)
    assert "secret" not in str(lost.value)
