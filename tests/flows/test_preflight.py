"""The pre-flight: the broker is asked about every line, and about the buys together, before orders are sent."""

from __future__ import annotations

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import account, held, scripted

from core.broker.errors import lost, would_refuse
from core.broker.fake import FakeIB
from core.errors import ExitCode, NoAnswer
from core.model import USD, Mode, Order, RejectReason, RunEnding, Side
from core.money import D

EACH_STAGE = {"approval": {"each_stage": "true"}}
WITHOUT = {"execution": {"preflight": "false"}}
SELLS_AND_BUYS = account(cash={USD: D(20_000)}, positions=(held(quantity="300"),))
SHORT_OF_MARGIN = account(cash={USD: D(20_000)}, positions=(held(quantity="300"),), excess_liquidity=D(100))


def rehearse(folder, *, ours=SELLS_AND_BUYS, **more):
    changes = {"account": ours} | more.pop("changes", {})
    return Rehearsal(folder, approver=SaysYes(), changes=changes, **more)


def asked(rehearsal):
    """The what-ifs, in order."""
    logs = (line.what for broker in rehearsal.brokers for line in broker.log)
    return [what for what in logs if isinstance(what, str) and what.startswith("what if")]


async def test_every_line_is_asked_about_before_the_first_order_and_the_buys_again_after_the_sells(tmp_path):
    rehearsal = rehearse(tmp_path)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE
    entries = [line.what.side if isinstance(line.what, Order) else line.what for line in rehearsal.brokers[0].log]
    assert asked(rehearsal) == ["what if SELL 102 VTI", "what if BUY 412 BND", "what if BUY 412 BND"]
    sells, buys = entries.index(Side.SELL), entries.index(Side.BUY)
    asked_at = [number for number, entry in enumerate(entries) if str(entry).startswith("what if")]
    assert asked_at[1] < sells < asked_at[2] < buys
    (event,) = [event for event in outcome.events if event.kind == "margin"]
    assert event.detail.startswith("1 buy would leave 37,")


@pytest.mark.parametrize(("code", "exit_code"), [(201, 27), (200, 22), (10243, 24)])
async def test_what_no_money_cures_ends_the_run_before_anything_is_sent(tmp_path, code, exit_code):
    rehearsal = rehearse(tmp_path, changes={"fills": scripted("BND", what_if_reject=code)})
    outcome = await rehearsal.run()
    assert (outcome.exit_code, outcome.ending, rehearsal.sent()) == (exit_code, RunEnding.REFUSED, [])
    assert "the broker would reject BUY 412 BND" in outcome.reason
    assert f"({code})" in outcome.reason


async def test_a_sell_whose_money_is_refused_ends_the_run_before_anything_is_sent(tmp_path):
    class Strict(FakeIB):
        async def what_if(self, order):
            if order.side is Side.SELL:
                raise would_refuse(order, 201, "Order rejected - reason: margin", RejectReason.MARGIN)
            return await super().what_if(order)

    rehearsal = rehearse(tmp_path, kind=Strict)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.FUNDS, [])


@pytest.mark.parametrize(("unanswered", "traded"), [("VTI", [Side.BUY]), ("BND", [Side.SELL])])
async def test_a_line_without_a_what_if_answer_is_left_out_and_the_others_trade(tmp_path, unanswered, traded):
    rehearsal = rehearse(tmp_path, changes={"fills": scripted(unanswered, what_if_unanswered=True)})
    outcome = await rehearsal.run()
    assert [order.side for order in rehearsal.sent()] == traded
    assert outcome.exit_code is ExitCode.INCOMPLETE
    assert unanswered in outcome.reason
    assert "did not answer within 20 s" in outcome.not_sent[unanswered]
    assert any(warning.startswith(f"{unanswered} is left out of this run") for warning in outcome.warnings)


async def test_buys_that_the_margin_does_not_bear_are_not_sent_and_the_account_is_read_after_the_sells(tmp_path):
    rehearsal = rehearse(tmp_path, ours=SHORT_OF_MARGIN)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.FUNDS
    (detail,) = [event.detail for event in outcome.events if event.detail.startswith("asked again right before")]
    assert "would reject BUY" in detail
    assert "would reject BUY" in outcome.reason
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


async def test_a_buy_whose_sell_was_left_out_is_made_smaller_and_asked_about_again(tmp_path):
    unanswered = scripted("VTI", what_if_unanswered=True)
    ours = account(cash={USD: D(20_000)}, positions=(held(quantity="300"),), excess_liquidity=D(5_500))
    rehearsal = rehearse(tmp_path, ours=ours, changes={"fills": unanswered})
    outcome = await rehearsal.run()
    assert (outcome.exit_code, type(outcome.errors[0])) == (ExitCode.INCOMPLETE, NoAnswer)
    (sent,) = rehearsal.sent()
    assert asked(rehearsal) == ["what if SELL 102 VTI", "what if BUY 412 BND", f"what if BUY {sent.quantity} BND"]
    assert sent.quantity < 412


async def test_buys_that_wait_for_nothing_are_asked_about_once_and_together(tmp_path):
    ours = account(cash={USD: D(50_000)}, positions=(), excess_liquidity=D(9_000))
    rehearsal = rehearse(tmp_path, ours=ours)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.FUNDS, [])
    assert "2 buys would exceed the account's margin" in outcome.reason
    assert "[rebalance] cash_buffer_pct" in outcome.reason
    assert len(asked(rehearsal)) == 2


async def test_it_is_asked_after_the_second_yes(tmp_path):
    rehearsal = rehearse(tmp_path, settings=EACH_STAGE)
    outcome = await rehearsal.run()
    kinds = [event.kind for event in outcome.events]
    assert outcome.exit_code is ExitCode.DONE
    assert len(asked(rehearsal)) == 3
    assert max(number for number, kind in enumerate(kinds) if kind == "approval") < kinds.index("margin")


async def test_a_buy_that_the_broker_refuses_for_another_reason_is_sent_and_rejected_as_ever(tmp_path):
    rehearsal = rehearse(tmp_path, changes={"fills": scripted("BND", reject=201)})
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.REJECTED
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]


class Gone(FakeIB):
    """A broker whose connection breaks at every what-if."""

    async def what_if(self, order):
        self._drop()
        raise lost("no answer to the what-if")


async def test_a_connection_that_is_lost_when_the_broker_is_asked_ends_the_run_before_anything_is_sent(tmp_path):
    rehearsal = rehearse(tmp_path, kind=Gone)
    outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.CONNECTION, [])
    assert "requesting the margin effect of SELL VTI: no answer to the what-if" in outcome.reason
