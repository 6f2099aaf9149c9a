"""What a run checks again right before orders are sent, since account and market may have changed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from flow_runs import Rehearsal, SaysYes
from prefect.client.orchestration import get_client
from prefect.states import Cancelling
from worlds import VTI, account, held, quoted, scripted

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import CAD, USD, USD_CAD, Mode, OrderState, Side, Symbol
from core.money import D
from tasks.app.approvers import Answer

HOUR = 3600
AT_ANY_HOUR = {"rebalance": {"prefer_rth": "false"}}
EACH_STAGE = {"approval": {"each_stage": "true"}}
NEVER_FILLED = {"fills": scripted(fill_fraction=0)}


@dataclass
class TakesTime:
    """Approves everything, so many seconds of the venue's time after it was asked."""

    seconds: float = 0
    rehearsal: Rehearsal | None = None
    asked: int = field(default=0)
    how: str = "test"

    async def ask(self, question):
        self.asked += 1
        await self.rehearsal.brokers[-1].sleep(self.seconds)
        return Answer(approve=True, approver="Ann", account_suffix="567")


def rehearse(folder, *, seconds=0, **changes):
    """A rehearsal whose approver takes so long."""
    approver = TakesTime(seconds)
    approver.rehearsal = Rehearsal(folder, approver=approver, **changes)
    return approver.rehearsal


# --- the kill switch ---


async def test_under_the_kill_switch_nothing_is_read_planned_or_asked(tmp_path):
    (tmp_path / "KILL_SWITCH").touch()
    rehearsal = rehearse(tmp_path)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.KILL_SWITCH
    assert (outcome.plan, rehearsal.approver.asked, len(rehearsal.brokers[0].log)) == (None, 0, 0)


async def test_a_dry_run_under_the_kill_switch_is_a_rehearsal_with_a_warning(tmp_path):
    (tmp_path / "KILL_SWITCH").touch()
    outcome = await rehearse(tmp_path, mode=Mode.DRY_RUN).run()
    assert outcome.exit_code is ExitCode.DONE
    assert any(warning.startswith("the kill switch is on") for warning in outcome.warnings)


# --- hours ---

IN_BLACKOUT = {"execution": {"blackout": "15:00-16:00"}}


async def test_a_dry_run_in_the_blackout_says_that_no_stage_would_start(tmp_path):
    outcome = await rehearse(tmp_path, mode=Mode.DRY_RUN, settings=IN_BLACKOUT).run()
    assert outcome.exit_code is ExitCode.DONE
    assert any("blackout" in warning for warning in outcome.warnings)


async def test_no_stage_starts_in_the_blackout(tmp_path):
    rehearsal = rehearse(tmp_path, settings=IN_BLACKOUT)
    assert (await rehearsal.run()).exit_code is ExitCode.MARKET_CLOSED
    assert rehearsal.sent() == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [({}, ExitCode.MARKET_CLOSED), (AT_ANY_HOUR | {"approval": {"timeout_seconds": "9999"}}, ExitCode.DONE)],
)
async def test_a_market_that_closed_while_the_plan_waited_gets_no_order_in_regular_hours(tmp_path, settings, code):
    rehearsal = rehearse(tmp_path, seconds=HOUR, settings=settings)
    assert (await rehearsal.run()).exit_code is code
    assert bool(rehearsal.sent()) is (code is ExitCode.DONE)


class Late(FakeIB):
    """A broker whose events of a working order come an hour late."""

    async def next_event(self, timeout_seconds):
        if self.exchange.working():
            await self.sleep(HOUR)
        return await super().next_event(timeout_seconds)


async def test_a_market_that_closes_between_two_orders_gets_no_more(tmp_path):
    rehearsal = rehearse(tmp_path, changes=NEVER_FILLED, kind=Late)
    outcome = await rehearsal.run()
    assert [order.side for order in rehearsal.sent()] == [Side.SELL]
    assert ExitCode.MARKET_CLOSED in [error.exit_code for error in outcome.errors]


async def test_no_currency_is_converted_when_its_market_closed_meanwhile_with_a_warning(tmp_path):
    ours = account(cash={USD: D(0), CAD: D(50_000)}, positions=(held(quantity="300"),))
    settings = AT_ANY_HOUR | {
        "fx": {"enabled": "true", "prefer_market_hours": "true"},
        "approval": {"timeout_seconds": "9999"},
    }
    quotes = {
        VTI: quoted("100.00", "100.01", "100.00"),
        Symbol("BND"): quoted("72.00", "72.01", "72.00"),
        USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
    }
    rehearsal = rehearse(tmp_path, seconds=1.6 * HOUR, settings=settings, changes={"account": ours, "quotes": quotes})
    outcome = await rehearsal.run()
    assert outcome.plan.fx.quantity > 0
    assert USD_CAD not in [order.contract.symbol for order in rehearsal.sent()]
    assert any("daily break" in warning for warning in outcome.warnings)


# --- the price ---


class Falling(FakeIB):
    """A broker at which VTI is 40 bps lower each time it is quoted once the sells begin."""

    steps: int | None = None

    def reach(self, point):
        super().reach(point)
        if point == "before_sells":
            self.steps = 0

    async def quotes(self, contracts, *, is_snapshot=False):
        if self.steps is not None and VTI in [contract.symbol for contract in contracts]:
            self.steps += 1
            bid = D("100.00") - D("0.40") * self.steps
            quotes = self.exchange.quotes
            quotes[VTI] = replace(quotes[VTI], values=quoted(str(bid), str(bid + D("0.01")), str(bid)).values)
        return await super().quotes(contracts, is_snapshot=is_snapshot)


@pytest.mark.parametrize(
    ("most_bps", "limits"), [("50", ["99.60"]), ("90", ["99.60", "99.20"]), ("130", ["99.60", "99.20", "98.80"])]
)
async def test_no_attempt_at_a_sell_goes_further_below_the_approved_price_than_the_approval_allows(
    tmp_path, most_bps, limits
):
    settings = {"approval": {"max_price_move_bps": most_bps}}
    rehearsal = rehearse(tmp_path, kind=Falling, changes=NEVER_FILLED, settings=settings)
    outcome = await rehearsal.run()
    (line,) = outcome.plan.sells
    assert line.limit.worst_price == D("100.00")
    sells = [order for order in rehearsal.sent() if order.side is Side.SELL]
    assert [order.limit_price for order in sells] == [D(limit) for limit in limits]


# --- the answer ---


async def test_a_yes_after_the_plans_time_is_none_even_when_the_clock_of_the_asker_stood_still(tmp_path):
    rehearsal = rehearse(tmp_path, seconds=2 * HOUR, settings=AT_ANY_HOUR)
    assert (await rehearsal.run()).exit_code is ExitCode.APPROVAL_EXPIRED
    assert rehearsal.sent() == []


class Jumpy(TakesTime):
    """Approves, while BND goes from 72 to 73 before the third answer."""

    async def ask(self, question):
        if self.asked == 2:
            quotes = self.rehearsal.brokers[-1].exchange.quotes
            quotes[Symbol("BND")] = replace(quotes[Symbol("BND")], values=quoted("73.00", "73.01", "73.00").values)
        return await super().ask(question)


async def test_a_price_that_moved_while_a_stage_waited_for_its_yes_voids_it(tmp_path):
    approver = Jumpy()
    approver.rehearsal = rehearsal = Rehearsal(tmp_path, approver=approver, settings=EACH_STAGE)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.PLAN_CHANGING
    assert "BND: 72" in outcome.reason
    assert [order.side for order in rehearsal.sent()] == [Side.SELL]


# --- a cancel on the page ---


class InRealTime(FakeIB):
    """A broker whose events take a moment."""

    async def next_event(self, timeout_seconds):
        await asyncio.sleep(0)
        if not self.exchange.working():
            return await super().next_event(timeout_seconds)
        self.is_working.set()
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.05)
        return await super().next_event(min(timeout_seconds, 0.01))

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_working = asyncio.Event()


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.mark.slow
async def test_a_cancel_on_the_page_ends_the_orders_of_a_run_that_nobody_serves(client, tmp_path, monkeypatch):
    monkeypatch.setattr("flows.cancellation.POLL_SECONDS", 0.1)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=InRealTime, changes=NEVER_FILLED)
    run = rehearsal.start()
    async with asyncio.timeout(60):
        while not rehearsal.brokers:
            await asyncio.wait([run.task], timeout=0.05)
        await rehearsal.brokers[0].is_working.wait()
    await client.set_flow_run_state((await run.flow_run(client)).id, Cancelling())
    state = await run.ended()
    outcome = rehearsal.outcomes[-1]
    assert outcome.exit_code is ExitCode.APPROVAL_REJECTED
    assert not state.is_completed()
    assert [record.state for record in outcome.orders] == [OrderState.CANCELLED]
    assert rehearsal.brokers[0].exchange.working() == ()


# --- the log ---


async def test_each_order_and_each_fill_is_in_the_log(tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes())
    outcome = await rehearsal.run()
    logged = [json.loads(line)["message"] for line in rehearsal.report("run.log").splitlines()]
    for order in outcome.orders:
        assert any(line.startswith(f"sending: {order.order.ref}") for line in logged)
        assert any(line.startswith(f"fill: {order.order.ref}") for line in logged)
