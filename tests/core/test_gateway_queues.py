"""What waits to be sent: in order, for as long as answers take, and never too much of it."""

from __future__ import annotations

import asyncio

import pytest
from builders import NOW
from gateway_clients import TRADER, VTI_STOCK, briefly, dial, logged_in, options, serving
from worlds import VTI, quoted

from core.clock import AutojumpClock
from core.sim.gateway import ClientLimits
from core.sim.gateway.log import Direction
from core.sim.venue.world import Change, Point
from core.sim.wire.frames import frame

STREAM = ("", False, False, [])


async def test_answers_take_their_latency_and_stay_in_order():
    clock = AutojumpClock(NOW)
    async with serving(options(latency_seconds=0.1), clock=clock) as gateway:
        wire = await dial(gateway)
        await clock.sleep(0.2)
        await wire.receive()
        wire.send(71, 2, TRADER, "")
        wire.send(61, 1)
        wire.send(49, 1)
        await clock.sleep(0.05)
        assert gateway.traffic()[wire.port].written == len(frame(("178", "20260302 15:30:00 EST")))
        await clock.sleep(0.1)
        received = briefly(await wire.until("currentTime"))
        assert received[:2] == [["managedAccounts"], ["nextValidId", "1"]]
        assert received[-3:] == [["position"], ["positionEnd"], ["currentTime"]]
        await wire.close()


async def test_a_second_client_with_the_same_id_receives_326_after_the_latency():
    clock = AutojumpClock(NOW)
    async with serving(options(latency_seconds=0.1), clock=clock) as gateway:
        first, second = await dial(gateway), await dial(gateway)
        first.send(71, 2, TRADER, "")
        await clock.sleep(1)
        second.send(71, 2, TRADER, "")
        second.send(71, 2, TRADER + 1, "")
        await clock.sleep(1)
        assert briefly(await second.rest())[1:] == [["error", "326"]]
        assert gateway.log.names(Direction.IN).count("startApi") == 2


@pytest.mark.slow
@pytest.mark.parametrize("latency", [0.0, 1000.0])
async def test_a_client_that_does_not_read_is_disconnected_and_the_others_are_served(latency):
    limits = ClientLimits(queued_bytes=100_000)
    chosen = options(limits=limits, latency_seconds=latency)
    clock = AutojumpClock(NOW)
    async with serving(chosen, clock=clock) as gateway:
        stalled = await dial(gateway)
        stalled.reader._transport.pause_reading()
        stalled.send(71, 2, 7, "")
        for req_id in range(30):
            stalled.request("reqMktData", req_id, VTI_STOCK, *STREAM)
        async with asyncio.timeout(20):
            price = 100
            while gateway.traffic():
                price += 1
                gateway.move(Change(Point.BEFORE_BUYS, {VTI: quoted(str(price), str(price + 1))}))
                await asyncio.sleep(0)
        stalled.reader._transport.resume_reading()
        (closed,) = [entry for entry in gateway.log if entry.message == "closed"]
        assert closed.fields == ("refused: the client does not read what is sent to it",)
        if not latency:
            async with logged_in(gateway) as other:
                assert await other.all() == []


async def test_a_client_that_reads_may_be_sent_any_amount():
    clock = AutojumpClock(NOW)
    async with serving(options(limits=ClientLimits(queued_bytes=1_000), latency_seconds=0.1), clock=clock) as gateway:
        wire = await dial(gateway)
        wire.send(71, 2, 7, "")
        for _ in range(100):
            wire.send(49, 1)
            await clock.sleep(0.2)
            assert briefly(await wire.until("currentTime"))[-1] == ["currentTime"]
