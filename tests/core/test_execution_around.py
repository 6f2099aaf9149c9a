"""Around the stages: orders that work before a plan is made, and what the account shows after trading."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW, contract, fill, position, snapshot
from journals import REF, approved_journal, sent
from trading import buy, trading
from worlds import account, earlier

from core.errors import AccountBusy, OrderStateUnknown, OutputFailed
from core.execution import (
    cancel_orphaned_orders,
    cancel_still_working,
    check_foreign_orders,
    check_journal_is_newest,
    unexplained_changes,
)
from core.execution.reconcile import Evidence
from core.journal import Journal, MemoryStore
from core.model import (
    USD_CAD,
    CompletedOrder,
    Fill,
    ForeignOrders,
    OrderRef,
    OrderState,
    OrderType,
    SecurityType,
    Side,
    Symbol,
    WorkingOrder,
)
from core.money import D

OURS = earlier(filled=D(4))
BY_HAND = earlier("BND", ref="")
VTI, BND = Symbol("VTI"), Symbol("BND")


def working(symbol: str = "VTI", ref: str = "", **changes: object) -> WorkingOrder:
    values: dict[str, object] = {"quantity": D(10), "filled": D(4), "order_type": OrderType.LMT, "limit_price": D(90)}
    return WorkingOrder(OrderRef(ref), Symbol(symbol), Side.BUY, **(values | changes))  # type: ignore[arg-type]  # as above


async def with_orders(*orders):
    at_work = await trading(buy(), account=account(open_orders=orders))
    return at_work, await at_work.broker.snapshot()


async def cancelled_orphans(at_work, before):
    return await cancel_orphaned_orders(at_work.executor.tracker, before, seconds=30)


async def still_working(at_work, after, refs):
    return await cancel_still_working(at_work.executor.tracker, after, refs, seconds=30)


def states(at_work) -> list[OrderState]:
    return [placed.state for placed in at_work.at_broker()]


# --- orphaned orders ---


async def test_our_orders_of_an_earlier_run_are_cancelled_and_reported():
    at_work, before = await with_orders(OURS, BY_HAND)
    cancelled = await cancelled_orphans(at_work, before)
    assert [(order.order_ref, order.symbol, order.filled) for order in cancelled] == [("RB-EARLIER-B1-1", VTI, D(4))]
    assert states(at_work) == [OrderState.CANCELLED, OrderState.WORKING]


async def test_without_orders_of_ours_nothing_is_asked_for():
    at_work, before = await with_orders(BY_HAND)
    assert await cancelled_orphans(at_work, before) == ()
    assert at_work.broker.calls == 0


async def test_an_orphaned_order_that_has_ended_since_the_snapshot_counts_as_ended():
    at_work, before = await with_orders(OURS)
    at_work.broker.exchange.cancel(at_work.at_broker()[0].perm_id)
    assert len(await cancelled_orphans(at_work, before)) == 1
    assert not any(str(entry.what).startswith("cancel ") for entry in at_work.broker.log)


async def test_an_orphaned_order_whose_end_was_reported_needs_no_place_in_the_lists():
    at_work, before = await with_orders(OURS)
    at_work.broker.exchange.completed = lambda: ()
    assert len(await cancelled_orphans(at_work, before)) == 1


async def test_an_orphaned_order_that_only_vanishes_is_not_cancelled_for_certain():
    at_work, before = await with_orders(OURS)
    at_work.broker.exchange.completed = lambda: ()
    at_work.broker.altered = lambda event: ()
    with pytest.raises(OrderStateUnknown, match="RB-EARLIER-B1-1"):
        await cancelled_orphans(at_work, before)


async def test_an_orphaned_order_that_cannot_be_cancelled_stops_the_run_in_time():
    at_work, before = await with_orders(OURS)
    at_work.broker.ignores_cancels = True
    start = at_work.broker.now()
    with pytest.raises(OrderStateUnknown, match="could not be confirmed"):
        await cancelled_orphans(at_work, before)
    assert at_work.broker.now() - start < timedelta(seconds=32)


@pytest.mark.parametrize("call", range(1, 9))
async def test_a_connection_that_breaks_while_cancelling_orphaned_orders_is_reopened(call):
    at_work, before = await with_orders(OURS)
    at_work.broker.breaks_at = call
    assert len(await cancelled_orphans(at_work, before)) == 1
    assert states(at_work) == [OrderState.CANCELLED]


async def test_an_order_that_works_at_the_end_of_its_run_is_cancelled_and_reported():
    at_work, after = await with_orders(OURS, BY_HAND)
    survived = await still_working(at_work, after, {OURS.order_ref})
    assert isinstance(survived, OrderStateUnknown)
    assert survived.message == "still working at the end of the run: RB-EARLIER-B1-1"
    assert survived.next_step.startswith("the broker has cancelled them now")
    assert states(at_work) == [OrderState.CANCELLED, OrderState.WORKING]


async def test_an_order_that_works_at_the_end_of_its_run_and_cannot_be_cancelled_is_left_to_a_person():
    at_work, after = await with_orders(OURS)
    at_work.broker.ignores_cancels = True
    survived = await still_working(at_work, after, {OURS.order_ref})
    assert survived is not None
    assert survived.next_step.startswith("cancel RB-EARLIER-B1-1 in TWS")


async def test_orders_of_other_runs_and_other_people_are_none_of_this_runs_survivors():
    at_work, after = await with_orders(OURS, BY_HAND)
    assert await still_working(at_work, after, {OrderRef("RB-ABCDEFGHIJ23-B1-1")}) is None
    assert states(at_work) == [OrderState.WORKING, OrderState.WORKING]


async def test_what_the_broker_reports_after_the_last_stage_is_processed():
    at_work = await trading(buy())
    await at_work.run(buy())
    at_work.broker.received.append(fill("5", exec_id="9.9.01"))
    assert "filled 15 of 10" in (await at_work.executor.drain())[0].message
    assert await at_work.executor.drain() == ()


async def test_orphaned_orders_are_not_cancelled_on_a_connection_that_stays_down():
    at_work, before = await with_orders(OURS)
    await at_work.broker.disconnect()
    at_work.broker.refusals = 99
    with pytest.raises(OrderStateUnknown):
        await cancelled_orphans(at_work, before)


# --- other people's orders ---


def test_somebody_elses_order_in_a_symbol_of_the_plan_refuses_the_run():
    with pytest.raises(AccountBusy, match="working in the plan's symbols: BUY 6 VTI, BUY 6 BND"):
        check_foreign_orders(
            snapshot(working_orders=(working(), working("BND", "other-tool"))), {VTI, BND}, ForeignOrders.REFUSE
        )


@pytest.mark.parametrize(
    ("order", "setting", "warnings"),
    [
        (
            working(),
            ForeignOrders.IGNORE,
            ("an order not placed by this tool is working in a symbol of the plan: BUY 6 VTI",),
        ),
        (working("AAPL"), ForeignOrders.REFUSE, ()),
        (working("VTI", "RB-EARLIER-B1-1"), ForeignOrders.REFUSE, ()),
    ],
)
def test_an_order_that_is_ours_or_outside_the_plan_is_no_reason_to_refuse(order, setting, warnings):
    assert check_foreign_orders(snapshot(working_orders=(order,)), {VTI, BND}, setting) == warnings


# --- afterwards ---


@pytest.mark.parametrize(
    ("before", "fills", "after", "warnings"),
    [
        ("10", ["5"], "15", 0),
        ("10", [], "10", 0),
        ("10", ["5"], "18", 1),
        ("10", ["5"], "10", 1),
        ("0", ["5", "3"], "8", 0),
    ],
)
def test_a_position_is_what_it_was_plus_our_fills(before, fills, after, warnings):
    ours = [fill(shares) for shares in fills]
    found = unexplained_changes(snapshot(position(quantity=before)), snapshot(position(quantity=after)), ours)
    assert len(found) == warnings


def test_an_unexplained_change_says_what_was_expected_and_what_is_there():
    found = unexplained_changes(snapshot(position(quantity="10")), snapshot(), [fill("4", side=Side.SELL)])
    assert found == ("VTI: our fills add up to 6 shares, the account shows 0",)


def test_a_position_that_appears_from_nowhere_is_reported():
    assert unexplained_changes(snapshot(), snapshot(position("AAPL", "3")), []) == (
        "AAPL: our fills add up to 0 shares, the account shows 3",
    )


def test_currencies_are_no_positions():
    pair = position("USD", "500", contract=contract("USD", security_type=SecurityType.CASH))
    assert unexplained_changes(snapshot(), snapshot(pair), [fill("500", symbol=USD_CAD)]) == ()


async def test_an_order_that_was_never_on_record_cannot_be_watched():
    at_work, _ = await with_orders(OURS)
    with pytest.raises(KeyError, match="RB-EARLIER-B1-1"):
        at_work.executor.tracker.mark_unknown(OURS.order_ref, "no report")


# --- the journal and the broker's lists ---

LOST = OrderRef("RB-ABCDEFGHIJ44-B1-1")
LISTED = {
    "working": Evidence((WorkingOrder(LOST, VTI, Side.BUY, D(1), D(0), OrderType.LMT, D(90)),), (), ()),
    "completed": Evidence((), (CompletedOrder(LOST, VTI, Side.BUY, D(1), D(0), OrderState.CANCELLED),), ()),
    "executions": Evidence((), (), (Fill("00.1.01.01", LOST, VTI, Side.BUY, D(1), D(90), NOW),)),
}


@pytest.mark.parametrize("listed", LISTED)
def test_an_order_of_ours_in_any_list_that_is_not_on_record_means_an_old_journal(listed):
    with pytest.raises(OutputFailed, match=f"an old copy.* 1 order of ours .*such as {LOST}") as refused:
        check_journal_is_newest(Journal(MemoryStore()), LISTED[listed])
    assert refused.value.exit_code == 50


def test_orders_on_record_and_orders_of_others_are_no_sign_of_an_old_journal():
    journal = approved_journal(Journal(MemoryStore()))
    sent(journal)
    ours = Fill("00.1.01.01", REF, VTI, Side.BUY, D(1), D(90), NOW)
    others = WorkingOrder(OrderRef(""), VTI, Side.BUY, D(1), D(0), OrderType.LMT, D(90))
    check_journal_is_newest(journal, Evidence((others,), (), (ours,)))
