"""One stage over a connection that misbehaves: missing, repeated, reordered and contradicting events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from trading import buy, disagreements, execution_settings, resting, trading
from worlds import scripted

from core.errors import ConnectionLost, OrderIncomplete, OrderStateUnknown, PacingExceeded, leading
from core.model import (
    CommissionReport,
    ConnectionChange,
    Fill,
    Notice,
    OrderRef,
    OrderState,
    OrderUpdate,
    RejectReason,
    Side,
    Symbol,
)
from core.money import D

VTI, BND = Symbol("VTI"), Symbol("BND")
THREE = (buy(), resting("BND", 2), buy("BIL", 3))
HALF = scripted(fill_fraction=D("0.5"))


def without(*kinds):
    """A connection on which events of these kinds are never received."""
    return lambda event: () if isinstance(event, kinds) else (event,)


def is_end(event, state=None) -> bool:
    return isinstance(event, OrderUpdate) and (event.state is state if state else event.state.is_final)


def kinds(result) -> list[type]:
    return [type(error) for error in result.errors]


# --- no report ---


async def test_an_order_that_never_arrived_is_unknown_and_nothing_more_is_sent():
    at_work = await trading(*THREE)
    at_work.broker.lost = frozenset({VTI})
    result = await at_work.run(*THREE)
    assert kinds(result) == [OrderIncomplete, OrderStateUnknown]
    assert leading(result.errors).exit_code == 41
    assert [record.state for record in result.records] == [OrderState.UNKNOWN]
    assert (result.unsent, result.stops, at_work.at_broker()) == (THREE[1:], True, [])


async def test_an_acknowledgement_that_is_not_received_is_found_in_the_lists():
    at_work = await trading(buy(), fills=scripted(delay_seconds=D(20)))
    at_work.broker.altered = lambda event: () if isinstance(event, OrderUpdate) and not is_end(event) else (event,)
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].state) == ((), OrderState.FILLED)
    assert len(at_work.details_of("reconciled")) == 1


async def test_a_connection_that_breaks_while_the_lists_are_read_for_an_unreported_order_leaves_it_unknown():
    at_work = await trading(buy())
    at_work.broker.lost = frozenset({VTI})
    at_work.broker.on_call = lambda number: setattr(at_work.broker, "refusals", 99)
    at_work.broker.breaks_at = 13
    result = await at_work.run(buy())
    assert kinds(result) == [ConnectionLost, OrderStateUnknown]


async def test_a_message_limit_met_in_sending_leaves_the_order_unknown_unless_it_is_found():
    for has_arrived, expected in (
        (False, [PacingExceeded, OrderStateUnknown]),
        (True, [PacingExceeded, OrderIncomplete]),
    ):
        at_work = await trading(resting())
        at_work.broker.lost = frozenset() if has_arrived else frozenset({VTI})
        place = at_work.broker.place

        async def too_fast(order, place=place):
            await place(order)
            raise PacingExceeded("more than 50 messages in a second")

        at_work.broker.place = too_fast
        assert kinds(await at_work.run(resting())) == expected


async def test_the_order_after_an_unreported_one_waits_until_the_lists_are_read():
    orders = (resting(), buy("BND", 2))
    at_work = await trading(*orders)
    at_work.broker.altered = lambda event: (
        () if isinstance(event, OrderUpdate) and event.order_ref == orders[0].ref else (event,)
    )
    await at_work.run(*orders)
    assert at_work.record(orders[1].ref).sent_at - NOW >= timedelta(seconds=10)


async def test_fills_that_are_not_received_are_found_among_the_executions():
    at_work = await trading(buy())
    at_work.broker.altered = without(Fill, CommissionReport)
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].state, result.records[0].filled) == ((), OrderState.FILLED, D(10))


async def test_the_status_filled_without_fills_anywhere_is_unknown():
    at_work = await trading(buy())
    at_work.broker.altered = without(Fill, CommissionReport)
    at_work.broker.exchange.executions = lambda: ()
    result = await at_work.run(buy())
    assert kinds(result) == [OrderIncomplete, OrderStateUnknown]
    assert result.records[0].state is OrderState.UNKNOWN


async def test_a_confirmation_that_is_not_received_is_found_among_the_ended_orders():
    at_work = await trading(buy(), fills=HALF)
    at_work.broker.altered = lambda event: () if is_end(event) else (event,)
    result = await at_work.run(buy())
    assert kinds(result) == [OrderIncomplete]
    assert (result.records[0].state, result.records[0].filled, result.stops) == (OrderState.CANCELLED, D(5), False)


async def test_a_cancel_that_the_broker_ignores_leaves_the_order_unknown_and_not_repriced():
    async def at_any_price(record):
        raise AssertionError("an order that may still fill was priced anew")

    at_work = await trading(resting(), settings=execution_settings(reprice_attempts=3))
    at_work.broker.ignores_cancels = True
    result = await at_work.run(resting(), reprice=at_any_price)
    assert kinds(result) == [OrderIncomplete, OrderStateUnknown]
    assert result.records[0].state is OrderState.UNKNOWN
    assert len(at_work.sent()) == 1


# --- repetition, disorder, contradiction ---


async def test_everything_reported_twice_is_counted_once():
    at_work = await trading(*THREE, fills=HALF)
    at_work.broker.altered = lambda event: (event, event)
    result = await at_work.run(*THREE)
    assert [record.filled for record in result.records] == [D(5), D(0), D(10)]
    assert kinds(result) == [OrderIncomplete, OrderIncomplete]
    assert disagreements(at_work) == []


async def test_an_end_reported_before_the_fills_waits_for_them():
    held_back = []

    def late_fills(event):
        if isinstance(event, Fill):
            held_back.append(event)
            return ()
        return (event, *held_back) if is_end(event) else (event,)

    at_work = await trading(buy())
    at_work.broker.altered = late_fills
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].filled) == ((), D(10))
    assert at_work.details_of("reconciled") == []


async def test_a_corrected_execution_replaces_and_stops_the_stage():
    def corrected(event):
        if not isinstance(event, Fill) or event.symbol != VTI:
            return (event,)
        return event, replace(event, exec_id=event.exec_id[:-1] + "2", shares=D(6))

    at_work = await trading(*THREE, settings=execution_settings(max_open_orders=1))
    at_work.broker.altered = corrected
    result = await at_work.run(*THREE)
    assert [error.message for error in result.errors] == [
        "an execution of order RB-ABCDEFGHIJ23-B1-1 (BUY 10 VTI) was corrected: 10 at 100.02 became 6 at 100.02"
    ]
    assert (result.records[0].filled, result.unsent, result.stops) == (D(6), THREE[1:], True)


@pytest.mark.parametrize(("code", "stops"), [(321, True), (110, True), (201, False)])
async def test_an_order_refused_unseen_that_the_broker_then_calls_working_stops_the_stage(code, stops):
    def refused_first(event):
        if (
            not (isinstance(event, OrderUpdate) and event.state is OrderState.WORKING)
            or event.order_ref != THREE[1].ref
        ):
            return (event,)
        return replace(
            event, state=OrderState.REJECTED, perm_id=0, code=code, reject_reason=RejectReason.REJECTED
        ), event

    orders = (THREE[1], THREE[2])
    at_work = await trading(*orders, settings=execution_settings(max_open_orders=1))
    at_work.broker.altered = refused_first
    result = await at_work.run(*orders)
    message = f"order {THREE[1].ref} (BUY 10 BND) was rejected ({code}), yet the broker reports it as Working"
    assert (message in [error.message for error in result.errors], result.stops) == (stops, stops)
    assert result.unsent == (orders[1:] if stops else ())


async def test_a_broker_that_is_about_to_liquidate_stops_the_stage():
    def warned(event):
        is_start = isinstance(event, OrderUpdate) and event.state is OrderState.WORKING
        return (event, Notice("margin deficiency", event.at, 2148)) if is_start else (event,)

    at_work = await trading(*THREE, settings=execution_settings(max_open_orders=1))
    at_work.broker.altered = warned
    result = await at_work.run(*THREE)
    assert "the broker warns of the account's margin: margin deficiency" in [error.message for error in result.errors]
    assert (result.unsent, result.stops) == (THREE[1:], True)


STRANGE = "the broker reports order 999 of client 42 as Submitted: it was never sent"


@pytest.mark.parametrize("ref", [None, OrderRef("RB-BBBBBBBBBBBB-B1-1")])
async def test_an_order_that_nobody_sent_stops_the_stage(ref):
    def joined(event):
        is_start = isinstance(event, OrderUpdate) and event.state is OrderState.WORKING
        return (event, Notice(STRANGE, event.at, order_ref=ref, is_alarm=True)) if is_start else (event,)

    at_work = await trading(*THREE, settings=execution_settings(max_open_orders=1))
    at_work.broker.altered = joined
    result = await at_work.run(*THREE)
    assert STRANGE in [error.message for error in result.errors]
    assert (result.unsent, result.stops) == (THREE[1:], True)


@pytest.mark.parametrize(("is_at_end", "stops"), [(True, True), (False, False)])
async def test_an_order_on_record_that_arrives_unexpectedly_is_strange_only_when_it_had_ended(is_at_end, stops):
    def reported_again(event):
        if not isinstance(event, OrderUpdate) or event.state.is_final is not is_at_end:
            return (event,)
        return event, Notice(STRANGE, event.at, order_ref=event.order_ref, is_alarm=True)

    at_work = await trading(buy())
    at_work.broker.altered = reported_again
    result = await at_work.run(buy())
    assert (STRANGE in [error.message for error in result.errors], result.stops) == (stops, stops)
    assert (STRANGE in result.records[0].notices) is not stops


async def test_a_fill_after_the_confirmed_end_counts_and_stops_the_stage():
    def filled_late(event):
        if not is_end(event, OrderState.CANCELLED):
            return (event,)
        late = Fill("9.9.01", event.order_ref, VTI, Side.BUY, D(5), D("100.02"), event.at)
        return event, late

    orders = (buy(), buy("BND", 2))
    at_work = await trading(*orders, settings=execution_settings(max_open_orders=1), fills=HALF)
    at_work.broker.altered = filled_late
    result = await at_work.run(*orders)
    assert (result.records[0].state, result.records[0].filled) == (OrderState.FILLED, D(10))
    assert (result.stops, kinds(result)) == (True, [OrderIncomplete, OrderIncomplete])
    assert result.errors[1].message.endswith("filled 5 after its end was confirmed")


async def test_a_late_fill_that_meets_a_new_attempt_at_the_same_line_needs_a_person():
    async def at_the_ask(record):
        remainder = record.order.quantity - record.filled
        return buy(attempt=2, quantity=f"{remainder:f}")

    def filled_late(event):
        if not is_end(event) or event.order_ref.endswith("-1"):
            return (event,)
        return event, Fill("9.9.01", buy().ref, VTI, Side.BUY, D(5), D("100.02"), event.at)

    at_work = await trading(buy(), settings=execution_settings(reprice_attempts=1), fills=HALF)
    at_work.broker.altered = filled_late
    result = await at_work.run(buy(), reprice=at_the_ask)
    assert leading(result.errors).message == "VTI: 12 filled over all attempts, 10 were ordered"


async def test_more_filled_than_ordered_is_unknown():
    def overfilled(event):
        return (event, replace(event, exec_id="9.9.01", shares=D(1))) if isinstance(event, Fill) else (event,)

    at_work = await trading(buy())
    at_work.broker.altered = overfilled
    result = await at_work.run(buy())
    assert leading(result.errors).exit_code == 41
    assert result.records[0].reason == "filled 11 of 10"


async def test_two_orders_under_one_reference_are_both_cancelled_and_unknown():
    at_work = await trading(resting())

    async def twice(order):
        await type(at_work.broker).place(at_work.broker, order)
        await type(at_work.broker).place(at_work.broker, order)

    at_work.broker.place = twice
    result = await at_work.run(resting())
    assert "two orders at the broker" in leading(result.errors).message
    assert [placed.state for placed in at_work.at_broker()] == [OrderState.CANCELLED] * 2


@pytest.mark.parametrize(
    ("where", "changes"),
    [("working", {"quantity": D(99)}), ("working", {"symbol": BND}), ("completed", {"side": Side.SELL})],
)
async def test_another_order_found_under_our_reference_is_unknown(where, changes):
    order = resting() if where == "working" else buy()
    at_work = await trading(order)
    at_work.broker.altered = without(OrderUpdate, Fill)
    listed = getattr(at_work.broker.exchange, where)
    setattr(at_work.broker.exchange, where, lambda: tuple(replace(one, **changes) for one in listed()))
    at_work.broker.exchange.executions = lambda: ()
    result = await at_work.run(order)
    assert "under its reference" in leading(result.errors).message
    assert leading(result.errors).exit_code == 41


async def test_an_order_found_to_contradict_itself_while_another_is_looked_into_is_cancelled_with_it():
    orders = (resting(), resting("BND", 2))
    at_work = await trading(*orders, settings=execution_settings(order_timeout_seconds=20))
    at_work.broker.ignores_cancels = True
    listed = at_work.broker.exchange.working

    def bent():
        # the account is read before the stage as well, when nothing works yet
        at_work.broker.ignores_cancels &= not listed()
        return tuple(replace(one, quantity=D(99)) if one.symbol == BND else one for one in listed())

    at_work.broker.exchange.working = bent
    result = await at_work.run(*orders)
    assert [placed.state for placed in at_work.at_broker()] == [OrderState.CANCELLED] * 2
    assert [record.state for record in result.records] == [OrderState.CANCELLED, OrderState.UNKNOWN]


async def test_foreign_orders_and_notices_are_only_reported():
    def chatter(event):
        manual = Fill("8.8.01", OrderRef(""), VTI, Side.SELL, D(3), D("100.00"), NOW)
        earlier = OrderUpdate(OrderRef("RB-EARLIER-B1-1"), OrderState.CANCELLED, D(0), NOW, reason="gone")
        return event, manual, earlier, Notice("odd lot", NOW, 399), ConnectionChange(is_up=True, at=NOW)

    at_work = await trading(buy())
    at_work.broker.altered = chatter
    assert (await at_work.run(buy())).errors == ()
    assert set(at_work.details_of("other_order")) == {
        "an order entered by hand: SELL 3 VTI at 100.00",
        "RB-EARLIER-B1-1: Cancelled gone",
    }
    assert set(at_work.details_of("notice")) == {"odd lot (399)"}
