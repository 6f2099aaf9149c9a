"""One stage that loses the connection, the journal or its task: nothing is sent twice, nothing is left working."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from trading import RUN, buy, disagreements, execution_settings, resting, sell, trading
from worlds import scripted

from core.errors import (
    ConnectionLost,
    KillSwitchOn,
    OrderIncomplete,
    OrderRejected,
    OrderStateUnknown,
    OutputFailed,
    PacingExceeded,
    leading,
)
from core.journal import Journal, MemoryStore
from core.model import ConnectionChange, OrderState, OrderUpdate, Stage, Symbol
from core.money import D
from core.sim.venue.world import Fault, FaultKind

THREE = (buy(), resting("BND", 2), buy("BIL", 3))
HALF = scripted(fill_fraction=D("0.5"))


def kinds(result) -> list[type]:
    return [type(error) for error in result.errors]


def cancels(at_work) -> list[str]:
    return [entry.what for entry in at_work.broker.log if str(entry.what).startswith("cancel ")]


# --- lost connections ---


async def test_an_order_that_arrived_before_the_connection_broke_is_found_and_nothing_more_is_sent():
    orders = (buy(), buy("BND", 2))
    at_work = await trading(*orders, faults=(Fault("order:VTI", FaultKind.DISCONNECT),))
    result = await at_work.run(*orders)
    assert kinds(result) == [ConnectionLost]
    assert result.records[0].state is OrderState.FILLED
    assert (result.unsent, result.stops) == ((orders[1],), True)
    assert disagreements(at_work) == []


async def test_a_connection_that_broke_while_the_last_order_worked_is_a_warning_when_the_lists_show_that_it_filled():
    orders = (buy(), buy("BND", 2))
    at_work = await trading(*orders, faults=(Fault("order:BND", FaultKind.DISCONNECT),))
    result = await at_work.run(*orders)
    assert (result.errors, result.stops, result.unsent) == ((), False, ())
    assert {record.state for record in result.records} == {OrderState.FILLED}
    (warning,) = result.warnings
    assert warning.startswith("the connection was lost, and the orders working then have filled: ")
    assert len(at_work.details_of("reconciled")) == 1


async def test_a_connection_that_broke_after_an_order_was_rejected_leaves_the_rejection_as_the_failure():
    orders = (buy(), buy("BND", 2))
    at_work = await trading(*orders, fills=scripted(reject=201), faults=(Fault("order:BND", FaultKind.DISCONNECT),))
    result = await at_work.run(*orders)
    assert kinds(result) == [OrderRejected]
    assert (result.stops, len(result.warnings)) == (False, 1)


async def test_a_connection_that_breaks_with_the_last_fill_is_no_failure():
    at_work = await trading(buy())
    at_work.broker.altered = breaks_with_the_last_word
    result = await at_work.run(buy())
    assert (result.errors, result.stops, result.records[0].state) == ((), False, OrderState.FILLED)


def breaks_with_the_last_word(event):
    if isinstance(event, OrderUpdate) and event.state is OrderState.FILLED:
        return event, ConnectionChange(is_up=False, at=NOW + timedelta(seconds=1), reason="1100 link lost")
    return (event,)


async def test_a_connection_that_stays_down_is_no_warning_though_everything_may_have_filled():
    at_work = await trading(buy(), faults=(Fault("order:VTI", FaultKind.DISCONNECT, times=99),))
    result = await at_work.run(buy())
    assert kinds(result) == [ConnectionLost, OrderStateUnknown]
    assert result.stops


async def test_a_working_order_is_cancelled_after_the_connection_came_back():
    at_work = await trading(resting(), faults=(Fault("order:VTI", FaultKind.DISCONNECT),))
    result = await at_work.run(resting())
    assert kinds(result) == [ConnectionLost, OrderIncomplete]
    assert disagreements(at_work) == []


async def test_a_connection_that_stays_down_leaves_every_open_order_unknown():
    orders = (buy(), resting("BND", 2), resting("BIL", 3))
    at_work = await trading(*orders)
    at_work.broker.lost = frozenset({Symbol("BIL")})
    at_work.broker.on_call = lambda number: setattr(at_work.broker, "refusals", 99)
    at_work.broker.breaks_at = 12
    result = await at_work.run(*orders)
    assert kinds(result) == [ConnectionLost, OrderStateUnknown, OrderStateUnknown]
    assert [record.state for record in result.records] == [OrderState.FILLED, OrderState.UNKNOWN, OrderState.UNKNOWN]


async def test_a_broken_link_behind_the_gateway_ends_the_stage_reconciled():
    def broken(event):
        return event, ConnectionChange(is_up=False, at=NOW + timedelta(seconds=1), reason="1100 link lost")

    orders = (resting(), buy("BND", 2))
    at_work = await trading(*orders)
    at_work.broker.altered = broken
    result = await at_work.run(*orders)
    assert kinds(result) == [ConnectionLost, OrderIncomplete]
    assert result.errors[0].message == "1100 link lost"
    assert result.unsent == (orders[1],)


async def test_a_report_of_an_old_disconnect_does_not_stop_a_new_stage():
    at_work = await trading(buy())
    old = ConnectionChange(is_up=False, at=NOW - timedelta(minutes=5))
    at_work.broker.altered = lambda event: (old, event)
    assert (await at_work.run(buy())).errors == ()


@pytest.mark.parametrize("after_the_call", [False, True])
@pytest.mark.parametrize("call", range(1, 31))
async def test_wherever_the_connection_breaks_nothing_is_sent_twice_or_left_working(call, after_the_call):
    orders = (buy(), resting("BND", 2), sell("VTI", 1), buy("BIL", 3))
    at_work = await trading(
        *orders, settings=execution_settings(order_timeout_seconds=20), fills=HALF | scripted("BIL", delay_seconds=D(5))
    )
    at_work.broker.breaks_at, at_work.broker.breaks_after_the_call = call, after_the_call
    result = await at_work.run(*orders)
    sent_before = [order.ref for order in at_work.sent()]
    assert disagreements(at_work) == []
    assert not any(placed.is_working for placed in at_work.at_broker())
    assert len(set(sent_before)) == len(sent_before)
    if at_work.broker.calls >= call:
        assert leading(result.errors).exit_code in (20, 28, 41)
        assert result.stops or len(sent_before) == len(orders)


class Bumpy:
    """Bends events by a list of moves: `keep`, `drop`, `twice`, or `hold` back until the next one."""

    def __init__(self, moves):
        self.moves = deque(moves)
        self.held = []

    def __call__(self, event):
        move = self.moves.popleft() if self.moves else "keep"
        if move == "hold":
            self.held.append(event)
            return ()
        received = {"keep": [event], "drop": [], "twice": [event, event]}[move] + self.held
        self.held = []
        return tuple(received)


@given(
    moves=st.lists(st.sampled_from(["keep", "drop", "twice", "hold"]), max_size=20),
    breaks_at=st.integers(1, 40),
    after_the_call=st.booleans(),
    stop_at=st.integers(1, 60),
)
def test_whatever_the_connection_does_the_journal_holds_what_the_venue_did(moves, breaks_at, after_the_call, stop_at):
    async def rehearse():
        orders = (buy(), resting("BND", 2), sell("VTI", 1), buy("BIL", 3))
        fills = HALF | scripted("BIL", delay_seconds=D(5))
        at_work = await trading(*orders, settings=execution_settings(order_timeout_seconds=20), fills=fills)
        at_work.broker.altered = Bumpy(moves)
        at_work.broker.breaks_at, at_work.broker.breaks_after_the_call = breaks_at, after_the_call
        at_work.guard.stop_at = stop_at
        result = await at_work.run(*orders)
        assert await at_work.executor.cancel_all() == ()
        assert disagreements(at_work) == []
        assert not any(placed.is_working for placed in at_work.at_broker())
        assert not [record for record in result.records if not record.state.is_final]

    asyncio.run(rehearse())


# --- the journal fails ---


class Brittle(MemoryStore):
    """A store whose disk is full from the append number `fails_at` on, counted from when that is set."""

    fails_at = 0

    def append(self, run_id, position, entry):
        if self.fails_at == 1:
            raise OutputFailed("the journal cannot be written: disk full", next_step="free space, then recover")
        self.fails_at -= bool(self.fails_at)
        super().append(run_id, position, entry)


@pytest.mark.parametrize("fails_at", range(1, 13))
async def test_when_the_journal_cannot_be_written_nothing_is_sent_and_what_works_is_cancelled(fails_at):
    orders = (resting(), resting("BND", 2), buy("BIL", 3))
    store = Brittle()
    at_work = await trading(*orders, journal=Journal(store))
    store.fails_at = fails_at
    result = await at_work.run(*orders)
    assert (kinds(result)[0], result.stops) == (OutputFailed, True)
    assert leading(result.errors).exit_code == 50
    assert not any(placed.is_working for placed in at_work.at_broker())
    assert len(at_work.at_broker()) < fails_at


async def test_without_journal_and_without_a_confirmed_cancel_the_orders_are_unknown():
    store = Brittle()
    at_work = await trading(resting(), journal=Journal(store))
    at_work.broker.ignores_cancels = True
    store.fails_at = 4
    result = await at_work.run(resting())
    assert kinds(result) == [OutputFailed, OrderStateUnknown]
    assert "cancellation could not be confirmed for: RB-ABCDEFGHIJ23-B1-1" in result.errors[1].message


async def test_without_journal_and_without_a_connection_the_orders_are_unknown():
    store = Brittle()
    at_work = await trading(resting(), journal=Journal(store))
    store.fails_at = 4
    at_work.broker.breaks_at, at_work.broker.refusals = 4, 99
    assert kinds(await at_work.run(resting())) == [OutputFailed, OrderStateUnknown]


# --- the end of a run ---


async def interrupted(store=None):
    """An executor whose task was cancelled while its one order worked."""
    at_work = await trading(resting(), journal=Journal(store or MemoryStore()))
    task = asyncio.create_task(at_work.run(resting()))
    at_work.broker.on_call = lambda number: task.cancel() if number == 3 else None
    with pytest.raises(asyncio.CancelledError):
        await task
    at_work.broker.on_call = lambda number: None
    return at_work


async def test_with_nothing_open_the_end_of_a_run_sends_nothing_to_the_broker():
    at_work = await trading(buy())
    await at_work.run(buy())
    calls = at_work.broker.calls
    assert await at_work.executor.cancel_all() == ()
    assert at_work.broker.calls == calls


@pytest.mark.parametrize("call", range(1, 14))
async def test_a_cancelled_task_leaves_nothing_working_once_the_run_has_tidied_up(call):
    at_work = await trading(*THREE, fills=HALF)
    task = asyncio.create_task(at_work.run(*THREE))
    at_work.broker.on_call = lambda number: task.cancel() if number == call else None
    with pytest.raises(asyncio.CancelledError):
        await task
    at_work.broker.on_call = lambda number: None
    errors = await at_work.executor.cancel_all()
    assert disagreements(at_work) == []
    assert not any(placed.is_working for placed in at_work.at_broker())
    assert {type(error) for error in errors} <= {OrderIncomplete}
    assert await at_work.executor.cancel_all() == ()


async def test_the_end_of_a_run_connects_again_to_cancel():
    at_work = await interrupted()
    await at_work.broker.disconnect()
    assert [type(error) for error in await at_work.executor.cancel_all()] == [OrderIncomplete]
    assert disagreements(at_work) == []


async def test_the_end_of_a_run_that_cannot_reach_the_broker_calls_its_orders_unknown():
    at_work = await interrupted()
    await at_work.broker.disconnect()
    at_work.broker.refusals = 99
    assert [type(error) for error in await at_work.executor.cancel_all()] == [OrderStateUnknown]


async def test_the_end_of_a_run_takes_no_longer_than_it_may():
    at_work = await interrupted()
    at_work.broker.ignores_cancels = True
    start = at_work.broker.now()
    assert [type(error) for error in await at_work.executor.cancel_all()] == [OrderStateUnknown]
    assert at_work.broker.now() - start <= timedelta(seconds=31)


async def test_the_end_of_a_run_cancels_even_off_the_record():
    store = Brittle()
    at_work = await interrupted(store)
    store.fails_at = 1
    assert [type(error) for error in await at_work.executor.cancel_all()] == [OutputFailed]
    assert [placed.state for placed in at_work.at_broker()] == [OrderState.CANCELLED]


async def test_a_connection_that_breaks_while_the_kill_switch_cancels_is_reopened():
    at_work = await trading(resting())
    at_work.guard.stop_at = 3
    at_work.broker.breaks_at = 4
    result = await at_work.run(resting())
    assert kinds(result) == [KillSwitchOn, OrderIncomplete]
    assert disagreements(at_work) == []
    assert len(cancels(at_work)) == 1


# --- the account before a stage ---


async def test_the_account_is_put_on_record_before_the_first_order_of_each_stage():
    at_work = await trading(sell(), buy("BND"))
    before = at_work.broker.exchange.snapshot().holdings
    await at_work.run(sell())
    between = at_work.broker.exchange.snapshot().holdings
    await at_work.run(buy("BND"))
    assert at_work.journal.state(RUN).before == {Stage.SELL: before, Stage.BUY: between}
    assert between.positions != before.positions


@pytest.mark.parametrize("kind", [FaultKind.PACING, FaultKind.DISCONNECT])
async def test_without_the_account_before_it_a_stage_sends_nothing(kind):
    at_work = await trading(buy(), faults=(Fault("snapshot", kind, times=99),))
    result = await at_work.run(buy())
    assert kinds(result) == [{FaultKind.PACING: PacingExceeded, FaultKind.DISCONNECT: ConnectionLost}[kind]]
    assert (result.stops, result.unsent, at_work.sent()) == (True, (buy(),), [])


async def test_an_account_that_can_be_read_at_the_second_try_stops_no_stage():
    at_work = await trading(buy(), faults=(Fault("snapshot", FaultKind.DISCONNECT),))
    result = await at_work.run(buy())
    assert (result.errors, result.records[0].state) == ((), OrderState.FILLED)
