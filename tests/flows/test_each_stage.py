"""With `each_stage` a run asks again before sells and buys, and looks again at what may have changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from flow_runs import Rehearsal
from worlds import VTI, account, held, quoted

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import CAD, USD, USD_CAD, Side, Symbol
from core.money import D
from tasks.app.approvers import Answer

EACH_STAGE = {"approval": {"each_stage": "true"}}
BND = Symbol("BND")
UNTIL_HALF_A_MINUTE_BEFORE_THE_CLOSE = 29.5 * 60


@dataclass
class Slow:
    """Approves everything; the answer to one question takes so many seconds of the venue's time."""

    question: int
    seconds: float
    rehearsal: Rehearsal | None = None
    asked: int = field(default=0)
    how: str = "test"

    async def ask(self, question):
        self.asked += 1
        if self.asked == self.question:
            await self.rehearsal.brokers[-1].sleep(self.seconds)
        return Answer(approve=True, approver="Ann", account_suffix="567")


def rehearse(folder, question=0, seconds=0, settings=None, **changes):
    """A rehearsal that asks about each stage."""
    approver = Slow(question, seconds)
    approver.rehearsal = Rehearsal(folder, approver=approver, settings=EACH_STAGE | (settings or {}), **changes)
    return approver.rehearsal


def quote(broker, symbol, *prices):
    broker.exchange.quotes[symbol] = replace(broker.exchange.quotes[symbol], values=quoted(*prices).values)


@pytest.mark.parametrize(("question", "sent"), [(2, []), (3, [Side.SELL])], ids=["sells", "buys"])
async def test_a_session_that_ends_too_soon_after_the_answer_starts_no_stage(tmp_path, question, sent):
    rehearsal = rehearse(tmp_path, question, UNTIL_HALF_A_MINUTE_BEFORE_THE_CLOSE)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.MARKET_CLOSED
    assert outcome.reason.startswith("the session ends at 16:00 New York, in ")
    assert [order.side for order in rehearsal.sent()] == sent


async def test_a_blackout_that_began_before_the_answer_starts_no_stage(tmp_path):
    blackout = {"execution": {"blackout": "15:40-15:50", "close_margin_minutes": "0"}}
    rehearsal = rehearse(tmp_path, 2, 15 * 60, blackout)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.MARKET_CLOSED
    assert "no stage starts during the blackout 15:40-15:50" in outcome.reason
    assert rehearsal.sent() == []


class RateMoves(FakeIB):
    """USD.CAD is 1 % higher once the conversion is done."""

    def reach(self, point):
        super().reach(point)
        if point == "before_buys":
            quote(self, USD_CAD, "1.37360", "1.37370", "1.37365")


async def test_the_rate_of_a_conversion_that_is_done_voids_no_answer(tmp_path):
    world = {
        "account": account(cash={USD: D(0), CAD: D(50_000)}, positions=(held(quantity="300"),)),
        "quotes": {
            VTI: quoted("100.00", "100.01", "100.00"),
            BND: quoted("72.00", "72.01", "72.00"),
            USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
        },
    }
    rehearsal = rehearse(tmp_path, settings={"fx": {"enabled": "true"}}, kind=RateMoves, changes=world)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert {order.contract.symbol for order in rehearsal.sent()} == {USD_CAD, VTI, BND}


class PriceMoves(FakeIB):
    """VTI is 1 % higher once the plan is approved."""

    def reach(self, point):
        super().reach(point)
        if point == "before_sells":
            quote(self, VTI, "101.00", "101.01", "101.00")


async def test_a_stage_is_approved_at_the_prices_in_its_own_question(tmp_path):
    rehearsal = rehearse(tmp_path, kind=PriceMoves)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert rehearsal.sent()[0].limit_price > D("100.50")
