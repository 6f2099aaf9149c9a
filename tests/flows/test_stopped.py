"""A signal that lands inside a step, or a callback of the loop, ends the run as a person's no, with its report."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
from flow_runs import Rehearsal, SaysYes
from prefect.exceptions import TerminationSignal
from scenario_runs import SCENARIOS
from worlds import VTI

from core.broker.fake import FakeIB
from core.journal.memory import MemoryJournal
from core.model import BrokerKind, OrderState
from core.money import D
from core.scenario import read_scenario
from core.sim.world import FillScript
from deployments.scenarios import FromScenario
from flows.rebalance import rebalance
from tasks.brokers import rehearsal_options
from tasks.request import Request
from tasks.wiring import Session, session


class TerminatedWhileReading(FakeIB):
    """A broker during whose reading of the account SIGTERM arrives."""

    async def snapshot(self):
        raise TerminationSignal(signal=15)


async def test_a_signal_inside_a_step_leaves_a_report_that_says_so(tmp_path):
    scenario = read_scenario(SCENARIOS / "e2e_fx_first.yaml")
    outcomes = []
    own = Session(
        source=FromScenario(scenario, tmp_path),
        broker=lambda settings: TerminatedWhileReading.of(scenario.world, rehearsal_options(settings)),
        folder=tmp_path,
        journal=MemoryJournal(),
        ended=lambda outcome, _paths: outcomes.append(outcome),
    )
    request = Request(csv=scenario.path, ini=scenario.path, mode=scenario.mode, broker=BrokerKind.FAKE)
    with session(own), pytest.raises(TerminationSignal):
        await rebalance.fn(**request.parameters())
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["exit_code"], result["status"], result["orders"]) == (32, "aborted", [])
    assert outcomes[-1].exit_code == 32


@dataclass(slots=True)
class Callback:
    """What callbacks of the loop raise, so many at once, when news of an order is first waited for."""

    error: BaseException
    times: int = 1

    def __call__(self):
        raise self.error

    async def land(self):
        loop = asyncio.get_running_loop()
        for _ in range(self.times):
            loop.call_soon(self)
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
    reports = {"io": {"report_dir": str(folder / "reports")}}
    return Rehearsal(folder, reports, slowly, approver=SaysYes(), kind=Interrupted)


@pytest.fixture
async def complaints():
    """What the loop was told of errors in its callbacks."""
    loop, told = asyncio.get_running_loop(), []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    yield told
    loop.set_exception_handler(before)


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_a_signal_inside_a_callback_while_an_order_works_cancels_it_and_ends_the_run(tmp_path, complaints, times):
    rehearsal = with_orders_working(tmp_path, Callback(TerminationSignal(signal=15), times))
    before = asyncio.get_running_loop().get_exception_handler()
    with pytest.raises(TerminationSignal):
        await rehearsal.run()
    assert asyncio.get_running_loop().get_exception_handler() is before
    assert complaints == []
    (broker,) = rehearsal.brokers
    assert broker.exchange.working() == ()
    (order,) = broker.exchange.completed()
    assert (order.order_ref, order.state) == (rehearsal.sent()[0].ref, OrderState.CANCELLED)
    assert len(rehearsal.sent()) == 1
    result = json.loads(rehearsal.report("result.json"))
    assert (result["exit_code"], result["status"]) == (32, "failed")
    assert rehearsal.outcomes[-1].exit_code == 32


async def test_any_other_error_inside_a_callback_goes_where_it_went_before(tmp_path, complaints):
    error = ZeroDivisionError("of somebody else")
    rehearsal = with_orders_working(tmp_path, Callback(error))
    outcome = await rehearsal.run()
    assert complaints == [error]
    assert outcome.exit_code == 0
