"""What clients ask of orders and fills: those that work, those that ended, what filled today."""

from __future__ import annotations

import pytest
from builders import NOW
from gateway_clients import VTI_STOCK, brief, briefly, limit_order, logged_in, market_order, serving, session
from ib_async import Stock
from worlds import ACCOUNT, account, earlier, scripted

from core.clock import AutojumpClock
from core.money import D
from core.sim.venue.exchange import FIRST_PERM_ID

DELAY = {"fills": scripted(delay_seconds=D(5))}


async def placed(wire, order_id=1, order=None, contract=VTI_STOCK):
    wire.request("placeOrder", order_id, contract, order or limit_order())
    return await wire.all()


async def test_open_orders_are_the_clients_own_or_everybodys():
    start = account(open_orders=(earlier(ref=""),))
    async with session(client=1, account=start) as (_, one), logged_in(_, 2) as two:
        await placed(one)
        await placed(two, 8)
        two.send(5, 1)
        own = await two.until("openOrderEnd")
        two.send(16, 1)
        everybodys = await two.until("openOrderEnd")
        assert briefly(own) == [["openOrder", "8"], ["orderStatus", "Submitted"], ["openOrderEnd"]]
        assert [(fields[1], fields[24]) for fields in everybodys if fields[0] == "5"] == [
            ("0", "0"),
            ("1", "1"),
            ("8", "2"),
        ]
        assert len({fields[25] for fields in everybodys if fields[0] == "5"}) == 3


async def test_completed_orders_have_their_reference_their_permanent_id_and_their_end():
    async with session(fills=scripted("BND", reject=201)) as (_, wire):
        await placed(wire, 1, market_order(orderRef="RB-A"))
        await placed(wire, 2, limit_order(orderRef="RB-B"))
        wire.request("cancelOrder", 2, "")
        await placed(wire, 3, limit_order(orderRef="RB-C", limit=70), Stock("BND", "SMART", "USD"))
        await placed(wire, 4, limit_order(orderRef="RB-D"))
        wire.send(99, 0)
        again, *received = await wire.until("completedOrdersEnd")
        assert (again[1], brief(again)) == ("2", ["orderStatus", "Cancelled"])
        assert [(fields[22], fields[23], fields[76], fields[86]) for fields in received[:-1]] == [
            ("RB-A", str(FIRST_PERM_ID), "Filled", "10"),
            ("RB-B", str(FIRST_PERM_ID + 1), "Cancelled", "0"),
            ("RB-C", str(FIRST_PERM_ID + 2), "Inactive", "0"),
        ]
        assert (received[0][13], received[0][94]) == ("0", "Filled Size: 10")
        assert received[-1] == ("102",)


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ((0, "", "", "", "", "", ""), 2),
        ((1, "", "", "", "", "", ""), 1),
        ((0, ACCOUNT, "", "", "", "", ""), 2),
        ((0, "DU7654321", "", "", "", "", ""), 0),
        ((0, "", "20260302-15:00:00", "", "", "", ""), 2),
        ((0, "", "20260302 15:30:01", "", "", "", ""), 0),
        ((0, "", "", "VTI", "STK", "SMART", "BUY"), 1),
        ((0, "", "", "BND", "", "", ""), 0),
        ((0, "", "", "", "CASH", "", ""), 0),
        ((0, "", "", "", "", "", "SLD"), 1),
    ],
)
async def test_executions_of_the_day_are_those_that_match_and_then_come_their_commissions(filter_, found):
    async with session(client=1) as (_, one), logged_in(_, 2) as two:
        await placed(one, order=market_order(quantity=3))
        await placed(two, order=market_order("SELL", 2))
        one.send(7, 3, 9, *filter_)
        received = briefly(await one.until("execDetailsEnd"))
        assert received == [["execDetails", "1"]] * found + [["commissionReport"]] * found + [["execDetailsEnd"]]


async def test_executions_of_yesterday_are_not_listed():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        await placed(wire, order=market_order())
        await clock.sleep(10 * 3600)
        wire.send(7, 3, 9, 0, "", "", "", "", "", "")
        assert briefly(await wire.all()) == [["execDetailsEnd"]]


async def test_completed_orders_of_the_api_leave_out_those_entered_by_hand():
    async with session(account=account(open_orders=(earlier(ref=""), earlier()))) as (_, wire):
        wire.request("reqGlobalCancel")
        await wire.all()
        for api_only, found in ((0, 2), (1, 1)):
            wire.send(99, api_only)
            assert len(await wire.only("completedOrder")) == found
