"""A world's script on the wire, and frames that nobody should send."""

from __future__ import annotations

import pytest
from gateway_clients import (
    HANDSHAKE,
    VTI_STOCK,
    briefly,
    dial,
    limit_order,
    log_in,
    logged_in,
    market_order,
    options,
    serving,
    session,
)
from worlds import VTI, held, quoted

from core.model import USD
from core.money import D
from core.sim.venue.world import Change, Fault, FaultKind, Point
from core.sim.wire.frames import frame

STREAM = ("", False, False, [])
ORDER_OF_VTI = "order:VTI"


def faulty(at, kind, times=1):
    return {"faults": (Fault(at, kind, times),)}


async def test_a_connection_that_is_too_much_receives_error_100():
    async with serving(**faulty(Point.CONNECT, FaultKind.PACING)) as gateway:
        received = await (await dial(gateway)).rest()
        assert received[0][0] == "178"
        assert briefly(received[1:]) == [["error", "100"]]


async def test_the_connection_breaks_once_an_order_arrived_and_further_ones_are_refused_as_often_as_scripted():
    async with session(**faulty(ORDER_OF_VTI, FaultKind.DISCONNECT, 3)) as (gateway, wire):
        wire.request("placeOrder", 1, VTI_STOCK, market_order())
        assert await wire.rest() == []
        assert [fill.shares for fill in gateway.exchange.executions()] == [10]
        for _ in range(2):
            assert await (await dial(gateway)).rest() == []
        async with logged_in(gateway) as again:
            again.request("placeOrder", 2, VTI_STOCK, market_order())
            assert ["orderStatus", "Filled"] in briefly(await again.all())


async def test_a_point_of_the_run_moves_the_world_and_breaks_the_connection():
    change = Change(Point.BEFORE_BUYS, {VTI: quoted("99", "99.40", "99.2")}, (held(quantity="3"),), {USD: D(500_000)})
    script = {"changes": (change,)} | faulty(Point.BEFORE_BUYS, FaultKind.DISCONNECT, 2)
    async with session(**script) as (gateway, wire):
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        await wire.all()
        gateway.reach(Point.BEFORE_SELLS)
        assert await wire.all() == []
        gateway.reach(Point.BEFORE_BUYS)
        assert briefly(await wire.rest())[0] == ["execDetails", "1"]
        assert gateway.exchange.ledger.held(VTI) == 13
        assert await (await dial(gateway)).rest() == []
        again = await log_in(gateway)
        await again.close()


async def test_faults_of_reads_and_orders_scripted_at_a_point_wait_for_them():
    faults = tuple(Fault(Point.BEFORE_BUYS, kind) for kind in (FaultKind.FRACTIONAL_REFUSED, FaultKind.PACING))
    async with session(faults=faults) as (gateway, wire):
        gateway.reach(Point.BEFORE_BUYS)
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        wire.request("placeOrder", 7, VTI_STOCK, limit_order())
        assert [fields[3] for fields in await wire.all()] == ["100", "10243"]


async def test_the_kill_switch_is_set_at_its_point():
    switched_on = []
    switch = options(on_kill_switch=lambda: switched_on.append(True))
    async with serving(switch, **faulty(Point.BEFORE_SELLS, FaultKind.KILL_SWITCH)) as gateway:
        gateway.reach(Point.BEFORE_FX)
        assert switched_on == []
        gateway.reach(Point.BEFORE_SELLS)
        gateway.reach(Point.BEFORE_SELLS)
        assert switched_on == [True]


async def test_an_order_above_the_message_limit_is_refused_and_remembered():
    async with session() as (gateway, wire):
        for _ in range(48):
            wire.send(25, 1, 7)
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        wire.request("cancelOrder", 1, "")
        await wire.until("error")
        received = [fields for fields in await wire.until("error") if fields[3] != "366"]
        while len(received) < 2:
            received += [fields for fields in await wire.until("error") if fields[3] != "366"]
        assert [fields[2:4] for fields in received] == [("1", "100"), ("1", "100")]
        assert [order.state.name for order in gateway.exchange.completed()] == ["REJECTED"]


START = frame(("71", "2", "9", ""))


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0\xff\xff\xff\xff",
        b"API\0\x00\x00\x00\x02hi",
        b"API\0\x00\x00\x00\x09v1..2..3x",
        HANDSHAKE + b"\xff\xff\xff\xff",
        HANDSHAKE + b"\x00\x00\x00\x00",
        HANDSHAKE + b"\x00\x00\x00\x0271",
        HANDSHAKE + frame(("71", "2", "nine", "")),
        HANDSHAKE + frame(("",)),
        HANDSHAKE + START + frame(("3", "1", "x")),
        HANDSHAKE + START + frame(("1",)),
        HANDSHAKE + START + frame(("71",)),
        HANDSHAKE + START + frame(("61", "1", "too", "many")),
        HANDSHAKE + START + frame(("9", "8", "5", "1e999") + ("",) * 15),
        HANDSHAKE + START + b"\x00\x01\x00\x01" + b"1\0" * 32_768,
    ],
)
async def test_a_hostile_frame_ends_its_own_connection_and_nothing_else(sent):
    async with session(client=1) as (gateway, other):
        wire = await dial(gateway, sent)
        await wire.rest()
        refused = [entry.fields[0] for entry in gateway.log if entry.message == "closed"]
        assert len(refused) == 1
        assert refused[0].startswith("refused: ")
        assert await other.all() == []
        next_one = await log_in(gateway, 9)
        await next_one.close()


async def test_fields_in_the_log_are_shortened():
    async with session() as (gateway, wire):
        wire.send(4711, "x" * 60_000)
        await wire.all()
        assert max(len(text) for entry in gateway.log for text in entry.fields) <= 200
