"""`rebalance approve` and `rebalance reject`: naming a run that waits, and answering it from another terminal."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from flow_runs import ACCOUNT, Rehearsal
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from core.errors import ApprovalExpired, ConnectionLost, UsageError
from core.refs import run_id_of
from deployments.answers import Decision, answer
from flows.approval import HEARTBEAT_LABEL, SILENT_AFTER

YES = Decision(approve=True, approver="Ann", account_suffix="567")
NO = Decision(approve=False)


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("flows.approval.POLL_SECONDS", 0.3)


async def said(name, decision):
    """Answer as the command does, in a thread of its own: it has its own event loop."""
    await asyncio.to_thread(answer, str(name), decision)


async def test_a_run_is_named_by_its_id_its_flow_run_id_or_the_beginning_of_either(client, tmp_path, capsys):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    flow_run_id = str((await run.question(client)).id)
    wrong = Decision(approve=True, approver="Ann", account_suffix="999")
    for name, decision in (
        (run_id_of(flow_run_id)[:6].lower(), wrong),
        (flow_run_id, wrong),
        (run_id_of(flow_run_id), YES),
    ):
        waiting = await run.question(client)
        await said(name, decision)
        run.keys.append(waiting.state.state_details.pause_key)
    assert (await run.ended()).is_completed()
    assert [approval.approver for approval in rehearsal.outcomes[-1].approvals] == ["Ann"]
    shown = capsys.readouterr().out
    assert "Approve the plan" in shown
    assert f"approved: run {run_id_of(flow_run_id)}" in shown
    assert ACCOUNT not in shown


async def test_reject_ends_the_run_with_32(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    await said((await run.question(client)).id, NO)
    assert (await run.ended()).message.startswith("exit 32: ")


async def test_a_name_that_fits_none_or_several_lists_those_that_wait(client, tmp_path):
    runs = [Rehearsal(tmp_path / name).start() for name in ("one", "two")]
    ids = [str((await run.question(client)).id) for run in runs]
    with pytest.raises(UsageError, match=r"no waiting run is named nonsense - name one of those that wait: ") as none:
        await said("nonsense", YES)
    with pytest.raises(UsageError, match=r"\d waiting runs are named") as several:
        await said("", YES)
    for refused in (none, several):
        assert all(run_id_of(each) in str(refused.value) for each in ids)
    for run, each in zip(runs, ids, strict=True):
        await said(each, NO)
        await run.ended()


async def test_an_answer_that_the_server_does_not_take_leaves_the_run_waiting(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    with pytest.raises(UsageError, match="the answer was not taken"):
        await said(waiting.id, Decision(approve=True, approver="Ann", account_suffix=ACCOUNT))
    assert (await run.flow_run(client)).state.is_paused()
    await said(waiting.id, NO)
    await run.ended()


async def test_without_a_terminal_the_account_must_be_on_the_command_line(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    with pytest.raises(UsageError, match="--account-suffix"):
        await said(waiting.id, Decision(approve=True))
    await said(waiting.id, NO)
    await run.ended()


async def test_a_run_whose_process_is_gone_is_not_answered(client, tmp_path):
    run = Rehearsal(tmp_path).start()
    waiting = await run.question(client)
    long_ago = datetime.now(UTC) - timedelta(seconds=SILENT_AFTER + 1)
    await client.update_flow_run_labels(waiting.id, {HEARTBEAT_LABEL: long_ago.isoformat()})
    with pytest.raises(ApprovalExpired, match="its process is gone"):
        await said(waiting.id, YES)
    assert (await run.flow_run(client)).state.is_paused()
    await client.update_flow_run_labels(waiting.id, {HEARTBEAT_LABEL: datetime.now(UTC).isoformat()})
    await said(waiting.id, NO)
    await run.ended()


def test_without_a_server_there_is_nobody_to_answer():
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(UsageError, match="PREFECT_API_URL"):
        answer("ABC", YES)


def test_a_server_that_is_not_there_is_named():
    nowhere = {PREFECT_API_URL: "http://ann:secret@127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere), pytest.raises(ConnectionLost, match=r"\*\*\*@127.0.0.1:9/api does not") as lost:
        answer("ABC", YES)
    assert "secret" not in str(lost.value)
