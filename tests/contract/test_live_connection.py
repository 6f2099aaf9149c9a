"""The connection of LiveIB: how it comes about, how it is lost, and what it never does."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from broker_contract import drain, listed, of_kind
from builders import NOW
from live import sent, venue_of
from worlds import ACCOUNT, VTI, account, earlier, order, world

from core.broker.ib import LiveIB, LiveOptions
from core.clock import RunningClock
from core.errors import ConnectionLost, ConnectionRefused, SafetyRefused
from core.model import ConnectionChange, Fill, MarketDataType, Notice, OrderRef, OrderState, OrderUpdate
from core.sim.gateway.faults import ChangeFields, Delay, Duplicate, HalfOpen, Omit, Refuse, Truncate
from core.sim.wire.frames import frame


@asynccontextmanager
async def server_sending(*frames):
    """A port that sends these frames to every connection and nothing else."""

    class Speaking(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"".join(frames))

    server = await asyncio.get_running_loop().create_server(Speaking, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def plain_client(port, **changes):
    options = {"client_id": 42, "account_id": ACCOUNT, "connect_timeout_seconds": 5}
    return LiveIB(LiveOptions("127.0.0.1", port, **(options | changes)))


async def test_a_client_id_in_use_is_reported_at_once_and_no_other_is_tried():
    async with venue_of(world()) as venue:
        await venue.connected()
        before, second = venue.clock.now(), venue.client()
        with pytest.raises(ConnectionLost, match=r"already has a client 42: another run may be alive"):
            await second.connect()
        assert venue.clock.now() - before < timedelta(seconds=1)
        assert not second.is_connected
        assert sent(venue, "startApi") == ["startApi"] * 2


async def test_a_port_where_nothing_listens_is_reported_with_the_address_and_what_to_tick():
    async with venue_of(world()) as venue:
        await venue.gateway.stop()
        with pytest.raises(ConnectionRefused, match=r"^127\.0\.0\.1:[0-9]+ refused the connection") as raised:
            await venue.client().connect()
    assert "Enable ActiveX and Socket Clients" in raised.value.next_step


async def test_a_gateway_that_disconnects_at_once_should_trust_this_computer():
    async def disconnect(_, writer):
        writer.close()

    server = await asyncio.start_server(disconnect, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match=f"the gateway at 127.0.0.1:{port} closed the connection") as raised:
            await plain_client(port).connect()
    assert "Trusted IPs" in raised.value.next_step


async def test_an_unknown_host_is_named():
    client = LiveIB(LiveOptions("no-such-host.invalid", 4002, 42, ACCOUNT))
    with pytest.raises(ConnectionLost, match=r"^no-such-host\.invalid:4002 cannot be reached: "):
        await client.connect()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("handshake", "was not ready within 15 s"),
        ("startApi", "was not ready within 15 s"),
        ("managedAccounts", "was not ready within 15 s"),
        ("openOrderEnd", "did not list our open orders and positions within 15 s"),
        ("positionEnd", "did not list our open orders and positions within 15 s"),
    ],
)
async def test_a_gateway_that_does_not_answer_is_awaited_as_long_as_allowed(message, text):
    async with venue_of(world()) as venue:
        venue.gateway.faults.on(message, Omit())
        client, before = venue.client(), venue.clock.now()
        with pytest.raises(ConnectionLost, match=text):
            await client.connect()
        assert timedelta(seconds=15) <= venue.clock.now() - before < timedelta(seconds=16)
        await client.connect()
        assert client.is_connected


async def test_a_gateway_without_an_account_is_refused():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("managedAccounts", ChangeFields({2: ""}))
        with pytest.raises(ConnectionLost, match="the gateway manages no account"):
            await venue.client().connect()


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ((frame(("150", "20260302 15:30:00 EST")),), "the gateway is too old"),
        ((frame(("200", "20260302 15:30:00 EST")),), "version 200 of its protocol"),
    ],
)  # fmt: skip
async def test_a_gateway_of_another_version_is_refused(frames, text):
    async with server_sending(*frames) as port, asyncio.timeout(10):
        client = plain_client(port)
        with pytest.raises(ConnectionLost, match=text):
            await client.connect()
        assert not client.is_connected


@pytest.mark.parametrize("code", [1100, 2110])
async def test_without_ibkr_nothing_is_sent_and_connecting_waits_for_it(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(code)
        event = await client.next_event(1)
        assert isinstance(event, ConnectionChange)
        assert not event.is_up
        assert not client.is_connected
        for call in (client.place(order()), client.open_orders(), client.next_event(1)):
            with pytest.raises(ConnectionLost):
                await call
        assert sent(venue, "placeOrder", "reqAllOpenOrders") == []
        venue.clock.call_at(venue.clock.now() + timedelta(seconds=5), lambda: venue.gateway.broadcast(1102))
        await client.connect()
        assert client.is_connected
        assert [event.is_up for event in of_kind(await drain(client), ConnectionChange)] == [True]


@pytest.mark.parametrize("code", [1101, 1102])
async def test_lost_connectivity_is_reported_before_restored_connectivity(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(1100)
        venue.gateway.broadcast(code)
        assert [event.is_up for event in await drain(client)] == [False, True]
        assert await client.open_orders() == ()


async def test_ibkr_is_not_awaited_for_ever():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(1100)
        await client.next_event(1)
        with pytest.raises(ConnectionLost, match="not connected to IBKR"):
            await client.connect()


@pytest.mark.parametrize("code", [1100, 2110])
async def test_a_connection_that_dies_without_ibkr_is_replaced_by_a_new_one(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqCurrentTime", HalfOpen())
        venue.gateway.broadcast(code)
        await client.next_event(1)
        before = venue.clock.now()
        # IBKR is back, but the message does not arrive over the dead connection
        venue.clock.call_at(before + timedelta(seconds=20), lambda: venue.gateway.broadcast(1102))
        with pytest.raises(ConnectionLost, match="not connected to IBKR"):
            await client.connect()
        await client.connect()
        assert venue.clock.now() - before < timedelta(seconds=31)
        assert sent(venue, "startApi") == ["startApi"] * 2
        assert await client.open_orders() == ()


async def test_a_gateway_that_reports_the_time_stays_connected_without_ibkr():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(1100)
        await client.next_event(1)
        for _ in range(6):
            with pytest.raises(ConnectionLost, match="not connected to IBKR"):
                await client.connect()
            assert not client.is_connected
        assert 5 <= len(sent(venue, "reqCurrentTime")) <= 10
        assert sent(venue, "startApi") == ["startApi"]
        venue.gateway.broadcast(1102)
        await client.connect()
        assert client.is_connected
        assert sent(venue, "startApi") == ["startApi"]


async def test_restored_connectivity_that_was_never_lost_is_no_event():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(1102)
        assert await drain(client) == []


async def test_a_read_under_way_fails_at_once_when_ibkr_is_lost():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("completedOrdersEnd", Omit())
        venue.clock.call_at(venue.clock.now() + timedelta(seconds=1), lambda: venue.gateway.broadcast(1100))
        before = venue.clock.now()
        with pytest.raises(ConnectionLost, match="broke while reading the completed orders"):
            await client.completed_orders()
        assert venue.clock.now() - before < timedelta(seconds=2)


async def test_a_gateway_that_answers_the_heartbeat_may_send_nothing_else():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        assert await client.next_event(120) is None
        assert client.is_connected
        assert 5 <= len(sent(venue, "reqCurrentTime")) <= 12


async def test_a_connection_that_is_dead_without_having_closed_is_noticed():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqCurrentTime", HalfOpen())
        before = venue.clock.now()
        with pytest.raises(ConnectionLost, match="the gateway does not respond"):
            await client.next_event(120)
        assert timedelta(seconds=29) <= venue.clock.now() - before < timedelta(seconds=32)
        assert not client.is_connected
        await client.connect()
        assert await client.open_orders() == ()


async def test_a_gateway_that_sends_nothing_is_noticed_over_many_short_waits():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqCurrentTime", HalfOpen())
        waited = 0
        while client.is_connected and waited < 60:
            with suppress(ConnectionLost):
                waited += 1
                assert await client.next_event(1) is None
        assert 29 <= waited <= 32


async def test_a_message_that_cannot_be_read_closes_the_connection_as_it_may_be_of_an_order():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("orderStatus", ChangeFields({6: "17000000.0"}))
        with pytest.raises(
            ConnectionLost, match=r"may have arrived: a message from the gateway \(3\) could not be read"
        ):
            await client.place(order())
        assert not client.is_connected
        await client.connect()
        assert [one.state for one in await client.completed_orders()] == [OrderState.FILLED]


async def test_a_message_that_is_too_short_is_named_as_the_reason_for_closing():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountValue", Truncate(3))
        with pytest.raises(ConnectionLost, match=r"snapshot: a message from the gateway \(6\) .* too few fields"):
            await client.snapshot()


async def test_a_message_of_an_unknown_kind_is_skipped_and_reported_once():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("orderStatus", Duplicate({0: "9999"}), times=None)
        venue.gateway.faults.on("execDetails", Duplicate({0: "not a number"}), times=None)
        await client.place(order())
        events = await drain(client)
        assert of_kind(events, OrderUpdate)[-1].state is OrderState.FILLED
        assert [event.text for event in of_kind(events, Notice)] == [
            "skipped a message from the gateway (9999), which this client does not know",
            "skipped a message from the gateway (not a number), which this client does not know",
        ]
        assert client.is_connected


async def test_a_message_that_cannot_be_read_and_that_nobody_needs_is_skipped():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountTime", ChangeFields({0: "94"}), times=None)
        await client.snapshot()
        assert client.is_connected
        assert [event.text for event in await drain(client)] == [
            "skipped a message from the gateway (94), which could not be read: it has too few fields"
        ]


async def test_a_tick_that_cannot_be_read_costs_nothing():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("tickSize", ChangeFields({3: "99999x"}), times=None)
        assert (await client.quotes([listed()]))[VTI].bid is not None
        assert client.is_connected


TIME_OF_EXECUTION = 15


@pytest.mark.parametrize(
    "text",
    [
        "20260302-20:30:00",
        "20260302 15:30:00 US/Eastern",
        "20260302 12:30:00 America/Los_Angeles",
        "20260302  15:30:00",
        "20260302 15:30:00 Eastern Standard Time",
    ],
)
async def test_a_fill_is_dated_rightly_in_whatever_form_its_time_comes(text, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        async with venue_of(world()) as venue:
            client = await venue.connected()
            venue.gateway.faults.on("execDetails", ChangeFields({TIME_OF_EXECUTION: text}), times=None)
            await client.place(order())
            emitted_at = [fill.at for fill in of_kind(await drain(client), Fill)]
            listed_at = [fill.at for fill in await client.executions()]
        assert emitted_at == listed_at == [NOW]
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_a_fill_of_now_whose_time_cannot_be_read_is_not_lost_and_a_listed_one_is_not_dated_today():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("execDetails", ChangeFields({TIME_OF_EXECUTION: "at noon"}), times=None)
        await client.place(order())
        assert [fill.at for fill in of_kind(await drain(client), Fill)] == [NOW]
        with pytest.raises(ConnectionLost, match=r"\(11\) could not be read: .*at ?noon"):
            await client.executions()


async def test_nothing_stays_subscribed():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.snapshot()
        assert sent(venue, "reqPositions", "cancelPositions") == ["reqPositions", "cancelPositions"] * 2
        updates = [entry.fields[2] for entry in venue.gateway.log if entry.message == "reqAccountUpdates"]
        assert updates == ["1", "0"]


async def test_the_kind_of_market_data_is_asked_for_again_after_a_reconnect():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.market_data_type(MarketDataType.DELAYED)
        await client.disconnect()
        await client.connect()
        quote = (await client.quotes([listed()]))[VTI]
        assert quote.data_type is MarketDataType.DELAYED


async def test_a_read_only_client_sends_no_order_and_does_not_request_its_own():
    async with venue_of(world()) as venue:
        client = await venue.connected(is_read_only=True, client_id=43)
        for call in (client.place(order()), client.what_if(order())):
            with pytest.raises(SafetyRefused, match="read-only"):
                await call
        await client.snapshot()
        assert sent(venue, "placeOrder", "reqOpenOrders") == []


async def test_orders_of_an_earlier_connection_are_cancelled_by_their_reference():
    async with venue_of(world(account=account(open_orders=(earlier(),)))) as venue:
        client = await venue.connected()
        await client.place(order(limit="90.00"))
        await client.disconnect()
        await venue.gateway.restart()
        await client.connect()
        for ref in (earlier().order_ref, order().ref):
            await client.cancel(OrderRef(ref))
        updates = of_kind(await drain(client), OrderUpdate)
        ended = [one.order_ref for one in updates if one.state is OrderState.CANCELLED]
        assert ended == [earlier().order_ref, order().ref]


async def test_after_ids_rolled_back_an_execution_is_its_own_orders():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.place(order(ref="RB-OLD-B1-1"))
        await client.disconnect()
        await venue.gateway.restart(ids_roll_back=True)
        await client.connect()
        await client.place(order(ref="RB-NEW-B1-1"))
        assert {fill.order_ref for fill in await client.executions()} == {"RB-OLD-B1-1", "RB-NEW-B1-1"}


async def test_a_slow_handshake_is_awaited_and_is_in_no_log(caplog):
    frames = frame(("178", "20260302 15:30:00 EST")), frame((f"nonsense {ACCOUNT}", "1"))
    async with server_sending(*frames) as port, asyncio.timeout(10):
        client = plain_client(port, connect_timeout_seconds=0.3)
        with pytest.raises(ConnectionLost, match="was not ready"):
            await client.connect()
    assert ACCOUNT not in caplog.text


async def test_no_account_is_named_in_any_log(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("ib_async.client", "ib_async.wrapper", "ib_async.ib"):
        logging.getLogger(name).propagate = True
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.place(order(limit="99.001"))
        await client.snapshot()
        await client.disconnect()
        await venue.gateway.stop()
        with pytest.raises(ConnectionLost):
            await client.connect()
    assert ACCOUNT not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("ib_") and record.levelno > logging.DEBUG]


@pytest.mark.parametrize("apart", [timedelta(minutes=-2), timedelta(minutes=2)])
async def test_a_gateway_whose_clock_differs_sets_the_time_and_the_gap_is_known(apart):
    clock = RunningClock(datetime.now(UTC) + apart)
    async with venue_of(world(), clock=clock) as venue, asyncio.timeout(30):
        client = plain_client(venue.gateway.port)
        for _ in range(2):
            await client.connect()
            assert abs(client.clock_gap - apart) < timedelta(seconds=3)
            assert abs(client.now() - clock.now()) < timedelta(seconds=3)
            await client.disconnect()


async def test_a_gateway_whose_clock_agrees_changes_nothing():
    async with venue_of(world(), clock=RunningClock()) as venue, asyncio.timeout(30):
        client = plain_client(venue.gateway.port)
        await client.connect()
        assert client.clock_gap == timedelta(0)
        await client.disconnect()


async def test_a_connection_refused_again_and_again_leaves_no_task_behind():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("startApi", Refuse(326), times=5)
        client = venue.client()
        for _ in range(5):
            with pytest.raises(ConnectionLost):
                await client.connect()
        await asyncio.sleep(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not [task for task in others if "dial" in repr(task) or "connectAsync" in repr(task)]


async def test_a_gateway_that_moves_to_another_port_closes_the_connection():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(1300, "Socket port has been reset and this connection is being dropped.")
        with pytest.raises(ConnectionLost):
            await client.next_event(1)
        assert not client.is_connected
        await client.connect()
        assert client.is_connected


async def test_a_late_answer_to_an_old_request_is_no_event():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        await client.place(order())
        await client.disconnect()
        await client.connect()
        venue.gateway.faults.on("execDetails", Delay(30))
        venue.gateway.faults.on("execDetailsEnd", Delay(40))
        with pytest.raises(ConnectionLost):
            await client.executions()
        await client.connect()
        assert await drain(client, 60) == []


async def test_no_setting_makes_the_client_faster_than_a_gateway_allows():
    async with venue_of(world()) as venue:
        client = await venue.connected(messages_per_second=1000)
        for _ in range(120):
            await client.open_orders()
        assert not [entry for entry in venue.gateway.log if entry.message == "error" and "100" in entry.fields]
