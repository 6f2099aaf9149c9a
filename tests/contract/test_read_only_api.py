"""A gateway where Read-Only API is ticked, which is the tick to recommend to whoever only looks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker_contract import drain, listed, of_kind
from live import venue_of
from worlds import VTI, account, earlier, order, world

from core.errors import SafetyRefused
from core.model import Notice, OrderState, OrderUpdate, RejectReason
from core.sim.gateway import GatewayOptions
from core.sim.gateway.faults import ChangeFields, ErrorBefore, Refuse

TICKED = GatewayOptions(is_read_only=True)
READ_ONLY = "Error validating request.-'as' : cause - The API interface is currently in Read-Only mode."


async def test_a_read_only_client_reads_all_but_the_lists_of_orders():
    async with venue_of(world(account=account(open_orders=(earlier(),))), TICKED) as venue:
        client = await venue.connected(is_read_only=True)
        snapshot = await client.snapshot()
        assert (len(snapshot.positions), snapshot.warnings) == (1, ())
        assert [one.order_ref for one in snapshot.working_orders] == [earlier().order_ref]
        assert (await client.quotes([listed()]))[VTI].bid is not None
        assert await client.executions() == ()
        with pytest.raises(SafetyRefused, match="refuses to report the completed orders: its API is in Read-Only mode"):
            await client.completed_orders()
        assert client.is_connected


async def test_where_working_orders_are_not_listed_the_account_has_a_warning():
    async with venue_of(world(), TICKED) as venue:
        client = await venue.connected(is_read_only=True)
        venue.gateway.faults.on("reqAllOpenOrders", Refuse(321, READ_ONLY), times=None)
        snapshot = await client.snapshot()
        assert snapshot.working_orders == ()
        assert [warning.partition(":")[0] for warning in snapshot.warnings] == ["working orders are unknown"]
        with pytest.raises(SafetyRefused):
            await client.open_orders()


async def test_a_read_only_error_while_the_account_is_read_ends_no_read():
    async with venue_of(world(), TICKED) as venue:
        client = await venue.connected(is_read_only=True)
        venue.gateway.faults.on("reqPositions", ErrorBefore(321, READ_ONLY))
        assert len((await client.snapshot()).positions) == 1
        assert [one.text for one in of_kind(await drain(client), Notice)] == [READ_ONLY]


async def test_a_client_that_trades_learns_at_once_what_to_untick():
    async with venue_of(world(), TICKED) as venue:
        started = venue.clock.now()
        with pytest.raises(SafetyRefused, match="refuses orders: its API is in Read-Only mode") as raised:
            await venue.connected()
        assert "untick Read-Only API" in raised.value.next_step
        assert venue.clock.now() - started < timedelta(seconds=1)
        assert raised.value.exit_code == 30


@pytest.mark.parametrize("number", [-1, 2147483647])
async def test_an_order_at_a_read_only_gateway_is_refused_with_its_text(number):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        text = READ_ONLY.replace("as", "bF")
        venue.gateway.faults.on("placeOrder", Refuse(321, text))
        venue.gateway.faults.on("error", ChangeFields({2: str(number)}))
        await client.place(order())
        (refused,) = of_kind(await drain(client), OrderUpdate)
        assert (refused.state, refused.code, refused.reject_reason) == (OrderState.REJECTED, 321, RejectReason.REJECTED)
        assert refused.reason == text
