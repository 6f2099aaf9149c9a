"""The runs of a household's accounts whose process is gone, silent, or never was."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from builders import NOW
from household_samples import SETTINGS, account
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.states import Pending, Running

from core.household import Household, HouseholdApproval, Turn
from core.journal import Journal
from core.journal.memory import MemoryStore
from core.model import RunId
from core.model.refs import run_id_of
from deployments.options import Defaults
from deployments.serving.definitions import register
from flows import account_runs, liveness
from flows.account_runs import AccountRuns
from flows.liveness import HEARTBEAT_LABEL, PROCESS_LABEL, heartbeat_label
from tasks.app.household import HouseholdRequest, HouseholdRun
from tasks.app.process import Process

pytestmark = pytest.mark.server
ALICE = account()
ELSEWHERE = replace(Process.of(), host="another-computer")
LONG_AGO = "2026-03-02T15:30:00+00:00"


@pytest.fixture
async def client(prefect_server):
    async with get_client() as opened:
        await register(opened, Defaults())
        yield opened


@pytest.fixture
async def runs(client, tmp_path):
    """The runs of a household of one account, which was started; nothing executes it."""
    found = await started(client, tmp_path)
    yield found
    await client.delete_flow_run(found.of(ALICE).id)


async def started(client, tmp_path, **more):
    """The runs of a household of one account, which was started; `more` are parameters of the household's run."""
    flow_run_id, file = str(uuid4()), tmp_path / "accounts.yaml"
    household = Household(
        name="Example",
        file=file,
        ini=tmp_path / "settings.ini",
        approval=HouseholdApproval.PER_ACCOUNT,
        at_once=4,
        settings=SETTINGS,
        accounts=(ALICE,),
    )
    run = HouseholdRun(
        id=RunId(run_id_of(flow_run_id)),
        flow_run_id=flow_run_id,
        request=HouseholdRequest(accounts=file, **more),
        household=household,
        journal=Journal(MemoryStore()),
        folder=tmp_path,
        started_at=NOW,
    )
    found = AccountRuns(run, client)
    await found.look()
    assert found.turn(ALICE) is Turn.TO_START
    await found.go_on(ALICE)
    return found


async def test_one_that_nobody_executes_yet_is_cancelled_at_once(runs):
    await runs.cancel()
    await runs.look()
    assert runs.turn(ALICE) is Turn.ENDED
    assert runs.of(ALICE).state.message == "exit 32: the household was cancelled before this run had begun"


async def test_one_whose_worker_died_before_it_had_a_process_ends_crashed(runs, client, monkeypatch):
    await client.set_flow_run_state(runs.of(ALICE).id, Pending())
    await runs.look()
    assert runs.turn(ALICE) is Turn.AT_WORK
    monkeypatch.setattr(liveness, "UNLABELLED_AFTER", timedelta(0))
    await runs.look()
    assert runs.of(ALICE).state.is_crashed()


@pytest.mark.parametrize("lives", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_one_of_another_computer_gets_the_time_of_a_heartbeat_once_the_server_is_back(
    lives, runs, client, monkeypatch
):
    run_id = runs.of(ALICE).id
    await client.set_flow_run_state(run_id, Running())
    await client.update_flow_run_labels(run_id, {PROCESS_LABEL: str(ELSEWHERE), HEARTBEAT_LABEL: LONG_AGO})
    monkeypatch.setattr(liveness, "HEARTBEAT_SECONDS", 1.0)

    async def next_heartbeat():
        await asyncio.sleep(0.2)
        if lives:
            await client.update_flow_run_labels(run_id, heartbeat_label())

    await asyncio.gather(runs.look(), next_heartbeat())
    assert runs.turn(ALICE) is (Turn.AT_WORK if lives else Turn.ENDED)


@pytest.mark.slow
async def test_one_that_breaks_off_in_the_households_process_ends_crashed(client, tmp_path, monkeypatch):
    async def breaks_off(*_arguments, **_parameters):
        raise PrefectException("the server is gone")

    monkeypatch.setattr(account_runs, "run_flow_async", breaks_off)
    found = await started(client, tmp_path, in_process=True)
    assert found.turn(ALICE) is Turn.AT_WORK
    while not found.of(ALICE).state.is_final():
        await found.look()
    assert found.of(ALICE).state.is_crashed()
    await client.delete_flow_run(found.of(ALICE).id)
