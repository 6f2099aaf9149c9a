"""What the broker says of the margin before the first buy, and what a run makes of it."""

from __future__ import annotations

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import account, held, scripted

from core.broker.fake import FakeIB
from core.broker.wordings import lost
from core.errors import ExitCode
from core.model import USD, Mode, Order, Side
from core.money import D

EACH_STAGE = {"approval": {"each_stage": "true"}}
WITHOUT = {"execution": {"what_if": "false"}}
SELLS_AND_BUYS = account(cash={USD: D(20_000)}, positions=(held(quantity="300"),))
SHORT_OF_MARGIN = account(cash={USD: D(20_000)}, positions=(held(quantity="300"),), excess_liquidity=D(100))


def rehearse(folder, *, ours=SELLS_AND_BUYS, **more):
    changes = {"account": ours} | more.pop("changes", {})
    return Rehearsal(folder, approver=SaysYes(), changes=changes, **more)


def asked(rehearsal):
    """The what-ifs, in order."""
    logs = (line.what for broker in rehearsal.brokers for line in broker.log)
    return [what for what in logs if isinstance(what, str) and what.startswith("what if")]


async def test_every_buy_is_asked_about_once_after_the_sells_and_before_the_first_is_sent(tmp_path):
    rehearsal = rehearse(tmp_path)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE
    words = [line.what.side if isinstance(line.what, Order) else line.what for line in rehearsal.brokers[0].log]
    (question,) = asked(rehearsal)
    assert question == "what if BUY 412 BND"
    assert words.index(Side.SELL) < words.index(question) < words.index(Side.BUY)
    (event,) = [event for event in outcome.events if event.kind == "margin"]
    assert event.detail.startswith("1 buy would leave 37,")


async def test_buys_that_the_margin_does_not_bear_are_not_sent_and_the_account_is_read_after_the_sells(tmp_path):
    rehearsal = rehearse(tmp_path, ours=SHORT_OF_MARGIN)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.FUNDS
    assert "would refuse to BUY" in outcome.reason
    assert "none of the buys was sent" in outcome.reason
    assert [order.side for order in rehearsal.sent()] == [Side.SELL]
    assert outcome.after is not None


async def test_with_the_switch_off_nobody_is_asked_and_the_order_meets_the_margin_itself(tmp_path):
    rehearsal = rehearse(tmp_path, ours=SHORT_OF_MARGIN, settings=WITHOUT)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, asked(rehearsal)) == (ExitCode.FUNDS, [])
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.REPORT_ONLY])
async def test_a_run_that_sends_nothing_asks_nothing(tmp_path, mode):
    rehearsal = rehearse(tmp_path, mode=mode)
    assert (await rehearsal.run()).exit_code is ExitCode.DONE
    assert asked(rehearsal) == []


async def test_without_buys_nothing_is_asked(tmp_path):
    rehearsal = rehearse(tmp_path, settings={"rebalance": {"direction": "sell_only"}})
    assert (await rehearsal.run()).exit_code is ExitCode.DONE
    assert ([order.side for order in rehearsal.sent()], asked(rehearsal)) == ([Side.SELL], [])


async def test_it_is_asked_after_the_second_yes(tmp_path):
    rehearsal = rehearse(tmp_path, settings=EACH_STAGE)
    outcome = await rehearsal.run()
    kinds = [event.kind for event in outcome.events]
    assert outcome.exit_code is ExitCode.DONE
    assert len(asked(rehearsal)) == 1
    assert max(number for number, kind in enumerate(kinds) if kind == "approval") < kinds.index("margin")


async def test_a_buy_that_the_broker_refuses_for_another_reason_is_sent_and_rejected_as_ever(tmp_path):
    rehearsal = rehearse(tmp_path, changes={"fills": scripted("BND", reject=201)})
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.REJECTED
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]


class Silent(FakeIB):
    """A broker whose line breaks at every what-if."""

    async def what_if(self, order):
        self._drop()
        raise lost("no answer to the what-if")


async def test_an_answer_that_never_comes_ends_the_run_and_no_buy_is_sent(tmp_path):
    rehearsal = rehearse(tmp_path, kind=Silent)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.CONNECTION
    assert "asking what BUY BND would do to the margin: no answer to the what-if" in outcome.reason
    assert [order.side for order in rehearsal.sent()] == [Side.SELL]
    assert rehearsal.brokers[0].exchange.working() == ()
