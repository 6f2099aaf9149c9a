"""The broker's texts on an order, and the orders that its gateway holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from trading import buy, trading
from worlds import scripted

from core.broker.error_codes import HOLDS_ORDER, hold_reason
from core.errors import OrderIncomplete, OrderRejected, OrderStateUnknown
from core.execution.stage import ACKNOWLEDGE_SECONDS
from core.model import Notice, OrderState, OrderUpdate, RejectReason, Symbol
from core.sim.venue.checks import STOPPED_BY_PRESETS, refusal_of

VTI, BND = Symbol("VTI"), Symbol("BND")


def words_after(kind, *notices):
    """A broker that sends these notices right after the first event of that kind."""
    left = list(notices)

    def altered(event):
        if left and isinstance(event, kind):
            notices, left[:] = left[:], []
            return (event, *notices)
        return (event,)

    return altered


def test_simulator_and_adapter_agree_on_the_codes_of_order_presets():
    assert STOPPED_BY_PRESETS == HOLDS_ORDER
    assert {hold_reason(code) for code in HOLDS_ORDER} == {RejectReason.REJECTED}
    assert [hold_reason(code) for code in (399, 2161, 201, None)] == [None] * 4


@pytest.mark.parametrize("code", sorted(HOLDS_ORDER))
async def test_an_order_held_by_the_presets_is_cancelled_at_once_and_refused_with_their_text(code):
    first, second = buy(), buy("BND", 2)
    at_work = await trading(first, second, fills=scripted(reject=code))
    result = await at_work.run(first, second)
    (error,) = result.errors
    assert (type(error), error.exit_code) == (OrderRejected, 27)
    assert error.message.endswith(f"was rejected: {refusal_of(code).text} ({code})")
    assert [record.state for record in result.records] == [OrderState.REJECTED, OrderState.FILLED]
    assert f"cancel {first.ref}" in [line.what for line in at_work.broker.log]
    assert at_work.details_of("message") == [f"{first.ref}: {refusal_of(code).text} ({code})"]
    assert at_work.broker.now() - NOW < timedelta(seconds=ACKNOWLEDGE_SECONDS)


async def test_an_unconfirmed_cancel_of_a_held_order_is_confirmed_by_the_lists():
    at_work = await trading(buy(), fills=scripted(reject=451))
    at_work.broker.ignores_cancels = True
    result = await at_work.run(buy())
    assert [type(error) for error in result.errors] == [OrderRejected]
    assert result.records[0].state is OrderState.REJECTED
    assert len(at_work.details_of("reconciled")) == 1


async def test_a_held_order_that_the_lists_still_show_working_is_unknown_with_the_text():
    limits = Notice("Size exceeds the Size Limit of 500", NOW, 383, buy().ref, RejectReason.REJECTED)
    resting = buy(limit="50.00")
    at_work = await trading(resting)
    at_work.broker.altered = words_after(OrderUpdate, limits)
    at_work.broker.ignores_cancels = True
    result = await at_work.run(resting)
    assert [type(error) for error in result.errors] == [OrderIncomplete, OrderStateUnknown]
    assert all("Size exceeds the Size Limit of 500 (383)" in error.message for error in result.errors)
    assert not any("did not report" in error.message for error in result.errors)


async def test_a_held_order_that_fills_all_the_same_has_filled():
    limits = Notice("Requested market data is not subscribed", NOW, 354, buy().ref, RejectReason.REJECTED)
    at_work = await trading(buy())
    at_work.broker.altered = words_after(OrderUpdate, limits)
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].state) == ((), OrderState.FILLED)
    assert result.records[0].notices == ("Requested market data is not subscribed (354)",)


@pytest.mark.parametrize(
    "notice",
    [
        Notice("BUY 10 VTI ARCA\nWarning: your order will not be placed until 09:30:00 US/Eastern.", NOW, 399),
        Notice("we will initially cap (or limit) the price of your order to 74.00", NOW, 2161),
        Notice("Order held while securities are located.", NOW, 404),
    ],
)
async def test_a_warning_is_put_on_its_order_and_stops_nothing(notice):
    at_work = await trading(buy())
    at_work.broker.altered = words_after(OrderUpdate, replace(notice, order_ref=buy().ref))
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].state) == ((), OrderState.FILLED)
    assert result.records[0].notices == (notice.in_full,)
    assert at_work.details_of("message") == [f"{buy().ref}: {notice.in_full}"]
    assert "\n" not in notice.in_full


async def test_no_response_of_the_broker_is_reported_only_where_there_was_none():
    dialog = Notice("a dialog waits in TWS", NOW, 4711, buy().ref)
    for notices, words in ((), "did not report on"), ((dialog,), "its messages: a dialog waits in TWS (4711)"):
        at_work = await trading(buy())
        at_work.broker.lost = frozenset({VTI})
        at_work.broker.on_call = tells_when_the_order_leaves(at_work, notices)
        result = await at_work.run(buy())
        assert words in result.errors[0].message


def tells_when_the_order_leaves(at_work, notices):
    left = list(notices)

    def on_call(number):
        if left and at_work.journal.order(buy().ref):
            at_work.broker.received.append(left.pop())

    return on_call
