"""An order that waits for those before it goes at a price of now, not at that of the stage's start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flow_runs import Given, Rehearsal, SaysYes
from worlds import account, quoted

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import USD, OrderState, Side, Symbol
from core.money import D
from core.sim.venue.world import FillScript
from core.targets import targets_from_weights

AGG, BND, VTI = map(Symbol, ("AGG", "BND", "VTI"))
EACH_TAKES = 40.0


class Thirds(Given):
    def targets(self, settings, rows):
        return targets_from_weights(dict.fromkeys((AGG, BND, VTI), D("0.33")), settings.rebalance)


class VtiMoves(FakeIB):
    """VTI is quoted at `to` once the first order of the stage is placed."""

    to = ("100.10", "100.12", "100.11")
    has_moved = False

    async def place(self, order):
        await super().place(order)
        if not self.has_moved:
            self.has_moved = True
            self.exchange.quotes[VTI] = replace(self.exchange.quotes[VTI], values=quoted(*self.to).values)


class VtiLeaps(VtiMoves):
    to = ("104.98", "105.00", "105.00")


class VtiFalls(VtiMoves):
    to = ("99.00", "99.02", "99.01")


def rehearse(folder, kind, **settings):
    """Three buys of which one works at a time, each filled after 40 s."""
    changed = {"execution": {"max_open_orders": "1"}} | settings
    world = {
        "account": account(cash={USD: D(50_000)}, positions=()),
        "quotes": {symbol: quoted("100.00", "100.02", "100.01") for symbol in (AGG, BND, VTI)},
        "fills": {symbol: FillScript(delay_seconds=D(EACH_TAKES)) for symbol in (AGG, BND, VTI)},
    }
    return Rehearsal(
        folder, approver=SaysYes(), kind=kind, changes=world, settings=changed, source=Thirds(folder, changed)
    )


def sent(rehearsal, symbol):
    return [order for order in rehearsal.sent() if order.contract.symbol == symbol]


async def test_it_is_priced_again_from_quotes_that_are_not_stale(tmp_path):
    rehearsal = rehearse(tmp_path, VtiFalls)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    (order,) = sent(rehearsal, VTI)
    assert order.limit_price < D("99.02")
    (record,) = [each for each in outcome.orders if each.order.contract.symbol == VTI]
    # what slippage is measured against
    assert record.order.mid == D("99.01")
    assert record.sent_at - outcome.orders[0].sent_at >= timedelta(seconds=EACH_TAKES)


class Counting(VtiMoves):
    """A broker that remembers for how many symbols quotes were requested at once after the first order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.requested = []

    async def quotes(self, contracts, *, is_snapshot=False):
        if self.exchange.orders:
            self.requested.append([contract.symbol for contract in contracts])
        return await super().quotes(contracts, is_snapshot=is_snapshot)


async def test_the_quotes_of_all_that_wait_are_taken_at_once(tmp_path):
    rehearsal = rehearse(tmp_path, Counting)
    assert (await rehearsal.run()).exit_code is ExitCode.DONE
    assert rehearsal.brokers[0].requested[0] == [BND, VTI]


@pytest.mark.parametrize("order_type", ["LMT", "MKT"])
async def test_one_whose_price_is_now_much_worse_than_approved_is_not_sent(tmp_path, order_type):
    rehearsal = rehearse(tmp_path, VtiLeaps, rebalance={"order_type": order_type})
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.PLAN_CHANGING
    assert "VTI was not sent: its worst price is now 105" in outcome.reason
    assert sent(rehearsal, VTI) == []
    assert [record.state for record in outcome.orders] == [OrderState.FILLED] * 2
    assert outcome.not_sent
    assert rehearsal.brokers[0].exchange.snapshot().cash[USD] > 0


async def test_one_at_the_market_goes_at_a_limit_where_the_market_is_dearer_than_it_was_sized_at(tmp_path):
    rehearsal = rehearse(tmp_path, VtiMoves, rebalance={"order_type": "MKT"})
    outcome = await rehearsal.run()
    (order,) = sent(rehearsal, VTI)
    bought = {line.symbol: line for line in outcome.plan.buys}
    assert order.limit_price is None or order.limit_price <= bought[VTI].limit.worst_price
    assert order.side is Side.BUY
