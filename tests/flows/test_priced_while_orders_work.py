"""While the remainder of one order is priced, others work: a lost connection and the kill switch count all the same."""

from __future__ import annotations

import asyncio

from flow_runs import Given, Rehearsal, SaysYes
from worlds import account, quoted

from core.broker.fake import FakeIB
from core.errors import ConnectionLost, ExitCode
from core.execution import stage
from core.model import USD, Order, OrderState, Symbol
from core.money import D
from core.sim.venue.world import FillScript
from core.targets import targets_from_weights

AGG, BND, VTI = map(Symbol, ("AGG", "BND", "VTI"))
FILLS = {
    AGG: FillScript(delay_seconds=D(20)),
    BND: FillScript(delay_seconds=D(30), fill_fraction=D("0.5")),
    VTI: FillScript(delay_seconds=D(50)),
}


class Thirds(Given):
    def targets(self, settings, rows):
        return targets_from_weights(dict.fromkeys((AGG, BND, VTI), D("0.3")), settings.rebalance)


def rehearse(folder, kind):
    """Three buys, two of which may work at once; half of BND fills, and its remainder is priced while VTI works."""
    settings = {"execution": {"max_open_orders": "2", "order_timeout_seconds": "60"}}
    world = {
        "account": account(cash={USD: D(50_000)}, positions=()),
        "quotes": {symbol: quoted("100.00", "100.02", "100.01") for symbol in (AGG, BND, VTI)},
        "fills": FILLS,
    }
    source = Thirds(folder, settings)
    return Rehearsal(folder, approver=SaysYes(), kind=kind, changes=world, settings=settings, source=source)


def is_priced(broker, contracts):
    """Whether quotes are requested for the remainder of BND alone."""
    return [contract.symbol for contract in contracts] == [BND] and broker.exchange.working()


class Breaks(FakeIB):
    """A broker whose connection breaks when quotes for the remainder are requested."""

    has_broken = False

    async def quotes(self, contracts, *, is_snapshot=False):
        if is_priced(self, contracts) and not self.has_broken:
            self.has_broken = True
            self._drop()
            raise ConnectionLost("the connection broke", next_step="look at the gateway")
        return await super().quotes(contracts, is_snapshot=is_snapshot)


async def test_after_a_lost_connection_the_lists_are_read_before_anything_else_and_nothing_is_sent(tmp_path):
    rehearsal = rehearse(tmp_path, Breaks)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.CONNECTION, outcome.reason
    (broker,) = rehearsal.brokers
    requests = [entry.what for entry in broker.log if entry.is_sent]
    last = max(number for number, what in enumerate(requests) if isinstance(what, Order))
    again = requests.index("connect", last)
    assert {"open orders", "executions"} <= set(requests[again : again + 4]), requests[last:]


class Silent(FakeIB):
    """A broker that never answers the request for quotes of the remainder; the kill switch is on by then."""

    async def quotes(self, contracts, *, is_snapshot=False):
        if is_priced(self, contracts):
            self.kill_switch.touch()
            await asyncio.Event().wait()
        return await super().quotes(contracts, is_snapshot=is_snapshot)


async def test_the_kill_switch_cancels_what_works_while_another_order_is_priced(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "GUARD_SECONDS", 0.01)
    monkeypatch.setattr(Silent, "kill_switch", tmp_path / "KILL_SWITCH", raising=False)
    rehearsal = rehearse(tmp_path, Silent)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.KILL_SWITCH, outcome.reason
    states = {record.order.contract.symbol: record.state for record in outcome.orders}
    assert states == {AGG: OrderState.FILLED, BND: OrderState.CANCELLED, VTI: OrderState.CANCELLED}
