"""Orders on the wire: which messages report on them, in which order, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from builders import NOW
from gateway_clients import (
    VTI_STOCK,
    briefly,
    limit_order,
    logged_in,
    market_order,
    serving,
    session,
)
from ib_async import ComboLeg, Contract, Forex, LimitOrder, Order, Stock, TagValue
from worlds import ACCOUNT, VTI, scripted

from core.clock import AutojumpClock
from core.model import USD_CAD
from core.money import D
from core.sim.venue.exchange import FIRST_PERM_ID

ACCEPTED = [["openOrder", "1"], ["orderStatus", "Submitted"]]
ONCE_MORE = [["openOrder", "1"], ["orderStatus", "Filled"]]
FILLED = [["execDetails", "1"], ["openOrder", "1"], ["orderStatus", "Filled"], ["commissionReport"], *ONCE_MORE]
SUNDAY = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
DELAY = {"fills": scripted(delay_seconds=D(5))}


def place(wire, order_id=1, order=None, contract=VTI_STOCK):
    wire.request("placeOrder", order_id, contract, order or limit_order())


async def placed(wire, *args, **more):
    place(wire, *args, **more)
    return await wire.all()


async def test_an_order_that_rests_is_open_and_submitted():
    async with session() as (_, wire):
        received = await placed(wire)
        assert briefly(received) == ACCEPTED
        assert received[1] == ("3", "1", "Submitted", "0", "10", "0", str(FIRST_PERM_ID), "0", "0", "42", "", "0")


async def test_a_fill_is_its_execution_the_order_its_status_then_its_commission():
    async with session(commission=D("1.25")) as (_, wire):
        received = await placed(wire, order=market_order())
        assert briefly(received) == ACCEPTED + FILLED
        fill = received[2]
        assert fill[17:21] == ("ARCA", "BOT", "10", "100.02")
        assert fill[24:27] == ("10", "100.02", "RB-AAAAAAAAAAAA-B1-1")
        assert received[5][2:5] == (fill[14], "1.25", "USD")
        assert received[1][3:6] == ("0", "10", "0")
        assert received[4][2:6] == received[7][2:6] == ("Filled", "10", "0", "100.02")
        assert received[6][103:107] == ("1.25", "", "", "USD")


async def test_each_of_several_executions_has_the_total_up_to_it():
    async with session(fills=scripted(parts=3)) as (_, wire):
        received = await placed(wire, order=market_order())
        assert [(fields[19], fields[24]) for fields in received if fields[0] == "11"] == [
            ("3", "3"),
            ("3", "6"),
            ("4", "10"),
        ]
        assert [fields[2:5] for fields in received if fields[0] == "3"][1:] == [
            ("Submitted", "3", "7"),
            ("Submitted", "6", "4"),
            *[("Filled", "10", "0")] * 2,
        ]


async def test_an_order_for_a_closed_market_is_held_until_it_opens():
    clock = AutojumpClock(SUNDAY)
    async with serving(clock=clock, as_of=SUNDAY) as gateway, logged_in(gateway) as wire:
        received = await placed(wire)
        assert briefly(received) == [["openOrder", "1"], ["orderStatus", "PreSubmitted"], ["error", "399"]]
        assert received[2][2] == "1"
        wire.send(5, 1)
        assert ["orderStatus", "PreSubmitted"] in briefly(await wire.all())
        await clock.sleep(24 * 3600)
        wire.send(5, 1)
        assert ["orderStatus", "Submitted"] in briefly(await wire.all())


async def test_a_cancel_is_pending_then_done_then_confirmed_with_202():
    async with session() as (_, wire):
        await placed(wire)
        wire.request("cancelOrder", 1, "")
        received = await wire.all()
        assert briefly(received) == [["orderStatus", "PendingCancel"], ["orderStatus", "Cancelled"], ["error", "202"]]
        assert received[2][2] == "1"
        assert received[2][4].startswith("Order Canceled - reason:")


async def test_nobody_cancels_the_order_of_another_client_but_everybody_may_cancel_all():
    async with session(client=1) as (_, one), logged_in(_, 2) as two:
        await placed(one)
        two.request("cancelOrder", 1, "")
        assert briefly(await two.all()) == [["error", "10147"]]
        two.request("reqGlobalCancel")
        assert await two.all() == []
        assert ["orderStatus", "Cancelled"] in briefly(await one.all())


async def test_an_order_that_outlives_its_day_is_cancelled_because_the_day_is_over():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        await placed(wire)
        await clock.sleep(3600)
        received = await wire.all()
        assert briefly(received) == [["orderStatus", "Cancelled"], ["error", "202"]]
        assert received[1][4] == "Order Canceled - reason:The day of the order is over"
        wire.send(99, 0)
        (ended,) = await wire.only("completedOrder")
        assert (ended[76], ended[94]) == ("Cancelled", "Expired")


async def test_an_order_that_is_good_until_it_is_cancelled_is_shown_so_and_outlives_the_day():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        shown, *_ = await placed(wire, order=limit_order(tif="GTC"))
        assert shown[18] == "GTC"
        await clock.sleep(24 * 3600)
        wire.send(5, 1)
        assert [fields[18] for fields in await wire.only("openOrder")] == ["GTC"]


async def test_a_cancel_that_is_refused_names_the_order_id():
    async with session() as (_, wire):
        await placed(wire, 7, market_order())
        wire.request("cancelOrder", 7, "")
        wire.request("cancelOrder", 141, "")
        assert [fields[2:5] for fields in await wire.only("error")] == [
            ("7", "10148", "OrderId 7 that needs to be cancelled can not be cancelled, state: Filled."),
            ("141", "10147", "OrderId 141 that needs to be cancelled is not found."),
        ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (201, [["error", "201"], ["orderStatus", "Inactive"]]),
        (10243, [["error", "10243"]]),
    ],
)
async def test_a_refused_order_is_an_error_and_only_after_201_a_status(code, expected):
    async with session(fills=scripted(reject=code)) as (_, wire):
        assert briefly(await placed(wire)) == expected


async def test_a_conversion_that_is_refused_is_an_error_alone():
    async with session(fills=scripted(USD_CAD, reject=201)) as (_, wire):
        received = await placed(wire, order=limit_order(quantity=1000, limit=1.36), contract=Forex("USDCAD"))
        assert briefly(received) == [["error", "201"]]


@pytest.mark.parametrize(
    ("order", "contract", "code"),
    [
        (limit_order(limit=99.505), VTI_STOCK, "110"),
        (limit_order(), Stock("NOPE", "SMART", "USD"), "200"),
        (limit_order(), Stock("VTI", "SMART", "CAD"), "200"),
        (limit_order(tif="IOC"), VTI_STOCK, "321"),
        (limit_order("SSHORT"), VTI_STOCK, "321"),
        (Order(action="BUY", totalQuantity=1, orderType="STP", auxPrice=90), VTI_STOCK, "321"),
        (Order(action="BUY", totalQuantity=1, orderType="LMT"), VTI_STOCK, "321"),
        (limit_order(ocaGroup="one"), VTI_STOCK, "321"),
        (limit_order(algoStrategy="Adaptive", algoParams=[TagValue("adaptivePriority", "Normal")]), VTI_STOCK, "321"),
        (
            limit_order(),
            Contract(secType="BAG", symbol="VTI", currency="USD", comboLegs=[ComboLeg(1, 1, "BUY", "SMART")]),
            "321",
        ),
    ],
)
async def test_what_the_venue_does_not_take_is_refused_with_the_order_s_id(order, contract, code):
    async with session() as (gateway, wire):
        received = await placed(wire, order=order, contract=contract)
        assert received[0][2:4] == ("1", code)
        assert gateway.exchange.working() == ()


@pytest.mark.parametrize("lower", [1, 4])
async def test_an_id_that_was_passed_over_is_a_duplicate(lower):
    async with session() as (_, wire):
        await placed(wire, 5)
        received = await placed(wire, lower)
        assert [fields[2:4] for fields in received] == [(str(lower), "103")]


@pytest.mark.parametrize("order_id", [0, -5])
async def test_an_id_that_is_none_is_refused(order_id):
    async with session() as (_, wire):
        assert briefly(await placed(wire, order_id)) == [["error", "321"]]


async def test_a_refused_change_leaves_the_order_as_it_was():
    async with session() as (gateway, wire):
        await placed(wire)
        received = await placed(wire, order=limit_order(limit=99.505))
        assert briefly(received) == [["error", "110"], ["orderStatus", "Submitted"]]
        assert gateway.exchange.working()[0].limit_price == D("99.5")


async def test_a_filled_order_cannot_be_changed_and_a_cancelled_ones_id_is_a_duplicate():
    async with session() as (_, wire):
        await placed(wire, order=market_order())
        assert [fields[2:4] for fields in await placed(wire)] == [("1", "104")]
        await placed(wire, 2)
        wire.request("cancelOrder", 2, "")
        await wire.all()
        assert [fields[2:4] for fields in await placed(wire, 2)] == [("2", "103")]


async def test_an_order_that_is_not_transmitted_waits_until_it_is():
    async with session(client=1) as (_, wire), logged_in(_, 2) as other:
        held = briefly(await placed(wire, order=limit_order(limit=101, transmit=False)))
        assert ["orderStatus", "PendingSubmit"] in held
        other.send(16, 1)
        assert briefly(await other.all()) == [["openOrderEnd"]]
        assert briefly(await placed(wire, order=limit_order(limit=101))) == ACCEPTED + FILLED


@pytest.mark.parametrize(
    ("order", "contract", "code"),
    [
        (limit_order(quantity=100_000, whatIf=True), VTI_STOCK, "201"),
        (limit_order(whatIf=True), Stock("NOPE", "SMART", "USD"), "200"),
    ],
)
async def test_a_what_if_of_an_order_that_would_be_refused_is_that_refusal(order, contract, code):
    async with session() as (gateway, wire):
        assert briefly(await placed(wire, order=order, contract=contract)) == [["error", code]]
        assert gateway.exchange.orders == {}


async def test_a_lost_order_is_never_reported_and_its_id_is_used_up():
    async with session(fills=scripted(is_lost=True)) as (_, wire):
        assert await placed(wire) == []
        wire.send(8, 1, 1)
        assert (await wire.receive())[2] == "2"


async def test_a_limit_order_of_the_library_is_what_the_exchange_gets():
    async with session() as (gateway, wire):
        await placed(wire, order=LimitOrder("SELL", 4, 100.5, orderRef="RB-X", account=ACCOUNT, outsideRth=True))
        (order,) = gateway.exchange.orders.values()
        terms = order.terms
        assert (terms.order_ref, terms.contract.symbol, terms.side) == ("RB-X", VTI, "SELL")
        assert (terms.quantity, terms.order_type, terms.limit_price, terms.outside_rth) == (4, "LMT", D("100.5"), True)
