"""The question on a real Prefect server: what counts as a yes, and what the run does while it waits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from flow_runs import NO, YES, Rehearsal
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.input.run_input import keyset_from_paused_state
from worlds import quoted

from core.errors import ExitCode
from core.model import USD, Side, Symbol
from core.money import D
from core.sim.venue.world import Change, Point
from flows.liveness import ANSWER_LABEL

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

A_DEPOSIT = {"changes": (Change(Point.APPROVAL, cash={USD: D(25_000)}),)}


@pytest.fixture
async def client():
    async with get_client() as client:
        yield client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """More looks at the server than one every two seconds: the tests would only wait for those."""
    monkeypatch.setattr("flows.approval.POLL_SECONDS", 0.3)


async def form_of(client, waiting):
    """The Markdown above the form."""
    key = keyset_from_paused_state(waiting.state)["description"]
    return json.loads(await client.read_flow_run_input(waiting.id, key))


async def test_a_yes_sends_the_orders_and_is_on_record(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    await run.answer(client, **YES, note="go on")
    state = await run.ended()
    (approval,) = rehearsal.outcomes[-1].approvals
    assert state.is_completed()
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]
    assert (approval.approver, approval.note, approval.how) == ("Ann", "go on", "form")


async def test_a_no_ends_the_run_with_32_and_sends_nothing(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    await run.answer(client, **NO, note="not today")
    state = await run.ended()
    assert (state.name, state.is_cancelled()) == ("Rejected", True)
    assert state.message.startswith("exit 32: Ann said no: not today")
    assert rehearsal.sent() == []


@pytest.mark.slow
async def test_a_form_that_does_not_fit_is_refused_by_the_server_and_the_run_goes_on_waiting(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    waiting = await run.question(client)
    for wrong in (
        {**YES, "answer": "perhaps"},
        {"approver": "Ann", "account_suffix": "567"},
        {**YES, "account_suffix": "4567"},
        {**YES, "approver": " "},
        {"answer": "approve", "account_suffix": "567"},
        {"answer": "approve", "approver": "Ann"},
        {},
    ):
        answered = await client.resume_flow_run(waiting.id, run_input=wrong)
        assert answered.status is SetStateStatus.REJECT, wrong
        assert (await run.flow_run(client)).state.is_paused(), wrong
    await run.answer(client, **YES)
    assert (await run.ended()).is_completed()


@pytest.mark.slow
async def test_a_wrong_account_is_asked_again_twice_and_then_is_a_no(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    for _ in range(3):
        await run.answer(client, **{**YES, "account_suffix": "999"})
    state = await run.ended()
    assert state.message.startswith("exit 32: the account's last 3 characters were wrong 3 times")
    assert len(set(run.keys)) == 3
    assert rehearsal.sent() == []


@pytest.mark.slow
async def test_after_a_wrong_account_the_right_one_is_a_yes(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    run = rehearsal.start()
    await run.answer(client, **{**YES, "account_suffix": "999"})
    second = await run.question(client)
    first_line = (await form_of(client, second)).splitlines()[0]
    assert first_line == "**Asked again (2 of 3): the answer named another account**"
    assert "asked again: the answer named another account" in second.labels[ANSWER_LABEL]
    await run.answer(client, **YES)
    assert (await run.ended()).is_completed()
    assert rehearsal.outcomes[-1].warnings == ("the answer named another account than ******567",)


async def test_when_the_time_is_up_the_run_fails_with_33_and_sends_nothing(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, settings={"approval": {"timeout_seconds": "2"}})
    run = rehearsal.start()
    state = await run.ended()
    waiting = await run.flow_run(client)
    late = await client.resume_flow_run(waiting.id, run_input=YES)
    assert state.message.startswith("exit 33: nobody answered in time")
    assert (waiting.state.name, waiting.state.is_failed()) == ("Expired", True)
    assert late.status is not SetStateStatus.ACCEPT
    assert rehearsal.sent() == []


@pytest.mark.slow
async def test_while_it_waits_the_broker_is_let_go_and_the_account_is_held(client, tmp_path):
    rehearsal = Rehearsal(tmp_path)
    first = rehearsal.start()
    await first.question(client)
    assert not rehearsal.brokers[0].is_connected
    second = rehearsal.start()
    busy = await second.ended()
    assert busy.message.startswith("exit 40: account ******567 is busy with run ")
    assert rehearsal.outcomes[0].exit_code is ExitCode.BUSY
    assert '"exit_code": 40' in rehearsal.report("result.json")
    await first.answer(client, **NO)
    await first.ended()
    third = rehearsal.start()
    await third.answer(client, **YES)
    assert (await third.ended()).is_completed()


@pytest.mark.slow
async def test_an_account_that_moved_meanwhile_is_planned_and_asked_about_again(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, changes=A_DEPOSIT)
    run = rehearsal.start()
    await run.answer(client, **YES)
    await run.answer(client, **YES)
    state = await run.ended()
    outcome = rehearsal.outcomes[-1]
    assert state.is_completed()
    assert "the approved plan is void: USD cash: 20,000.00 then, 25,000.00 now" in outcome.warnings
    assert len({approval.plan_hash for approval in outcome.approvals}) == 2
    assert outcome.plan.valuation.net_liq == D(55_000)


@pytest.mark.slow
async def test_a_market_that_never_rests_is_given_up_after_three_plans(client, tmp_path):
    prices = ("100.60", "101.30", "102.00")
    moves = tuple(
        Change(Point.APPROVAL, quotes={Symbol("VTI"): quoted(price, str(D(price) + D("0.01")), price)})
        for price in prices
    )
    rehearsal = Rehearsal(tmp_path, changes={"changes": moves})
    run = rehearsal.start()
    for _ in prices:
        await run.answer(client, **YES)
    state = await run.ended()
    assert state.message.startswith("exit 34: account or market changed after each of 3 approvals")
    assert rehearsal.sent() == []


EACH_STAGE = {"approval": {"each_stage": "true"}}


@pytest.mark.slow
async def test_each_stage_is_asked_about_when_the_settings_want_it(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, settings=EACH_STAGE)
    run = rehearsal.start()
    sent = []
    for _ in range(3):
        await run.question(client)
        assert not rehearsal.brokers[0].is_connected
        sent.append([order.side for order in rehearsal.sent()])
        await run.answer(client, **YES)
    state = await run.ended()
    assert state.is_completed()
    assert sent == [[], [], [Side.SELL]]
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]
    assert len(set(run.keys)) == 3


@pytest.mark.slow
async def test_a_no_to_the_buys_leaves_the_sells_done_and_says_so(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, settings=EACH_STAGE)
    run = rehearsal.start()
    await run.answer(client, **YES)
    await run.answer(client, **YES)
    await run.answer(client, **NO)
    state = await run.ended()
    assert state.message.startswith("exit 32: ")
    assert [order.side for order in rehearsal.sent()] == [Side.SELL]
    assert rehearsal.outcomes[-1].status == "failed"
    assert rehearsal.outcomes[-1].after is not None


@pytest.mark.slow
async def test_holdings_that_changed_before_the_sells_were_approved_are_not_sold(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, settings=EACH_STAGE)
    run = rehearsal.start()
    await run.answer(client, **YES)
    await run.question(client)
    ledger = rehearsal.brokers[0].exchange.ledger
    ledger.positions[Symbol("VTI")] = replace(ledger.positions[Symbol("VTI")], quantity=D(50))
    await run.answer(client, **YES)
    state = await run.ended()
    assert state.message.startswith(
        "exit 34: account or market changed while the sells waited for approval: VTI: 300 shares"
    )
    assert rehearsal.sent() == []
