"""What-if orders: what the broker would accept, order by order and all buys together."""

from __future__ import annotations

import pytest
from trading import four_funds
from worlds import account, order, scripted

from core.broker.fake import FakeIB, FakeOptions
from core.errors import ConnectionLost, ContractNotFound, FractionRefused, FundsInsufficient, NoAnswer, OrderRejected
from core.execution import ask_what_if, check_combined_margin, refuse_permanent, refuse_unfunded
from core.execution.preflight import MarginAfter
from core.execution.reader import Reader
from core.model import CAD, USD, Order, Side
from core.money import D
from core.sim.venue.world import Fault, FaultKind

FUNDS = ("VTI", "BND", "BIL", "AGG")


def buys(*symbols, **changes):
    return [order(symbol, line=line, **changes) for line, symbol in enumerate(symbols, start=1)]


async def asked(orders, options=None, **changes):
    """The answers, and the broker that gave them."""
    broker = FakeIB.of(four_funds(**changes), options)
    waits = []
    return await ask_what_if(Reader(broker, 3, waits.append), orders), broker, waits


async def asking(orders, options=None, **changes):
    """What is left of the margin, and the broker that reported it."""
    answers, broker, waits = await asked(orders, options, **changes)
    return check_combined_margin(answers), broker, waits


async def test_the_effects_of_all_buys_are_summed_and_none_is_sent():
    left, broker, _ = await asking(
        buys(*FUNDS), account=account(positions=(), excess_liquidity=D(1500)), commission=D(1)
    )
    assert left == MarginAfter(4, D("495.80"), D("495.80"), USD)  # 1500 − 4 × (250.05 + 1)
    assert not any(isinstance(line.what, Order) for line in broker.log)


async def test_buys_that_fit_one_by_one_but_not_together_are_refused_by_how_much():
    ours = account(positions=(), excess_liquidity=D(900))
    with pytest.raises(FundsInsufficient, match=r"4 buys would exceed the account's margin by 100\.20 USD") as refusal:
        await asking(buys(*FUNDS), account=ours)
    assert "none of the buys was sent" in refusal.value.next_step


async def test_the_shortage_is_in_the_base_currency():
    ours = account(base_currency=CAD, positions=(), excess_liquidity=D(500))
    with pytest.raises(FundsInsufficient, match=r"2 buys .* by 180\.1\d CAD"):
        await asking(buys("VTI", "BND"), account=ours)


async def test_one_buy_that_is_too_much_by_itself_is_refused_with_the_brokers_text():
    with pytest.raises(FundsInsufficient, match=r"would reject BUY 10 BND: .*250\.05 exceeds .* 200\.00 \(201\)"):
        await asking(buys("BND", "VTI"), account=account(positions=(), excess_liquidity=D(200)))


@pytest.mark.parametrize(("code", "error"), [(201, OrderRejected), (200, ContractNotFound), (10243, FractionRefused)])
async def test_what_no_money_cures_is_refused_for_good_and_names_every_line(code, error):
    answers, _, _ = await asked(buys("VTI", "BND"), fills=scripted(what_if_reject=code))
    with pytest.raises(error, match=rf"would reject BUY 10 VTI: .* \({code}\)") as refused:
        refuse_permanent(answers)
    assert refused.value.next_step.startswith("nothing was sent")
    assert check_combined_margin(answers).buys == 1
    both = scripted(what_if_reject=code) | scripted("BND", what_if_reject=201)
    with pytest.raises(error) as refused:
        refuse_permanent((await asked(buys("VTI", "BND"), fills=both))[0])
    assert ["VTI" in fault for fault in refused.value.faults] == [True, False]
    assert ["BND" in fault for fault in refused.value.faults] == [False, True]


async def test_a_refusal_for_money_is_decisive_only_of_the_orders_whose_money_is_there():
    sell, buy = order("VTI", Side.SELL, limit="100.00"), *buys("BND")
    answers, _, _ = await asked([sell, buy], account=account(excess_liquidity=D(100)))
    refuse_permanent(answers)
    refuse_unfunded(answers, [sell])
    with pytest.raises(FundsInsufficient, match=r"250\.05 exceeds .* 100\.00 \(201\)") as refused:
        refuse_unfunded(answers, [buy])
    assert "[rebalance] cash_buffer_pct" in refused.value.next_step


async def test_no_answer_for_one_order_concerns_that_order_alone_and_is_not_waited_for_again():
    answers, broker, waits = await asked(buys("VTI", "BND"), fills=scripted(what_if_unanswered=True))
    ((unanswered, error),) = answers.unanswered.items()
    assert (unanswered.contract.symbol, type(error), error.exit_code) == ("VTI", NoAnswer, 28)
    assert "did not answer within 20 s whether it would accept BUY 10 VTI" in error.message
    assert [one.contract.symbol for one in answers.effects] == ["BND"]
    assert (waits, broker.is_connected) == ([], True)
    assert len([line for line in broker.log if str(line.what).startswith("what if")]) == 2


async def test_a_cent_of_rounding_for_each_answer_is_no_shortage():
    assert MarginAfter(4, D("-0.04"), D(10), USD).shortage == 0
    assert MarginAfter(4, D("-0.05"), D(10), USD).shortage == D("0.05")
    assert MarginAfter(4, D(10), D("-0.05"), USD).shortage == D("0.05")


async def test_exactly_what_is_there_is_enough():
    ours = account(positions=(), excess_liquidity=D("1000.20"))
    left, _, _ = await asking(buys(*FUNDS), account=ours)
    assert left.available_funds == 0


async def test_a_connection_that_is_down_is_waited_for_and_then_is_the_reads_own_error():
    down = Fault("connect", FaultKind.DISCONNECT, times=2)
    left, _, waits = await asking(buys("VTI"), faults=(down,))
    assert (left.buys, len(waits)) == (1, 2)
    with pytest.raises(ConnectionLost, match=r"requesting the margin effect of BUY VTI: .* \(3 tries\)"):
        await asking(buys("VTI"), faults=(Fault("connect", FaultKind.DISCONNECT, times=9),))


async def test_many_buys_are_asked_about_at_our_own_pace_once_each():
    _, broker, waits = await asking(buys(*FUNDS * 25, quantity="1"), FakeOptions(messages_per_second=45))
    asked = [line for line in broker.log if str(line.what).startswith("what if")]
    assert (len(asked), waits) == (100, [])
    assert (asked[-1].at - asked[0].at).total_seconds() == 2
