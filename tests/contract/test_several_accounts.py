"""One gateway, two accounts: each client sees and trades its own account, whatever happens in the other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from broker_contract import drain, of_kind, states
from gateway_clients import limit_order, log_in
from ib_async import Stock
from live import venue_of
from worlds import ACCOUNT, VTI, account, earlier, held, order, quoted, world

from core.clock import RunningClock
from core.errors import ConnectionLost
from core.model import USD, AccountId, CommissionReport, Fill, Notice, OrderState, Side, Symbol
from core.money import D
from core.sim.gateway import SimulatedGateway
from core.sim.gateway.faults import ChangedFirst, ChangeFields
from core.sim.venue.world import Change, Point

OTHER = AccountId("DU7654321")
BND = Symbol("BND")
OURS, THEIRS = "RB-AAAAAAAAAAAA-B1-1", "RB-BBBBBBBBBBBB-B1-1"


def other_world(**changes):
    """The account DU7654321: 50 000 USD and 5 BND."""
    values = {"id": OTHER, "cash": {USD: D(50_000)}, "positions": (held("BND", "5", "70"),)}
    return world(account=replace(account(), **(values | changes)), commission=D(1))


@asynccontextmanager
async def two_accounts(other=None, **changes):
    async with venue_of(world(**changes), others=[other or other_world()]) as venue:
        yield venue


def theirs(**changes):
    return order(**({"account_id": OTHER, "ref": THEIRS} | changes))


async def test_a_client_reads_the_account_that_it_names():
    async with two_accounts() as venue:
        one, two = await venue.connected(), await venue.connected(client_id=7, account_id=OTHER)
        assert await one.accounts() == await two.accounts() == (ACCOUNT, OTHER)
        ours, others = await asyncio.gather(one.snapshot(), two.snapshot())
        assert [(each.contract.symbol, each.quantity) for each in ours.positions] == [(VTI, 10)]
        assert [(each.contract.symbol, each.quantity) for each in others.positions] == [(BND, 5)]
        assert (ours.cash[USD], others.cash[USD]) == (D(100_000), D(50_000))
        assert (ours.account_id, others.account_id) == (ACCOUNT, OTHER)


async def test_two_clients_trade_at_once_each_in_its_own_account():
    async with two_accounts() as venue:
        one, two = await venue.connected(), await venue.connected(client_id=7, account_id=OTHER)
        await asyncio.gather(one.place(order()), two.place(theirs(quantity="4")))
        for client, ref, shares, paid in ((one, OURS, 10, 0), (two, THEIRS, 4, 1)):
            events = await drain(client, 5)
            assert [(fill.order_ref, fill.shares) for fill in of_kind(events, Fill)] == [(ref, shares)]
            assert [report.commission for report in of_kind(events, CommissionReport)] == [paid]
            assert states(events)[-1] is OrderState.FILLED
            assert [fill.order_ref for fill in await client.executions()] == [ref]
            assert [each.order_ref for each in await client.completed_orders()] == [ref]
        ours, others = await one.snapshot(), await two.snapshot()
        assert [each.quantity for each in ours.positions] == [20]
        assert [(each.contract.symbol, each.quantity) for each in others.positions] == [(BND, 5), (VTI, 4)]


async def test_working_orders_of_the_other_account_are_not_listed():
    other = other_world(open_orders=(earlier(ref="RB-THEIRS-B1-1"), earlier("BND", ref="")))
    async with two_accounts(other, account=account(open_orders=(earlier(ref="RB-OURS-B1-1"),))) as venue:
        one, two = await venue.connected(), await venue.connected(client_id=7, account_id=OTHER)
        assert [each.order_ref for each in await one.open_orders()] == ["RB-OURS-B1-1"]
        assert [each.order_ref for each in (await one.snapshot()).working_orders] == ["RB-OURS-B1-1"]
        assert [each.order_ref for each in await two.open_orders()] == ["RB-THEIRS-B1-1", ""]


async def test_what_becomes_of_the_other_accounts_orders_is_no_event_even_under_the_same_client_id():
    """Accounts of one client id trade one after the other, and one may have left an order at work."""
    async with two_accounts(other_world(open_orders=(earlier(), earlier("BND")))) as venue:
        client = await venue.connected()
        assert await client.open_orders() == ()
        venue.gateway.move(Change(Point.APPROVAL, {VTI: quoted("89.00", "89.01", "89.00")}))
        venue.gateway.cancel("RB-EARLIER-B1-1")
        await client.completed_orders()
        assert await drain(client, 5) == []
        assert await client.executions() == await client.completed_orders() == ()
        await client.place(order(limit="89.01"))
        assert {fill.order_ref for fill in of_kind(await drain(client, 5), Fill)} == {OURS}


async def test_an_order_of_the_other_account_cannot_be_cancelled_by_its_reference():
    async with two_accounts(other_world(open_orders=(earlier(),))) as venue:
        client = await venue.connected()
        await client.cancel("RB-EARLIER-B1-1")
        (notice,) = of_kind(await drain(client, 5), Notice)
        assert notice.code == 10147
        assert len(venue.gateway.exchanges[OTHER].working()) == 1


@pytest.mark.parametrize("name", ["accountDownloadEnd", "updateAccountValue", "updatePortfolio"])
async def test_the_download_of_the_other_account_is_no_part_of_ours(name):
    async with two_accounts() as venue:
        client = await venue.connected()
        at = {"accountDownloadEnd": 2, "updateAccountValue": 5, "updatePortfolio": 19}[name]
        before = await client.snapshot()
        venue.gateway.faults.on(name, ChangedFirst({at: OTHER}), times=None)
        assert (await client.snapshot()).cash == before.cash


async def test_a_download_that_ends_for_the_other_account_alone_is_incomplete():
    async with two_accounts() as venue:
        client = await venue.connected()
        venue.gateway.faults.on("accountDownloadEnd", ChangeFields({2: OTHER}))
        with pytest.raises(ConnectionLost, match="did not answer within 20 s while reading the snapshot"):
            await client.snapshot()


async def test_a_position_of_the_other_account_in_the_same_symbol_is_not_added_to_ours():
    async with two_accounts(other_world(positions=(held("VTI", "900"),))) as venue:
        (held_here,) = (await (await venue.connected()).snapshot()).positions
        assert held_here.quantity == 10


async def test_a_client_of_the_protocol_is_shown_every_account():
    async with two_accounts() as venue:
        wire = await log_in(venue.gateway, 7)
        wire.request("reqPositions")
        assert [(fields[2], fields[4]) for fields in await wire.only("position")] == [(ACCOUNT, "VTI"), (OTHER, "BND")]
        wire.request("reqAccountSummary", 9, "All", "NetLiquidation")
        assert [fields[3] for fields in await wire.only("accountSummary")] == [ACCOUNT, OTHER]
        await wire.close()


@pytest.mark.parametrize(
    ("named", "refusal"),
    [("", "You must specify an account."), ("DU0000001", "invalid account")],
)
async def test_an_order_or_a_download_without_an_account_of_the_gateway_is_refused(named, refusal):
    async with two_accounts() as venue:
        wire = await log_in(venue.gateway, 7)
        wire.request("placeOrder", 1, Stock("VTI", "SMART", "USD"), limit_order(account=named))
        error = (await wire.only("error"))[0]
        assert error[3] == "321"
        assert refusal in error[4]
        wire.request("reqAccountUpdates", True, named)
        (error,) = await wire.only("error")
        assert error[3] == "321"
        assert all(each.working() == () for each in venue.gateway.exchanges.values())
        await wire.close()


async def test_executions_are_filtered_by_account_and_orders_listed_for_all():
    async with two_accounts() as venue:
        one, two = await venue.connected(), await venue.connected(client_id=7, account_id=OTHER)
        await one.place(order())
        await two.place(theirs())
        await two.place(theirs(ref="RB-BBBBBBBBBBBB-B2-1", limit="90.00"))
        wire = await log_in(venue.gateway, 9)
        for wanted, found in (("", [ACCOUNT, OTHER]), (OTHER, [OTHER]), ("DU0000001", [])):
            wire.send(7, 3, 9, 0, wanted, "", "", "", "", "")
            assert [fields[16] for fields in await wire.only("execDetails")] == found
        wire.send(16, 1)
        assert [fields[20] for fields in await wire.only("openOrder")] == [OTHER]
        wire.send(99, 0)
        assert [fields[19] for fields in await wire.only("completedOrder")] == [ACCOUNT, OTHER]
        wire.request("reqGlobalCancel")
        await wire.all()
        assert venue.gateway.exchanges[OTHER].working() == ()
        await wire.close()


async def test_a_second_download_takes_the_place_of_the_first():
    async with two_accounts() as venue:
        wire = await log_in(venue.gateway, 7)
        for wanted in (ACCOUNT, OTHER):
            wire.request("reqAccountUpdates", True, wanted)
            assert {fields[5] for fields in await wire.only("updateAccountValue")} == {wanted}
        trading = await venue.connected()
        await trading.place(order(side=Side.SELL, limit="100.00"))
        assert await wire.only("updateAccountValue") == []
        await wire.close()


async def test_a_connection_after_a_restart_goes_on_with_the_ids_of_both():
    async with two_accounts() as venue:
        one, two = await venue.connected(), await venue.connected(client_id=7, account_id=OTHER)
        await one.place(order(limit="90.00"))
        await two.place(theirs(limit="90.00"))
        await venue.gateway.restart()
        for client, ref in ((one, OURS), (two, THEIRS)):
            await client.disconnect()
            await client.connect()
            await client.cancel(ref)
            assert states(await drain(client, 5))[-1] is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (world(), "two of them have the same account"),
        (replace(other_world(), quotes={VTI: quoted("1.00", "1.01")}), "the quotes of VTI differ"),
    ],
)
def test_accounts_of_one_gateway_share_one_market(other, fault):
    with pytest.raises(ValueError, match=fault):
        SimulatedGateway.of(world(), RunningClock(), others=[other])
