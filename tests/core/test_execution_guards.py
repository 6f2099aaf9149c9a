"""What a stage must never do: send after a failure, repeat what a person ended, wait longer than promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from builders import NOW
from trading import buy, execution_settings, resting, trading
from worlds import scripted

from core.errors import KillSwitchOn, OrderIncomplete, SafetyRefused
from core.execution.stage import ACKNOWLEDGE_SECONDS
from core.model import OrderState, OrderUpdate, Side, Stage
from core.model.refs import order_ref

ATTEMPTS = execution_settings(order_timeout_seconds=20, reprice_attempts=2)


def another(record, **changes):
    """The next attempt at the remainder of an order."""
    order, run_id = record.order, record.order.ref.split("-")[1]
    attempt = order.attempt + 1
    remainder = order.quantity - record.filled
    ref = order_ref(run_id, order.stage, order.line, attempt)
    return replace(order, **({"attempt": attempt, "ref": ref, "quantity": remainder} | changes))


async def test_an_order_that_a_person_cancels_in_tws_is_not_tried_again():
    asked = []

    async def reprice(record):
        asked.append(record.order.ref)
        return another(record)

    at_work = await trading(resting(), settings=ATTEMPTS)
    at_work.broker.on_call = cancelled_by_hand(at_work)
    result = await at_work.run(resting(), reprice=reprice)
    assert (asked, len(at_work.sent())) == ([], 1)
    assert [type(error) for error in result.errors] == [OrderIncomplete]
    assert result.records[0].state is OrderState.CANCELLED


def cancelled_by_hand(at_work):
    """A person who cancels whatever works as soon as it is acknowledged."""

    def on_call(number):
        working = [placed for placed in at_work.at_broker() if placed.is_working]
        record = at_work.journal.order(resting().ref)
        if working and record.state is OrderState.WORKING:
            at_work.broker._receive(at_work.broker.exchange.cancel(working[0].perm_id))

    return on_call


async def test_after_a_failure_the_order_that_waits_for_its_turn_stays():
    orders = (resting(), buy("BND", 2), buy("BIL", 3))

    async def wrong(record):
        return another(record, side=Side.SELL, stage=Stage.BUY)

    at_work = await trading(
        *orders, settings=execution_settings(order_timeout_seconds=20, reprice_attempts=2, max_open_orders=1)
    )
    result = await at_work.run(*orders, reprice=wrong)
    assert [order.ref for order in at_work.sent()] == [orders[0].ref]
    assert type(result.errors[0]) is SafetyRefused
    assert (result.unsent, result.stops) == (orders[1:], True)


async def test_the_guard_is_asked_about_each_order_and_one_refused_by_it_never_leaves():
    orders = (buy(), buy("BND", 2))
    at_work = await trading(*orders)
    at_work.guard.stop_at = 2
    result = await at_work.run(*orders)
    assert [order.ref for order in at_work.sent()] == [orders[0].ref]
    assert [type(error) for error in result.errors] == [KillSwitchOn]


async def test_a_cancel_that_came_too_late_is_asked_about_after_the_time_for_an_answer_and_no_longer():
    at_work = await trading(resting(), settings=ATTEMPTS)
    at_work.broker.altered = lambda event: () if is_the_end_of_a_cancel(event) else (event,)
    await at_work.run(resting())
    (timeout,) = [event.at for event in at_work.events if event.kind == "timeout"]
    looked = next(event.at for event in at_work.events if event.kind == "reconciled")
    assert timeout - NOW == timedelta(seconds=ATTEMPTS.execution.order_timeout_seconds)
    wait = timedelta(seconds=ACKNOWLEDGE_SECONDS)
    assert wait <= looked - timeout < wait + timedelta(seconds=1)


async def test_an_order_whose_cancel_nobody_confirmed_is_found_in_the_lists_when_the_run_is_ended():
    at_work = await trading(resting(), fills=scripted("VTI", fill_fraction=0))
    at_work.broker.altered = lambda event: () if is_the_end_of_a_cancel(event) else (event,)
    at_work.guard.stop_at = 4
    result = await at_work.run(resting())
    assert result.records[0].state is OrderState.CANCELLED
    assert [type(error) for error in result.errors] == [KillSwitchOn, OrderIncomplete]
    assert at_work.details_of("reconciled")


def is_the_end_of_a_cancel(event):
    return isinstance(event, OrderUpdate) and event.state in (OrderState.CANCELLED, OrderState.CANCELLING)
