"""Account values may come minutes after the fills: buys wait for the money of the conversion and the sells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import VTI, account, held, quoted

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import CAD, USD, USD_CAD, Side, Stage, Symbol
from core.money import D

BND = Symbol("BND")
QUOTES = {
    VTI: quoted("100.00", "100.01", "100.00"),
    BND: quoted("72.00", "72.01", "72.00"),
    USD_CAD: quoted("1.36995", "1.37005", "1.37000"),
}
FX = {"fx": {"enabled": "true"}}
CONVERTS = {"account": account(cash={USD: D(2_000), CAD: D(100_000)}, positions=()), "quotes": QUOTES}
SELLS = {"account": account(cash={USD: D(2_000)}, positions=(held(quantity="600"),)), "quotes": QUOTES}


class LateLedger(FakeIB):
    """A broker whose ledger and NetLiq are those of before the first order for three minutes after it."""

    seconds = 180
    old = None

    async def place(self, order):
        if order.stage is not Stage.BUY and self.old is None:
            self.old, self.until = self.exchange.snapshot(), self.now() + timedelta(seconds=self.seconds)
        await super().place(order)

    async def snapshot(self):
        taken = await super().snapshot()
        if self.old is None or self.now() >= self.until:
            return taken
        # the broker's NetLiq counts the cash that it shows
        net_liq = replace(taken.net_liq, amount=taken.net_liq.amount + self._lacking(taken))
        return replace(taken, cash=self.old.cash, net_liq=net_liq)

    def _lacking(self, taken):
        moved = {currency: self.old.cash.get(currency, D(0)) - amount for currency, amount in taken.cash.items()}
        return sum((amount * taken.rates[currency] for currency, amount in moved.items()), D(0))


class NeverShown(LateLedger):
    """A broker whose ledger shows nothing of the fills while the run lasts."""

    seconds = 86_400


@pytest.mark.parametrize(("world", "settings"), [(CONVERTS, FX), (SELLS, {})], ids=["conversion", "sells"])
async def test_buys_wait_for_the_money_that_the_fills_brought(tmp_path, world, settings):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=LateLedger, changes=world, settings=settings)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, outcome.warnings) == (ExitCode.DONE, ()), outcome.reason
    bought = {order.contract.symbol: order.quantity for order in rehearsal.sent() if order.side is Side.BUY}
    bought.pop(USD_CAD, None)
    planned = {line.symbol: line.quantity for line in outcome.plan.buys}
    assert planned.keys() == bought.keys()
    assert all(bought[symbol] >= planned[symbol] * D("0.99") for symbol in planned)


async def test_money_that_never_shows_is_not_spent_and_the_run_is_not_done(tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=NeverShown, changes=CONVERTS, settings=FX)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.INCOMPLETE
    assert "USD less than the fills on record make, 240 s after them" in outcome.reason
    (broker,) = rehearsal.brokers
    assert broker.exchange.snapshot().cash[USD] > D(70_000)
    assert len([error for error in outcome.errors if "less than the fills" in error.message]) == 1
