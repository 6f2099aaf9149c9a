"""Showing progress never decides about trading, and whatever breaks out of a run is its failure."""

from __future__ import annotations

import logging

import pytest
from flow_runs import Rehearsal, SaysYes
from loguru import logger
from prefect.context import FlowRunContext
from prefect.logging.handlers import PrefectConsoleHandler

from core.broker.fake import FakeIB
from core.model import OrderState, RunEnding, Symbol
from core.money import D
from core.sim.venue.world import FillScript
from tasks.app.artifacts import _send
from tasks.app.logs import forwarded_to_prefect

VTI, BND = Symbol("VTI"), Symbol("BND")


def rehearsed(folder, **changes):
    return Rehearsal(folder, {"io": {"report_dir": str(folder / "reports")}}, approver=SaysYes(), **changes)


def is_gone(*_what):
    """What shows something to a reader who has left; rich ends the process then."""
    raise SystemExit(1)


def is_full(*_what):
    raise OSError(28, "No space left on device")


def assert_all_was_traded(outcome):
    assert (outcome.exit_code, outcome.reason) == (0, "done")
    assert [(record.order.contract.symbol, record.state) for record in outcome.orders] == [
        (VTI, OrderState.FILLED),
        (BND, OrderState.FILLED),
    ]


@pytest.mark.parametrize("sink", [is_gone, is_full])
async def test_a_log_sink_that_raises_stops_no_run(tmp_path, sink):
    number = logger.add(sink, catch=False)
    try:
        outcome = await rehearsed(tmp_path).run()
    finally:
        logger.remove(number)
    assert_all_was_traded(outcome)


@pytest.mark.parametrize("fails", [is_gone, is_full])
async def test_a_screen_that_can_show_neither_plan_nor_result_stops_no_run(tmp_path, fails):
    assert_all_was_traded(await rehearsed(tmp_path, shows=fails).run())


async def test_a_page_that_takes_nothing_costs_a_line_in_the_log_whatever_is_wrong_with_it():
    lines = []
    number = logger.add(lines.append, format="{message}")

    async def taken_by_nobody():
        raise ValueError("no such schema")

    try:
        with FlowRunContext.model_construct():
            assert await _send("the plan", taken_by_nobody) is None
    finally:
        logger.remove(number)
    assert lines == ["the Prefect page does not show the plan: no such schema\n"]


def test_prefects_console_does_not_end_the_process_when_nobody_reads_it():
    handler = PrefectConsoleHandler()
    logging.getLogger("prefect").addHandler(handler)
    try:
        with forwarded_to_prefect("THISRUN", str):
            handler.console.on_broken_pipe()
    finally:
        logging.getLogger("prefect").removeHandler(handler)


class BreaksOff(BaseException):
    """An exception of a kind that nothing catches by name."""


class Broken(FakeIB):
    """A broker that raises when an event of a working order is first waited for."""

    has_broken = False

    async def next_event(self, timeout_seconds):
        if self.exchange.working() and not self.has_broken:
            self.has_broken = True
            raise BreaksOff("the ground opened")
        return await super().next_event(timeout_seconds)


async def test_whatever_breaks_out_of_the_trading_is_a_failure_and_its_orders_are_cancelled(tmp_path):
    slowly = {"fills": {VTI: FillScript(delay_seconds=D(5))}}
    rehearsal = rehearsed(tmp_path, changes=slowly, kind=Broken)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, outcome.ending) == (70, RunEnding.FAILED)
    assert outcome.reason.startswith("unexpected: BreaksOff: the ground opened (test_nobody_watches.py:")
    assert [(record.order.contract.symbol, record.state) for record in outcome.orders] == [(VTI, OrderState.CANCELLED)]
    assert outcome.not_sent.keys() == {BND}
    assert '"exit_code": 70' in rehearsal.report("result.json")
