"""A signal, whenever it arrives, ends the run in an orderly way: orders are cancelled, the report is written."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass
from itertools import product

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import VTI

from core.broker.fake import FakeIB
from core.errors import OrderIncomplete, RunCancelled
from core.model import OrderState, RunEnding
from core.money import D
from core.sim.venue.world import FillScript
from flows.cancellation import stoppable
from flows.rebalance import rebalance

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
QUICK = [(1, signal.SIGINT), (2, signal.SIGTERM)]
ONCE_AND_TWICE = [
    pytest.param(
        *case, id=f"{('once', 'twice')[case[0] - 1]}-{case[1].name}", marks=() if case in QUICK else pytest.mark.slow
    )
    for case in product([1, 2], SIGNALS)
]
A_WHILE = 60


class StoppedWhileReading(FakeIB):
    """A broker during whose reading of the account a signal arrives."""

    async def snapshot(self):
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(A_WHILE)


class StoppedAtTheEnd(FakeIB):
    """A broker at whose last disconnect, when all orders have filled, a signal arrives."""

    async def disconnect(self):
        is_the_last = not self.is_connected
        await super().disconnect()
        if is_the_last:
            signal.raise_signal(signal.SIGINT)
            for _ in range(20):
                await asyncio.sleep(0)


def reported(folder):
    return {"io": {"report_dir": str(folder / "reports")}}


async def test_a_signal_inside_a_step_leaves_a_report_that_says_so(tmp_path):
    rehearsal = Rehearsal(tmp_path, reported(tmp_path), approver=SaysYes(), kind=StoppedWhileReading)
    outcome = await rehearsal.run()
    result = json.loads(rehearsal.report("result.json"))
    assert (result["exit_code"], result["status"], result["state"]) == (32, "aborted", "Cancelled")
    assert result["reason"].startswith("the run was stopped because its terminal was closed")
    assert (outcome.exit_code, outcome.ending, outcome.orders) == (32, RunEnding.CANCELLED, ())


class Told:
    """A run that keeps why it is to stop."""

    def __init__(self):
        self.labels, self.cancel_cause = {}, None

    def cancel(self, cause):
        self.cancel_cause = self.cancel_cause or cause


async def test_a_signal_stops_the_household_whose_accounts_run_in_its_process_and_it_cancels_them():
    household, account = Told(), Told()

    async def of_an_account():
        async with stoppable(account, lambda: None):
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)

    async with stoppable(household, lambda: None):
        await asyncio.create_task(of_an_account())
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
    assert "terminal was closed" in str(household.cancel_cause)
    assert account.cancel_cause is None


@dataclass(slots=True)
class Callback:
    """What callbacks of the loop raise, so many at once, when an event of an order is first waited for."""

    call: object
    times: int = 1

    async def land(self):
        loop = asyncio.get_running_loop()
        for _ in range(self.times):
            loop.call_soon(self.call)
        self.times = 0
        for _ in range(5):
            await asyncio.sleep(0)


def with_orders_working(folder, callback):
    """A rehearsal whose first order fills after a while; the callback comes while that is waited for."""

    class Interrupted(FakeIB):
        async def next_event(self, timeout_seconds):
            if self.exchange.working():
                await callback.land()
            return await super().next_event(timeout_seconds)

    slowly = {"fills": {VTI: FillScript(delay_seconds=D(5))}}
    return Rehearsal(folder, reported(folder), slowly, approver=SaysYes(), kind=Interrupted)


@pytest.fixture
async def loop_errors():
    """The errors in callbacks that the loop was given."""
    loop, errors = asyncio.get_running_loop(), []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: errors.append(context["exception"]))
    yield errors
    loop.set_exception_handler(before)


@pytest.mark.parametrize(("times", "number"), ONCE_AND_TWICE)
async def test_a_signal_while_an_order_works_cancels_it_and_ends_the_run(tmp_path, loop_errors, number, times):
    before = signal.getsignal(number)
    rehearsal = with_orders_working(tmp_path, Callback(lambda: signal.raise_signal(number), times))
    outcome = await rehearsal.run()
    assert signal.getsignal(number) is before
    assert loop_errors == []
    (broker,) = rehearsal.brokers
    assert broker.exchange.working() == ()
    (order,) = broker.exchange.completed()
    assert (order.order_ref, order.state) == (rehearsal.sent()[0].ref, OrderState.CANCELLED)
    assert len(rehearsal.sent()) == 1
    result = json.loads(rehearsal.report("result.json"))
    assert (result["exit_code"], result["status"], result["state"]) == (32, "failed", "Cancelled")
    assert [type(error) for error in outcome.errors].count(RunCancelled) == 1
    (incomplete,) = [error for error in outcome.errors if isinstance(error, OrderIncomplete)]
    assert incomplete.in_full.endswith("filled 0 and ended Cancelled, as the run was told to stop")


async def test_a_signal_when_everything_is_done_is_a_cancel_all_the_same(tmp_path):
    rehearsal = Rehearsal(tmp_path, reported(tmp_path), approver=SaysYes(), kind=StoppedAtTheEnd)
    outcome = await rehearsal.run()
    assert [record.state for record in outcome.orders] == [OrderState.FILLED] * 2
    assert (outcome.exit_code, outcome.ending) == (32, RunEnding.CANCELLED)


async def test_whoever_cancels_the_task_of_the_flow_gets_a_report_too(tmp_path):
    class Slow(FakeIB):
        async def snapshot(self):
            is_reading.set()
            await asyncio.sleep(A_WHILE)

    is_reading = asyncio.Event()
    rehearsal = Rehearsal(tmp_path, reported(tmp_path), approver=SaysYes(), kind=Slow)
    with rehearsal.wired():
        task = asyncio.create_task(rebalance.fn(**rehearsal.parameters()))
        await is_reading.wait()
        task.cancel()
        state = await task
    assert (state.name, state.message.partition(":")[0]) == ("Cancelled", "exit 32")
    assert json.loads(rehearsal.report("result.json"))["reason"].startswith("the run was cancelled by its caller")


async def test_an_error_inside_a_callback_goes_where_it_went_before(tmp_path, loop_errors):
    error = ZeroDivisionError("of somebody else")

    def fail():
        raise error

    rehearsal = with_orders_working(tmp_path, Callback(fail))
    outcome = await rehearsal.run()
    assert loop_errors == [error]
    assert outcome.exit_code == 0
