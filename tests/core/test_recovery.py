"""A run whose process died at any moment: recovery finds out what became of its orders, and sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, plan, trade_line
from deaths import DyingStore, Killed, Second, second_process, trade_until_killed
from hypothesis import given
from hypothesis import strategies as st
from trading import RUN, Trading, buy, convert, disagreements, execution_settings, resting, sell, trading
from worlds import ACCOUNT, quoted, scripted

from core.errors import ConnectionLost, ExitCode
from core.execution import recovered_result
from core.journal import Journal, MemoryStore
from core.journal.entries import (
    Entry,
    OrderCancelling,
    OrderIntended,
    OrderReported,
    OrderSending,
    RunState,
    StageStarted,
)
from core.model import (
    ConnectionChange,
    Fill,
    Finding,
    Notice,
    OrderRef,
    OrderState,
    OrderUpdate,
    RejectReason,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from core.sim.venue.world import Change, Point

FIRST = buy()
HALF = scripted(fill_fraction=D("0.5"))


def is_a(kind: type[Entry]) -> Callable[[Entry], bool]:
    return lambda entry: isinstance(entry, kind)


def reports(kind: type, state: OrderState | None = None) -> Callable[[Entry], bool]:
    """Entries that record an event of this kind, an update of this state."""

    def is_it(entry: Entry) -> bool:
        event = entry.event if isinstance(entry, OrderReported) else None
        return isinstance(event, kind) and (state is None or getattr(event, "state", None) is state)

    return is_it


def is_sending_second(entry: Entry) -> bool:
    return isinstance(entry, OrderSending) and "-B2-" in entry.ref


async def recovered(first: Trading, store: DyingStore) -> tuple[RunState, Second]:
    """The run after a second process recovered it, which sent nothing and left nothing of ours working."""
    second = second_process(first, store)
    state = await second.recover()
    assert second.sent() == []
    assert [one for one in first.broker.exchange.working() if one.order_ref.startswith("RB-")] == []
    return state, second


def state_of(state: RunState, ref: OrderRef = FIRST.ref) -> OrderState:
    return state.orders[ref].state


# --- each crash point ---


async def test_k0_a_run_that_died_before_its_first_order_is_closed():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderIntended))
    state, second = await recovered(first, store)
    assert (state.record.exit_code, state.is_open) == (ExitCode.INCOMPLETE, False)
    assert state.record.reason == "the process of the run ended before anything was sent"
    assert not second.broker.is_connected


async def test_k1_an_intended_order_was_not_sent_which_needs_no_witness():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderIntended), afterwards=True)
    state, second = await recovered(first, store)
    assert state_of(state) is OrderState.NOT_SENT
    assert state.record.reason == "the process of the run ended before anything was sent"
    assert second.broker.now() == NOW


async def test_k1_an_order_that_shows_up_though_it_was_never_sending_needs_a_person():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderIntended), afterwards=True)
    first.broker.exchange.submit(FIRST, client_id=42)
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.UNKNOWN
    assert state.record.exit_code is ExitCode.UNKNOWN


async def test_k2_an_order_that_was_never_sent_is_proved_absent_a_minute_later():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    state, second = await recovered(first, store)
    assert state_of(state) is OrderState.ABSENT
    assert (state.record.exit_code, state.is_open) == (ExitCode.INCOMPLETE, False)
    assert state.record.reason == "the process of the run ended early: 0 of 1 trade filled"
    assert second.broker.now() - NOW >= timedelta(seconds=60)


@pytest.mark.parametrize("made", [sell(), convert()], ids=["sell", "fx"])
async def test_k2_a_sell_and_a_conversion_are_proved_absent_by_shares_and_cash(made):
    store = DyingStore()
    first = await trade_until_killed(store, made, dies_with=is_a(OrderSending), afterwards=True)
    state, _ = await recovered(first, store)
    assert state_of(state, made.ref) is OrderState.ABSENT


@pytest.mark.parametrize("made", [buy(), sell(), convert()], ids=["buy", "sell", "fx"])
async def test_k3_an_order_that_filled_before_it_was_acknowledged_is_found_filled(made):
    store = DyingStore()
    first = await trade_until_killed(store, made, dies_with=is_a(OrderReported))
    state, second = await recovered(first, store)
    assert (state_of(state, made.ref), state.record.exit_code) == (OrderState.FILLED, ExitCode.DONE)
    assert state.orders[made.ref].perm_id
    assert second.broker.now() == NOW
    assert disagreements(first_with(first, store)) == []


async def test_k3_an_order_that_arrives_between_the_two_looks_is_cancelled_and_counted():
    store = DyingStore()
    order = resting()
    first = await trade_until_killed(store, order, dies_with=is_a(OrderSending), afterwards=True)
    second = second_process(first, store)
    second.broker.on_call = lambda number: number == 4 and first.broker.exchange.submit(order, client_id=42)
    state = await second.recover()
    assert state_of(state) is OrderState.CANCELLED
    assert first.broker.exchange.working() == ()


async def test_k4_a_working_order_is_cancelled():
    store = DyingStore()
    first = await trade_until_killed(
        store, resting(), dies_with=reports(OrderUpdate, OrderState.WORKING), afterwards=True
    )
    state, second = await recovered(first, store)
    assert (state_of(state), state.record.exit_code) == (OrderState.CANCELLED, ExitCode.INCOMPLETE)
    assert second.broker.now() == NOW


async def test_k5_the_rest_of_a_part_filled_order_is_cancelled_and_its_fills_are_imported():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=reports(Fill), fills=HALF)
    state, _ = await recovered(first, store)
    assert (state_of(state), state.orders[FIRST.ref].filled) == (OrderState.CANCELLED, D(5))
    assert state.record.reason == "the process of the run ended early: 0 of 1 trade filled"
    assert disagreements(first_with(first, store)) == []


@pytest.mark.parametrize("afterwards", [False, True])
async def test_k6_a_cancel_that_was_not_confirmed_is_confirmed(afterwards):
    store = DyingStore()
    first = await trade_until_killed(
        store, resting(), dies_with=is_a(OrderCancelling), afterwards=afterwards, settings=execution_settings()
    )
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.CANCELLED


async def test_k6_a_fill_wins_over_the_cancel_that_was_on_its_way():
    store = DyingStore()
    first = await trade_until_killed(store, resting(), dies_with=is_a(OrderCancelling), afterwards=True)
    first.broker.exchange.move(Change(Point.APPROVAL, {Symbol("VTI"): quoted("40.00", "40.02", "40.01")}))
    state, _ = await recovered(first, store)
    assert (state_of(state), state.record.exit_code) == (OrderState.FILLED, ExitCode.DONE)


async def test_k7_a_fill_that_was_not_recorded_is_imported():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=reports(Fill))
    state, _ = await recovered(first, store)
    assert (state_of(state), state.orders[FIRST.ref].filled) == (OrderState.FILLED, D(10))


async def test_k8_a_commission_that_was_missing_is_imported():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=reports(Fill), afterwards=True)
    assert [fill.commission for fill in Journal(store).state(RUN).orders[FIRST.ref].fills] == [None]
    state, _ = await recovered(first, store)
    assert [fill.commission for fill in state.orders[FIRST.ref].fills] == [D(0)]
    assert state.record.exit_code is ExitCode.DONE


async def test_k9_between_stages_nothing_is_continued():
    store = DyingStore()
    is_buying = lambda entry: isinstance(entry, StageStarted) and entry.stage is Stage.BUY  # noqa: E731
    first = await trade_until_killed(store, sell(), buy("BND"), dies_with=is_buying)
    state, second = await recovered(first, store)
    assert state.record.reason == "the process of the run ended early: 1 of 2 trades filled"
    assert (state.record.exit_code, second.broker.now()) == (ExitCode.INCOMPLETE, NOW)


async def test_k10_a_run_whose_trades_had_all_filled_is_done():
    store = DyingStore()
    first = await trade_until_killed(store, convert(), sell(), buy("BND"))
    state, _ = await recovered(first, store)
    assert (state.record.exit_code, state.is_open) == (ExitCode.DONE, False)
    assert state.record.reason == "the process of the run ended when 3 trades had filled"


# --- at every write ---

ALL_STAGES = (convert(), sell(), buy("BND"), resting("BIL", 2))


@pytest.mark.parametrize("afterwards", [False, True])
async def test_a_process_killed_at_any_write_leaves_a_run_that_two_recoveries_leave_the_same(afterwards):
    number = 0
    while True:
        number += 1
        store = DyingStore()
        first = await trade_until_killed(store, *ALL_STAGES, dies_at=number, afterwards=afterwards)
        state, _ = await recovered(first, store)
        entries = store.load(RUN)
        again, _ = await recovered(first, store)
        assert (again, store.load(RUN)) == (state, entries), f"write {number}"
        assert disagreements(first_with(first, store)) == [], f"write {number}"
        assert state.needing_person == (), f"write {number}"
        if state.orders and all(record.state.is_final for record in Journal(store).orders(RUN)) and is_whole(state):
            break
    assert number > 20


async def test_k11_a_recovery_that_is_killed_at_any_write_is_begun_again_with_the_same_result():
    orders = (FIRST, resting("BND", 2))
    expected = None
    for number in range(1, 12):
        store = DyingStore()
        first = await trade_until_killed(
            store,
            *orders,
            dies_with=is_sending_second,
            afterwards=True,
        )
        store.dies_at = number
        second = second_process(first, store)
        try:
            state = await second.recover()
        except Killed:
            store.live_on()
            state, _ = await recovered(first, store)
        found = {ref: (record.state, record.filled) for ref, record in state.orders.items()}
        expected = expected or found
        assert found == expected, f"write {number}"
        assert state.record.exit_code is ExitCode.INCOMPLETE


# --- what is not proved ---


async def test_an_order_that_is_proved_absent_never_fills_later():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    await recovered(first, store)
    assert first.at_broker() == []


async def test_a_missing_account_before_the_stage_is_a_person_s_matter():
    store = DyingStore()
    first = await trading(FIRST, journal=Journal(store))
    first.journal.intend(FIRST, at=NOW)
    first.journal.sending(FIRST.ref, at=NOW)
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.UNKNOWN
    assert "what the account held before the stage is not on record" in state.record.reason


async def test_a_trade_of_somebody_else_in_the_same_symbol_is_a_person_s_matter():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    first.broker.exchange.submit(replace(buy(quantity=D(3)), ref=OrderRef("")), client_id=7)
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.UNKNOWN
    assert "the account shows 13 VTI, the fills on record make 10" in state.record.reason


async def test_the_next_day_nothing_is_absent():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    first.broker.exchange.advance_to(NOW + timedelta(days=1))
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.UNKNOWN
    assert "it was sent on 02 March" in state.record.reason


@pytest.mark.parametrize("is_up", [False, True])
async def test_a_connection_that_changes_between_the_looks_proves_nothing(is_up):
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    second = second_process(first, store)
    change = ConnectionChange(is_up=is_up, at=NOW + timedelta(seconds=30), reason="1100")
    second.broker.on_call = lambda number: number == 6 and second.broker.received.append(change)
    state = await second.recover()
    assert state_of(state) is OrderState.UNKNOWN
    assert "the connection to the broker was disturbed" in state.record.reason


@pytest.mark.parametrize("is_up", [False, True])
async def test_a_connection_that_changes_within_the_first_look_has_it_taken_again(is_up):
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    second = second_process(first, store)
    change = ConnectionChange(is_up=is_up, at=NOW + timedelta(seconds=30), reason="1100")
    second.broker.on_call = lambda number: number == 2 and second.broker.received.append(change)
    state = await second.recover()
    assert state_of(state) is OrderState.ABSENT
    assert [event.kind for event in second.events].count("reconciled") == 3


@pytest.mark.parametrize("number", [6, 7, 8])
async def test_a_list_that_breaks_off_in_the_second_look_proves_nothing(number):
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    second = second_process(first, store)
    second.broker.breaks_at = number
    state = await second.recover()
    assert state_of(state) is OrderState.UNKNOWN


async def test_a_broker_that_cannot_be_asked_leaves_the_run_open_for_another_try():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    second = second_process(first, store)
    second.broker.refusals = 99
    with pytest.raises(ConnectionLost):
        await second.recover()
    assert Journal(store).state(RUN).is_open
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.ABSENT


async def test_executions_that_lack_a_fill_on_record_prove_nothing_of_another_order():
    store = DyingStore()
    orders = (buy(), buy("BND", 2))
    first = await trade_until_killed(store, *orders, dies_with=is_sending_second, afterwards=True)
    second = second_process(first, store)
    second.broker.executions = blind
    state = await second.recover()
    assert [record.state for record in state.orders.values()] == [OrderState.FILLED, OrderState.UNKNOWN]
    assert "the broker's list of executions lacks" in state.record.reason


async def test_an_order_that_filled_by_the_broker_s_count_without_its_executions_is_unknown():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    first.broker.exchange.submit(FIRST, client_id=42)
    second = second_process(first, store)
    second.broker.executions = blind
    state = await second.recover()
    assert state_of(state) is OrderState.UNKNOWN
    assert state.record.exit_code is ExitCode.UNKNOWN


async def test_an_order_that_the_gateway_holds_is_cancelled_and_refused():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    journal = Journal(store)
    journal.record(Notice("held by a preset", NOW, 383, FIRST.ref, RejectReason.REJECTED))
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.REJECTED


async def test_an_order_of_the_run_that_the_journal_does_not_have_is_cancelled_and_a_person_s_matter():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    first.broker.exchange.submit(resting("BND", 2), client_id=42)
    state, _ = await recovered(first, store)
    found = state.orders[resting("BND", 2).ref]
    assert (found.state, found.order.side, found.order.quantity) == (OrderState.UNKNOWN, Side.BUY, 10)
    assert found.reason.startswith("the broker has it, and the journal has not")
    assert (state.record.exit_code, state.is_open) == (ExitCode.UNKNOWN, True)


async def test_fills_of_an_order_that_the_journal_does_not_have_are_put_on_record():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderIntended), afterwards=True)
    first.broker.exchange.submit(buy("BND", 2), client_id=42)
    state, _ = await recovered(first, store)
    found = state.orders[buy("BND", 2).ref]
    assert (found.state, found.filled, found.order.quantity) == (OrderState.UNKNOWN, 10, 10)
    again, _ = await recovered(first, store)
    assert again == state


async def test_a_person_s_finding_ends_the_quarantine_of_an_order_that_the_journal_did_not_have():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderIntended), afterwards=True)
    first.broker.exchange.submit(buy("BND", 2), client_id=42)
    await recovered(first, store)
    journal = Journal(store)
    journal.resolve(buy("BND", 2).ref, Finding("Ann", NOW, "filled 10 at 72.01", D(10), D("72.01")))
    assert journal.open_runs(ACCOUNT) == ()


async def test_a_data_farm_that_breaks_between_the_looks_proves_nothing():
    for code in (2103, 2105, 2157):
        store = DyingStore()
        first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
        second = second_process(first, store)
        broken = Notice("data farm connection is broken", NOW + timedelta(seconds=30), code)
        second.broker.on_call = lambda number, to=second, event=broken: number == 6 and to.broker.received.append(event)
        state = await second.recover()
        assert state_of(state) is OrderState.UNKNOWN
        assert "the connection to the broker was disturbed" in state.record.reason


async def test_the_plan_of_a_run_that_died_before_its_report_is_in_the_recovered_one():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    planned = replace(plan(trade_line("VTI"), trade_line("BND", number=2)), run_id=RUN)
    Journal(store).plan(planned)
    state, second = await recovered(first, store)
    result = recovered_result(state, second.broker)
    assert result.plan == planned
    assert result.not_sent == {Symbol("BND"): state.record.reason}


async def test_two_orders_under_one_reference_are_both_cancelled_and_a_person_s_matter():
    store = DyingStore()
    first = await trade_until_killed(store, resting(), dies_with=is_a(OrderSending), afterwards=True)
    for _ in range(2):
        first.broker.exchange.submit(resting(), client_id=42)
    state, _ = await recovered(first, store)
    assert state_of(state) is OrderState.UNKNOWN


async def test_a_run_in_quarantine_is_read_again_and_stays_there():
    store = DyingStore()
    first = await trade_until_killed(store, FIRST, dies_with=is_a(OrderSending), afterwards=True)
    first.broker.exchange.advance_to(NOW + timedelta(days=1))
    state, _ = await recovered(first, store)
    entries = store.load(RUN)
    again, _ = await recovered(first, store)
    assert (again, store.load(RUN)) == (state, entries)
    assert again.is_open
    assert [record.order.ref for record in again.needing_person] == [FIRST.ref]


@given(
    number=st.integers(1, 30),
    afterwards=st.booleans(),
    is_lost=st.booleans(),
    half=st.booleans(),
    hours=st.sampled_from([0, 0, 0, 30]),
    breaks_at=st.sampled_from([None, None, 1, 2, 3, 5, 7]),
)
async def test_recovering_twice_changes_nothing(number, afterwards, is_lost, half, hours, breaks_at):
    store = DyingStore()
    changes = {"fills": HALF} if half else {}
    first = await trade_until_killed(store, *ALL_STAGES, dies_at=number, afterwards=afterwards, **changes)
    if is_lost:
        first.broker.lost = frozenset({Symbol("BND")})
    first.broker.exchange.advance_to(NOW + timedelta(hours=hours))
    second = second_process(first, store)
    second.broker.breaks_at = breaks_at
    await second.recover()
    entries = store.load(RUN)
    state, _ = await recovered(first, store)
    assert store.load(RUN) == entries
    assert state.is_open is bool(state.needing_person)
    assert disagreements(first_with(first, store)) == []


def first_with(first: Trading, store: MemoryStore) -> Trading:
    """The venue of the first process beside what is on record by now."""
    return Trading(first.broker, Journal(store), first.executor, first.events, first.guard)


def is_whole(state: RunState) -> bool:
    """Whether the process had done everything that it was to do."""
    return len(state.orders) == len(ALL_STAGES) and state_of(state, ALL_STAGES[-1].ref) is OrderState.CANCELLED


async def blind():
    return ()
