"""Whatever arrives, from however many clients, the gateway lives, stays small and serves the next one."""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import hostile
import ib_async as ib
import pytest
from fuzzing import FUZZ_CASES, IS_SAMPLE
from hostile import HANDSHAKE, Pipe, share, stream
from worlds import ACCOUNT, world

from core.clock import RunningClock
from core.model import CAD
from core.money import D
from core.sim.gateway import SimulatedGateway
from core.sim.gateway.log import Direction, LogEntry, MessageLog
from core.sim.venue.world import Change, Point

FRAMES = 4_000 if IS_SAMPLE else 100 * FUZZ_CASES  # a million where the suite runs at full size
FRAMES_PER_GATEWAY = 1_000
SPEEDS = (1, 200, 20_000)  # at the first every client is too fast, at the last days go by
AT_ONCE = 5
FEW_MEGABYTES = 64


def gateway(speed=1.0):
    a_world = world()
    return SimulatedGateway.of(a_world, RunningClock(a_world.as_of, speed))


def megabytes():
    """What the process holds now; where the system does not say, the most it ever held."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def serves_a_real_client(venue, port):
    """A client over a socket sees the account, and its order fills."""
    client = ib.IB()
    await client.connectAsync("127.0.0.1", port, clientId=99, timeout=20, account=ACCOUNT, raiseSyncErrors=True)
    try:
        order = ib.LimitOrder("BUY", 1, 100.05, tif="DAY", account=ACCOUNT)
        trade = client.placeOrder(share(), order)
        async with asyncio.timeout(20):
            while not trade.isDone():
                await trade.statusEvent
        return trade.orderStatus.status
    finally:
        client.disconnect()
        await settle()


async def _batch(seed):
    """How many frames one gateway took from several clients at a time, after which it was still in order."""
    random = hostile.seeded(seed)
    venue = gateway(random.choice(SPEEDS))
    await venue.start()
    sent, ids, clients = 0, count(), []
    try:
        while sent < FRAMES_PER_GATEWAY:
            clients = [one for one in clients if one.is_open]
            while len(clients) < AT_ONCE:
                clients.append(Pipe(venue._connect(), stream(random, next(ids) - random.choice((0, 0, 0, 0, 3)))))
            sent += random.choice(clients).send(random.randrange(1, 12))
            if random.random() < 0.2:
                await asyncio.sleep(0)
        for client in clients:
            client.hang_up()
        await settle()
        venue.check()
        venue.exchange.ledger.audit()
    finally:
        await venue.stop()
    venue.check()
    return sent


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_frame_of_any_client_brings_the_gateway_down_or_makes_it_grow():
    warm = None
    left = FRAMES
    for seed in count():
        left -= await _batch(seed)
        warm = warm or megabytes()
        if left <= 0:
            break
    assert megabytes() - warm < FEW_MEGABYTES


async def test_after_all_sorts_of_clients_over_sockets_the_next_one_is_served():
    venue = gateway(speed=50)
    port = await venue.start()
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(_annoy(port, hostile.seeded(f"socket {number}")) for number in range(150)))
        assert await serves_a_real_client(venue, port) == "Filled"
    finally:
        await venue.stop()
    venue.check()
    assert venue.traffic() == {}


async def _annoy(port, random: Random):
    """Send a stream, read some of the answers or none, and leave politely or not."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    try:
        for segments in stream(random, random.randrange(30)):
            for segment in segments:
                writer.write(segment)
            if random.random() < 0.5:
                await writer.drain()
                await asyncio.sleep(0)
        if random.random() < 0.5:
            async with asyncio.timeout(0.05):
                await reader.read(100_000)
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


@pytest.mark.slow
async def test_a_client_that_asks_and_never_reads_is_asked_to_wait_and_others_are_served():
    venue = gateway(speed=20_000)
    port = await venue.start()
    before = megabytes()
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        writer.write(HANDSHAKE + hostile.start(1))
        asked = hostile.frame_of("reqAccountUpdates") * 50
        async with asyncio.timeout(60):
            while writer.transport.get_write_buffer_size() < 1_000_000:
                writer.write(asked)
                await asyncio.sleep(0)
        assert await serves_a_real_client(venue, port) == "Filled"
        assert megabytes() - before < FEW_MEGABYTES
    finally:
        writer.transport.abort()
        await venue.stop()
    venue.check()


@pytest.mark.slow
async def test_a_client_that_never_reads_is_disconnected_before_it_costs_much_memory():
    venue = gateway()
    port = await venue.start()
    before = megabytes()
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        writer.write(HANDSHAKE + hostile.start(1) + hostile.frame_of("reqAccountUpdates"))
        async with asyncio.timeout(60):
            cents = 0
            while venue.traffic() or not cents:
                cents += 1
                venue.move(Change(Point.APPROVAL, cash={CAD: D(cents) / 100}))
                await asyncio.sleep(0)
        assert await serves_a_real_client(venue, port) == "Filled"
        assert megabytes() - before < FEW_MEGABYTES
    finally:
        writer.transport.abort()
        await venue.stop()
    venue.check()


@pytest.mark.slow
async def test_the_longest_frames_of_many_clients_leave_nothing_behind():
    venue = gateway()
    await venue.start()
    before = megabytes()
    longest = b"110\0" + bytes(65_000)
    for client in range(60):
        pipe = Pipe(venue._connect())
        pipe.protocol.data_received(HANDSHAKE + hostile.start(client))
        for _ in range(45):
            pipe.protocol.data_received(len(longest).to_bytes(4, "big") + longest)
        assert pipe.is_open
        pipe.close()
        await settle()
    await venue.stop()
    venue.check()
    assert megabytes() - before < FEW_MEGABYTES


async def test_frames_that_never_end_are_not_kept():
    venue = gateway()
    await venue.start()
    before = megabytes()
    pipes = [Pipe(venue._connect()) for _ in range(40)]
    for client, pipe in enumerate(pipes):
        pipe.protocol.data_received(HANDSHAKE + hostile.start(client) + (2**31).to_bytes(4, "big"))
        for _ in range(100):
            if pipe.is_open:
                pipe.protocol.data_received(bytes(10_000))
    assert not any(pipe.is_open for pipe in pipes)
    await settle()
    await venue.stop()
    venue.check()
    assert megabytes() - before < FEW_MEGABYTES


def test_the_log_keeps_the_newest_entries_up_to_a_size():
    log = MessageLog(kept_characters=10_000)
    for number in range(100):
        log.add(LogEntry(world().as_of, 1, 1, Direction.IN, str(number), ("x" * 899,)))
    assert [entry.message for entry in log] == [str(number) for number in range(90, 100)]
