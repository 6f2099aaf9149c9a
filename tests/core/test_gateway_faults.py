"""Scripted faults: each kind, on the message it is scripted for and on no other."""

from __future__ import annotations

import pytest
from builders import NOW
from gateway_clients import (
    TRADER,
    VTI_STOCK,
    briefly,
    dial,
    limit_order,
    log_in,
    logged_in,
    market_order,
    serving,
    session,
)

from core.clock import AutojumpClock
from core.money import D
from core.sim.gateway.faults import (
    Delay,
    Do,
    Drop,
    Duplicate,
    Faults,
    HalfOpen,
    Hold,
    Match,
    Omit,
    Subject,
)
from core.sim.wire.frames import frame

EXECUTIONS = (7, 3, 9, 0, "", "", "", "", "", "")
ONCE_MORE = ["openOrder", "orderStatus"]
FILLED = ["execDetails", "openOrder", "orderStatus", "commissionReport", *ONCE_MORE]


async def traded(wire, order=None):
    """The names of the messages on a market order of 10 VTI, after it was accepted."""
    wire.request("placeOrder", 1, VTI_STOCK, order or market_order())
    return [name for name, *_ in briefly(await wire.all())[2:]]


def test_a_rule_is_for_the_messages_that_match_and_for_so_many_of_them():
    faults = Faults()
    rule = faults.on("openOrder", Omit(), Match(client=1, symbol="VTI", order_ref="R"), skip=1, times=2)
    matching, others = Subject(5, "VTI", "R"), (Subject(5, "BND", "R"), Subject(5, "VTI", "S"))
    assert [faults.action_for("openOrder", 1, subject) for subject in others] == [None, None]
    assert faults.action_for("openOrder", 2, matching) is None
    assert faults.action_for("orderStatus", 1, matching) is None
    assert [faults.action_for("openOrder", 1, matching) for _ in range(4)] == [None, rule.action, rule.action, None]


def test_the_first_rule_that_matches_decides_and_without_a_count_it_always_does():
    faults = Faults()
    faults.on("error", Omit())
    faults.on("error", Delay(1), times=None)
    assert [faults.action_for("error", 1, Subject()) for _ in range(3)] == [Omit(), Delay(1), Delay(1)]
    faults.clear()
    assert not faults.action_for("error", 1, Subject())


async def test_an_end_marker_can_come_late_and_is_overtaken():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        gateway.faults.on("execDetailsEnd", Delay(30))
        wire.send(*EXECUTIONS)
        wire.send(17, 1)
        assert briefly(await wire.all()) == [["managedAccounts"]]
        await clock.sleep(29)
        assert await wire.all() == []
        await clock.sleep(1)
        assert briefly(await wire.all()) == [["execDetailsEnd"]]


@pytest.mark.parametrize("at", [0, 1, 7, None])
async def test_the_socket_can_be_dropped_before_inside_or_after_a_message(at):
    async with session() as (gateway, wire):
        gateway.faults.on("positionEnd", Drop(at))
        wire.send(61, 1)
        whole = frame(("62", "1"))
        received = await wire.rest()
        assert wire.received_bytes.endswith(frame(received[0]) + whole[:at])
        assert briefly(received) == [["position"], ["positionEnd"]][: 1 if at is not None else 2]
        assert gateway.exchange.working() == ()


@pytest.mark.parametrize(("at", "arrives"), [(0, False), (None, True)])
async def test_the_socket_can_be_dropped_before_or_after_an_order_arrives(at, arrives):
    async with session() as (gateway, wire):
        gateway.faults.on("placeOrder", Drop(at))
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        assert bool(await wire.rest()) is arrives
        assert len(gateway.exchange.working()) == int(arrives)


async def test_an_order_can_arrive_late_and_after_what_was_sent_later():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        gateway.faults.on("placeOrder", Delay(30), Match(order_ref="RB-1"))
        gateway.faults.on("placeOrder", Hold("reqPositions"), Match(order_ref="RB-2"))
        for order_id, ref in enumerate(("RB-1", "RB-2", "RB-3"), 1):
            wire.request("placeOrder", order_id, VTI_STOCK, limit_order(orderRef=ref, quantity=1))
        wire.send(61, 1)
        assert [fields[2:4] for fields in await wire.only("error")] == [("2", "103")]
        await clock.sleep(30)
        assert [order.order_ref for order in gateway.exchange.working()] == ["RB-3"]
        assert [fields[2:4] for fields in await wire.only("error")] == [("1", "103")]


async def test_a_delayed_request_of_a_disconnected_client_is_not_handled():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway:
        gateway.faults.on("placeOrder", Delay(30))
        async with logged_in(gateway) as wire:
            wire.request("placeOrder", 1, VTI_STOCK, limit_order())
            await wire.all()
        await clock.sleep(30)
        assert gateway.exchange.orders == {}


async def test_the_handshake_can_be_left_unanswered_or_answered_by_half():
    async with serving() as gateway:
        gateway.faults.on("handshake", Omit())
        gateway.faults.on("serverVersion", Drop(at=6))
        unanswered, half = await dial(gateway), await dial(gateway)
        assert await half.rest() == []
        assert half.received_bytes == frame(("178", "20260302 15:30:00 EST"))[:6]
        unanswered.writer.close()
        wire = await log_in(gateway)
        await wire.close()


async def test_a_half_open_connection_reads_and_sends_nothing():
    async with session() as (gateway, wire):
        gateway.faults.on("reqPositions", HalfOpen())
        farm = gateway.faults.on("error", Omit(), Match(client=TRADER))
        before = gateway.traffic()[wire.port].read
        sent = frame(("61", "1")) + frame(("49", "1"))
        wire.writer.write(sent)
        async with logged_in(gateway, 2) as other:
            gateway.broadcast(2104)
            assert briefly(await other.all()) == [["error", "2104"]]
        assert gateway.traffic()[wire.port].read == before + len(sent)
        assert not wire.reader._buffer
        assert farm.left == 1
        await wire.close()
        again = await log_in(gateway)
        await again.close()


async def test_an_order_sent_once_can_arrive_twice_and_is_one():
    async with session() as (gateway, wire):
        gateway.faults.on("placeOrder", Duplicate())
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        assert (len(await wire.all()), len(gateway.exchange.orders)) == (4, 1)


@pytest.mark.parametrize(
    ("until", "order"),
    [
        ("orderStatus", ["openOrder", "orderStatus", "execDetails", "commissionReport"]),
        ("commissionReport", ["openOrder", "orderStatus", "commissionReport", "execDetails"]),
    ],
)
async def test_an_execution_can_come_after_its_status_or_after_its_commission(until, order):
    async with session() as (gateway, wire):
        gateway.faults.on("execDetails", Hold(until))
        assert await traded(wire) == [*order, *ONCE_MORE]


async def test_a_message_held_for_its_order_is_not_released_by_another():
    async with session() as (gateway, wire):
        gateway.faults.on("execDetails", Hold("commissionReport"), Match(order_ref="RB-1"))
        gateway.faults.on("commissionReport", Omit(), Match(order_ref="RB-1"))
        wire.request("placeOrder", 1, VTI_STOCK, market_order(orderRef="RB-1", quantity=1))
        wire.request("placeOrder", 2, VTI_STOCK, market_order(orderRef="RB-2", quantity=1))
        assert [fields[26] for fields in await wire.only("execDetails")] == ["RB-2"]


async def test_an_execution_can_be_corrected():
    async with session() as (gateway, wire):

        def correct(subject):
            (fill,) = gateway.exchange.executions()
            gateway.correct(fill.exec_id, D(8), D("100.01"))

        gateway.faults.on("commissionReport", Do(correct))
        assert (await traded(wire)).count("execDetails") == 2
        wire.send(*EXECUTIONS)
        (fill,) = await wire.only("execDetails")
        assert (fill[14][-3:], fill[19], fill[20]) == (".02", "8", "100.01")
        gateway.exchange.audit()


async def test_a_fault_is_for_the_client_it_is_scripted_for():
    async with session(client=1) as (gateway, one), logged_in(gateway, 2) as two:
        gateway.faults.on("positionEnd", Omit(), Match(client=2), times=None)
        for wire, ends in ((one, True), (two, False)):
            wire.send(61, 1)
            assert (["positionEnd"] in briefly(await wire.all())) is ends


async def test_a_fault_is_in_the_log_before_what_it_does():
    async with session() as (gateway, wire):
        gateway.faults.on("positionEnd", Drop())
        wire.send(61, 1)
        await wire.rest()
        assert [(entry.message, entry.fields) for entry in gateway.log][-2:] == [
            ("fault", ("positionEnd", "Drop(at=0)")),
            ("closed", ("as scripted",)),
        ]


async def test_a_message_to_a_disconnected_client_uses_up_no_fault():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway:
        wire = await log_in(gateway)
        wire.request("reqMktData", 5, VTI_STOCK, "", False, False, [])
        await wire.all()
        await wire.close()
        rule = gateway.faults.on("tickSize", Omit())
        await clock.sleep(1)
        assert rule.left == 1
