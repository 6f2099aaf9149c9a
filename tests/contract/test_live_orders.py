"""Orders through LiveIB: what is sent, once, and what is emitted however the broker's messages arrive."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker_contract import drain, of_kind, states
from live import sent, venue_of
from worlds import ACCOUNT, VTI, order, scripted, world

from core.errors import ConnectionLost
from core.model import CommissionReport, Fill, Notice, OrderRef, OrderState, OrderUpdate, Side
from core.money import D
from core.sim.gateway.faults import (
    ChangeFields,
    Delay,
    Do,
    Drop,
    Duplicate,
    ErrorAfter,
    ErrorBefore,
    Hold,
    Match,
    Omit,
    Refuse,
)

UNSET_FLOAT = "1.7976931348623157E308"
ACCOUNT_OF_EXECUTION = 16
WORKING, FILLED = OrderState.WORKING, OrderState.FILLED


def placed(venue):
    """The fields of each order that the gateway got."""
    return [entry.fields for entry in venue.gateway.log if entry.message == "placeOrder"]


async def events_of(spoil, an_order=None, seconds=5, **changes):
    """The events of one order at a gateway that `spoil` does something to."""
    async with venue_of(world(commission=D("1.05"), **changes)) as venue:
        client = await venue.connected()
        spoil(venue.gateway)
        await client.place(an_order or order())
        return await drain(client, seconds)


def in_short(events):
    """Each event in short, in order of arrival."""
    short = []
    for event in events:
        match event:
            case OrderUpdate():
                short.append((event.state, event.filled))
            case Fill():
                short.append(("fill", event.shares))
            case CommissionReport():
                short.append(("paid", event.commission))
            case Notice():
                short.append(("notice", event.code))
    return short


USUAL = [(WORKING, 0), ("fill", 10), (FILLED, 10), ("paid", D("1.05"))]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (order(quantity="120", limit="100.05"), ("BUY", "120", "LMT", "100.05")),
        (order(quantity="0.5", limit="100.00"), ("BUY", "0.5", "LMT", "100.0")),
        (order(side=Side.SELL, quantity="4", limit=None), ("SELL", "4", "MKT", "")),
    ],
)
async def test_an_order_fills_every_field_that_a_preset_could_fill_in(asked, expected):
    async with venue_of(world()) as venue:
        await (await venue.connected()).place(asked)
        (fields,) = placed(venue)
        assert (fields[16], fields[17], fields[18], fields[19]) == expected
        tif, account, ref, transmit, outside_rth, what_if = (fields[number] for number in (21, 23, 26, 27, 33, 84))
        assert (tif, account, ref, transmit, outside_rth, what_if) == ("DAY", ACCOUNT, asked.ref, "1", "0", "0")
        assert (fields[2], fields[9]) == (str(asked.contract.con_id), "SMART")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda gateway: None, id="nothing"),
        pytest.param(lambda gateway: gateway.faults.on("orderStatus", Duplicate(), times=None), id="statuses twice"),
        pytest.param(lambda gateway: gateway.faults.on("execDetails", Duplicate(), times=None), id="fills twice"),
        pytest.param(lambda gateway: gateway.faults.on("commissionReport", Duplicate()), id="costs twice"),
        pytest.param(lambda gateway: gateway.faults.on("openOrder", Omit(), times=None), id="without the order's row"),
        pytest.param(lambda gateway: gateway.faults.on("commissionReport", Delay(2)), id="costs late"),
    ],
)
async def test_each_event_is_emitted_once_and_in_order(spoil):
    assert in_short(await events_of(spoil)) == USUAL


async def test_an_order_that_fills_at_once_may_never_be_acknowledged():
    events = await events_of(lambda gateway: gateway.faults.on("orderStatus", Omit()))
    assert in_short(events) == USUAL  # openOrder reports it as well


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda gateway: gateway.faults.on("execDetails", Hold(until="orderStatus")),
         [(WORKING, 0), (FILLED, 10), ("fill", 10), ("paid", D("1.05"))]),
        (lambda gateway: gateway.faults.on("execDetails", Hold(until="commissionReport")),
         [(WORKING, 0), (FILLED, 10), ("fill", 10), ("paid", D("1.05"))]),
        (lambda gateway: gateway.faults.on("commissionReport", Omit()), USUAL[:-1]),
        (lambda gateway: gateway.faults.on("commissionReport", ChangeFields({3: "-1.0"})), USUAL[:-1]),
        (lambda gateway: gateway.faults.on("commissionReport", ChangeFields({3: UNSET_FLOAT})), USUAL[:-1]),
        (lambda gateway: gateway.faults.on("commissionReport", ErrorAfter(2109)), [*USUAL, ("notice", 2109)]),
        (lambda gateway: gateway.faults.on("openOrder", ErrorBefore(10349)), [("notice", 10349), *USUAL]),
        (lambda gateway: gateway.faults.on("openOrder", ErrorAfter(4711)), [USUAL[0], ("notice", 4711), *USUAL[1:]]),
    ],
)  # fmt: skip
async def test_what_comes_in_another_order_or_not_at_all(spoil, expected):
    assert in_short(await events_of(spoil)) == expected


async def test_a_corrected_execution_is_emitted_as_its_next_revision():
    def correct(gateway):
        def now(_):
            (fill,) = gateway.exchange.executions()
            gateway.correct(fill.exec_id, D(6), fill.price)

        gateway.faults.on("commissionReport", Do(now))

    events = await events_of(correct)
    fills = of_kind(events, Fill)
    assert [fill.shares for fill in fills] == [D(10), D(6)]
    assert [fill.exec_id.rpartition(".")[2] for fill in fills] == ["01", "02"]
    assert fills[0].exec_id.rpartition(".")[0] == fills[1].exec_id.rpartition(".")[0]


async def test_an_order_that_the_gateway_loses_is_awaited_for_a_moment_and_not_sent_again():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("placeOrder", Omit())
        before = venue.clock.now()
        await client.place(order())
        assert venue.clock.now() - before <= timedelta(seconds=1.1)
        assert await drain(client, 60) == []
        assert sent(venue, "placeOrder") == ["placeOrder"]


@pytest.mark.parametrize("at", [0, None, 5])
async def test_a_connection_that_breaks_right_after_an_order_leaves_its_state_unknown(at):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        name, action = ("placeOrder", Drop(at=at)) if at != 5 else ("openOrder", Drop(at=at))
        venue.gateway.faults.on(name, action)
        with pytest.raises(ConnectionLost, match="it may have arrived"):
            await client.place(order())
        await client.connect()
        arrived = [each.order_ref for each in await client.completed_orders()]
        assert arrived == ([] if at == 0 else [order().ref])
        assert len(sent(venue, "placeOrder")) == 1


async def test_an_order_for_a_closed_connection_is_not_sent():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await venue.gateway.stop()
        with pytest.raises(ConnectionLost, match="there is no connection to the broker"):
            await client.place(order())
        await venue.gateway.start(venue.gateway.port)
        await client.connect()
        assert await client.completed_orders() == await client.open_orders() == ()


async def test_an_order_that_the_rate_limit_delayed_until_ibkr_was_lost_is_not_sent():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.open_orders()
        soon = venue.clock.now() + timedelta(milliseconds=5)
        venue.clock.call_at(soon, lambda: venue.gateway.broadcast(1100))
        with pytest.raises(ConnectionLost):
            await client.place(order())
        assert venue.clock.now() > soon
        assert sent(venue, "placeOrder") == []


async def test_an_execution_of_another_account_at_the_same_gateway_is_ignored():
    async with venue_of(world(commission=D(1))) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("execDetails", ChangeFields({ACCOUNT_OF_EXECUTION: "DU7654321"}), times=None)
        await client.place(order())
        assert in_short(await drain(client)) == [(WORKING, 0), (FILLED, 10)]
        assert await client.executions() == ()


async def test_a_rejection_under_a_code_that_may_mean_anything_is_left_to_the_lists():
    events = await events_of(lambda gateway: gateway.faults.on("placeOrder", Refuse(103)))
    assert in_short(events) == [("notice", 103)]


async def test_a_cancel_is_sent_once_for_the_order_that_works():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.place(order(limit="99.00"))
        await drain(client)
        await client.cancel(order().ref)
        assert states(await drain(client)) == [OrderState.CANCELLING, OrderState.CANCELLED]
        await client.cancel(order().ref)
        (again,) = await drain(client)
        assert (again.state, again.code) == (OrderState.CANCELLED, 10148)
        await client.cancel(OrderRef("RB-NEVER-B1-1"))
        (notice,) = await drain(client)
        assert notice.code == 10147
        assert sent(venue, "cancelOrder") == ["cancelOrder"]


async def test_a_fill_before_the_cancel_is_emitted_and_so_is_that_nothing_was_left_to_cancel():
    async with venue_of(world(fills=scripted(delay_seconds=D(5)))) as venue:
        client = await venue.connected()
        await client.place(order())
        await drain(client)
        venue.gateway.faults.on("cancelOrder", Delay(10), Match(symbol="VTI"))
        await client.cancel(order().ref)
        events = await drain(client, 20)
        assert in_short(events)[:2] == [("fill", 10), (FILLED, 10)]
        assert events[-1].state is FILLED
        assert events[-1].code == 10148


async def test_the_day_of_an_order_ends_it_without_a_cancel():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.place(order(limit="99.00"))
        events = await drain(client, 3600)
        assert states(events) == [WORKING, OrderState.EXPIRED]
        (ended,) = await client.completed_orders()
        assert (ended.state, ended.reason, ended.symbol) == (OrderState.EXPIRED, events[-1].reason, VTI)
