"""Connecting to the gateway: who is accepted, under which ids, how fast, and what survives a restart."""

from __future__ import annotations

import asyncio
import json

import pytest
from gateway_clients import (
    FARMS,
    HANDSHAKE,
    TRADER,
    VTI_STOCK,
    briefly,
    dial,
    limit_order,
    log_in,
    logged_in,
    options,
    other_address,
    serving,
    session,
)
from worlds import ACCOUNT, scripted

from core.clock import AutojumpClock
from core.money import D
from core.sim.gateway import ClientLimits
from core.sim.gateway.faults import Do
from core.sim.gateway.log import Direction
from core.sim.wire.frames import frame


async def test_a_client_is_answered_version_178_then_its_account_its_next_id_and_the_state_of_the_farms():
    async with serving() as gateway:
        wire = await dial(gateway)
        assert (await wire.receive())[0] == "178"
        wire.send(71, 2, TRADER, "")
        received = await wire.all()
        assert received[0] == ("15", "1", ACCOUNT)
        assert received[1] == ("9", "1", "1")
        assert briefly(received[2:]) == FARMS
        assert {fields[4].rpartition(":")[2] for fields in received[2:]} >= {"usfarm.nj", "cashfarm", "secdefnj"}
        await wire.close()


async def test_a_handshake_may_come_byte_by_byte():
    async with serving() as gateway:
        wire = await dial(gateway, b"")
        for byte in HANDSHAKE + frame(("71", "2", "7", "")):
            wire.writer.write(bytes([byte]))
            await wire.writer.drain()
        assert (await wire.until("nextValidId"))[-1] == ("9", "1", "1")
        await wire.close()


@pytest.mark.parametrize("versions", [b"v100..177", b"v157..157"])
async def test_a_client_that_does_not_speak_version_178_is_not_answered(versions):
    async with serving() as gateway:
        wire = await dial(gateway, b"API\0" + len(versions).to_bytes(4, "big") + versions)
        assert await wire.rest() == []
        assert any("178" in entry.fields[0] for entry in gateway.log if entry.message == "closed")


async def test_a_client_id_in_use_is_refused_with_326_and_free_again_after_a_disconnect():
    async with session() as (gateway, first):
        second = await dial(gateway)
        await second.receive()
        second.send(71, 2, TRADER, "")
        assert briefly(await second.rest()) == [["error", "326"]]
        await first.close()
        third = await log_in(gateway)
        assert await third.all() == []
        await third.close()


async def test_clients_with_different_ids_are_served_side_by_side_with_order_ids_of_their_own():
    async with session(client=1) as (gateway, one), logged_in(gateway, 2) as two:
        one.request("placeOrder", 7, VTI_STOCK, limit_order())
        await one.all()
        one.send(8, 1, 1)
        two.send(8, 1, 1)
        assert (await one.receive(), await two.receive()) == (("9", "1", "8"), ("9", "1", "1"))


async def test_a_request_before_startapi_ends_the_connection():
    async with serving() as gateway:
        wire = await dial(gateway)
        await wire.receive()
        wire.send(49, 1)
        assert await wire.rest() == []


@pytest.mark.parametrize("second", [("71", "2", "9", ""), ("71", "2", "-1", "")])
async def test_a_second_startapi_ends_the_connection(second):
    async with session() as (_, wire):
        wire.send(*second)
        assert await wire.rest() == []


async def test_a_client_that_sends_nothing_is_disconnected():
    limits = ClientLimits(handshake_seconds=0.01)
    async with serving(options(limits=limits)) as gateway:
        assert await (await dial(gateway, b"")).rest() == []
        assert len(await (await dial(gateway)).rest()) == 1


async def test_after_startapi_a_client_may_stay_idle():
    async with serving(options(limits=ClientLimits(handshake_seconds=0.05))) as gateway, logged_in(gateway) as wire:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.reader.read(1), 0.1)


async def test_only_so_many_connections_are_open_at_a_time():
    async with serving(options(limits=ClientLimits(connections=2))) as gateway:
        one, two = await log_in(gateway, 1), await log_in(gateway, 2)
        assert await (await dial(gateway)).rest() == []
        await one.close()
        assert await two.all() == []
        three = await log_in(gateway, 3)
        await two.close()
        await three.close()


async def test_unknown_messages_are_logged_and_ignored():
    async with session() as (gateway, wire):
        wire.send(80, 1)
        wire.send(4711, "what", "ever")
        wire.send(14, 1, 5)
        wire.send(15, 1, 1)
        assert await wire.all() == []
        assert [entry.fields for entry in gateway.log if entry.message == "ignored"][:2] == [("80",), ("4711",)]


def world_start():
    from builders import NOW  # noqa: PLC0415 - the name would say little above

    return NOW


async def test_order_ids_survive_a_reconnect_and_a_restart():
    async with serving() as gateway:
        async with logged_in(gateway) as wire:
            wire.request("placeOrder", 12, VTI_STOCK, limit_order())
            await wire.all()
        async with logged_in(gateway) as wire:
            wire.send(8, 1, 1)
            assert await wire.receive() == ("9", "1", "13")
        port = gateway.port
        await gateway.restart()
        assert gateway.port == port
        async with logged_in(gateway) as wire:
            wire.send(8, 1, 1)
            assert await wire.receive() == ("9", "1", "13")


async def test_a_restart_ends_every_connection_and_keeps_orders_with_their_permanent_ids():
    async with session() as (gateway, wire):
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        (before,) = await wire.only("openOrder")
        await gateway.restart()
        assert await wire.rest() == []
        async with logged_in(gateway) as again:
            again.send(5, 1)
            received = await again.until("openOrderEnd")
        assert received[0] == before
        assert briefly(received) == [["openOrder", "1"], ["orderStatus", "Submitted"], ["openOrderEnd"]]


async def test_ids_that_rolled_back_are_given_out_again_and_make_new_orders():
    async with session() as (gateway, wire):
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        await wire.all()
        await gateway.restart(ids_roll_back=True)
        async with logged_in(gateway) as again:
            again.send(8, 1, 1)
            assert await again.receive() == ("9", "1", "1")
            again.request("placeOrder", 1, VTI_STOCK, limit_order(limit=99.4))
            await again.all()
            again.send(5, 1)
            listed = [fields for fields in await again.until("openOrderEnd") if fields[0] == "5"]
            assert [(fields[1], fields[16]) for fields in listed] == [("1", "99.5"), ("1", "99.4")]
            assert len({fields[25] for fields in listed}) == 2
            again.request("placeOrder", 1, VTI_STOCK, limit_order(limit=99.3))
            (changed,) = await again.only("openOrder")
        assert (changed[25], changed[16]) == (listed[1][25], "99.3")


async def test_an_old_order_can_still_be_cancelled_by_an_id_that_rolled_back():
    async with session() as (gateway, wire):
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        await wire.all()
        await gateway.restart(ids_roll_back=True)
        async with logged_in(gateway) as again:
            again.request("cancelOrder", 1, "")
            assert ["error", "202"] in briefly(await again.all())


async def test_above_50_messages_in_a_second_each_is_answered_with_error_100():
    async with session() as (_, wire):
        for req_id in range(60):
            wire.send(91, req_id + 900)
        wire.send(25, 1, 77)
        received = await wire.until("error")
        while not any(fields[2] == "77" for fields in received):
            received += await wire.until("error")
        codes = [fields[3] for fields in received]
        # startApi and the question for the time came in the same second
        assert codes == ["321"] * 48 + ["100"] * 13


async def test_a_second_violation_of_the_message_limit_ends_the_connection():
    clock = AutojumpClock(world_start())
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        for _ in range(49):
            wire.send(49, 1)
        await wire.until("error")
        await clock.sleep(2)
        for _ in range(51):
            wire.send(49, 1)
        received = await wire.rest()
        assert briefly(received)[-1] == ["error", "100"]
        assert briefly(received).count(["error", "100"]) == 1


async def test_an_endless_burst_is_a_second_violation_too():
    clock = AutojumpClock(world_start())  # on the wall's clock the flood could spread over seconds
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        for _ in range(150):
            wire.send(49, 1)
        await wire.rest()
        # read from the log: closing with the client's messages unread resets the socket, and what was sent may be lost
        sent = [entry.fields for entry in gateway.log if entry.direction is Direction.OUT and entry.message == "error"]
        assert [fields[3] for fields in sent].count("100") == 51


async def test_fifty_messages_in_a_second_are_within_the_limit():
    clock = AutojumpClock(world_start())
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        for _ in range(5):
            await clock.sleep(1)
            for _ in range(50):
                wire.send(49, 1)
            for _ in range(50):
                assert briefly([await wire.receive()]) == [["currentTime"]]


async def test_the_traffic_counts_every_byte_of_each_connection():
    async with serving() as gateway:
        wire = await dial(gateway)
        first = await wire.receive()
        traffic = gateway.traffic()[wire.port]
        assert (traffic.read, traffic.written) == (len(HANDSHAKE), len(frame(first)))
        await wire.close()
        async with logged_in(gateway) as other:
            assert set(gateway.traffic()) == {other.port}


async def test_the_log_is_lines_of_json_in_the_order_of_the_wire():
    seen = []
    async with serving(options(on_log=seen.append)) as gateway, logged_in(gateway) as wire:
        wire.send(17, 1)
        await wire.receive()
        lines = [json.loads(line) for line in gateway.log.lines()]
        assert [(line["dir"], line["message"]) for line in lines][-2:] == [
            ("in", "reqManagedAccts"),
            ("out", "managedAccounts"),
        ]
        assert lines[-1] | {"t": ""} == {
            "t": "",
            "connection": 1,
            "client": TRADER,
            "dir": "out",
            "message": "managedAccounts",
            "fields": ["15", "1", ACCOUNT],
        }
        assert gateway.log.names(Direction.IN)[:2] == ["handshake", "startApi"]
        assert seen == list(gateway.log)


async def test_only_loopback_is_listened_on():
    address = other_address() or "127.0.0.2"
    async with serving() as gateway:
        with pytest.raises(OSError):  # noqa: PT011 - refused, unreachable or filtered
            await asyncio.wait_for(asyncio.open_connection(address, gateway.port), 5)


def broken(_subject):
    raise ZeroDivisionError("planted")


async def test_an_error_of_its_own_ends_one_connection_and_is_raised_by_check():
    async with serving() as gateway, logged_in(gateway, 1) as one, logged_in(gateway, 2) as two:
        gateway.faults.on("reqCurrentTime", Do(broken))
        one.send(49, 1)
        await one.rest()  # ends with the connection
        assert await two.all() == []
        with pytest.raises(ZeroDivisionError, match="planted"):
            gateway.check()
        gateway._state.errors.clear()


async def test_an_error_of_its_own_that_no_client_caused_is_raised_by_check_too():
    clock = AutojumpClock(world_start())
    async with serving(clock=clock, fills=scripted(delay_seconds=D(5))) as gateway, logged_in(gateway) as wire:
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        await wire.all()
        gateway.faults.on("execDetails", Do(broken))
        await clock.sleep(9)
        with pytest.raises(ZeroDivisionError, match="planted"):
            gateway.check()
        gateway._state.errors.clear()
        assert ["openOrder", "1"] not in briefly(await wire.all())


async def test_a_gateway_that_listens_is_not_started_twice_and_may_be_stopped_twice():
    async with serving() as gateway:
        with pytest.raises(RuntimeError, match="already"):
            await gateway.start()
        await gateway.stop()
        await gateway.stop()
        with pytest.raises(ConnectionRefusedError):
            await dial(gateway)
        await gateway.start()


@pytest.mark.parametrize(("code", "passes"), [(1100, False), (1101, True), (1102, True), (2103, True), (2110, True)])
async def test_system_messages_reach_every_client_and_1100_disconnects_the_venue(code, passes):
    async with session(client=1) as (gateway, one), logged_in(gateway, 2) as two:
        gateway.broadcast(code)
        one.send(61, 1)
        received = [briefly(await wire.all()) for wire in (one, two)]
        assert received[1] == [["error", str(code)]]
        assert (["positionEnd"] in received[0]) is passes
        gateway.broadcast(1102)
        one.send(61, 1)
        assert ["positionEnd"] in briefly(await one.all())
