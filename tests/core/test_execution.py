"""One stage on a venue that behaves: who is sent when, what works at once, time-outs, rejections, the guard."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from trading import buy, convert, disagreements, execution_settings, resting, sell, trading
from worlds import VTI, account, scripted

from core.errors import (
    ConnectionLost,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    KillSwitchOn,
    MarketDataMissing,
    OrderIncomplete,
    OrderRejected,
    PacingExceeded,
    SafetyRefused,
)
from core.model import USD, CommissionReport, OrderState, OrderUpdate, Stage
from core.model.refs import order_ref
from core.money import D
from core.sim.venue.world import Fault, FaultKind

THREE = (buy(), buy("BND", 2), buy("BIL", 3))
SLOW = {
    name: script for symbol in ("VTI", "BND", "BIL") for name, script in scripted(symbol, delay_seconds=D(30)).items()
}


def seconds_sent(at_work) -> list[float]:
    """When each order left, in seconds from the start."""
    return [(record.sent_at - NOW).total_seconds() for record in at_work.journal.orders("ABCDEFGHIJ23")]


def again(record, quantity=None, limit="100.02"):
    """The remainder of an order as the next attempt, at the ask."""
    old = record.order
    attempt = old.attempt + 1
    return replace(
        old,
        ref=order_ref("ABCDEFGHIJ23", old.stage, old.line, attempt),
        attempt=attempt,
        quantity=quantity or old.quantity - record.filled,
        limit_price=D(limit),
    )


async def at_the_ask(record):
    return again(record)


# --- filling ---


async def test_orders_that_fill_leave_no_failure():
    at_work = await trading(*THREE)
    result = await at_work.run(*THREE)
    assert [(record.state, record.filled) for record in result.records] == [(OrderState.FILLED, D(10))] * 3
    assert (result.errors, result.unsent, result.stops) == ((), (), False)
    assert disagreements(at_work) == []


async def test_an_empty_stage_sends_nothing():
    at_work = await trading(*THREE)
    assert (await at_work.run()).records == ()
    assert at_work.sent() == []


async def test_the_next_order_leaves_when_the_broker_has_acknowledged_the_one_before():
    at_work = await trading(*THREE, fills=SLOW)
    await at_work.run(*THREE)
    reported = [
        entry.what.ref if entry.is_sent else entry.what.order_ref
        for entry in at_work.broker.log
        if isinstance(entry.what, (type(THREE[0]), OrderUpdate))
    ]
    assert reported[:6] == [ref for order in THREE for ref in (order.ref, order.ref)]


async def test_no_more_orders_work_at_once_than_allowed():
    at_work = await trading(*THREE, settings=execution_settings(max_open_orders=2), fills=SLOW)
    result = await at_work.run(*THREE)
    assert seconds_sent(at_work) == [0, 0, 30]
    assert result.errors == ()


async def test_every_step_is_on_the_timeline():
    at_work = await trading(buy())
    await at_work.run(buy())
    assert [event.kind for event in at_work.events] == ["sending", "working", "filled", "fill"]
    assert at_work.details_of("fill") == ["RB-ABCDEFGHIJ23-B1-1 10 at 100.02, 10 of 10"]


async def test_a_stage_connects_again_when_nothing_is_in_flight():
    at_work = await trading(buy())
    await at_work.broker.disconnect()
    assert (await at_work.run(buy())).errors == ()


async def test_a_stage_that_cannot_connect_sends_nothing():
    at_work = await trading(buy())
    await at_work.broker.disconnect()
    at_work.broker.refusals = 99
    result = await at_work.run(buy())
    assert [type(error) for error in result.errors] == [ConnectionLost]
    assert (result.records, result.unsent, result.stops) == ((), (buy(),), True)


async def test_fees_that_are_late_are_waited_for_a_moment_and_then_unknown():
    at_work = await trading(buy())
    at_work.broker.altered = lambda event: () if isinstance(event, CommissionReport) else (event,)
    result = await at_work.run(buy())
    assert result.records[0].fills[0].commission is None
    assert at_work.broker.now() - NOW == timedelta(seconds=2)


# --- time ---


async def test_what_has_not_filled_in_time_is_cancelled_and_its_fills_count():
    at_work = await trading(buy(), fills=scripted(fill_fraction=D("0.4")))
    result = await at_work.run(buy())
    record = result.records[0]
    assert (record.state, record.filled) == (OrderState.CANCELLED, D(4))
    assert at_work.broker.now() - NOW == timedelta(seconds=120)
    assert str(result.errors[0]).startswith(
        "order RB-ABCDEFGHIJ23-B1-1 (BUY 10 VTI) filled 4 and ended Cancelled: Order Canceled (202)"
    )
    assert (type(result.errors[0]), result.stops) == (OrderIncomplete, False)


async def test_the_timer_runs_for_each_order_from_when_it_left():
    orders = (buy(), resting("BND", 2))
    at_work = await trading(
        *orders, settings=execution_settings(max_open_orders=1), fills=scripted(delay_seconds=D(100))
    )
    await at_work.run(*orders)
    assert at_work.broker.now() - NOW == timedelta(seconds=220)


async def test_a_conversion_has_its_own_shorter_time_and_no_wait_at_all_is_possible():
    for seconds in (5, 0):
        at_work = await trading(
            convert(),
            settings=execution_settings(wait_for_fill_seconds=seconds),
            fills=scripted("USD.CAD", fill_fraction=D("0.5")),
        )
        result = await at_work.run(convert())
        assert (result.records[0].filled, at_work.broker.now() - NOW) == (D(1500), timedelta(seconds=seconds))


async def test_an_order_that_the_day_ends_is_incomplete_and_not_repriced():
    at_work = await trading(resting(), settings=execution_settings(order_timeout_seconds=9999, reprice_attempts=3))
    result = await at_work.run(resting(), reprice=at_the_ask)
    assert [record.state for record in result.records] == [OrderState.EXPIRED]
    assert [type(error) for error in result.errors] == [OrderIncomplete]


# --- repricing ---


async def test_the_confirmed_remainder_is_repriced_as_a_new_order():
    at_work = await trading(resting(), settings=execution_settings(reprice_attempts=1))
    result = await at_work.run(resting(), reprice=at_the_ask)
    assert [(record.order.attempt, record.state) for record in result.records] == [
        (1, OrderState.CANCELLED),
        (2, OrderState.FILLED),
    ]
    assert result.errors == ()


async def test_only_so_many_new_attempts_are_made():
    at_work = await trading(
        buy(), settings=execution_settings(reprice_attempts=2), fills=scripted(fill_fraction=D("0.5"))
    )
    result = await at_work.run(buy(), reprice=at_the_ask)
    assert [(record.order.quantity, record.filled) for record in result.records] == [
        (D(10), D(5)),
        (D(5), D(2)),
        (D(3), D(1)),
    ]
    assert [error.message.partition(" and ")[0] for error in result.errors] == [
        "order RB-ABCDEFGHIJ23-B1-3 (BUY 3 VTI) filled 1"
    ]


async def test_a_remainder_may_be_left():
    async def leave(record):
        return None

    at_work = await trading(resting(), settings=execution_settings(reprice_attempts=2))
    result = await at_work.run(resting(), reprice=leave)
    assert (len(result.records), [type(error) for error in result.errors]) == (1, [OrderIncomplete])


async def test_a_remainder_that_cannot_be_priced_is_left_and_the_others_go_on():
    async def no_quote(record):
        raise MarketDataMissing("VTI has no quote")

    orders = (resting(), buy("BND", 2))
    at_work = await trading(*orders, settings=execution_settings(max_open_orders=1, reprice_attempts=2))
    result = await at_work.run(*orders, reprice=no_quote)
    assert [type(error) for error in result.errors] == [MarketDataMissing, OrderIncomplete]
    assert result.records[1].state is OrderState.FILLED


async def test_a_connection_that_breaks_while_repricing_ends_the_stage():
    async def broken(record):
        raise ConnectionLost("the connection broke")

    orders = (resting(), buy("BND", 2))
    at_work = await trading(*orders, settings=execution_settings(max_open_orders=1, reprice_attempts=2))
    result = await at_work.run(*orders, reprice=broken)
    assert [type(error) for error in result.errors] == [ConnectionLost, OrderIncomplete]
    assert (result.unsent, result.stops) == ((orders[1],), True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": D(11)},
        {"quantity": D(0)},
        {"attempt": 3},
        {"line": 2},
        {"stage": Stage.SELL},
        {"contract": buy("BND").contract},
    ],
)
async def test_a_new_attempt_that_is_not_one_is_refused_and_not_sent(wrong):
    async def bad(record):
        return replace(again(record), **wrong)

    at_work = await trading(resting(), settings=execution_settings(reprice_attempts=2))
    result = await at_work.run(resting(), reprice=bad)
    assert [type(error) for error in result.errors] == [SafetyRefused, OrderIncomplete]
    assert (len(at_work.sent()), result.stops) == (1, True)


async def test_a_new_attempt_that_never_leaves_leaves_its_remainder_incomplete():
    at_work = await trading(resting(), settings=execution_settings(reprice_attempts=1))

    async def then_stop(record):
        at_work.guard.is_on = True
        return again(record)

    result = await at_work.run(resting(), reprice=then_stop)
    assert [type(error) for error in result.errors] == [KillSwitchOn, OrderIncomplete]
    assert [record.state for record in result.records] == [OrderState.CANCELLED, OrderState.NOT_SENT]


# --- rejections ---


@pytest.mark.parametrize(
    ("code", "error", "stops"),
    [
        (201, OrderRejected, False),
        (110, OrderRejected, False),
        (200, ContractNotFound, False),
        (10243, FractionRefused, True),
        (100, PacingExceeded, True),
    ],
)
async def test_a_rejection_fails_by_its_kind_and_only_some_kinds_stop_the_sending(code, error, stops):
    at_work = await trading(*THREE, fills=scripted(reject=code))
    result = await at_work.run(*THREE)
    assert [type(each) for each in result.errors] == [error]
    assert result.stops is stops
    assert len(at_work.sent()) == (1 if stops else 3)
    assert result.unsent == (THREE[1:] if stops else ())


async def test_a_buy_that_lacks_margin_stops_all_further_buys_and_lets_the_others_end():
    orders = (buy(), buy("BND", 2, quantity="9000"), buy("BIL", 3))
    at_work = await trading(*orders, fills=scripted(delay_seconds=D(30)))
    result = await at_work.run(*orders)
    assert [type(error) for error in result.errors] == [FundsInsufficient]
    assert [record.state for record in result.records] == [OrderState.FILLED, OrderState.REJECTED]
    assert (result.unsent, result.stops) == ((orders[2],), True)


async def test_a_rejection_has_the_text_of_the_broker():
    at_work = await trading(sell(quantity="11"))
    result = await at_work.run(sell(quantity="11"))
    assert "(SELL 11 VTI) was rejected: Order rejected - reason: 10 shares are held" in result.errors[0].message
    assert result.errors[0].message.endswith("(201)")


# --- the guard ---


async def test_the_kill_switch_stops_an_order_between_its_intent_and_its_sending():
    at_work = await trading(*THREE)
    at_work.guard.stop_at = 1
    result = await at_work.run(*THREE)
    assert at_work.sent() == []
    assert [(record.state, record.reason) for record in result.records] == [
        (OrderState.NOT_SENT, "the kill switch is on")
    ]
    assert [type(error) for error in result.errors] == [KillSwitchOn]
    assert (result.unsent, result.stops) == (THREE, True)


async def test_the_kill_switch_between_two_orders_cancels_the_one_that_works():
    orders = (resting(), buy("BND", 2))
    at_work = await trading(*orders)
    at_work.guard.stop_at = 3
    result = await at_work.run(*orders)
    assert [type(error) for error in result.errors] == [KillSwitchOn, OrderIncomplete]
    assert at_work.record(orders[0].ref).state is OrderState.CANCELLED
    assert len(at_work.sent()) == 1
    assert disagreements(at_work) == []


async def test_the_kill_switch_is_heeded_while_an_order_only_waits():
    at_work = await trading(resting())
    at_work.guard.stop_at = 30
    result = await at_work.run(resting())
    assert [type(error) for error in result.errors] == [KillSwitchOn, OrderIncomplete]
    assert at_work.broker.now() - NOW < timedelta(seconds=40)


async def test_what_was_not_approved_is_not_sent():
    at_work = await trading(buy(quantity="9"), buy("BND", 2))
    result = await at_work.run(buy(), buy("BND", 2))
    assert [type(error) for error in result.errors] == [SafetyRefused]
    assert (at_work.sent(), result.unsent, result.stops) == ([], (buy(), buy("BND", 2)), True)


# --- the stages together ---


async def test_sells_fill_before_buys_by_one_executor():
    at_work = await trading(sell(), buy("BND", 1), account=account(cash={USD: D(100)}))
    first = await at_work.run(sell())
    second = await at_work.run(buy("BND", 1))
    assert [record.state for record in (*first.records, *second.records)] == [OrderState.FILLED] * 2
    assert [record.order.stage for record in at_work.journal.orders("ABCDEFGHIJ23")] == [Stage.SELL, Stage.BUY]


async def test_a_fault_of_the_script_before_a_stage_with_nothing_in_flight_is_healed():
    at_work = await trading(buy(), faults=(Fault("before_buys", FaultKind.DISCONNECT),))
    at_work.broker.reach("before_buys")
    assert (await at_work.run(buy())).errors == ()
    assert at_work.journal.order(buy().ref).order.contract.symbol == VTI
